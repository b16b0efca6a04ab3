from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from recon_monai.networks import (
    AddedOutput,
    AnatomyClassifier,
    UniversalVarNet,
    VarNet,
    adopt_anatomies,
    last_unet_output,
    load_shared_weights,
    load_weights,
)
from recon_monai.physics import CalibrationError, center_crop_or_pad, fft2c, rss

Maker = Callable[..., torch.Tensor]


@pytest.fixture
def classifier() -> AnatomyClassifier:
    torch.manual_seed(0)
    return AnatomyClassifier(size=32).eval()


@pytest.fixture
def kspace(column_mask: Maker) -> torch.Tensor:
    """Undersampled k-space of two smooth objects seen by three coils, ``(2, 3, 40, 32)``."""
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 40), torch.linspace(-1, 1, 32), indexing="ij")
    objects = [(rows / a).square() + (columns / b).square() < 1 for a, b in [(0.4, 0.7), (0.5, 0.3)]]
    images = torch.stack([(o * (1 + 0.5 * torch.cos(9 * rows) * torch.cos(7 * columns))) for o in objects])[:, None]
    coils = torch.stack([torch.polar(1.5 + torch.cos(rows + k), columns * k / 2) for k in range(3)])
    return fft2c(images * coils) * column_mask(32)


def test_parameter_count_is_that_of_the_specification() -> None:
    assert sum(p.numel() for p in AnatomyClassifier(2, 2).parameters()) == 23_570


def test_logits_and_features_fit_together(classifier: AnatomyClassifier, kspace: torch.Tensor) -> None:
    logits = classifier(kspace)
    features = classifier.features(kspace)
    assert logits.shape == (2, 2)
    assert features.shape == (2, 64)
    torch.testing.assert_close(classifier.head(features), logits)
    torch.testing.assert_close(classifier.from_image(classifier.image(kspace)), logits)
    torch.testing.assert_close(classifier(torch.view_as_real(kspace)), logits)


def test_the_image_is_the_center_square_normalized(kspace: torch.Tensor) -> None:
    """Without resampling and with smooth phase, against the root sum of squares, brought to mean 0 and deviation 1."""
    full = fft2c(rss(torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(kspace, (-2, -1))), (-2, -1))) + 0j)
    image = AnatomyClassifier(size=32).image(full)
    torch.testing.assert_close(image.mean(dim=(-2, -1)), torch.zeros(2, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(image.square().mean(dim=(1, 2, 3)), torch.ones(2))
    dims = (-2, -1)
    expected = torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(full, dims), norm="ortho"), dims).abs()
    expected = center_crop_or_pad(expected, (32, 32))[:, 0]
    for ours, theirs in zip(image[:, 0], expected, strict=True):
        assert float(torch.corrcoef(torch.stack([ours.flatten(), theirs.flatten()]))[0, 1]) > 0.99


@pytest.mark.parametrize("shape", [(64, 32), (32, 64)])
def test_oversampling_of_either_direction_does_not_change_the_field_of_view(shape: tuple[int, int]) -> None:
    """An image inside the center square gives the same, whatever zeros surround the square."""
    generator = torch.Generator().manual_seed(0)
    inner = torch.rand(1, 1, 32, 32, generator=generator).double()
    classifier = AnatomyClassifier(size=16).double()
    square = classifier.image(fft2c(inner + 0j))
    wide = classifier.image(fft2c(center_crop_or_pad(inner, shape) + 0j))
    assert float((square - wide).norm() / square.norm()) < 0.5  # the maps' window differs, the image does not
    magnitude = (square * wide).sum() / (square.norm() * wide.norm())
    assert float(magnitude) > 0.9


