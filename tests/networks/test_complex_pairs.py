"""Complex arithmetic in real numbers against PyTorch's own."""

from __future__ import annotations

import pytest
import torch

from recon_monai.networks.complex_pairs import ComplexPair, complex_pairs
from recon_monai.physics import decenter_mask, fft2c, ifft2c, normalize_maps, rss


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(sum(shape)))


def in_pairs(function, *tensors: torch.Tensor) -> torch.Tensor:
    """What a function computes with pairs, as a tensor again."""
    parts = [torch.view_as_real(tensor).clone() if tensor.is_complex() else tensor for tensor in tensors]
    with complex_pairs():
        given = [
            torch.view_as_complex(part) if tensor.is_complex() else part
            for part, tensor in zip(parts, tensors, strict=True)
        ]
        found = function(*given)
    return torch.complex(found.real, found.imag) if isinstance(found, ComplexPair) else found


@pytest.mark.parametrize("size", [(8, 12), (7, 13), (1, 9), (33, 48)])
@pytest.mark.parametrize("transform", [fft2c, ifft2c])
def test_centered_transforms(size, transform):
    image = random(2, 3, *size)
    torch.testing.assert_close(in_pairs(transform, image), transform(image), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("size", [8, 13])
def test_transforms_along_the_columns_alone(size):
    image = random(2, 3, 5, size)
    for transform in (torch.fft.fftn, torch.fft.ifftn):
        found = in_pairs(lambda x, transform=transform: transform(x, dim=(-1,), norm="ortho"), image)
        torch.testing.assert_close(found, transform(image, dim=(-1,), norm="ortho"), rtol=1e-5, atol=2e-6)


def test_arithmetic():
    one, other, weight = random(2, 3, 4, 5), random(2, 3, 4, 5), torch.rand(4, 5)
    for function in (
        lambda a, b: a * b + a.conj() - b / weight,
        lambda a, b: weight * a - 2.0 * b * weight,
        lambda a, b: torch.addcmul(a, b, weight[0, 0]),
        lambda a, b: torch.cat([a, -b], dim=1)[:, 2:4],
        lambda a, b: torch.where(weight > 0.5, a, 0) + torch.where(weight > 0.5, a, b),
        lambda a, b: a.split(1, dim=1)[2].repeat(1, 2, 1, 1) + torch.zeros_like(b[:, :1]),
        lambda a, b: a.flatten(0, 1)[:, None].reshape(b.shape).sum(dim=1, keepdim=True),
        lambda a, b: normalize_maps(a),
        lambda a, b: rss(b),
        lambda a, b: torch.view_as_real(a).square(),
        lambda a, b: torch.empty_like(a).mul_(0).add_(a).sub_(b).addcmul_(a, b).mul_(weight),
    ):
        torch.testing.assert_close(in_pairs(function, one, other), function(one, other), rtol=1e-5, atol=1e-5)


def test_masks_are_shifted_like_the_spectrum():
    mask = torch.arange(7.0).reshape(1, 1, 1, 7)
    torch.testing.assert_close(in_pairs(decenter_mask, mask), decenter_mask(mask))


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (lambda x: torch.linalg.svd(x), "linalg_svd"),
        (lambda x: x.angle(), "angle"),
        (lambda x: torch.fft.fft2(x), "orthonormal"),
        (lambda x: torch.fft.fftn(x, dim=(0,), norm="ortho"), "last two dimensions"),
        (lambda x: x.tensor_split(2), "2 parts"),
        (lambda x: x.__setitem__(0, x), "assigned"),
        (lambda x: x.to(torch.complex128), "complex128"),
    ],
)
def test_what_has_no_form_in_real_numbers_is_named(operation, message):
    with pytest.raises((NotImplementedError, AttributeError), match=message):
        in_pairs(operation, random(2, 3, 4, 5))
