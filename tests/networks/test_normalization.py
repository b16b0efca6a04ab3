from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from recon_monai.networks import make_normalization
from recon_monai.networks.blocks import InstanceNorm, normalize_and_activate


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(1, 3, 8, 6), (4, 9, 5, 7)])
def test_instance_norm_equals_torch_with_its_gradient(
    shape: tuple[int, ...], memory_format: torch.memory_format
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=torch.float64) * 3 + 1
    weight = torch.randn(shape, generator=generator, dtype=torch.float64)
    ours = x.clone(memory_format=memory_format).requires_grad_()
    theirs = x.clone().requires_grad_()

    result = InstanceNorm(shape[1])(ours)
    expected = F.instance_norm(theirs)

    torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)
    assert result.is_contiguous(memory_format=memory_format)
    (gradient,) = torch.autograd.grad((result * weight).sum(), ours)
    (expected_gradient,) = torch.autograd.grad((expected * weight).sum(), theirs)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-10, atol=1e-12)


def test_instance_norm_of_constants_and_single_pixels_is_zero() -> None:
    norm = InstanceNorm(3)
    assert not norm(torch.full((2, 3, 4, 4), 7.0)).any()
    assert not norm(torch.randn(1, 3, 1, 1, generator=torch.Generator().manual_seed(0))).any()


def test_normalization_by_name() -> None:
    assert isinstance(make_normalization("instance", 5), InstanceNorm)
    with pytest.raises(ValueError, match=r"unknown normalization 'batch'.*instance"):
        make_normalization("batch", 5)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(1, 3, 8, 6), (4, 9, 5, 7), (1, 40, 6, 5), (2, 33, 4, 3), (2, 4, 1, 1)])
def test_normalization_with_activation_equals_the_two_steps(
    shape: tuple[int, ...], memory_format: torch.memory_format
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(shape, generator=generator, dtype=torch.float64) * 3 + 1).requires_grad_()
    weight = torch.randn(shape, generator=generator, dtype=torch.float64)
    ours = normalize_and_activate(InstanceNorm(shape[1]), x.clone(memory_format=memory_format), 0.2)
    expected = F.leaky_relu(F.group_norm(x, shape[1]), 0.2)

    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-11)
    gradient, expected_gradient = (torch.autograd.grad((y * weight).sum(), x)[0] for y in (ours, expected))
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("channels", [4, 40])
def test_normalization_with_activation_works_in_place_and_in_single_precision(channels: int) -> None:
    """A mean of 30 standard deviations costs the plain group normalization three digits."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, channels, 64, 48, generator=generator) + 30
    expected = F.leaky_relu(F.group_norm(x.double(), channels), 0.2)
    result = normalize_and_activate(InstanceNorm(channels), x.clone(memory_format=torch.channels_last), 0.2)
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=1e-4)
    constant = normalize_and_activate(
        InstanceNorm(channels), torch.zeros_like(x, memory_format=torch.channels_last), 0.2
    )
    assert not constant.any()


def test_normalization_with_activation_keeps_only_its_result() -> None:
    x = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()
    kept: list[torch.Tensor] = []

    def keep(saved: torch.Tensor) -> torch.Tensor:
        kept.append(saved)
        return saved

    features = x.clone(memory_format=torch.channels_last)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        result = normalize_and_activate(InstanceNorm(4), features, 0.2)
    large = {saved.data_ptr() for saved in kept if saved.numel() >= x.numel()}
    assert large == {result.data_ptr()}


def test_other_slopes_and_types_take_the_plain_way() -> None:
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)).to(memory_format=torch.channels_last)
    relu = normalize_and_activate(InstanceNorm(4), x.clone(), 0.0)
    torch.testing.assert_close(relu, F.relu(F.instance_norm(x)), rtol=1e-4, atol=1e-5)
    half = normalize_and_activate(InstanceNorm(4), x.bfloat16(), 0.2)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), F.leaky_relu(F.instance_norm(x), 0.2), rtol=0.05, atol=0.05)
