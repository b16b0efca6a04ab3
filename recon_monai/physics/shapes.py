"""Matrix sizes: cropping and padding of images, truncation of k-space."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

__all__ = ["center_crop_or_pad", "truncate_kspace"]


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
    """
    height, width = _check_size(x, size)
    before_h, after_h = _margins(x.shape[-2], height)
    before_w, after_w = _margins(x.shape[-1], width)
    rows = slice(max(before_h, 0), x.shape[-2] - max(after_h, 0))
    columns = slice(max(before_w, 0), x.shape[-1] - max(after_w, 0))
    cropped = x[..., rows, columns]
    padding = [max(-margin, 0) for margin in (before_w, after_w, before_h, after_h)]
    return torch.nn.functional.pad(cropped, padding) if any(padding) else cropped


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