def test_powers_of_two_change_no_bit_and_other_scales_hardly_any(
    classifier: AnatomyClassifier, kspace: torch.Tensor
) -> None:
    expected = classifier(kspace)
    for exponent in (-60, -13, 1, 40):
        assert torch.equal(classifier(kspace * 2.0**exponent), expected)
    for scale in (1e-12, 3e-5, 7.0, 1e9):
        torch.testing.assert_close(classifier(kspace * scale), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("angle", [0.5, 2.0, math.pi, 5.0])
def test_a_phase_common_to_all_coils_cancels(classifier: AnatomyClassifier, kspace: torch.Tensor, angle: float) -> None:
    turned = kspace * complex(math.cos(angle), math.sin(angle))
    torch.testing.assert_close(classifier(turned), classifier(kspace), atol=1e-5, rtol=1e-5)
    image, other = classifier.image(kspace), classifier.image(turned)
    torch.testing.assert_close(other, image, atol=1e-4, rtol=0)


def test_batch_equals_one_by_one_with_masks_of_their_own(column_mask: Maker, random_kspace: Maker) -> None:
    classifier = AnatomyClassifier(size=24).double()
    masks = torch.cat([column_mask(32, lines=4), column_mask(32, offset=3, lines=10)])
    kspace = random_kspace(2, 3, 24, 32, dtype=torch.complex128) * masks
    kspace[1] *= 1e-7
    together = classifier(kspace, masks)
    for index in range(2):
        alone = classifier(kspace[index : index + 1], masks[index : index + 1])
        torch.testing.assert_close(together[index : index + 1], alone, rtol=1e-9, atol=1e-12)


def test_samples_outside_the_mask_are_not_used(
    classifier: AnatomyClassifier, random_kspace: Maker, column_mask: Maker
) -> None:
    mask = column_mask(32)
    full = random_kspace(1, 3, 32, 32)
    bad = torch.where(mask, full, torch.full_like(full, math.nan))
    assert torch.equal(classifier(bad, mask), classifier(full * mask))


def test_an_empty_slice_is_an_image_of_zeros(
    classifier: AnatomyClassifier, kspace: torch.Tensor, column_mask: Maker
) -> None:
    kspace[0] = 0
    kspace.requires_grad_()
    image = classifier.image(kspace, column_mask(32))
    assert not bool(image[0].any())
    logits = classifier.from_image(image)
    logits.sum().backward()
    assert kspace.grad is not None
    assert bool(kspace.grad.isfinite().all())
    assert bool(classifier(torch.zeros(1, 2, 16, 16, dtype=torch.complex64)).isfinite().all())


def test_mixed_precision_leaves_the_image_and_the_head_alone(
    classifier: AnatomyClassifier, kspace: torch.Tensor
) -> None:
    expected = classifier.image(kspace * 1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(classifier.image(kspace * 1e-6), expected)
        logits = classifier(kspace)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, classifier(kspace), atol=0.02, rtol=0.02)


def test_wrong_arguments_are_refused(classifier: AnatomyClassifier, random_kspace: Maker) -> None:
    with pytest.raises(ValueError, match="unknown feature 'image'"):
        AnatomyClassifier(feature="image")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1"):
        AnatomyClassifier(0)
    with pytest.raises(ValueError, match="2 channels"):
        AnatomyClassifier(in_channels=1)
    with pytest.raises(CalibrationError, match="center"):
        classifier(random_kspace(1, 2, 16, 16), torch.eye(16)[0])


def test_varnet_last_takes_the_unet_output_of_a_trained_network(random_kspace: Maker, column_mask: Maker) -> None:
    torch.manual_seed(0)
    network = VarNet(2, 2, 2, 2)
    kspace = random_kspace(1, 2, 30, 44) * column_mask(44)
    output = last_unet_output(network, kspace)
    assert output.shape == (1, 2, 32, 48)
    assert not output.requires_grad
    assert not any(module._forward_hooks for module in network.modules())
    classifier = AnatomyClassifier(feature="varnet_last")
    padded = center_crop_or_pad(output, (640, 368))
    torch.testing.assert_close(classifier.from_image(output), classifier.from_image(padded))
    torch.testing.assert_close(
        classifier.features_from_image(output), classifier.convolutions(padded).mean(dim=(-2, -1))
    )
    with pytest.raises(ValueError, match="from_image"):
        classifier(kspace)


@pytest.fixture
def looking_through() -> AnatomyClassifier:
    """A classifier with a VarNet inside."""
    torch.manual_seed(0)
    return AnatomyClassifier(feature="varnet_last", varnet=VarNet(2, 2, 2, 2))


def test_with_a_varnet_k_space_is_classified_by_the_output_of_its_last_unet(
    looking_through: AnatomyClassifier, kspace: torch.Tensor, column_mask: Maker
) -> None:
    """By hand from what the last cascade is given: normalized, padded to multiples of 16, U-Net, padded, classified."""
    varnet: Any = looking_through.varnet
    refinement = varnet.cascades[-1].refinement
    seen: list[torch.Tensor] = []
    with torch.no_grad(), refinement.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])):
        varnet(kspace, column_mask(32))
    parts = torch.cat([seen[0].real, seen[0].imag], dim=1)
    normalized = (parts - parts.mean((-2, -1), keepdim=True)) / parts.std((-2, -1), keepdim=True)
    output = refinement.unet(torch.nn.functional.pad(normalized, (0, 0, 4, 4)))
    padded = torch.zeros(2, 2, 640, 368)
    padded[..., 320 - 24 : 320 + 24, 184 - 16 : 184 + 16] = output
    features = looking_through.convolutions(padded).mean(dim=(-2, -1))
    expected = looking_through.head(features)
    assert not torch.allclose(expected[0], expected[1], atol=1e-4)
    torch.testing.assert_close(looking_through.features(kspace, column_mask(32)), features)
    torch.testing.assert_close(looking_through(kspace, column_mask(32)), expected)
    torch.testing.assert_close(looking_through(torch.view_as_real(kspace)), expected)
    image = looking_through.image(kspace)
    assert torch.equal(image, last_unet_output(varnet, kspace))
    assert torch.equal(looking_through.from_image(image), looking_through(kspace))


