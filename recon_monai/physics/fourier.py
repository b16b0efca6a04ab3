"""Centered orthonormal Fourier transforms, and the de-centered form in which shifts cost nothing.

A centered transform keeps DC (k-space) and the middle of the field of view (image) at index ``N // 2`` of each
axis. `decenter` moves all shifts of a whole reconstruction into one step at its start: an image-domain shift is a
linear phase in k-space (the Fourier shift theorem), so iterations on ``decenter(kspace)`` need plain FFTs only.
"""

from __future__ import annotations

import torch

__all__ = ["decenter", "decenter_mask", "fft2c", "ifft2c", "recenter"]

_DIMS = (-2, -1)


def fft2c(image: torch.Tensor) -> torch.Tensor:
    """Centered orthonormal 2-D Fourier transform of the last two dimensions.

    Args:
        image: complex, shape ``(..., H, W)``.

    Returns:
        k-space of the same shape and dtype, DC at ``(H // 2, W // 2)``.

    Raises:
        TypeError: if ``image`` is not complex.

    Examples:
        >>> import torch
        >>> from recon_monai.physics import fft2c, ifft2c
        >>> constant = torch.ones(4, 6, dtype=torch.complex64)
        >>> kspace = fft2c(constant)
        >>> int(kspace.abs().argmax()) == 2 * 6 + 3  # all of it at DC, in the middle
        True
        >>> torch.allclose(ifft2c(kspace), constant)
        True
    """
    _check_complex(image, "image")
    shifted = torch.fft.ifftshift(image, dim=_DIMS)
    return torch.fft.fftshift(torch.fft.fft2(shifted, norm="ortho"), dim=_DIMS)


def ifft2c(kspace: torch.Tensor) -> torch.Tensor:
    """Centered orthonormal inverse 2-D Fourier transform of the last two dimensions; inverse and adjoint of `fft2c`.

    Args:
        kspace: complex, shape ``(..., H, W)``, DC at ``(H // 2, W // 2)``.

    Returns:
        Image of the same shape and dtype.

    Raises:
        TypeError: if ``kspace`` is not complex.
    """
    _check_complex(kspace, "kspace")
    shifted = torch.fft.ifftshift(kspace, dim=_DIMS)
    return torch.fft.fftshift(torch.fft.ifft2(shifted, norm="ortho"), dim=_DIMS)


def decenter(kspace: torch.Tensor) -> torch.Tensor:
    """Turn centered k-space into the k-space whose plain inverse FFT is the centered image.

    ``torch.fft.ifft2(decenter(kspace), norm="ortho")`` equals ``ifft2c(kspace)`` up to rounding. The linear phase
    is a checkerboard of ±1 for even sizes and a complex ramp for odd ones.

    Args:
        kspace: complex, shape ``(..., H, W)``, DC at ``(H // 2, W // 2)``.

    Returns:
        De-centered k-space of the same shape and dtype, DC at ``(0, 0)``.

    Raises:
        TypeError: if ``kspace`` is not complex.
    """
    _check_complex(kspace, "kspace")
    return torch.fft.ifftshift(kspace, dim=_DIMS) * _phase(kspace)


def recenter(kspace: torch.Tensor) -> torch.Tensor:
    """Undo `decenter`.

    Args:
        kspace: complex de-centered k-space, shape ``(..., H, W)``, DC at ``(0, 0)``.

    Returns:
        Centered k-space of the same shape and dtype.

    Raises:
        TypeError: if ``kspace`` is not complex.
    """
    _check_complex(kspace, "kspace")
    return torch.fft.fftshift(kspace * _phase(kspace).conj(), dim=_DIMS)


def decenter_mask(mask: torch.Tensor) -> torch.Tensor:
    """Arrange a sampling mask as `decenter` arranges k-space.

    Args:
        mask: any dtype, shape ``(W,)``, ``(..., 1, W)`` or ``(..., H, W)``; a size of 1 means "every row".

    Returns:
        Mask of the same shape and dtype for de-centered k-space.
    """
    return torch.fft.ifftshift(mask, dim=_DIMS if mask.ndim > 1 else (-1,))


def _phase(kspace: torch.Tensor) -> torch.Tensor:
    height, width = kspace.shape[-2:]
    rows = _line_phase(height, kspace)
    columns = _line_phase(width, kspace)
    return rows[:, None] * columns


def _line_phase(size: int, like: torch.Tensor) -> torch.Tensor:
    """Transform of a shift by ``size // 2`` pixels, in plain FFT order."""
    index = torch.arange(size, device=like.device)
    if size % 2 == 0:  # real signs: exact, and a cheaper product
        return (1 - 2 * (index % 2)).to(like.real.dtype)
    # The product is reduced modulo the size while still an integer, so the angle is exact for any size.
    angle = (index * (size // 2) % size).to(torch.float64) * (-2.0 * torch.pi / size)
    return torch.polar(torch.ones_like(angle), angle).to(like.dtype)


def _check_complex(tensor: torch.Tensor, name: str) -> None:
    if not tensor.is_complex():
        raise TypeError(
            f"{name} must be a complex tensor (..., H, W), got {tensor.dtype} of shape {tuple(tensor.shape)}; "
            "turn a trailing (real, imaginary) dimension into complex with torch.view_as_complex, "
            "or a real image with image.to(torch.complex64)."
        )
