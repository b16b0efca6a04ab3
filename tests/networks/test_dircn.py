from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from degenerate_inputs import DEGENERATE
from torch import nn

from recon_monai.networks import DIRCN, FeatureTap, NormResXUNet, SensitivityNetwork
from recon_monai.physics import CalibrationError, fft2c, ifft2c, rss

Maker = Callable[..., torch.Tensor]
AGGREGATIONS = ("none", "concat", "sum", "normalized_sum")


class Fixed(nn.Module):
    """Refinement by a plain function of the images (and of the features, a number per sample)."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor], **sizes: Any) -> None:
        super().__init__()
        self.function = function
        self.sizes = sizes
        self.seen: dict[str, Any] = {}

    def refine(
        self, images: torch.Tensor, interconnections: Any = None, *, newest: Any = None
    ) -> tuple[Any, list[Any]]:
        self.seen = {"images": images, "interconnections": interconnections, "newest": newest}
        return self.function(images[:, :1]), [images.mean()]


def small(num_cascades: int = 2, **options: Any) -> DIRCN:
    torch.manual_seed(0)
    return DIRCN(num_cascades, 2, 1, groups=1, sensitivity_groups=1, **options)


def fixed(num_cascades: int, function: Callable[[torch.Tensor], torch.Tensor], **options: Any) -> DIRCN:
    return small(num_cascades, refinement=partial(Fixed, function), **options).double()


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def gradients(network: nn.Module) -> dict[str, torch.Tensor]:
    found = {name: parameter.grad for name, parameter in network.named_parameters()}
    assert [name for name, gradient in found.items() if gradient is None] == []
    return found  # type: ignore[return-value]


def test_counts_are_the_published_ones_less_the_unused_weight() -> None:
    with torch.device("meta"):
        network = DIRCN(8, 16, 4)
    published = {5: 6_330_481, 6: 7_621_379, 7: 8_912_277, 8: 10_203_175}
    for cascades, parameters in published.items():
        assert count(network.sensitivity_network) + count(network.cascades[:cascades]) == parameters - 1
    assert count(network) == published[8] - 1
    assert count(network.sensitivity_network) == 71_831
    assert count(network.cascades[0]) == 1_095_058 - 1
    assert count(network.cascades[-1]) == 1_290_898


def test_counts_with_concatenation_are_the_published_ones() -> None:
    with torch.device("meta"):
        assert count(DIRCN(8, 16, 4, aggregation="concat")) == 10_211_231


@pytest.mark.slow
def test_count_of_the_paper() -> None:
    with torch.device("meta"):
        paper = partial(DIRCN, 30, 20, 12, sensitivity_groups=1)
        assert count(paper(aggregation="concat")) == 60_982_445
        assert count(paper(aggregation="none", interconnections=False)) == 51_951_845


def test_the_default_is_small() -> None:
    with torch.device("meta"):
        assert 6.0e6 < 4 * count(DIRCN()) < 7.0e6  # bytes


@pytest.mark.parametrize("data_consistency", ["soft", "variational"])
@pytest.mark.parametrize("masked_by", ["columns", "samples"])
def test_iterations_follow_the_equations_on_multi_coil_kspace(
    data_consistency: Any, masked_by: str, random_kspace: Maker, column_mask: Maker
) -> None:
    network = fixed(3, lambda image: image / 2 + 0.1j, data_consistency=data_consistency, aggregation="none")
    for cascade, weight in zip(network.cascades, (0.3, 0.7, 0.05), strict=True):
        cascade.data_consistency_weight.data.fill_(weight)
    mask = column_mask(20, offset=1)
    mask = mask if masked_by == "columns" else mask.expand(1, 1, 15, 20)
    measured = random_kspace(2, 3, 15, 20, dtype=torch.complex128) * mask
    result = network.reconstruct(measured, mask)

    maps = result.sensitivity_maps
    kspace = measured
    for weight in (0.3, 0.7, 0.05):
        image = (maps.conj() * ifft2c(kspace)).sum(1, keepdim=True)
        expanded = fft2c(maps * (image / 2 + 0.1j))
        if data_consistency == "soft":
            kspace = torch.where(mask, (measured + weight * expanded) / (1 + weight), expanded)
        else:
            kspace = kspace - weight * mask.double() * (kspace - measured) - expanded
    torch.testing.assert_close(result.coil_images, ifft2c(kspace), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(result.image, rss(ifft2c(kspace)), rtol=1e-10, atol=1e-12)


def test_limits_of_data_consistency(random_kspace: Maker, column_mask: Maker) -> None:
    """Lambda 0 keeps measured samples, lambda without bound keeps none of them."""
    network = small(2).double()
    mask = column_mask(20)
    measured = random_kspace(1, 3, 15, 20, dtype=torch.complex128) * mask
    sampled = mask.expand_as(measured)

    def last_kspace(weight: float) -> torch.Tensor:
        network.cascades[-1].data_consistency_weight.data.fill_(weight)
        return fft2c(network.reconstruct(measured, mask).coil_images)

    torch.testing.assert_close(last_kspace(0.0)[sampled], measured[sampled], rtol=1e-10, atol=1e-12)
    refined: list[torch.Tensor] = []
    network.cascades[-1].register_forward_hook(lambda module, args, output: refined.append(output[0].everywhere))
    unlimited = last_kspace(1e15)
    expanded = fft2c(network.reconstruct(measured, mask).sensitivity_maps * refined[0])
    torch.testing.assert_close(unlimited, expanded, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(last_kspace(float("inf")), expanded, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_aggregation_follows_its_formula(aggregation: Any, random_kspace: Maker, column_mask: Maker) -> None:
    network = fixed(4, lambda image: image * 0.7, aggregation=aggregation)
    weights = {2: 0.4, 3: 1.5, 4: 2.5}
    for index, weight in weights.items():
        parameter = network.cascades[index - 1].aggregation_weight
        if aggregation == "sum":
            parameter.data.fill_(weight)
        elif aggregation == "normalized_sum":
            parameter.data.copy_(torch.tensor(weight, dtype=torch.float64).expm1().log())  # inverse of softplus
        else:
            assert parameter is None
    assert network.cascades[0].aggregation_weight is None
    mask = column_mask(20)
    measured = random_kspace(1, 3, 15, 20, dtype=torch.complex128) * mask
    result = network.reconstruct(measured, mask)

    maps, kspace = result.sensitivity_maps, measured
    before: list[torch.Tensor] = []
    for index, cascade in enumerate(network.cascades, start=1):
        image = (maps.conj() * ifft2c(kspace)).sum(1, keepdim=True)
        seen = cascade.refinement.seen
        if aggregation == "concat":
            before.insert(0, image)
            expected = torch.cat(before, dim=1)
        elif aggregation == "none" or index == 1:
            expected = image
        elif aggregation == "sum":
            expected = image + weights[index] * before[0]
        else:
            expected = (image + weights[index] * before[0]) / (1 + weights[index])
        if aggregation in ("sum", "normalized_sum"):
            before = [expected]
        torch.testing.assert_close(seen["images"], expected, rtol=1e-9, atol=1e-11)
        if aggregation == "normalized_sum":
            torch.testing.assert_close(seen["newest"], image, rtol=1e-9, atol=1e-11)
        else:
            assert seen["newest"] is None
        assert cascade.refinement.sizes["images"] == (index if aggregation == "concat" else 1)
        expanded = fft2c(maps * expected[:, :1] * 0.7)
        kspace = torch.where(mask, (measured + 0.01 * expanded) / 1.01, expanded)


def test_weights_of_sums_start_at_one() -> None:
    assert small(aggregation="sum").cascades[1].aggregation_weight.item() == 1
    assert nn.functional.softplus(small().cascades[1].aggregation_weight).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("interconnections", [True, False])
def test_features_are_passed_to_the_next_cascade(
    interconnections: bool, random_kspace: Maker, column_mask: Maker
) -> None:
    network = fixed(3, lambda image: image, interconnections=interconnections)
    network(random_kspace(1, 2, 16, 16, dtype=torch.complex128), column_mask(16))
    parts = [cascade.refinement for cascade in network.cascades]
    assert [part.sizes["interconnections"] for part in parts] == [False, interconnections, interconnections]
    assert parts[0].seen["interconnections"] is None
    for before, part in pairwise(parts):
        if interconnections:
            torch.testing.assert_close(part.seen["interconnections"], [before.seen["images"].mean()])
        else:
            assert part.seen["interconnections"] is None


def test_amplitude_does_not_depend_on_depth(random_kspace: Maker, column_mask: Maker) -> None:
    """At initialization: eight cascades against one."""
    mask = column_mask(32)
    kspace = random_kspace(1, 3, 32, 32) * mask

    def growth(aggregation: Any) -> float:
        torch.manual_seed(0)
        network = DIRCN(8, 4, 1, groups=1, sensitivity_groups=1, aggregation=aggregation)
        with torch.no_grad():
            first, last = (network.reconstruct(kspace, mask, num_cascades=n).image.norm() for n in (1, 8))
        return float(last / first)

    assert 0.95 < growth("normalized_sum") < 1.05
    assert growth("sum") > 1.3


@pytest.mark.parametrize("data_consistency", ["soft", "variational"])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_every_parameter_gets_a_gradient(
    aggregation: Any, data_consistency: Any, random_kspace: Maker, column_mask: Maker
) -> None:
    network = small(3, aggregation=aggregation, data_consistency=data_consistency)
    network(random_kspace(1, 2, 16, 16), column_mask(16)).square().sum().backward()
    found = gradients(network)
    names = [name for name in found if name.endswith("aggregation_weight")]
    assert len(names) == (2 if aggregation in ("sum", "normalized_sum") else 0)
    assert all(bool(found[name].any()) for name in names)


@pytest.mark.parametrize("data_consistency", ["soft", "variational"])
def test_gradients_pass_gradcheck(data_consistency: Any, random_kspace: Maker, column_mask: Maker) -> None:
    network = small(2, data_consistency=data_consistency).double()
    mask = column_mask(8, lines=4)
    kspace = random_kspace(1, 2, 6, 8, dtype=torch.complex128).requires_grad_()
    weights = [network.cascades[1].data_consistency_weight, network.cascades[1].aggregation_weight]
    weights.append(network.cascades[0].refinement.unet.decoder[1].se.fc[2].bias)
    assert torch.autograd.gradcheck(lambda k, *_: network(k, mask), (kspace, *weights), fast_mode=True)


@pytest.mark.parametrize("aggregation", ["concat", "normalized_sum"])
def test_checkpointing_saves_memory_and_keeps_gradients(
    aggregation: Any, random_kspace: Maker, column_mask: Maker
) -> None:
    mask = column_mask(32)
    kspace = random_kspace(1, 3, 32, 32, dtype=torch.complex128) * mask
    saved: dict[str, int] = {}
    found: dict[str, dict[str, torch.Tensor]] = {}
    for checkpointing in ("none", "sensitivity", "all"):
        network = small(2, aggregation=aggregation, checkpointing=checkpointing).double()
        sizes: list[int] = []

        def keep(x: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(x.numel() * x.element_size())
            return x

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            output = network(kspace, mask)
        saved[checkpointing] = sum(sizes)
        output.sum().backward()
        found[checkpointing] = gradients(network)

    assert saved["all"] < saved["sensitivity"] < saved["none"]
    for checkpointing in ("sensitivity", "all"):
        for name, gradient in found["none"].items():
            torch.testing.assert_close(found[checkpointing][name], gradient, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_batch_equals_one_by_one_with_masks_of_their_own(
    aggregation: Any, random_kspace: Maker, column_mask: Maker
) -> None:
    network = small(3, aggregation=aggregation).double()
    masks = torch.cat([column_mask(32, offset=0, lines=4), column_mask(32, offset=3, lines=10)])
    kspace = random_kspace(2, 3, 24, 32, dtype=torch.complex128) * masks
    together = network.reconstruct(kspace, masks)
    for index in range(2):
        alone = network.reconstruct(kspace[index : index + 1], masks[index : index + 1])
        for ours, expected in zip(together, alone, strict=True):
            torch.testing.assert_close(ours[index : index + 1], expected, rtol=1e-8, atol=1e-10)


def test_masks_and_kspace_of_every_form_agree(random_kspace: Maker, column_mask: Maker) -> None:
    network = small(2).double()
    mask = column_mask(27)
    kspace = random_kspace(2, 3, 18, 27, dtype=torch.complex128)
    expected = network(kspace, mask)
    masked = kspace * mask
    torch.testing.assert_close(network(masked, mask.expand(2, 1, 18, 27)), expected, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(network(masked), expected, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(network(torch.view_as_real(kspace), mask.flatten().int()), expected)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("scale", [1e-8, 1e6])
def test_output_scales_with_the_input(aggregation: Any, scale: float, random_kspace: Maker, column_mask: Maker) -> None:
    network = small(2, aggregation=aggregation)
    mask = column_mask(32)
    kspace = random_kspace(1, 3, 32, 32) * mask
    with torch.no_grad():
        expected = network(kspace)
        scaled = network(kspace * scale) / scale
    assert float((scaled - expected).norm() / expected.norm()) < 1e-4


@pytest.mark.parametrize("aggregation", ["concat", "normalized_sum"])
@pytest.mark.parametrize("case", DEGENERATE)
def test_finite_with_finite_gradients(case: str, aggregation: Any, random_kspace: Maker, column_mask: Maker) -> None:
    network = small(2, aggregation=aggregation)
    kspace, mask = DEGENERATE[case](random_kspace, column_mask)
    kspace.requires_grad_()
    result = network.reconstruct(kspace, mask)
    assert result.image.shape == (len(kspace), 1, *kspace.shape[-2:])
    assert all(torch.isfinite(torch.view_as_real(x) if x.is_complex() else x).all() for x in result)
    empty = (kspace == 0).flatten(2).all(dim=2)
    assert not result.coil_images[empty].any()
    assert result.coil_images[~empty].flatten(1).any(dim=1).all()
    result.image.sum().backward()
    assert all(torch.isfinite(gradient).all() for gradient in gradients(network).values())
    assert torch.isfinite(torch.view_as_real(kspace.grad)).all()


def test_autocast_acts_on_the_refinement_networks_alone(random_kspace: Maker, column_mask: Maker) -> None:
    network = small(2)
    mask = column_mask(32)
    kspace = random_kspace(1, 3, 32, 32) * mask * 1e-5
    inside: list[torch.dtype] = []
    between: list[torch.dtype] = []
    for cascade in network.cascades:
        cascade.refinement.unet.register_forward_hook(lambda module, args, output: inside.append(output[0].dtype))
        cascade.register_forward_hook(
            lambda module, args, output: between.extend([output.estimate.everywhere.dtype, output.history.dtype])
        )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = network.reconstruct(kspace, mask)
        result.image.sum().backward()
    assert inside == [torch.bfloat16] * 2
    assert between == [torch.complex64] * 4
    assert [x.dtype for x in result] == [torch.float32, torch.complex64, torch.complex64]
    torch.testing.assert_close(result.sensitivity_maps.abs().square().sum(1), torch.ones(1, 32, 32))
    assert all(torch.isfinite(gradient).all() for gradient in gradients(network).values())
    expected = network(kspace, mask)
    assert ((result.image - expected).norm() / expected.norm()).item() < 0.1


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("start", [1, 2])
def test_growth_keeps_what_the_old_cascades_compute(
    aggregation: Any, start: int, random_kspace: Maker, column_mask: Maker
) -> None:
    network = small(start, aggregation=aggregation)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1)
    mask = column_mask(32)
    kspace = random_kspace(1, 3, 32, 32) * mask
    before = network.reconstruct(kspace, mask)
    network.grow(2)

    assert len(network.cascades) == network.architecture["num_cascades"] == start + 2
    assert network.num_old_cascades == start
    for ours, expected in zip(network.reconstruct(kspace, mask, num_cascades=start), before, strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=0)
    grown = network(kspace, mask)
    assert not torch.allclose(grown, before.image, rtol=1e-2)
    small(start + 2, aggregation=aggregation).load_state_dict(network.state_dict())
    grown.sum().backward()
    gradients(network)


def test_new_cascades_are_copies_of_the_last() -> None:
    network = small(2)
    network.cascades[1].aggregation_weight.data.fill_(0.123)
    network.grow()
    assert _equal(network.cascades[1], network.cascades[2])
    assert network.cascades[1].aggregation_weight is not network.cascades[2].aggregation_weight
    network.double().eval().grow()
    assert network.cascades[3].aggregation_weight.dtype == torch.float64
    assert not network.cascades[3].refinement.unet.stem.training


def _equal(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.named_parameters(), second.named_parameters(), strict=True)
    return all(name == other and torch.equal(ours, theirs) for (name, ours), (other, theirs) in pairs)


@pytest.mark.parametrize("aggregation", ["concat", "normalized_sum"])
def test_what_a_copy_takes_more_changes_nothing_at_first(aggregation: Any, random_kspace: Maker) -> None:
    """The second cascade takes features, and by concatenation one more image; the first takes neither."""
    network = small(1, aggregation=aggregation).double()
    network.grow()
    first, second = (cascade.refinement for cascade in network.cascades)
    image, other = random_kspace(1, 2, 32, 32, dtype=torch.complex128).split(1, dim=1)
    expected, features = first.refine(image)
    images = torch.cat([image, other], dim=1) if aggregation == "concat" else image
    torch.testing.assert_close(second(images, features), expected, rtol=1e-8, atol=1e-10)
    if aggregation == "normalized_sum":
        weight = network.cascades[1].aggregation_weight
        assert nn.functional.softplus(weight).item() == pytest.approx(1, abs=1e-6)


def test_freezing_stops_exactly_what_it_names(random_kspace: Maker, column_mask: Maker) -> None:
    network = small(2)
    network.grow()
    kspace, mask = random_kspace(1, 2, 16, 16), column_mask(16)
    named = {
        "sensitivity": ("sensitivity_network.",),
        "cascades": ("cascades.",),
        "old_cascades": ("cascades.0.", "cascades.1."),
    }
    for parts in ([], "sensitivity", ["cascades"], "old_cascades", ["sensitivity", "old_cascades"]):
        network.freeze(parts)
        names = [parts] if isinstance(parts, str) else parts
        stopped = tuple(prefix for name in names for prefix in named[name])
        before = {name: value.clone() for name, value in network.named_parameters()}
        optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1)
        optimizer.zero_grad()
        network(kspace, mask).sum().backward()
        optimizer.step()
        for name, value in network.named_parameters():
            frozen = name.startswith(stopped) if stopped else False
            assert value.requires_grad is not frozen
            assert torch.equal(value, before[name]) is frozen or not value.any()
    network.unfreeze()
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_what_is_frozen_may_be_checkpointed(random_kspace: Maker, column_mask: Maker) -> None:
    kspace, mask = random_kspace(1, 2, 32, 32, dtype=torch.complex128), column_mask(32)
    for parts in ("sensitivity", "cascades", "old_cascades"):
        found = []
        for checkpointing in ("none", "all"):
            network = small(1, checkpointing=checkpointing).double()
            network.grow()
            network.freeze(parts)
            network(kspace, mask).sum().backward()
            found.append({name: p.grad for name, p in network.named_parameters() if p.requires_grad})
        for name, gradient in found[0].items():
            torch.testing.assert_close(found[1][name], gradient, rtol=1e-9, atol=1e-11)


def test_refuses_to_freeze_what_is_not_there() -> None:
    network = small(2)
    with pytest.raises(ValueError, match="grow the network before"):
        network.freeze("old_cascades")
    with pytest.raises(ValueError, match=r"unknown part 'sme'; use some of"):
        network.freeze(["sme"])
    with pytest.raises(ValueError, match="nothing is left to train"):
        network.freeze(["sensitivity", "cascades"])
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_made_of_the_parts_given(random_kspace: Maker, column_mask: Maker) -> None:
    """As a bundle's configuration spells the network out; equal to the short form."""
    spelled_out = DIRCN(
        num_cascades=2,
        aggregation="normalized_sum",
        interconnections=True,
        data_consistency="soft",
        refinement=partial(NormResXUNet, channels=4, groups=2, se_ratio=0.125),
        sensitivity_network=SensitivityNetwork(
            refinement=NormResXUNet(channels=2, groups=1, se_ratio=0.125), calibration="run"
        ),
    )
    short = DIRCN(2, 4, 2, groups=2, sensitivity_groups=1)
    short.load_state_dict(spelled_out.state_dict())
    mask = column_mask(32)
    kspace = random_kspace(1, 3, 32, 32) * mask
    torch.testing.assert_close(short(kspace, mask), spelled_out(kspace, mask), rtol=0, atol=0)


