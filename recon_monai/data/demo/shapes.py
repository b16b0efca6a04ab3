"""Signed distances to simple solids, negative inside, from which the knee is built."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["column", "ellipsoid", "merge", "subtract", "tube"]

FloatArray = NDArray[np.float32]
Triple = tuple[float, float, float]


def ellipsoid(points: FloatArray, center: Triple, axes: Triple, *, power: float = 2.0) -> FloatArray:
    """Distance to an ellipsoid, exact to first order near its surface.

    Args:
        points: positions in mm `(3, ...)`.
        center: in mm.
        axes: semi-axes along x, y, z in mm.
        power: above 2 the solid comes closer to a box.

    Returns:
        Signed distance in mm `(...)`.
    """
    offsets = [np.abs(p - np.float32(c)) / np.float32(a) for p, c, a in zip(points, center, axes, strict=True)]
    radius = sum(o ** np.float32(power) for o in offsets) ** np.float32(1 / power)
    safe = np.maximum(radius, np.float32(1e-3))
    slopes = [(o / safe) ** np.float32(power - 1) / np.float32(a) for o, a in zip(offsets, axes, strict=True)]
    slope = np.sqrt(sum(s**2 for s in slopes))
    # in the very center there is no slope; the distance is that to the nearest side
    return np.where(radius < 1e-3, np.float32(-min(axes)), (radius - 1) / np.maximum(slope, 1e-6)).astype(np.float32)


def column(
    points: FloatArray, center: tuple[FloatArray | float, FloatArray | float], radii: tuple[FloatArray, FloatArray]
) -> FloatArray:
    """Distance to an upright elliptic column whose cross section may change with height.

    Args:
        points: positions in mm `(3, ...)`.
        center: x and y of the axis in mm, at the height of every point.
        radii: along x and y in mm, at the height of every point.

    Returns:
        Signed distance within the horizontal plane in mm `(...)`.
    """
    x, y = points[0] - center[0], points[1] - center[1]
    radius = np.hypot(x / radii[0], y / radii[1])
    slope = np.hypot(x / radii[0] ** 2, y / radii[1] ** 2)
    far = radius * (radius - 1) / np.maximum(slope, np.float32(1e-6))
    return np.where(radius < 1e-3, -np.minimum(*radii), far).astype(np.float32)


def tube(
    points: FloatArray, path: Sequence[Triple], radii: Sequence[float], *, flatten: Triple = (1.0, 1.0, 1.0)
) -> FloatArray:
    """Distance to a chain of round cones.

    Args:
        points: positions in mm `(3, ...)`.
        path: corners of the chain in mm, at least two.
        radii: radius at each corner in mm.
        flatten: lengths along x, y, z count this much; below 1 widens the tube along that axis.

    Returns:
        Signed distance in mm `(...)`, in the shrunk lengths where `flatten` is not 1.
    """
    scale = np.asarray(flatten, dtype=np.float32)
    corners = np.asarray(path, dtype=np.float32) * scale
    x, y, z = (p * s for p, s in zip(points, scale, strict=True))
    nearest: FloatArray | None = None
    for start, end, first, last in zip(corners[:-1], corners[1:], radii[:-1], radii[1:], strict=True):
        along = end - start
        length = np.float32(max(float(along @ along), 1e-6))
        share = ((x - start[0]) * along[0] + (y - start[1]) * along[1] + (z - start[2]) * along[2]) / length
        share = np.clip(share, 0.0, 1.0)
        off = [p - s - share * a for p, s, a in zip((x, y, z), start, along, strict=True)]
        distance = np.sqrt(off[0] ** 2 + off[1] ** 2 + off[2] ** 2) - (first + share * np.float32(last - first))
        nearest = distance if nearest is None else np.minimum(nearest, distance)
    if nearest is None:
        raise ValueError(f"a tube needs at least two corners, got {len(path)}")
    return nearest.astype(np.float32)


def merge(first: FloatArray, second: FloatArray, blend_mm: float) -> FloatArray:
    """Union of two solids with a rounded seam.

    Args:
        first: signed distance.
        second: signed distance.
        blend_mm: size of the rounding.

    Returns:
        Signed distance.
    """
    share = np.clip(0.5 + 0.5 * (second - first) / blend_mm, 0.0, 1.0)
    return (second + (first - second) * share - blend_mm * share * (1 - share)).astype(np.float32)


def subtract(solid: FloatArray, hole: FloatArray, blend_mm: float) -> FloatArray:
    """What is left of a solid outside a hole, with a rounded rim.

    Args:
        solid: signed distance.
        hole: signed distance.
        blend_mm: size of the rounding.

    Returns:
        Signed distance.
    """
    return -merge(-solid, hole, blend_mm)
