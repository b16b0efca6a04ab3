"""Voxel grids in the scanner's space, and how volumes get from one to another that lies along the same axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from recon_monai.physics.interpolation import InterpolationMethod, apply_matrix, interpolation_matrix

__all__ = ["Grid", "resample_to_grid"]

_OFF_AXIS = 1e-3  # voxels by which axes may part over the whole volume; headers hold float32
_SAME = 1e-5  # voxels below which a position is that of the sample


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of a volume lie.

    Args:
        shape: number of voxels along the three axes.
        affine: from voxel indices to mm (right, anterior, superior), as nibabel and MONAI have it; any ``(4, 4)``
            array, kept as float64. Oblique and flipped axes are welcome.

    Raises:
        ValueError: if the shape is not three positive integers, or the affine is not an invertible, finite ``(4, 4)``.
    """

    shape: tuple[int, int, int]
    affine: torch.Tensor

    def __post_init__(self) -> None:
        sizes = tuple(int(size) for size in self.shape)
        matrix = torch.as_tensor(self.affine, dtype=torch.float64, device="cpu").detach().clone()
        if len(sizes) != 3 or min(sizes) < 1:
            raise ValueError(f"the shape of a grid is {tuple(self.shape)}, expected three positive integers")
        known = matrix.shape == (4, 4) and bool(torch.isfinite(matrix).all())
        if not known or not _invertible(matrix) or matrix[3].tolist() != [0, 0, 0, 1]:
            raise ValueError(
                f"the affine of a grid is {matrix.tolist()}, expected an invertible 4 x 4 matrix with last row "
                "0 0 0 1; correct the header of the file"
            )
        object.__setattr__(self, "shape", sizes)
        object.__setattr__(self, "affine", matrix.as_subclass(torch.Tensor))

    def __eq__(self, other: object) -> bool:
        """Whether shape and affine are equal to the last bit; see `matches` for up to rounding."""
        return isinstance(other, Grid) and self.shape == other.shape and torch.equal(self.affine, other.affine)

    def __hash__(self) -> int:
        return hash((self.shape, *self.affine.flatten().tolist()))

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Size of a voxel along each axis in mm."""
        first, second, third = torch.linalg.vector_norm(self.affine[:3, :3], dim=0).tolist()
        return first, second, third

    @property
    def extent(self) -> tuple[float, float, float]:
        """Field of view along each axis in mm, from the outer edge of the first voxel to that of the last."""
        first, second, third = (size * step for size, step in zip(self.shape, self.spacing, strict=True))
        return first, second, third

    def matches(self, other: Grid, tolerance: float = _OFF_AXIS) -> bool:
        """Whether both have the same voxels.

        Args:
            other: another grid.
            tolerance: distance of corners that rounding in headers explains, in voxels.

        Returns:
            True if the shapes are equal and all corners coincide.
        """
        if self.shape != other.shape:
            return False
        scale, shift, apart = _between(other, self)
        moved = torch.stack([shift, scale * self._last() + shift - self._last()]).abs().max()
        return max(apart, float(moved)) <= tolerance

    def refined(
        self,
        factor: float | Sequence[float] | None = None,
        spacing: float | Sequence[float] | None = None,
        *,
        keep: Literal["edges", "spacing"] = "edges",
    ) -> Grid:
        """Grid with other voxel sizes over the same field of view.

        Args:
            factor: how many times finer along each axis; one number for all three.
            spacing: or the new size of a voxel in mm.
            keep: what is exact where the field of view is not a whole number of new voxels. ``"edges"``: the outer
                edges of the field of view; the voxel size is the nearest that divides it. ``"spacing"``: the voxel
                size asked for; the field of view keeps its middle and grows or shrinks by less than half a new voxel
                at either end.

        Returns:
            The grid, along the same axes.

        Raises:
            ValueError: unless exactly one of ``factor`` and ``spacing`` is given, as positive numbers.
        """
        if (factor is None) == (spacing is None):
            raise ValueError(f"give either a factor or a spacing, got factor {factor} and spacing {spacing}")
        if keep not in ("edges", "spacing"):
            raise ValueError(f"keep is {keep!r}, expected 'edges' or 'spacing'")
        if factor is not None:
            factors = _three("factor", factor)
        else:
            factors = [old / new for old, new in zip(self.spacing, _three("spacing", spacing), strict=True)]
        sizes = [max(1, round(size * times)) for size, times in zip(self.shape, factors, strict=True)]
        if keep == "edges":
            factors = [new / old for new, old in zip(sizes, self.shape, strict=True)]
        step = 1 / torch.tensor(factors, dtype=torch.float64)
        last = torch.tensor(sizes, dtype=torch.float64) - 1
        first = (self._last() - step * last) / 2  # the middle stays
        affine = self.affine.clone()
        affine[:3, :3] = self.affine[:3, :3] * step
        affine[:3, 3] = self.affine[:3, :3] @ first + self.affine[:3, 3]
        return Grid((sizes[0], sizes[1], sizes[2]), affine)

    def positions_of(self, other: Grid) -> list[torch.Tensor]:
        """Voxels of another grid, as positions along the axes of this one.

        Args:
            other: a grid along the same axes (which may run the other way).

        Returns:
            Three float64 tensors: for every index of ``other`` along an axis, the position here in voxels.

        Raises:
            ValueError: if the axes differ by more than rounding; names by how many voxels.
        """
        scale, shift, apart = _between(self, other)
        if apart > _OFF_AXIS:
            raise ValueError(
                f"the axes of two grids part by {apart:.3g} voxels over the volume, expected grids along the same "
                "axes; resample one volume to the orientation of the other first (monai.transforms.ResampleToMatch)"
            )
        ranges = (torch.arange(size, dtype=torch.float64) for size in other.shape)
        found = [float(s) * index + float(t) for s, t, index in zip(scale, shift, ranges, strict=True)]
        # rounding in the affines must not turn a voxel's own value into one between two
        return [torch.where((p - p.round()).abs() < _SAME, p.round(), p) for p in found]

    def _last(self) -> torch.Tensor:
        return torch.tensor(self.shape, dtype=torch.float64) - 1


def resample_to_grid(
    volume: torch.Tensor, grid_from: Grid, grid_to: Grid, method: InterpolationMethod = "cubic"
) -> torch.Tensor:
    """Interpolate a volume at the voxels of another grid along the same axes, one axis after the other.

    No resolution is taken away first: for a coarser grid, call `truncate_spectrum` before. Outside its field of view
    a volume repeats (``"fourier"``) or is reflected (``"linear"``, ``"cubic"``), see `interpolation_matrix`.

    Args:
        volume: floating point, shape ``(..., D, H, W)`` with the shape of ``grid_from`` at the end.
        grid_from: where its voxels lie.
        grid_to: where values are wanted.
        method: ``"fourier"``, ``"linear"`` or ``"cubic"``.

    Returns:
        Volume ``(..., *grid_to.shape)`` of the same dtype; the input itself where the grids match.

    Raises:
        ValueError: if the shape is not that of the grid, or the grids do not share their axes.
    """
    if tuple(volume.shape[-3:]) != grid_from.shape or not (volume.is_floating_point() or volume.is_complex()):
        raise ValueError(
            f"expected a floating-point volume (..., {', '.join(map(str, grid_from.shape))}) as its grid says, got "
            f"{volume.dtype} of shape {tuple(volume.shape)}"
        )
    positions = grid_from.positions_of(grid_to)
    # the axes that shrink most come first: the volume between is as small as it can be
    order = sorted(range(3), key=lambda axis: grid_to.shape[axis] / grid_from.shape[axis])
    for axis in order:
        size = grid_from.shape[axis]
        if torch.equal(positions[axis], torch.arange(size, dtype=torch.float64)):
            continue
        volume = apply_matrix(volume, axis - 3, interpolation_matrix(size, positions[axis], method))
    return volume


def _between(one: Grid, other: Grid) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Scale and shift per axis from indices of ``other`` to those of ``one``, and by how many voxels axes part."""
    mapping = torch.linalg.solve(one.affine, other.affine)
    linear = mapping[:3, :3]
    scale = linear.diagonal()
    apart = ((linear - torch.diag(scale)).abs() @ other._last()).max()
    return scale, mapping[:3, 3], float(apart)


def _invertible(matrix: torch.Tensor) -> bool:
    lengths = torch.linalg.vector_norm(matrix[:3, :3], dim=0)
    return bool((lengths > 0).all()) and abs(float(torch.linalg.det(matrix[:3, :3] / lengths))) > 1e-3


def _three(name: str, value: Any) -> list[float]:
    numbers = [float(value)] * 3 if isinstance(value, int | float) else [float(number) for number in value]
    if len(numbers) != 3 or not all(math.isfinite(number) and number > 0 for number in numbers):
        raise ValueError(f"{name} is {value}, expected one positive number or three")
    return numbers