@pytest.mark.parametrize(
    "other",
    [
        {"aggregation": "sum"},
        {"data_consistency": "variational"},
        {"interconnections": False},
        {"num_cascades": 3},
        {"se_ratio": 1 / 4},
    ],
    ids=lambda other: next(iter(other)),
)
def test_weights_know_their_architecture(other: dict[str, Any]) -> None:
    weights = small(2).state_dict()
    with pytest.raises((ValueError, RuntimeError), match=next(iter(other))):
        small(**{"num_cascades": 2, **other}).load_state_dict(weights)


def test_refuses_impossible_settings(random_kspace: Maker) -> None:
    with pytest.raises(ValueError, match="num_cascades must be at least 1, got 0"):
        DIRCN(0)
    for name in ("aggregation", "data_consistency", "checkpointing"):
        with pytest.raises(ValueError, match=f"unknown {name} 'dense'; use one of"):
            DIRCN(1, **{name: "dense"})
    network = small(2)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        network.grow(0)
    with pytest.raises(ValueError, match="between 1 and 2, got 3"):
        network.reconstruct(random_kspace(1, 2, 16, 16), num_cascades=3)
    with pytest.raises(ValueError, match="expected 1 to 1 old cascades, got 2"):
        network.start_as_copies(2)
    mask = torch.ones(2, 1, 1, 32)
    mask[1, ..., 16] = 0
    with pytest.raises(CalibrationError, match=r"item\(s\) \[1\]"):
        network(random_kspace(2, 3, 32, 32), mask)


