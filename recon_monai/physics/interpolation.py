"""Interpolation along one axis at any positions, as a small matrix per axis.

A matrix fits any size, any spacing and any offset, and applies to all lines of a volume at once. MONAI and PyTorch
interpolate linearly or by cubic convolution, on grids whose corners or edges coincide, and not by the Fourier series.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch

__all__ = ["InterpolationMethod", "apply_matrix", "interpolate_axis", "interpolation_matrix", "reflected"]

InterpolationMethod = Literal["fourier", "linear", "cubic"]

_NEXT_TO_SAMPLE = 1e-9


def interpolation_matrix(
    size: int, positions: torch.Tensor | Sequence[float], method: InterpolationMethod = "fourier"
) -> torch.Tensor:
    """Matrix that takes ``size`` samples to the values between them.

    * ``"fourier"``: the trigonometric polynomial through the samples (Dirichlet kernel), exact for periodic signals
      below the Nyquist frequency and the same as zero-filling k-space; the signal repeats beyond its ends. For even
      sizes the Nyquist frequency counts as a cosine.
    * ``"linear"``, ``"cubic"`` (the cubic spline through the samples, two continuous derivatives; Unser, "Splines: a
      perfect fit for signal and image processing", IEEE Signal Processing Magazine 1999): the signal is reflected at
      the outer edges of the first and the last voxel, as ``mode="reflect"`` of ``scipy.ndimage`` does it.

    Args:
        size: number of samples.
        positions: where values are wanted, in samples from the first one; shape ``(n,)``.
        method: how.

    Returns:
        Float64, shape ``(n, size)``; every row sums to 1.

    Raises:
        ValueError: if the size is below 1, the method unknown, or positions are not finite numbers ``(n,)``.
    """
    where = torch.as_tensor(positions, dtype=torch.float64)
    if size < 1 or where.ndim != 1 or not bool(torch.isfinite(where).all()):
        raise ValueError(
            f"expected a size of at least 1 and finite positions (n,), got size {size} and positions of shape "
            f"{tuple(where.shape)}"
        )
    if method == "fourier":
        return _dirichlet(size, where)
    if method == "linear":
        return _from_neighbors(size, where, _linear_weights(where), first=0)
    if method == "cubic":
        spline = _from_neighbors(size, where, _spline_weights(where), first=-1)
        samples = torch.arange(size, dtype=torch.float64)
        at_samples = _from_neighbors(size, samples, _spline_weights(samples), first=-1)
        return torch.linalg.solve(at_samples, spline, left=False)
    raise ValueError(f"method is {method!r}, expected one of {get_args(InterpolationMethod)}")


def interpolate_axis(
    volume: torch.Tensor,
    axis: int,
    positions: torch.Tensor | Sequence[float],
    method: InterpolationMethod = "fourier",
) -> torch.Tensor:
    """Interpolate along one axis, see `interpolation_matrix`.

    This only interpolates: before going to a coarser grid, limit the resolution (`truncate_spectrum`).

    Args:
        volume: real or complex, any shape.
        axis: the axis.
        positions: where values are wanted, in samples from the first one of the axis; shape ``(n,)``.
        method: ``"fourier"``, ``"linear"`` or ``"cubic"``.

    Returns:
        Tensor of the same dtype, with ``n`` samples along the axis.

    Raises:
        ValueError: see `interpolation_matrix`.
    """
    return apply_matrix(volume, axis, interpolation_matrix(volume.shape[axis], positions, method))


def apply_matrix(volume: torch.Tensor, axis: int, matrix: torch.Tensor) -> torch.Tensor:
    """Apply a matrix to all lines along an axis.

    Args:
        volume: floating point or complex, ``size`` samples along the axis.
        axis: the axis.
        matrix: real, shape ``(n, size)``.

    Returns:
        Tensor of the volume's dtype, with ``n`` samples along the axis.
    """
    weights = matrix.to(volume)
    last = volume.ndim - 1
    if axis % volume.ndim == last:
        return volume @ weights.mT
    # as batches of (size, rest) matrices no copy of the volume in another order is needed
    before, size, after = volume.shape[:axis], volume.shape[axis], volume.shape[axis % volume.ndim + 1 :]
    flat = volume.reshape(-1, size, after.numel())
    return torch.matmul(weights, flat).reshape(*before, matrix.shape[0], *after)


def _dirichlet(size: int, where: torch.Tensor) -> torch.Tensor:
    distance = where[:, None] - torch.arange(size, dtype=torch.float64)
    distance = distance - size * torch.round(distance / size)
    near = distance.abs() < _NEXT_TO_SAMPLE
    # the kernel is 0 / 0 on a sample; any other distance keeps what is left out finite
    safe = torch.where(near, torch.full_like(distance, 0.5), distance)
    angle = torch.pi * safe / size
    below = torch.sin(angle) if size % 2 else torch.tan(angle)
    return torch.where(near, torch.ones_like(distance), torch.sin(torch.pi * safe) / (size * below))


def _linear_weights(where: torch.Tensor) -> torch.Tensor:
    share = where - torch.floor(where)
    return torch.stack((1 - share, share), dim=1)


def _spline_weights(where: torch.Tensor) -> torch.Tensor:
    """Cubic B-spline at the four samples around each position."""
    t = where - torch.floor(where)
    return torch.stack(((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3), dim=1) / 6


def _from_neighbors(size: int, where: torch.Tensor, weights: torch.Tensor, *, first: int) -> torch.Tensor:
    """Matrix with these weights at the samples from ``floor(position) + first`` on, reflected into the signal."""
    index = torch.floor(where).to(torch.int64)[:, None] + first + torch.arange(weights.shape[1])
    matrix = torch.zeros(len(where), size, dtype=torch.float64)
    return matrix.scatter_add_(1, reflected(index, size), weights)


def reflected(index: torch.Tensor, size: int) -> torch.Tensor:
    """Indices beyond the ends, reflected at the outer edges of the first and last sample.

    Args:
        index: integers.
        size: number of samples.

    Returns:
        Integers from 0 to ``size - 1``.
    """
    around = torch.remainder(index, 2 * size)
    return torch.minimum(around, 2 * size - 1 - around)
