"""Thick slices: what a two-dimensional multi-slice scan makes of a volume along its slice axis."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import torch

from recon_monai.physics.interpolation import apply_matrix, reflected

__all__ = ["SliceProfile", "ThickSlices", "slice_matrix", "thick_slices"]

SliceProfile = Literal["box", "gaussian", "trapezoid"]

_RAMP = 0.25  # of the thickness: length of either ramp of the trapezoid
_REACH = 3.0  # thicknesses beyond which no profile has weight (a Gaussian has 2e-12 there)
_SIGMA = 1 / (2 * math.sqrt(2 * math.log(2)))  # of a Gaussian whose full width at half maximum is 1


class ThickSlices(NamedTuple):
    """Slices and where they lie.

    Attributes:
        volume: as the volume they were cut from, with one entry per slice along the slice axis.
        positions: centers of the slices along that axis, in voxels of the fine volume, float64 ``(n,)``; evenly spaced
            and in the middle of the field of view.
    """

    volume: torch.Tensor
    positions: torch.Tensor


def thick_slices(
    volume: torch.Tensor,
    axis: int,
    spacing: float,
    thickness: float,
    gap: float = 0.0,
    profile: SliceProfile = "box",
) -> ThickSlices:
    """Integrate a volume over the profiles of thick slices.

    Each slice is the mean of the volume, weighted by the slice profile; a voxel counts by the share of the profile that
    falls into it. So many slices are taken as fit best into the field of view (at least one), in its middle; at the
    ends the volume counts as reflected.

    Args:
        volume: real or complex, any shape.
        axis: the slice axis.
        spacing: distance of voxels along it in mm.
        thickness: full width of the profile at half its height in mm, above ``spacing``.
        gap: between slices in mm; negative where slices overlap.
        profile: ``"box"`` (the ideal one), ``"gaussian"`` (short pulses), or ``"trapezoid"`` (what good pulses come to:
            flat over three quarters of the thickness, with a ramp of a quarter of it about either edge).

    Returns:
        The slices and their positions.

    Raises:
        ValueError: if a length cannot be used or the profile is unknown.
    """
    matrix, positions = slice_matrix(volume.shape[axis], spacing, thickness, gap, profile)
    return ThickSlices(apply_matrix(volume, axis, matrix), positions)


def slice_matrix(
    size: int, spacing: float, thickness: float, gap: float = 0.0, profile: SliceProfile = "box"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights of the voxels in each thick slice.

    Args:
        size: voxels along the slice axis.
        spacing: see `thick_slices`.
        thickness: see `thick_slices`.
        gap: see `thick_slices`.
        profile: see `thick_slices`.

    Returns:
        Float64 ``(slices, size)``, whose rows sum to 1, and the positions ``(slices,)``.

    Raises:
        ValueError: see `thick_slices`.
    """
    if profile not in get_args(SliceProfile):
        raise ValueError(f"profile is {profile!r}, expected one of {get_args(SliceProfile)}")
    if not (0 < spacing < math.inf and spacing < thickness < math.inf):
        raise ValueError(
            f"slices of {thickness} mm cannot be made of voxels {spacing:.4g} mm apart, expected a thickness above "
            "that; choose thicker slices or another axis"
        )
    if not (math.isfinite(gap) and thickness + gap >= spacing):
        raise ValueError(
            f"the gap is {gap} mm between slices of {thickness} mm, expected slices at least one voxel, "
            f"{spacing:.4g} mm, apart"
        )
    step, width = (thickness + gap) / spacing, thickness / spacing
    count = max(1, round(size / step))
    positions = (size - 1) / 2 + step * (torch.arange(count, dtype=torch.float64) - (count - 1) / 2)
    reach = math.ceil(_REACH * width)
    offset = torch.arange(-reach, reach + 1)
    index = torch.round(positions).to(torch.int64)[:, None] + offset
    distance = index - positions[:, None]
    share = _cumulative((distance + 0.5) / width, profile) - _cumulative((distance - 0.5) / width, profile)
    matrix = torch.zeros(count, size, dtype=torch.float64).scatter_add_(1, reflected(index, size), share)
    return matrix / matrix.sum(dim=1, keepdim=True), positions


def _cumulative(x: torch.Tensor, profile: str) -> torch.Tensor:
    """Integral of a profile of unit area and unit width at half its height, from minus infinity to ``x``."""
    if profile == "box":
        return (x + 0.5).clamp(0, 1)
    if profile == "gaussian":
        return 0.5 * (1 + torch.erf(x / (_SIGMA * math.sqrt(2))))
    # the integral of a box that was smoothed by a shorter one, as second integrals of its four corners
    outer, inner = (1 + _RAMP) / 2, (1 - _RAMP) / 2
    corners = ((outer, 1.0), (inner, -1.0), (-inner, -1.0), (-outer, 1.0))
    return sum((sign * (x + place).clamp(min=0) ** 2 for place, sign in corners), torch.zeros_like(x)) / (2 * _RAMP)