def test_features_can_be_tapped(random_kspace: Maker, column_mask: Maker) -> None:
    network = small(2)
    with FeatureTap(network, level=2) as tap:
        network(random_kspace(1, 2, 16, 32), column_mask(32))
    assert [tuple(x.shape) for x in tap.features] == [(1, 8, 4, 8)] * 2


@pytest.mark.slow
def test_traced_network_computes_the_same(random_kspace: Maker, column_mask: Maker) -> None:
    network = small(2).double()
    mask = column_mask(32)
    kspace = random_kspace(1, 2, 16, 32, dtype=torch.complex128) * mask
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        traced = torch.jit.trace(network, (kspace, mask))
        torch.testing.assert_close(traced(2 * kspace, mask), network(2 * kspace, mask), rtol=1e-8, atol=1e-10)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_gpu_equals_cpu(aggregation: Any, random_kspace: Maker, column_mask: Maker) -> None:
    network = small(2, aggregation=aggregation).double()
    mask = column_mask(32)
    kspace = random_kspace(2, 3, 40, 32, dtype=torch.complex128) * mask
    expected = network(kspace, mask)
    result = network.cuda()(kspace.cuda(), mask)
    torch.testing.assert_close(result.cpu(), expected, rtol=1e-7, atol=1e-9)
