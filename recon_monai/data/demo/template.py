"""The anatomical template behind the built-in demo set: tissue maps and distances to the surfaces of brain and head."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from recon_monai.optional import require

__all__ = ["HeadTemplate", "load_template"]

FloatArray = NDArray[np.float32]

_COARSE_MM = 2.0
_PAD_MM = 60.0
_FACE_MM = 40.0
_CLOSING_MM = 24.0
_SCALP_MM = 12.5
# Ellipsoids (center, semi-axes) in mm that join the head: the face and the two temporal muscles.
_FACE = ((0.0, 42.0, -48.0), (56.0, 52.0, 44.0))
_TEMPLES = (((-60.0, 24.0, -28.0), (17.0, 36.0, 36.0)), ((60.0, 24.0, -28.0), (17.0, 36.0, 36.0)))


@dataclass(frozen=True)
class Volume:
    """A scalar field sampled on an axis-aligned grid.

    Args:
        values: array `(x, y, z)`, axes towards right, anterior and superior.
        origin: position of the first voxel in mm.
        spacing: size of a voxel in mm, the same along the three axes.
        outside: value of the field beyond the grid.
    """

    values: FloatArray
    origin: tuple[float, float, float]
    spacing: float
    outside: float

    def sample(self, points: FloatArray) -> FloatArray:
        """Interpolate linearly.

        Args:
            points: positions in mm `(3, ...)`.

        Returns:
            Values `(...)`.
        """
        origin = np.asarray(self.origin, dtype=np.float32).reshape(3, *(1,) * (points.ndim - 1))
        index = (points - origin) / np.float32(self.spacing)
        return ndimage.map_coordinates(self.values, index, order=1, mode="constant", cval=self.outside)


@dataclass(frozen=True)
class HeadTemplate:
    """ICBM152 2009a nonlinear symmetric template at 1 mm, with the surfaces of brain and head.

    Args:
        white: fraction of white matter, 0 to 1.
        gray: fraction of gray matter, 0 to 1.
        intensity: T1-weighted intensity of the brain without skull, 0 to 1.
        brain: signed distance to the smooth envelope of the brain in mm, negative inside.
        tissue: signed distance to the brain itself in mm, negative inside.
        head: signed distance to the surface of the head in mm, negative inside.
    """

    white: Volume
    gray: Volume
    intensity: Volume
    brain: Volume
    tissue: Volume
    head: Volume


def _signed_distance(inside: NDArray[np.bool_], smoothing: float = 1.5) -> FloatArray:
    outer = ndimage.distance_transform_edt(~inside)
    inner = ndimage.distance_transform_edt(inside)
    return ndimage.gaussian_filter(((outer - inner) * _COARSE_MM).astype(np.float32), smoothing)


def _ellipsoid(
    grid: tuple[NDArray[np.float64], ...], center: tuple[float, ...], axes: tuple[float, ...]
) -> NDArray[np.bool_]:
    x, y, z = ((g - c) / a for g, c, a in zip(grid, center, axes, strict=True))
    return x**2 + y**2 + z**2 <= 1.0


def _surfaces(mask: NDArray[np.bool_], origin: tuple[float, float, float]) -> list[Volume]:
    """Signed distances to brain envelope (a morphological closing of the brain), brain and head, on a coarse grid."""
    step, pad = int(_COARSE_MM), int(_PAD_MM / _COARSE_MM)
    coarse = np.pad(mask[::step, ::step, ::step], pad)
    near = ndimage.distance_transform_edt(~coarse) * _COARSE_MM < _CLOSING_MM
    envelope = ndimage.distance_transform_edt(near) * _COARSE_MM > _CLOSING_MM
    start = tuple(o - _PAD_MM for o in origin)
    grid = np.ix_(*(o + _COARSE_MM * np.arange(n) for o, n in zip(start, coarse.shape, strict=True)))
    brain = _signed_distance(envelope)
    head = brain < _SCALP_MM
    for center, axes in (_FACE, *_TEMPLES):
        head |= _ellipsoid(grid, center, axes)
    # The closing rounds off the notches where face, temples and skull meet.
    head_near = ndimage.distance_transform_edt(~head) * _COARSE_MM < _FACE_MM
    head = ndimage.distance_transform_edt(head_near) * _COARSE_MM > _FACE_MM
    place = (start[0], start[1], start[2])
    distances = (brain, _signed_distance(coarse, 0.7), _signed_distance(head))
    return [Volume(values, place, _COARSE_MM, _PAD_MM) for values in distances]


@lru_cache(maxsize=1)
def load_template() -> HeadTemplate:
    """Read the template that nilearn ships (no download) and derive the surfaces.

    The maps are those of V. Fonov et al., "Unbiased average age-appropriate atlases for pediatric studies", NeuroImage
    54(1), 2011, and "Unbiased nonlinear average age-appropriate brain templates from birth to adulthood", NeuroImage
    47, 2009, as packaged by nilearn.

    Returns:
        The template, computed once per process.

    Raises:
        ImportError: if nilearn is not installed; the message holds the pip line.
    """
    datasets = require("nilearn.datasets", extra="demo")
    loaders = (
        datasets.load_mni152_wm_template,
        datasets.load_mni152_gm_template,
        datasets.load_mni152_template,
    )
    images = [loader(resolution=1) for loader in loaders]
    affine = images[0].affine
    origin = (float(affine[0, 3]), float(affine[1, 3]), float(affine[2, 3]))
    white, gray, intensity = (np.asarray(image.dataobj, dtype=np.float32) for image in images)
    intensity = intensity / intensity.max()
    maps = [Volume(values, origin, 1.0, 0.0) for values in (white, gray, intensity)]
    return HeadTemplate(*maps, *_surfaces(intensity > 0, origin))
