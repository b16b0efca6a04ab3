"""Variable-density Poisson-disc sampling of the two phase-encoding axes of a 3-D acquisition.

Written here because training draws a mask for every slice: sigpy's `sigpy.mri.poisson` searches its slope by drawing
whole patterns and takes many times as long, comes with numba, and meets the acceleration within a tolerance only.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from recon_monai.physics.masks.base import SamplingMask

__all__ = ["PoissonMask", "poisson_disc"]

_RELAXATION = 0.93
_SPARE = 1.03  # room for more samples than are needed, so that one pass mostly does


class PoissonMask(SamplingMask):
    """Samples at random, no two nearer than a distance that grows from the center of k-space outwards.

    Both axes of k-space are phase-encoded here, as in a 3-D acquisition that was transformed along its readout.
    The least distance of two samples grows linearly, as in `sigpy.mri.poisson`, to the edges of k-space and on into
    the corners, which are sampled too; see `poisson_disc`. There are exactly ``round(H * W / acceleration)`` samples,
    calibration region included, so the effective acceleration is the nominal one up to that rounding. On such patterns
    in MRI see Vasanawala et al. 2011 (ISBI) and Dwork et al. 2021 (Magnetic Resonance Imaging 77).

    The calibration region is a fully sampled box of ``round(H * center_fraction)`` times
    ``round(W * center_fraction)`` samples in the center.

    Args:
        center_fractions: size of the calibration region as a fraction of each axis, each in [0, 1).
        accelerations: nominal acceleration for each of them, integers of at least 1.
    """

    kind: ClassVar[str] = "poisson"

    def _draw(
        self, rng: np.random.RandomState, size: tuple[int | None, int], fraction: float, acceleration: int
    ) -> tuple[npt.NDArray[np.bool_], int]:
        height, width = size
        if height is None:
            raise ValueError(f"a poisson mask is 2-D, give (H, W) instead of the width {width} alone.")
        rows, columns = round(height * fraction), round(width * fraction)
        total = round(height * width / acceleration)
        if rows * columns >= total:
            raise ValueError(
                f"the calibration region of {rows} x {columns} samples leaves no other sample: acceleration "
                f"{acceleration} of {height} x {width} allows {total} samples in all; lower the center fraction or "
                "the acceleration."
            )
        box = np.zeros((height, width), dtype=bool)
        top, left = (height - rows + 1) // 2, (width - columns + 1) // 2
        box[top : top + rows, left : left + columns] = True
        sampled, _ = poisson_disc(rng, box, total)
        return sampled, columns


def poisson_disc(
    rng: np.random.RandomState, given: npt.NDArray[np.bool_], total: int
) -> tuple[npt.NDArray[np.bool_], float]:
    """Add samples to given ones by dart throwing with variable radius, until there are so many.

    Places are tried in random order (Cook 1986, ACM Transactions on Graphics 5), and each sample that is found keeps
    later ones off a disc around it. Its radius is ``slope * r + u``, with the distance ``r`` from the center (1 at the
    edges, along an ellipse) and a random ``u`` in [0, 1), without which the grid would let only a few densities
    occur. If room runs out before the number is reached, the slope is lowered by 7 % and all places are tried again
    (McCool and Fiume 1992, Graphics Interface). At slope 0 every place has room, so it is always reached.

    Args:
        rng: seeded generator.
        given: bool, ``(H, W)``: samples that exist already; they keep nothing off.
        total: number of samples in the end, more than are given and at most ``H * W``.

    Returns:
        The samples, bool ``(H, W)``, and the slope in the end: no two of those added are nearer than
        ``slope * r`` of the one that lies further in.
    """
    height, width = given.shape
    rows = (np.arange(height) - height // 2) / (height / 2)
    columns = (np.arange(width) - width // 2) / (width / 2)
    distance = np.sqrt(rows[:, None] ** 2 + columns**2)
    missing = total - int(given.sum())
    slope = _starting_slope(distance[~given], missing)
    chance = rng.uniform(size=given.shape)
    order = rng.permutation(given.size)
    order = order[~given.reshape(-1)[order]]
    found = order[:0]
    while True:
        # d < radius, for squared distances d^2 on a grid, which are whole numbers
        reach = np.ceil((slope * distance + chance) ** 2).astype(np.intp) - 1
        found = _throw(np.concatenate([found, order]), np.maximum(reach, 0), missing)
        if len(found) == missing:
            sampled = given.copy()
            sampled.reshape(-1)[found] = True
            return sampled, slope
        slope = slope * _RELAXATION if slope > 1e-3 else 0.0


def _throw(order: npt.NDArray[np.intp], reach: npt.NDArray[np.intp], most: int) -> npt.NDArray[np.intp]:
    """One pass over the places (flat indices): those that were free when tried, at most so many.

    A sample takes the places whose squared distance is at most its ``reach`` (``(H, W)``).
    """
    height, width = reach.shape
    margin = math.isqrt(int(reach.max()))
    stride = width + 2 * margin
    discs = {key: _disc(key, stride) for key in np.unique(reach).tolist()}
    places = ((order // width + margin) * stride + order % width + margin).tolist()
    # bytes and slices of Python: for discs as small as these several times as fast as numpy
    taken = bytearray((height + 2 * margin) * stride)
    found = []
    for index, (place, key) in enumerate(zip(places, reach.reshape(-1)[order].tolist(), strict=True)):
        if not taken[place]:
            for start, stop, ones in discs[key]:
                taken[place + start : place + stop] = ones
            found.append(index)
            if len(found) == most:
                break
    return order[found]


def _disc(reach: int, stride: int) -> list[tuple[int, int, bytes]]:
    """The rows of a disc of squared radius ``reach``, relative to its center: start, stop and what to write there."""
    radius = math.isqrt(reach)
    halves = [(row, math.isqrt(reach - row * row)) for row in range(-radius, radius + 1)]
    return [(row * stride - half, row * stride + half + 1, b"\1" * (2 * half + 1)) for row, half in halves]


def _starting_slope(distance: npt.NDArray[np.float64], missing: int) -> float:
    """The slope at which about so many samples find room, by a density that was measured for constant radii.

    Bisection in few steps, so that the last digits of a sum, which differ between machines, do not matter.
    """

    def room(slope: float) -> float:
        radius = slope * distance
        return float((1 / (1 + 1.9 * radius + 1.4 * radius**2)).sum())

    low, high = 0.0, 1.0
    while room(high) > missing:
        high *= 2
    for _ in range(16):
        middle = (low + high) / 2
        low, high = (middle, high) if room(middle) > _SPARE * missing else (low, middle)
    return low
