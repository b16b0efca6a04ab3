from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from recon_monai.networks import make_normalization
from recon_monai.networks.blocks import InstanceNorm


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
