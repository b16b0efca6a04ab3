from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from recon_monai.networks import BottleneckBlock, NormResXUNet, ResidualBlock, ResXUNet
from recon_monai.networks.blocks import AffineInstanceNorm
from recon_monai.networks.blocks.fused_silu import normalize_add_silu

Maker = Callable[..., torch.Tensor]


def randomize(module: nn.Module) -> nn.Module:
    """Give scales, shifts and all other parameters values of their own."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype))
    return module


def normalized(features: torch.Tensor, norm: nn.Module) -> torch.Tensor:
    return F.instance_norm(features, weight=norm.weight, bias=norm.bias)


def residual(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    inner = F.silu(normalized(block.conv1(x), block.norm1))
    return F.silu(block.se(normalized(block.conv2(inner), block.norm2)) + x)


def bottleneck(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    inner = F.silu(normalized(block.conv1(x), block.norm1))
    inner = F.silu(normalized(block.conv2(inner), block.norm2))
    return F.silu(block.se(normalized(block.conv3(inner), block.norm3)) + x)


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("with_identity", [True, False])
def test_fused_steps_equal_the_steps_one_by_one_with_their_gradients(channels_last: bool, with_identity: bool) -> None:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        values = torch.randn(shape, generator=generator, dtype=torch.float64) * 2 + 1
        return values.contiguous(memory_format=layout) if len(shape) == 4 else values

    inputs = [noise(3, 4, 5, 7), noise(4), noise(4), noise(3, 4, 5, 7) if with_identity else None]
    weight = noise(3, 4, 5, 7)

    def gradients(function: Callable[..., torch.Tensor]) -> list[torch.Tensor]:
        leaves = [value if value is None else value.clone().requires_grad_() for value in inputs]
        output = function(leaves[0] * 1, *leaves[1:])  # what is overwritten is no leaf
        return [output, *torch.autograd.grad((output * weight).sum(), [leaf for leaf in leaves if leaf is not None])]

    def plain(x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor, identity: torch.Tensor | None) -> torch.Tensor:
        result = F.instance_norm(x, weight=gamma, bias=beta)
        return F.silu(result if identity is None else result + identity)

    ours = gradients(lambda x, gamma, beta, identity: normalize_add_silu(x, gamma, beta, 1e-5, identity))
    for value, expected in zip(ours, gradients(plain), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-11)


def test_affine_instance_norm_equals_torch() -> None:
    norm = randomize(AffineInstanceNorm(3).double())
    features = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(norm(features), normalized(features, norm), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize(
    ("block", "formula"),
    [(ResidualBlock(8, 4), residual), (BottleneckBlock(8, 4, 2), bottleneck)],
    ids=["residual", "bottleneck"],
)
def test_blocks_follow_the_formula_with_squeeze_and_excitation_on_the_features(
    block: nn.Module, formula: Callable[[nn.Module, torch.Tensor], torch.Tensor], channels_last: bool
) -> None:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    block = randomize(block.double().to(memory_format=layout))
    features = torch.randn(2, 8, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features = features.contiguous(memory_format=layout)
    before = features.clone()
    block.zero_grad()
    output = block(features)
    torch.testing.assert_close(output, formula(block, features), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(features, before, rtol=0, atol=0)

    output.square().sum().backward()
    ours = [parameter.grad.clone() for parameter in block.parameters()]
    block.zero_grad()
    formula(block, features).square().sum().backward()
    for gradient, parameter in zip(ours, block.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-7, atol=1e-8)


def test_fused_steps_keep_less_memory() -> None:
    block = ResidualBlock(8, 4).to(memory_format=torch.channels_last)
    features = torch.randn(1, 8, 32, 32).contiguous(memory_format=torch.channels_last).requires_grad_()

    def kept(function: Callable[[], torch.Tensor]) -> float:
        found: dict[int, int] = {}

        def keep(x: torch.Tensor) -> torch.Tensor:
            found[x.data_ptr()] = x.numel()
            return x

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            function()
        return sum(found.values()) / features.numel()

    assert kept(lambda: block(features)) < 4.3  # input, two convolutions, and what lies between them
    assert kept(lambda: residual(block, features)) > 6.9


def test_without_squeeze_and_excitation_there_are_no_parameters_of_it() -> None:
    with_it, without = ResidualBlock(16), ResidualBlock(16, se_ratio=0)
    assert without.se is None
    assert set(with_it.state_dict()) - set(without.state_dict()) == {
        f"se.fc.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")
    }


def test_features_go_up_and_interconnections_join_the_skip_connections() -> None:
    torch.manual_seed(0)
    first, second = ResXUNet(channels=4, groups=2), ResXUNet(channels=4, groups=2, interconnections=True)
    image = torch.randn(1, 2, 32, 48)
    output, features = first(image)
    assert output.shape == (1, 2, 32, 48)
    assert [tuple(x.shape[1:]) for x in features] == [(32, 4, 6), (16, 8, 12), (8, 16, 24), (4, 32, 48)]
    torch.testing.assert_close(first.head(features[-1]), output, rtol=0, atol=0)
    before = [x.clone() for x in features]
    joined, _ = second(image, features)
    for now, then in zip(features, before, strict=True):
        torch.testing.assert_close(now, then, rtol=0, atol=0)
    for level in range(4):  # each of them matters
        changed = [x * (2 if index == level else 1) for index, x in enumerate(features)]
        assert not torch.allclose(second(image, changed)[0], joined)


def test_memory_format_changes_nothing() -> None:
    torch.manual_seed(0)
    network, other = (ResXUNet(channels=4, groups=2, channels_last=last).double() for last in (True, False))
    other.load_state_dict(randomize(network).state_dict())
    image = torch.randn(2, 2, 16, 32, dtype=torch.float64)
    torch.testing.assert_close(network(image)[0], other(image)[0], rtol=1e-8, atol=1e-10)


def test_real_and_imaginary_parts_are_normalized_and_get_the_statistics_of_the_newest(random_kspace: Maker) -> None:
    images = random_kspace(2, 3, 19, 21, dtype=torch.complex128) * torch.tensor([1.0, 100.0, 1e-3])[:, None, None]
    images = images + torch.tensor([3 - 1j, 0.5, -20j])[:, None, None]
    torch.manual_seed(0)
    network = NormResXUNet(4, 2, images=3).double()
    seen: list[torch.Tensor] = []
    network.unet.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    network.unet.head.register_forward_hook(lambda module, args, output: seen[0][:, 2:4])  # the second image comes out

    result = network(images)
    assert seen[0].shape == (2, 6, 32, 32)
    top, left = 6, 5
    assert not seen[0][..., :top, :].any()
    assert not seen[0][..., :left].any()
    inside = seen[0][..., top : top + 19, left : left + 21]
    torch.testing.assert_close(inside.mean((-2, -1)), torch.zeros(2, 6, dtype=torch.float64), rtol=0, atol=1e-10)
    torch.testing.assert_close(inside.std((-2, -1)), torch.ones(2, 6, dtype=torch.float64))
    torch.testing.assert_close(inside[:, 4], _standard(images[:, 2].real))

    expected = torch.complex(
        _standard(images[:, 1].real) * _std(images[:, 0].real) + images[:, 0].real.mean((-2, -1), keepdim=True),
        _standard(images[:, 1].imag) * _std(images[:, 0].imag) + images[:, 0].imag.mean((-2, -1), keepdim=True),
    )
    torch.testing.assert_close(result[:, 0], expected)
    other = images[:, 2:]
    moved = network.refine(images, newest=other)[0]
    torch.testing.assert_close(moved.real.std((-2, -1)), other.real.std((-2, -1)))
    torch.testing.assert_close(moved.mean((-2, -1)), other.mean((-2, -1)))


def _std(x: torch.Tensor) -> torch.Tensor:
    return x.std((-2, -1), keepdim=True)


def _standard(x: torch.Tensor) -> torch.Tensor:
    return (x - x.mean((-2, -1), keepdim=True)) / _std(x)


def test_constant_images_come_back() -> None:
    network = randomize(NormResXUNet(4, 2))
    constant = torch.full((1, 1, 16, 16), 2 - 3j)
    torch.testing.assert_close(network(constant), constant)
    assert not network(torch.zeros(2, 1, 5, 3, dtype=torch.complex64)).any()


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="multiple of its groups, got 6 and 4"):
        ResXUNet(channels=6, groups=4)
    network = ResXUNet(channels=4)
    with pytest.raises(ValueError, match=r"multiples of 16, got \(16, 24\)"):
        network(torch.zeros(1, 2, 16, 24))
    with pytest.raises(ValueError, match="interconnections=False, but was called with"):
        network(torch.zeros(1, 2, 16, 16), [])
    with pytest.raises(ValueError, match="interconnections=True, but was called without"):
        ResXUNet(channels=4, interconnections=True)(torch.zeros(1, 2, 16, 16))
