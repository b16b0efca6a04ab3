from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from recon_monai.networks import ASPIN, NormUNet
from recon_monai.networks.blocks import InstanceNorm, aspin, normalize_and_activate


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def varied(anatomies: int, channels: int, dtype: torch.dtype = torch.float64) -> ASPIN:
    """Layer whose anatomies differ."""
    layer, draws = ASPIN(anatomies, channels), generator()
    for values in (layer.gamma, layer.beta):
        for value in values:
            value.data = torch.randn(channels, generator=draws)
    return layer.to(dtype)


def features(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=generator(), dtype=dtype) * 3 + 1


def formula(layer: ASPIN, x: torch.Tensor, index: list[int]) -> torch.Tensor:
    """The definition, sample by sample, with torch's own instance normalization."""
    return torch.cat(
        [
            F.instance_norm(x[n : n + 1], weight=layer.gamma[a], bias=layer.beta[a], eps=layer.eps)
            for n, a in enumerate(index)
        ]
    )


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_definition_indexed_per_sample(memory_format: torch.memory_format) -> None:
    layer, x = varied(3, 4), features(5, 4, 6, 7).contiguous(memory_format=memory_format)
    index = torch.tensor([2, 0, 1, 1, 2])
    result = layer(x, index)
    torch.testing.assert_close(result, formula(layer, x, index.tolist()), rtol=1e-12, atol=1e-12)
    assert result.is_contiguous(memory_format=memory_format)
    one_by_one = torch.cat([layer(x[n : n + 1], index[n : n + 1]) for n in range(5)])
    torch.testing.assert_close(result, one_by_one, rtol=1e-13, atol=1e-13)


def test_is_instance_normalization_when_anatomies_share_their_parameters() -> None:
    x = features(2, 4, 6, 7)
    layer = ASPIN(2, 4).double()
    torch.testing.assert_close(layer(x, torch.tensor([0, 1])), InstanceNorm(4)(x), rtol=0, atol=1e-14)
    for values, shared in ((layer.gamma, features(4)), (layer.beta, features(4) - 2)):
        for value in values:
            value.data = shared.clone()
    expected = InstanceNorm(4)(x) * layer.gamma[0][:, None, None] + layer.beta[0][:, None, None]
    for index in ([0, 0], [0, 1], [1, 1]):
        torch.testing.assert_close(layer(x, torch.tensor(index)), expected, rtol=1e-12, atol=1e-12)


def test_soft_is_hard_at_one_hot_bit_for_bit_and_mixes_in_between() -> None:
    layer, x = varied(3, 4, torch.float32), features(2, 4, 6, 7, dtype=torch.float32)
    index = torch.tensor([2, 1])
    assert torch.equal(layer(x, F.one_hot(index, 3).float()), layer(x, index))
    weights = torch.tensor([[0.5, 0.2, 0.3], [0.0, 0.9, 0.1]])
    mixed = ASPIN(2, 4)
    for sample in range(2):
        mixed.gamma[sample].data = sum(weights[sample, a] * layer.gamma[a] for a in range(3))
        mixed.beta[sample].data = sum(weights[sample, a] * layer.beta[a] for a in range(3))
    torch.testing.assert_close(layer(x, weights), mixed(x, torch.tensor([0, 1])))


