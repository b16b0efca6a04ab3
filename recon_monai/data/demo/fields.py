"""Smooth random fields, and the smooth random deformation that makes one subject differ from the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["Deformation", "random_deformation", "receive_shading", "smooth_noise"]

FloatArray = NDArray[np.float32]

_CONTROL_MM = 4.0
_BEND_WIDTH_MM = 18.0
_EXTENT_MM = 120.0


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: float | tuple[float, ...]) -> FloatArray:
    """Gaussian noise, low-pass filtered and brought back to unit standard deviation.

    Args:
        rng: source of randomness.
        shape: shape of the field.
        sigma: width of the Gaussian filter in samples, one number or one per axis.

    Returns:
        Field of zero mean and unit standard deviation.
    """
    field = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma, mode="wrap")
    return (field - field.mean()) / field.std()


def receive_shading(rng: np.random.Generator, shape: tuple[int, int]) -> FloatArray:
    """Shading of an array of receiver coils round the subject: brighter towards the rim, and uneven.

    Args:
        rng: source of randomness.
        shape: `(H, W)` of the image.

    Returns:
        Positive factor `(H, W)`, near 1 halfway to the rim.
    """
    y, x = (np.linspace(-1, 1, n, dtype=np.float32).reshape(-1, *(1,) * (1 - i)) for i, n in enumerate(shape))
    tilt = rng.normal(0.0, 0.10, 2)
    rim = rng.uniform(0.3, 0.5)
    return np.exp(rim * (x**2 + y**2 - 0.5) + tilt[0] * x + tilt[1] * y).astype(np.float32)


@dataclass(frozen=True)
class Deformation:
    """A smooth map from the space of a subject to that of the template or phantom.

    Args:
        matrix: linear part `(3, 3)`.
        shift: translation in mm `(3,)`.
        control: displacements in mm `(3, n, n, n)` on a grid of control points round the origin.
    """

    matrix: FloatArray
    shift: FloatArray
    control: FloatArray

    def __call__(self, points: FloatArray) -> FloatArray:
        """Map positions.

        Args:
            points: positions of the subject in mm `(3, ...)`.

        Returns:
            Positions in the template or phantom in mm `(3, ...)`.
        """
        index = (points + np.float32(_EXTENT_MM)) / np.float32(_CONTROL_MM)
        bend = np.stack([ndimage.map_coordinates(c, index, order=1, mode="nearest") for c in self.control])
        shift = self.shift.reshape(3, *(1,) * (points.ndim - 1))
        return np.tensordot(self.matrix, points, axes=1) + shift + bend


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    return matrix


def random_deformation(rng: np.random.Generator, *, bend_mm: float = 2.0) -> Deformation:
    """Draw size, pose and shape of a subject.

    The displacement stays far below the distance over which it varies (its gradient is about 0.1), hence the map does
    not fold.

    Args:
        rng: source of randomness.
        bend_mm: standard deviation of the smooth displacement in mm along each axis.

    Returns:
        The deformation.
    """
    scale = np.diag(1.0 + rng.normal(0.0, 0.035, 3))
    angles = rng.normal(0.0, 1.0, 3) * np.deg2rad([4.0, 3.0, 4.0])
    matrix = _rotation(angles) @ scale
    points = int(2 * _EXTENT_MM / _CONTROL_MM) + 1
    control = np.stack([bend_mm * smooth_noise(rng, (points,) * 3, _BEND_WIDTH_MM / _CONTROL_MM) for _ in range(3)])
    shift = rng.normal(0.0, 2.0, 3)
    return Deformation(matrix.astype(np.float32), shift.astype(np.float32), control.astype(np.float32))
