"""Small lesions of the white matter, as multiple sclerosis or small-vessel disease leave them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon_monai.data.demo.painting import edge
from recon_monai.data.demo.template import HeadTemplate

__all__ = ["Lesion", "draw_lesions", "lesion_share"]

FloatArray = NDArray[np.float32]

# Where lesions may lie in mm (template): the white matter above the midbrain.
_LOWEST, _HIGHEST = (-50.0, -85.0, -5.0), (50.0, 60.0, 50.0)
_TRIES = 20000
_WHITE = 0.75
_CLEARANCE_MM = 2.0


@dataclass(frozen=True)
class Lesion:
    """An ellipsoid in the space of the template.

    Args:
        center: in mm.
        axes: semi-axes along x, y, z in mm.
    """

    center: tuple[float, ...]
    axes: tuple[float, ...]


def draw_lesions(template: HeadTemplate, rng: np.random.Generator, *, count: int | None = None) -> tuple[Lesion, ...]:
    """Draw lesions that lie in white matter.

    Args:
        template: anatomy.
        rng: source of randomness.
        count: how many; None draws 24 to 40, of which slices 10 mm apart cut about one half.

    Returns:
        The lesions, 3 to 11 mm in diameter, small ones more often.
    """
    number = int(rng.integers(24, 41)) if count is None else count
    candidates = rng.uniform(_LOWEST, _HIGHEST, (_TRIES, 3)).astype(np.float32)
    steps = _CLEARANCE_MM * np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)])
    around = (candidates[:, None] + steps[None].astype(np.float32)).transpose(2, 0, 1)
    inside = candidates[template.white.sample(around).min(axis=1) > _WHITE]
    lesions = []
    for center in inside[:number]:
        radius = 1.5 + 4.0 * rng.beta(1.2, 2.5)
        axes = radius * np.exp(rng.normal(0.0, 0.15, 3))
        lesions.append(Lesion(tuple(map(float, center)), tuple(map(float, axes))))
    return tuple(lesions)


def lesion_share(lesions: Sequence[Lesion], points: FloatArray, ragged: FloatArray) -> FloatArray:
    """Share of each pixel that lies in a lesion.

    Args:
        lesions: any number.
        points: positions of the pixels in the template in mm `(3, H, W)`.
        ragged: noise `(H, W)` of unit standard deviation that makes the outlines uneven.

    Returns:
        Share `(H, W)`; 0 everywhere without lesions.
    """
    share = np.zeros(points.shape[1:], dtype=np.float32)
    for lesion in lesions:
        axes, center = np.asarray(lesion.axes), np.asarray(lesion.center)
        away = [(p - np.float32(c)) / np.float32(a) for p, c, a in zip(points, center, axes, strict=True)]
        radius = np.sqrt(away[0] ** 2 + away[1] ** 2 + away[2] ** 2)
        near = radius < 2.5
        if near.any():
            depth = (1 - radius) * np.float32(axes.mean()) + 0.35 * ragged
            share = np.maximum(share, np.where(near, edge(depth, 0.35), np.float32(0.0)))
    return share