@pytest.mark.parametrize("shape", [(1, 3, 8, 6), (4, 9, 5, 7), (1, 40, 6, 5), (2, 33, 4, 3), (2, 4, 1, 1)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_with_activation_equals_the_steps_with_all_gradients(
    shape: tuple[int, ...], memory_format: torch.memory_format
) -> None:
    x = features(*shape).requires_grad_()
    index = torch.arange(shape[0]) % 2
    weight = torch.randn(shape, generator=generator(), dtype=torch.float64)
    layer = varied(2, shape[1])
    inputs = [x, *layer.parameters()]
    ours = normalize_and_activate(layer, x.clone(memory_format=memory_format), 0.2, index)
    normalized = F.group_norm(x, shape[1], eps=layer.eps)
    gamma, beta = (torch.stack(list(values))[index][..., None, None] for values in (layer.gamma, layer.beta))
    expected = F.leaky_relu(normalized * gamma + beta, 0.2)

    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-11)
    for got, wanted in zip(
        torch.autograd.grad((ours * weight).sum(), inputs),
        torch.autograd.grad((expected * weight).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-8, atol=1e-9)


def test_gradient_where_gamma_is_zero() -> None:
    """The affine map cannot be undone there, so that nothing may rely on undoing it."""
    layer, x = ASPIN(1, 4).double(), features(2, 4, 5, 6)
    layer.gamma[0].data.zero_()
    layer.beta[0].data.fill_(0.5)
    result = normalize_and_activate(layer, x.contiguous(memory_format=torch.channels_last), 0.2, torch.tensor([0, 0]))
    assert torch.equal(result, torch.full_like(result, 0.5))
    weight = features(2, 4, 5, 6)
    (gradient,) = torch.autograd.grad((result * weight).sum(), layer.gamma[0])
    expected = (F.group_norm(x, 4) * weight).sum(dim=(0, 2, 3))
    torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("channels_last", [False, True])
def test_runs_under_autocast(channels_last: bool) -> None:
    network = NormUNet(4, 2, num_anatomies=2, channels_last=channels_last)
    image = torch.randn(2, 1, 32, 32, generator=generator(), dtype=torch.complex64)
    anatomy = torch.tensor([0, 1])
    expected = network(image, anatomy)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = network(image, anatomy)
    assert result.dtype == torch.complex64
    assert bool((result - expected).abs().mean() < 0.05 * expected.abs().mean())


@pytest.mark.parametrize(
    ("anatomy", "found"),
    [
        (torch.tensor([0]), r"int64 of shape \(1,\)"),
        (torch.tensor([0, 1], dtype=torch.int32), r"int32 of shape \(2,\)"),
        (torch.tensor([True, False]), r"bool of shape \(2,\)"),
        (torch.ones(2, 2, dtype=torch.bool), r"bool of shape \(2, 2\)"),
        (torch.ones(2, 2, dtype=torch.complex64), r"complex64 of shape \(2, 2\)"),
        (torch.ones(2, 3), r"shape \(2, 3\)"),
        (torch.ones(2), r"float32 of shape \(2,\)"),
    ],
)
def test_refuses_anatomies_that_do_not_fit(anatomy: torch.Tensor, found: str) -> None:
    with pytest.raises(ValueError, match=f"an index.*{found}"):
        ASPIN(2, 4)(features(2, 4, 3, 3, dtype=torch.float32), anatomy)


@pytest.mark.parametrize("index", [[0, 2], [-1, 0]])
def test_an_index_out_of_range_is_named(index: list[int]) -> None:
    x = features(2, 4, 3, 3, dtype=torch.float32)
    with pytest.raises(ValueError, match=rf"anatomy is \[{index[0]}, {index[1]}\], expected indices from 0 to 1"):
        ASPIN(2, 4)(x, torch.tensor(index))


def test_what_stands_in_for_the_check_on_other_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = varied(2, 4, torch.float32), features(4, 4, 5, 6, dtype=torch.float32)
    right = layer(x, torch.tensor([1, 0, 0, 0]))
    monkeypatch.setattr(aspin, "_one_hot", aspin._one_hot_or_nan)
    result = layer(x, torch.tensor([1, 2, -1, 0]))
    assert torch.equal(result[[0, 3]], right[[0, 3]])
    assert bool(result[[1, 2]].isnan().all())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_an_index_out_of_range_spoils_its_own_sample_only() -> None:
    layer = varied(2, 4, torch.float32).cuda()
    x = features(4, 4, 5, 6, dtype=torch.float32).cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        index = torch.tensor([1, 2, -1, 0]).pin_memory().cuda(non_blocking=True)
        result = layer(x, index)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    right = layer(x, F.one_hot(torch.tensor([1, 0, 0, 0]), 2).cuda().float())
    assert torch.equal(result[[0, 3]], right[[0, 3]])
    assert bool(result[[1, 2]].isnan().all())


def test_needs_an_anatomy() -> None:
    with pytest.raises(ValueError, match="give the anatomy"):
        NormUNet(2, 1, num_anatomies=2)(torch.ones(1, 1, 16, 16, dtype=torch.complex64))
    with pytest.raises(ValueError, match="at least one anatomy"):
        ASPIN(0, 3)


@pytest.mark.parametrize(("placement", "layers"), [("all", 22), ("bottleneck", 1), ("input", 1)])
def test_placement(placement: str, layers: int, random_kspace: Callable[..., torch.Tensor]) -> None:
    plain, special = NormUNet(4, 4), NormUNet(4, 4, num_anatomies=2, aspin_placement=placement)
    found = [module for module in special.modules() if isinstance(module, ASPIN)]
    assert len(found) == layers
    if placement == "bottleneck":
        assert special.unet.encoder[-1].norm2 is found[0]
    special.load_state_dict(plain.state_dict(), strict=False)
    image = random_kspace(2, 1, 32, 32)
    anatomy = torch.tensor([0, 1])
    # before training it is the network without anatomies
    torch.testing.assert_close(special(image, anatomy), plain(image), rtol=1e-4, atol=1e-4)
    for layer in found:
        layer.beta[1].data += torch.linspace(-1, 1, layer.channels)
    changed = special(image, anatomy)
    torch.testing.assert_close(changed[:1], plain(image)[:1], rtol=1e-4, atol=1e-4)
    assert bool((changed[1] - plain(image)[1]).abs().max() > 1e-3)


def test_unknown_placement() -> None:
    with pytest.raises(ValueError, match="unknown aspin_placement 'none'"):
        NormUNet(2, 1, num_anatomies=2, aspin_placement="none")