def test_the_varnet_inside_is_not_trained(looking_through: AnatomyClassifier, kspace: torch.Tensor) -> None:
    network = UniversalVarNet(["brain", "knee"], 1, 2, 2, 2, classifier=looking_through).train()
    varnet = looking_through.varnet
    assert varnet is not None
    assert looking_through.training
    assert not any(module.training for module in varnet.modules())
    assert not any(parameter.requires_grad for parameter in varnet.parameters())
    before = copy.deepcopy(looking_through.state_dict())
    for parameter in varnet.parameters():  # also if somebody thaws it
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.1)
    torch.nn.functional.cross_entropy(looking_through(kspace), torch.tensor([0, 1])).backward()
    optimizer.step()
    assert all(parameter.grad is None for parameter in varnet.parameters())
    after = looking_through.state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed == {name for name, _ in looking_through.named_parameters() if not name.startswith("varnet.")}


def test_the_varnet_travels_with_the_weights_of_the_whole_network(
    looking_through: AnatomyClassifier, kspace: torch.Tensor, tmp_path: Path
) -> None:
    network = UniversalVarNet(["brain", "knee"], 1, 2, 2, 2, classifier=looking_through).eval()
    torch.save(network.state_dict(), tmp_path / "model.pt")

    def untrained(cascades: int) -> UniversalVarNet:
        classifier = AnatomyClassifier(1, feature="varnet_last", varnet=VarNet(cascades, 2, 2, 2))
        return UniversalVarNet(["other"], 1, 2, 2, 2, classifier=classifier).eval()

    other = untrained(2)
    load_weights(adopt_anatomies(other, tmp_path / "model.pt"), tmp_path / "model.pt")
    found, expected = other.reconstruct(kspace), network.reconstruct(kspace)
    assert torch.equal(found.anatomy_probabilities, expected.anatomy_probabilities)
    assert torch.equal(found.image, expected.image)
    with pytest.raises(ValueError, match=r"num_cascades=2, the network has num_cascades=1 \(classifier.varnet"):
        load_weights(adopt_anatomies(untrained(1), tmp_path / "model.pt"), tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"key varnet\..* is missing"):
        load_weights(looking_through, AnatomyClassifier(feature="varnet_last").state_dict())
    with pytest.raises(ValueError, match="feature=zero_filled, the network has feature=varnet_last"):
        load_weights(looking_through, AnatomyClassifier().state_dict())


def test_a_plain_start_leaves_the_varnet_inside_as_it_is(looking_through: AnatomyClassifier) -> None:
    network = UniversalVarNet(["brain", "knee"], 2, 2, 2, 2, classifier=looking_through)
    before = copy.deepcopy(looking_through.state_dict())
    start = VarNet(2, 2, 2, 2).state_dict()
    load_shared_weights(network, start)
    name = "cascades.1.refinement.unet.head.weight"
    assert torch.equal(network.state_dict()[name], start[name])
    assert all(torch.equal(value, before[name]) for name, value in looking_through.state_dict().items())


def test_an_anatomy_is_added_behind_a_varnet(looking_through: AnatomyClassifier, kspace: torch.Tensor) -> None:
    features = torch.cat([looking_through.features(kspace * scale) for scale in (1, 0.5, 2)]).detach()
    looking_through.set_feature_statistics(features, torch.tensor([0, 1] * 3))
    before, old = looking_through(kspace), copy.deepcopy(looking_through.state_dict())
    result = added(looking_through, features + clouds(2, count=6), seed=0)
    assert (result.positives, result.negatives) == (6, 2000)
    assert torch.equal(looking_through(kspace)[:, :2], before)
    now = looking_through.state_dict()
    assert all(torch.equal(now[name], value) for name, value in old.items() if name.startswith("varnet."))
    assert looking_through.feature_count.tolist() == [3, 3, 6]


