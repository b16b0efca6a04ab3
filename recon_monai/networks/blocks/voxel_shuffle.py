"""Between a fine grid and a coarse one, exactly: samples that lie on both, and their rearrangement as channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F

from recon_monai.physics import interpolate_axis

__all__ = [
    "CoarseSampling",
    "Factor",
    "coarse_samples",
    "merge_phases",
    "pad_to_multiple",
    "refine_linearly",
    "split_phases",
    "three_factors",
]

CoarseSampling = Literal["all", "first"]
Factor = tuple[int, int, int]


def three_factors(factor: int | Sequence[int], name: str = "factor") -> Factor:
    """How many times coarser each axis is.

    Args:
        factor: one whole number for all axes, or one for each.
        name: what it is called in the error.

    Returns:
        Three numbers of at least 1.

    Raises:
        ValueError: if it is anything else.
    """
    factors = [factor] * 3 if isinstance(factor, int) else list(factor)
    if len(factors) != 3 or not all(isinstance(one, int) and one >= 1 for one in factors):
        raise ValueError(
            f"{name} is {factor!r}, expected one or three whole numbers of at least 1, such as 2 or [2,2,1]"
        )
    return factors[0], factors[1], factors[2]


def split_phases(volume: torch.Tensor, factor: Factor) -> torch.Tensor:
    """Move the voxels of every block of the fine grid into the channels of one voxel of the coarse grid.

    A permutation: nothing is lost, and its adjoint, which is its inverse, is `merge_phases`. Channel 0 of a volume of
    one channel holds the voxels ``[::f0, ::f1, ::f2]``. For one factor for all axes this is MONAI's ``pixelunshuffle``
    (in the plane Shi et al. 2016, arXiv:1609.05158, the other way round), which knows no factor for each axis.

    Args:
        volume: shape ``(B, C, D, H, W)``, sizes that the factors divide.
        factor: of each axis.

    Returns:
        Shape ``(B, C * f0 * f1 * f2, D / f0, H / f1, W / f2)``.

    Raises:
        ValueError: if a size is no multiple of its factor.
    """
    if any(size % one for size, one in zip(volume.shape[2:], factor, strict=True)):
        raise ValueError(f"volumes of {tuple(volume.shape[2:])} cannot be split by {factor}; pad them to multiples")
    f0, f1, f2 = factor
    batch, channels, depth, height, width = volume.shape
    blocks = volume.reshape(batch, channels, depth // f0, f0, height // f1, f1, width // f2, f2)
    moved = blocks.permute(0, 1, 3, 5, 7, 2, 4, 6)
    return moved.reshape(batch, channels * math.prod(factor), depth // f0, height // f1, width // f2)


def merge_phases(features: torch.Tensor, factor: Factor) -> torch.Tensor:
    """The inverse of `split_phases`: pixel shuffle in three dimensions.

    Args:
        features: shape ``(B, C * f0 * f1 * f2, d, h, w)``.
        factor: of each axis.

    Returns:
        Shape ``(B, C, d * f0, h * f1, w * f2)``.

    Raises:
        ValueError: if the channels do not make whole blocks.
    """
    f0, f1, f2 = factor
    batch, channels, depth, height, width = features.shape
    if channels % math.prod(factor):
        raise ValueError(f"{channels} channels make no blocks of {factor}, expected a multiple of {math.prod(factor)}")
    blocks = features.reshape(batch, channels // math.prod(factor), f0, f1, f2, depth, height, width)
    moved = blocks.permute(0, 1, 5, 2, 6, 3, 7, 4)
    return moved.reshape(batch, channels // math.prod(factor), depth * f0, height * f1, width * f2)


def coarse_samples(volume: torch.Tensor, factor: Factor, sampling: CoarseSampling = "all") -> torch.Tensor:
    """Take coarse samples out of a volume that was interpolated to the fine grid.

    Nothing is filtered or interpolated: each sample is a voxel of the volume. With ``"first"`` these are the voxels
    ``[::f0, ::f1, ::f2]``. If k-space was cut to ``1 / factor`` along an axis of a size that twice the factor divides
    and the image brought back to its grid by zero-filling, they are, up to the scale of the transform, what the inverse
    transform of the cut k-space alone gives: the scan before its interpolation. (The outermost of an even number of
    lines counts as in `truncation_window`. Where twice the factor does not divide the size, they are the same
    trigonometric polynomial, sampled beside the voxels of that transform.) After other interpolations they are values
    of the interpolant.

    With ``"all"`` every voxel of the volume becomes a channel, those of ``"first"`` the first: nothing is lost
    whatever the resolution was, where recipes of several factors and axes mix.

    Args:
        volume: shape ``(B, C, D, H, W)``, sizes that the factors divide.
        factor: of each axis.
        sampling: ``"all"`` or ``"first"``.

    Returns:
        Shape ``(B, C * f0 * f1 * f2, ...)`` for ``"all"``, ``(B, C, ...)`` for ``"first"``, on the coarse grid.

    Raises:
        ValueError: if a size is no multiple of its factor, or for another sampling.
    """
    if sampling not in get_args(CoarseSampling):
        raise ValueError(f"sampling is {sampling!r}, expected one of {get_args(CoarseSampling)}")
    if sampling == "all":
        return split_phases(volume, factor)
    if any(size % one for size, one in zip(volume.shape[2:], factor, strict=True)):
        raise ValueError(f"volumes of {tuple(volume.shape[2:])} cannot be sampled by {factor}; pad them to multiples")
    return volume[:, :, :: factor[0], :: factor[1], :: factor[2]]


def refine_linearly(volume: torch.Tensor, factor: Factor) -> torch.Tensor:
    """Interpolate linearly between the samples that ``coarse_samples(..., "first")`` takes, which stay as they are.

    Args:
        volume: shape ``(B, C, d, h, w)``.
        factor: of each axis.

    Returns:
        Shape ``(B, C, d * f0, h * f1, w * f2)``; behind the last sample it is repeated.
    """
    for axis, times in enumerate(factor, start=2):
        size = volume.shape[axis]
        positions = (torch.arange(size * times, dtype=torch.float64) / times).clamp(max=size - 1)
        volume = interpolate_axis(volume, axis, positions, "linear")
    return volume


def pad_to_multiple(volume: torch.Tensor, factor: Factor) -> torch.Tensor:
    """Continue a volume behind its last voxels, by these, to the next multiple of the factors.

    Args:
        volume: shape ``(B, C, D, H, W)``.
        factor: of each axis.

    Returns:
        The volume itself where nothing is missing, else a larger one that begins with it.
    """
    missing = [-size % one for size, one in zip(volume.shape[2:], factor, strict=True)]
    if not any(missing):
        return volume
    return F.pad(volume, [0, missing[2], 0, missing[1], 0, missing[0]], mode="replicate")
