"""Coil sensitivity maps: from one image to many coils and back.

The coil dimension is the third from the end, so that ``(B, coil, H, W)`` and a single slice ``(coil, H, W)`` both
work. Maps are normalized to ``sum_c |S_c|^2 = 1``, which makes `reduce` the inverse of `expand`.
"""

from __future__ import annotations

import torch

__all__ = ["expand", "normalize_maps", "reduce", "rss"]

_COIL = -3


def expand(image: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """Weight an image by the coil sensitivity maps.

    Args:
        image: shape ``(..., 1, H, W)``.
        maps: complex coil sensitivity maps, shape ``(..., coil, H, W)``.

    Returns:
        Complex coil images, shape ``(..., coil, H, W)``.
    """
    return image * maps


def reduce(coil_images: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
    """Combine coil images by the conjugate maps; the adjoint of `expand`.

    Args:
        coil_images: complex, shape ``(..., coil, H, W)``.
        maps: complex coil sensitivity maps of the same shape.

    Returns:
        Complex image, shape ``(..., 1, H, W)``.
    """
    return (coil_images * maps.conj()).sum(dim=_COIL, keepdim=True)


def rss(coil_images: torch.Tensor, dim: int = _COIL) -> torch.Tensor:
    """Root sum of squares over the coils.

    The gradient is zero where all coils are zero (the plain square root would give NaN there). A squared sum below
    the smallest normal number (all coils below about 1e-19 in float32) counts as zero.

    Args:
        coil_images: complex or real, shape ``(..., coil, H, W)``.
        dim: the coil dimension; the default is dimension 1 of a batch ``(B, coil, H, W)``.

    Returns:
        Real image of the same precision with the coil dimension kept as 1: ``(..., 1, H, W)``.

    Examples:
        >>> import torch
        >>> from recon_monai.physics import rss
        >>> rss(torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)).flatten()
        tensor([5.])
    """
    root, signal = _root_and_support(coil_images, dim)
    return torch.where(signal, root, torch.zeros_like(root))


def normalize_maps(maps: torch.Tensor, dim: int = _COIL) -> torch.Tensor:
    """Divide maps by their root sum of squares.

    Args:
        maps: complex, shape ``(..., coil, H, W)``; images of the calibration lines, or a network's output.
        dim: the coil dimension; the default is dimension 1 of a batch ``(B, coil, H, W)``.

    Returns:
        Maps of the same shape and dtype with ``sum_c |S_c|^2 = 1`` where ``rss(maps) > 0`` and 0 elsewhere, with a
        zero gradient there.

    Examples:
        >>> import torch
        >>> from recon_monai.physics import expand, normalize_maps, reduce
        >>> maps = normalize_maps(torch.randn(1, 4, 8, 8, dtype=torch.complex64))
        >>> image = torch.randn(1, 1, 8, 8, dtype=torch.complex64)
        >>> torch.allclose(reduce(expand(image, maps), maps), image, atol=1e-6)
        True
    """
    root, signal = _root_and_support(maps, dim)
    return torch.where(signal, maps / root, torch.zeros_like(maps))


def _root_and_support(coil_images: torch.Tensor, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Root sum of squares with 1 in place of 0, and where it is real: no operation ever sees a zero."""
    if coil_images.is_complex():
        squares = coil_images.real.square() + coil_images.imag.square()
    else:
        squares = coil_images.square()
    energy = squares.sum(dim=dim, keepdim=True)
    # written so that NaN counts as signal and comes out as NaN: bad data must be seen, not turned into black
    signal = ~(energy < torch.finfo(energy.dtype).tiny)
    return torch.where(signal, energy, torch.ones_like(energy)).sqrt(), signal
