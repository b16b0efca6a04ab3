"""Downstream check: does a simple segmentation find the same on a reconstruction as on its target?

One fixed segmentation, without training and with nothing to set, so that its numbers compare: smoothing, the foreground
by its lowest multi-Otsu threshold, division by the slow shading, and three classes of intensity by multi-Otsu (Otsu
1979; Liao et al. 2001), away from the rim of the foreground, whose voxels are half air. These are classes of intensity,
not tissues: the check says whether contrasts and outlines that a threshold can see survived, not whether a diagnosis
would.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recon_monai.metrics import SEGMENTATION_CONVENTION, segmentation_measures, segmentation_pitfalls
from recon_monai.metrics.functional import Volume, checked_volumes
from recon_monai.optional import require

__all__ = ["DOWNSTREAM_CONVENTION", "STRUCTURES", "downstream_check", "multi_otsu"]

Array = npt.NDArray[Any]

STRUCTURES = ("foreground", "dark", "middle", "bright")
"""What is segmented; the last three are classes of intensity within the first."""

_SMOOTH_MM = 1.0
_SHADING_MM = 30.0
_COVERED = 0.99  # by the foreground, under the Gaussian of the smoothing: 2.3 of its widths from a straight edge
_BINS = 128

DOWNSTREAM_CONVENTION = (
    f"Gaussian of {_SMOOTH_MM:g} mm; foreground above the lower of two multi-Otsu thresholds; divided by the mean of "
    f"the foreground under a Gaussian of {_SHADING_MM:g} mm; classes by two multi-Otsu thresholds, {_BINS} bins, where "
    f"the foreground covers {_COVERED:.0%} of the first Gaussian; target_thresholds = thresholds and shading of the "
    "target for both, own_thresholds = each its own"
)


class _Fit(NamedTuple):
    """What a segmentation learns from an image: the level of the foreground, shading, and the levels of classes."""

    foreground: float
    shading: Array
    classes: tuple[float, float]


def downstream_check(*, prediction: Volume, target: Volume, spacing: Sequence[float]) -> dict[str, Any]:
    """Segment a reconstruction and its target alike, and measure how well the segmentations agree.

    Twice, because the two variants answer different questions. With the thresholds (and the shading) of the target for
    both, a reconstruction whose intensities moved is wrong; that is what a method with fixed levels would meet. With
    thresholds found on each image itself a change of scale costs nothing, as in a method that adapts; a
    reconstruction may then hide an error that the first variant shows.

    Args:
        prediction: magnitudes, ``(slices, H, W)``.
        target: same shape and scale.
        spacing: size of a voxel along the three axes in mm.

    Returns:
        ``convention``; ``target_thresholds`` and ``own_thresholds``, each with `segmentation_measures` for each of
        `STRUCTURES`, numbers that do not exist being None; and ``pitfalls``, of the same form, with the sentences of
        `segmentation_pitfalls`. One slice is measured in its plane. In a stack the first and last slice count as
        surface, which makes distances there smaller.

    Raises:
        ValueError: if shapes differ, values are not finite or spacing is none, or an image is constant.
        ImportError: if SciPy is not installed.
    """
    images = [image.cpu().numpy() for image in checked_volumes(prediction, target)]
    steps = _check(images, spacing)
    smooth = [_gaussian(image, _SMOOTH_MM, steps) for image in images]
    fits = [_fit(image, name, steps) for image, name in zip(smooth, ("prediction", "target"), strict=True)]
    wanted = _segment(smooth[1], fits[1], steps)
    found = {
        "target_thresholds": _segment(smooth[0], fits[1], steps),
        "own_thresholds": _segment(smooth[0], fits[0], steps),
    }
    plane = steps if len(images[1]) > 1 else steps[1:]
    result: dict[str, Any] = {"convention": f"{DOWNSTREAM_CONVENTION}; {SEGMENTATION_CONVENTION}", "pitfalls": {}}
    for variant, masks in found.items():
        result[variant], result["pitfalls"][variant] = {}, {}
        for name in STRUCTURES:
            pair = (_plane(masks[name], plane), _plane(wanted[name], plane))
            measures = segmentation_measures(prediction=pair[0], target=pair[1], spacing=plane)
            result[variant][name] = {key: None if math.isnan(value) else value for key, value in measures.items()}
            result["pitfalls"][variant][name] = segmentation_pitfalls(measures, spacing=plane)
    return result


def multi_otsu(values: Array, *, bins: int = _BINS) -> tuple[float, float]:
    """The two thresholds between three classes of largest variance between the classes.

    All pairs of thresholds are tried (Liao, Chen and Chung 2001, J. Inf. Sci. Eng. 17, 713-727), as in scikit-image,
    whose thresholds these are; that is no dependency of this package, and ITK's filter takes long to load.

    Args:
        values: real, of any shape, not constant.
        bins: of the histogram between their least and largest, at least 3.

    Returns:
        Lower and upper threshold: centers of the last bins of the lower and the middle class, which hold them.

    Raises:
        ValueError: if there are fewer than three different levels.
    """
    counts, edges = np.histogram(values, bins) if values.size else (np.zeros(bins), np.zeros(bins + 1))
    if np.count_nonzero(counts) < 3:
        raise ValueError(
            f"the image has {np.count_nonzero(counts)} levels of intensity, expected at least 3 to make classes of"
        )
    centers = (edges[:-1] + edges[1:]) / 2
    weight = np.concatenate([[0], np.cumsum(counts)]) / counts.sum()
    moment = np.concatenate([[0], np.cumsum(counts * centers)]) / counts.sum()
    share, mean = weight[None] - weight[:, None], moment[None] - moment[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        between = np.where(share > 0, mean**2 / share, -np.inf)  # of the class of bins first ... last - 1
    best = max(
        itertools.combinations(range(1, bins), 2),
        key=lambda ends: between[0, ends[0]] + between[ends[0], ends[1]] + between[ends[1], bins],
    )
    return float(centers[best[0] - 1]), float(centers[best[1] - 1])


def _fit(smooth: Array, name: str, steps: list[float]) -> _Fit:
    try:
        level = multi_otsu(smooth)[0]
        inside = smooth > level
        shading = _shading(smooth, inside, steps)
        return _Fit(level, shading, multi_otsu((smooth / shading)[_interior(inside, steps)]))
    except ValueError as error:
        raise ValueError(f"the {name} cannot be segmented: {error}") from error


def _segment(smooth: Array, fit: _Fit, steps: list[float]) -> dict[str, Array]:
    inside = smooth > fit.foreground
    whole, flat = _interior(inside, steps), smooth / fit.shading
    low, high = fit.classes
    masks = (inside, whole & (flat <= low), whole & (flat > low) & (flat <= high), whole & (flat > high))
    return dict(zip(STRUCTURES, masks, strict=True))


def _interior(inside: Array, steps: list[float]) -> Array:
    return inside & (_gaussian(inside.astype(np.float64), _SMOOTH_MM, steps) > _COVERED)


def _shading(smooth: Array, inside: Array, steps: list[float]) -> Array:
    """Mean of the foreground nearby (normalized convolution), that of all of it where there is none nearby."""
    cover = _gaussian(inside.astype(np.float64), _SHADING_MM, steps)
    signal = _gaussian(smooth * inside, _SHADING_MM, steps)
    near = cover > 1e-3
    return np.where(near, signal / np.where(near, cover, 1), smooth[inside].mean())


def _gaussian(volume: Array, width_mm: float, steps: list[float]) -> Array:
    """In the planes only: between slices, which may be apart or few, nothing is mixed."""
    sigma = (0, *(width_mm / step for step in steps[1:]))
    return require("scipy.ndimage", extra="demo").gaussian_filter(volume, sigma, mode="nearest")


def _plane(mask: Array, spacing: Sequence[float]) -> Array:
    return mask if len(spacing) == mask.ndim else mask[0]


def _check(images: Sequence[Array], spacing: Sequence[float]) -> list[float]:
    steps = [float(step) for step in spacing]
    if len(steps) != 3 or not all(math.isfinite(step) and step > 0 for step in steps):
        raise ValueError(f"spacing is {list(spacing)}, expected 3 sizes of a voxel in mm")
    for image, name in zip(images, ("prediction", "target"), strict=True):
        if not np.isfinite(image).all():
            raise ValueError(f"the {name} holds NaN or infinity, expected finite intensities")
    return steps