def test_a_varnet_inside_under_autocast_and_with_checkpointing(
    looking_through: AnatomyClassifier, kspace: torch.Tensor
) -> None:
    varnet = looking_through.varnet
    assert varnet is not None
    expected = looking_through(kspace)
    assert torch.equal(looking_through(kspace), expected)
    varnet.checkpointing = "all"
    assert torch.equal(looking_through(kspace), expected)
    with torch.autocast("cpu", torch.bfloat16):
        logits = looking_through(kspace)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected, atol=0.02, rtol=0.02)
    assert not any(module._forward_hooks for module in looking_through.modules())


def test_varnets_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="got feature='zero_filled'"):
        AnatomyClassifier(varnet=VarNet(1, 2, 2, 2))
    with pytest.raises(ValueError, match="in_channels=3"):
        AnatomyClassifier(in_channels=3, feature="varnet_last", varnet=VarNet(1, 2, 2, 2))
    with pytest.raises(ValueError, match="UniversalVarNet, expected a VarNet that knows no anatomies"):
        AnatomyClassifier(feature="varnet_last", varnet=UniversalVarNet(["brain"], 1, 2, 2, 2))
    with pytest.raises(ValueError, match="refine by a NormUNet"):
        AnatomyClassifier(feature="varnet_last", varnet=VarNet(1, 2, 2, 2, refinement=torch.nn.Identity))


def clouds(*centers: int, count: int = 40, seed: int = 0) -> torch.Tensor:
    """Features of anatomies: each is large in four channels of its own."""
    generator = torch.Generator().manual_seed(seed)
    features = 0.1 * torch.rand(len(centers), count, 64, generator=generator)
    for row, center in zip(features, centers, strict=True):
        row[:, 4 * center : 4 * center + 4] += 1
    return features.flatten(0, 1)


def added(classifier: AnatomyClassifier, features: torch.Tensor, seed: int) -> AddedOutput:
    """Give a classifier one more output."""
    classifier.select_outputs([*range(classifier.num_anatomies), None])
    return classifier.fit_output(classifier.num_anatomies - 1, features, seed)


@pytest.fixture
def trained() -> AnatomyClassifier:
    """Tells clouds 0 and 1 apart, and knows their statistics."""
    torch.manual_seed(0)
    classifier = AnatomyClassifier(size=16)
    with torch.no_grad():
        classifier.head.weight.zero_()
        classifier.head.bias.zero_()
        for index in range(2):
            classifier.head.weight[index, 4 * index : 4 * index + 4] = 2
    classifier.set_feature_statistics(clouds(0, 1), torch.arange(2).repeat_interleave(40))
    return classifier


def test_statistics_are_mean_and_covariance_and_travel_with_the_weights(
    trained: AnatomyClassifier, tmp_path: Path
) -> None:
    features = clouds(0, 1)
    for index in range(2):
        own = features[40 * index : 40 * (index + 1)]
        torch.testing.assert_close(trained.feature_mean[index], own.mean(dim=0))
        torch.testing.assert_close(trained.feature_covariance[index], torch.cov(own.T), atol=1e-6, rtol=1e-4)
    assert trained.feature_count.tolist() == [40, 40]
    torch.save(trained.state_dict(), tmp_path / "weights.pt")
    other = AnatomyClassifier(size=16)
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(other.feature_covariance, trained.feature_covariance)
    assert other.feature_count.tolist() == [40, 40]
    with pytest.raises(ValueError, match="size=16, the network has size=32"):
        AnatomyClassifier(size=32).load_state_dict(trained.state_dict())


