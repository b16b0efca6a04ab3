"""Matrix sizes: cropping and padding of images, truncation of k-space, and its field of view."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

__all__ = ["center_crop_or_pad", "crop_readout", "truncate_kspace"]


def center_crop_or_pad(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Bring the last two dimensions to a size: crop the center where larger, pad with zeros where smaller.

    The crop starts at ``(H - h) // 2`` as in fastMRI (Zbontar et al. 2018, arXiv:1811.08839); padding places the
    input so that this crop returns it unchanged.

    Args:
        x: shape ``(..., H, W)``, any dtype.
        size: wanted ``(h, w)`` in pixels.

    Returns:
        Tensor of shape ``(..., h, w)``; a view where nothing is padded.

    Raises:
        ValueError: if ``size`` is not two positive integers or ``x`` has fewer than two dimensions.

    Examples:
        >>> import torch
        >>> from recon_monai.physics import center_crop_or_pad
        >>> center_crop_or_pad(torch.arange(4.0).reshape(1, 4), (1, 6))
        tensor([[0., 0., 1., 2., 3., 0.]])
    """
    height, width = _check_size(x, size)
    before_h, after_h = _margins(x.shape[-2], height)
    before_w, after_w = _margins(x.shape[-1], width)
    rows = slice(max(before_h, 0), x.shape[-2] - max(after_h, 0))
    columns = slice(max(before_w, 0), x.shape[-1] - max(after_w, 0))
    cropped = x[..., rows, columns]
    padding = [max(-margin, 0) for margin in (before_w, after_w, before_h, after_h)]
    return torch.nn.functional.pad(cropped, padding) if any(padding) else cropped


def crop_readout(kspace: torch.Tensor, first: int, rows: int) -> torch.Tensor:
    """Keep some rows of the image that k-space spans, by Fourier transforms along the readout alone.

    Columns (phase encoding) are not mixed: what was not sampled stays exactly zero, and masks over columns stay valid,
    so that cropping and undersampling commute. With orthonormal transforms of both lengths the values of the image, and
    the standard deviation of white noise per sample, stay what they are; the energy of k-space loses that of the rows.

    Args:
        kspace: complex, centered, shape ``(..., H, W)``.
        first: first row of the image to keep.
        rows: how many.

    Returns:
        Centered k-space ``(..., rows, W)`` whose image has these rows.

    Raises:
        ValueError: if k-space is not complex, or the image does not have these rows.
    """
    if not kspace.is_complex() or kspace.ndim < 2 or not 0 <= first < first + rows <= kspace.shape[-2]:
        raise ValueError(
            f"expected complex k-space (..., H, W) that has the rows {first} to {first + rows - 1}, got {kspace.dtype} "
            f"of shape {tuple(kspace.shape)}."
        )
    image = torch.fft.ifft(torch.fft.ifftshift(kspace, dim=-2), dim=-2, norm="ortho")
    kept = torch.fft.fftshift(image, dim=-2)[..., first : first + rows, :]
    return torch.fft.fftshift(torch.fft.fft(torch.fft.ifftshift(kept, dim=-2), dim=-2, norm="ortho"), dim=-2)


def truncate_kspace(kspace: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Keep the center of k-space: the same field of view at a lower resolution.

    DC stays at ``(h // 2, w // 2)``. The factor ``sqrt(h w / (H W))`` undoes the gain of the smaller orthonormal
    transform, so that image intensities are kept.

    Args:
        kspace: centered k-space, shape ``(..., H, W)``.
        size: wanted ``(h, w)``, not larger than ``(H, W)``.

    Returns:
        Centered k-space, shape ``(..., h, w)``.

    Raises:
        ValueError: if ``size`` is not two positive integers or larger than the matrix.
    """
    height, width = _check_size(kspace, size)
    full_height, full_width = kspace.shape[-2:]
    if height > full_height or width > full_width:
        raise ValueError(
            f"size {(height, width)} is larger than the k-space matrix {(full_height, full_width)}; truncation can "
            "only keep or lower the resolution: choose a smaller size."
        )
    top = full_height // 2 - height // 2
    left = full_width // 2 - width // 2
    scale = math.sqrt(height * width / (full_height * full_width))
    return kspace[..., top : top + height, left : left + width] * scale


def _margins(full: int, wanted: int) -> tuple[int, int]:
    """Lines to remove (negative: to add) before and after."""
    if wanted <= full:
        before = (full - wanted) // 2
        return before, full - wanted - before
    before, after = _margins(wanted, full)
    return -before, -after


def _check_size(x: torch.Tensor, size: Sequence[int]) -> tuple[int, int]:
    if x.ndim < 2:
        raise ValueError(f"expected a tensor of shape (..., H, W), got shape {tuple(x.shape)}.")
    numbers = [int(number) for number in size]
    if len(numbers) != 2 or min(numbers) < 1:
        raise ValueError(f"size must be two positive integers (h, w), got {numbers}.")
    return numbers[0], numbers[1]