def test_statistics_need_every_anatomy(classifier: AnatomyClassifier) -> None:
    with pytest.raises(ValueError, match=r"\[5, 0\] slices"):
        classifier.set_feature_statistics(torch.rand(5, 64), torch.zeros(5, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"\[1, 1, 1\] slices"):
        classifier.set_feature_statistics(torch.rand(3, 64), torch.arange(3))
    with pytest.raises(ValueError, match="not finite"):
        classifier.set_feature_statistics(torch.full((2, 64), math.nan), torch.arange(2))


def test_an_added_anatomy_is_recognized_and_the_old_ones_stay(trained: AnatomyClassifier) -> None:
    old_weight, old_bias = trained.head.weight.detach().clone(), trained.head.bias.detach().clone()
    result = added(trained, clouds(2), seed=3)
    assert (result.positives, result.recognized) == (40, 40)
    assert trained.num_anatomies == 3
    assert torch.equal(trained.head.weight[:2], old_weight)
    assert torch.equal(trained.head.bias[:2], old_bias)
    unseen = trained.head(clouds(0, 1, 2, count=200, seed=9)).argmax(dim=1)
    assert unseen.tolist() == [0] * 200 + [1] * 200 + [2] * 200
    assert trained.feature_count.tolist() == [40, 40, 40]
    torch.testing.assert_close(trained.feature_mean[2], clouds(2).mean(dim=0))
    again = added(trained, clouds(3), seed=3)
    assert again.recognized == 40
    assert again.negatives == 3000
    assert (
        trained.head(clouds(0, 1, 2, 3, seed=9)).argmax(dim=1).tolist()
        == torch.arange(4).repeat_interleave(40).tolist()
    )


def test_old_anatomies_win_where_the_new_one_cannot_be_told_apart(trained: AnatomyClassifier) -> None:
    """Half of the new slices look like an old anatomy: these are given up, and the old ones lose nothing."""
    trained.set_feature_statistics(clouds(0, 1, count=600), torch.arange(2).repeat_interleave(600))
    slices = torch.cat([clouds(0, count=300, seed=5), clouds(2, count=300, seed=6)])
    drawn = torch.cat([trained._draw(0, index) for index in range(2)]).float()
    result = added(trained, slices, seed=0)
    assert result.negatives == len(drawn) == 2000
    assert not bool((trained.head(drawn).argmax(dim=1) == 2).any())
    taken = trained.head(slices).argmax(dim=1) == 2
    assert result.positives == 600
    assert result.recognized == int(taken.sum())
    assert int(taken[:300].sum()) < 15
    assert bool(taken[300:].all())
    decided = trained.head(clouds(0, 1, count=300, seed=11)).argmax(dim=1)
    assert int((decided == 2).sum()) < 15


def test_adding_is_reproducible_and_its_draws_follow_the_seed(trained: AnatomyClassifier) -> None:
    first, second, third = (copy.deepcopy(trained) for _ in range(3))
    added(first, clouds(2), seed=1)
    added(second, clouds(2), seed=1)
    added(third, clouds(2), seed=2)
    assert torch.equal(first.head.weight, second.head.weight)
    assert torch.equal(first.head.bias, second.head.bias)
    assert not torch.equal(first.head.weight, third.head.weight)


def test_any_row_can_be_fitted_whatever_it_held(trained: AnatomyClassifier) -> None:
    """A row between others, fitted twice, is as good as one at the end; only its own statistics change."""
    trained.select_outputs([0, None, 1])
    old = copy.deepcopy(trained.state_dict())
    first = trained.fit_output(1, clouds(2), seed=0)
    once = trained.head.weight.detach().clone()
    assert trained.fit_output(1, clouds(2), seed=0) == first
    assert torch.equal(trained.head.weight, once)
    assert first.recognized == 40
    for name in ("head.weight", "head.bias", "feature_mean", "feature_covariance", "feature_count"):
        now = trained.state_dict()[name]
        assert torch.equal(now[[0, 2]], old[name][[0, 2]]), name
        assert not torch.equal(now[1], old[name][1]), name
    decided = trained.head(clouds(0, 2, 1, seed=9)).argmax(dim=1)
    assert decided.tolist() == torch.arange(3).repeat_interleave(40).tolist()


def test_the_logits_of_old_anatomies_keep_their_bits(
    classifier: AnatomyClassifier, kspace: torch.Tensor, column_mask: Maker
) -> None:
    classifier.set_feature_statistics(clouds(0, 1), torch.arange(2).repeat_interleave(40))
    before = classifier(kspace, column_mask(32))
    added(classifier, clouds(2), seed=0)
    assert torch.equal(classifier(kspace, column_mask(32))[:, :2], before)


def test_fitting_what_cannot_be_fitted_is_an_error(classifier: AnatomyClassifier, trained: AnatomyClassifier) -> None:
    with pytest.raises(RuntimeError, match="set_feature_statistics"):
        added(classifier, torch.rand(4, 64), seed=0)
    with pytest.raises(ValueError, match=r"shape \(N, 64\)"):
        trained.fit_output(1, torch.rand(4, 32), seed=0)
    with pytest.raises(ValueError, match="output 2 of 2"):
        trained.fit_output(2, clouds(2), seed=0)
    with pytest.raises(ValueError, match="output 0 of 1"):
        AnatomyClassifier(1).fit_output(0, clouds(2), seed=0)
