"""SSIM of the foreground, by the mask of the SNU fastMRI challenge.

Mask of a slice: ``target > threshold``, then with a 3x3 square eroded once, dilated 15 times and eroded 14 times, which
drops specks, closes holes up to 28 pixels wide and leaves the outline where it was. Pixels outside the image never
erode the mask (OpenCV's default border, scipy's ``border_value=1``).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from recon_monai.metrics.functional import Volume, checked_volumes, resolve_data_range
from recon_monai.metrics.ssim_map import SSIM_WINDOW, ssim_map

__all__ = [
    "DEFAULT_FOREGROUND_FRACTION",
    "FOREGROUND_THRESHOLDS",
    "ForegroundSSIMResult",
    "foreground_mask",
    "foreground_ssim",
    "foreground_ssim_result",
    "foreground_threshold",
]

FOREGROUND_THRESHOLDS: Mapping[str, Mapping[str, float]] = {"snu": {"brain": 5e-5, "knee": 2e-5}}
"""Absolute thresholds per preset and anatomy, in the units of that challenge's files; they mean nothing elsewhere."""

DEFAULT_FOREGROUND_FRACTION = 0.05
"""Threshold of the default preset, as a fraction of the maximum of the target volume."""

Region = Literal["masked_image", "inside_mask"]
_ERODE_FIRST, _DILATE, _ERODE_LAST = 1, 15, 14
_BORDER = SSIM_WINDOW // 2

logger = logging.getLogger(__name__)


class ForegroundSSIMResult(NamedTuple):
    """A foreground SSIM and what it was computed with.

    Attributes:
        value: mean over the slices that have a mask; NaN if none has.
        threshold: the absolute threshold used, in the units of the target.
        per_slice: float64 ``(slices,)``; NaN where the mask is empty.
        num_empty: how many slices have an empty mask.
    """

    value: float
    threshold: float
    per_slice: np.ndarray
    num_empty: int


def foreground_threshold(
    *,
    target: Volume,
    anatomy: str | None = None,
    preset: str = "relative",
    fraction: float | Mapping[str, float] = DEFAULT_FOREGROUND_FRACTION,
) -> float:
    """The absolute threshold for a volume.

    Args:
        target: real ``(slices, H, W)``.
        anatomy: ``"brain"``, ``"knee"``, ...; needed by absolute presets and by a ``fraction`` per anatomy.
        preset: ``"relative"``, a fraction of the maximum of the volume, or a key of ``FOREGROUND_THRESHOLDS``.
        fraction: for ``"relative"``: one fraction, or one per anatomy with ``"default"`` for the others.

    Returns:
        The threshold, in the units of the target.

    Raises:
        ValueError: if preset or anatomy is unknown, or a fraction is not in ``[0, 1)``.
    """
    if preset == "relative":
        share = _look_up(fraction, anatomy, "fraction") if isinstance(fraction, Mapping) else fraction
        if not 0 <= share < 1:
            raise ValueError(f"the foreground fraction must be in [0, 1), got {share}")
        return share * float(torch.as_tensor(target).max())
    if preset not in FOREGROUND_THRESHOLDS:
        raise ValueError(f"unknown preset {preset!r}; use 'relative' or one of {sorted(FOREGROUND_THRESHOLDS)}")
    return _look_up(FOREGROUND_THRESHOLDS[preset], anatomy, f"preset {preset!r}")


def foreground_mask(target: Volume, threshold: float) -> Tensor:
    """The foreground of every slice.

    Args:
        target: real ``(slices, H, W)``.
        threshold: absolute, in the units of the target.

    Returns:
        bool ``(slices, H, W)``.

    Raises:
        ValueError: if the target is not a volume.
        TypeError: if the target is complex.
    """
    volume, _ = checked_volumes(target, target)
    mask = (volume > threshold).to(torch.float32)[:, None]
    mask = _erode(_dilate(_erode(mask, _ERODE_FIRST), _DILATE), _ERODE_LAST)
    return mask[:, 0] > 0.5


def foreground_ssim(
    *,
    prediction: Volume,
    target: Volume,
    threshold: float | None = None,
    region: Region = "masked_image",
    data_range: float | None = None,
    anatomy: str | None = None,
    preset: str = "relative",
    fraction: float | Mapping[str, float] = DEFAULT_FOREGROUND_FRACTION,
) -> float:
    """SSIM (uniform window 7, sample covariance, data range = volume maximum) of the foreground of a volume.

    Args:
        prediction: real ``(slices, H, W)``.
        target: real, same shape.
        threshold: absolute threshold of the mask; None takes it from ``preset``, ``anatomy`` and ``fraction``.
        region: ``"masked_image"`` compares both images with the background set to zero, over the whole SSIM map, so
            that the background counts as nearly 1 (challenge of 2025); ``"inside_mask"`` averages the SSIM map of the
            images as they are over the positions inside the mask.
        data_range: intensity range; None takes the maximum of the target volume.
        anatomy: see ``foreground_threshold``.
        preset: see ``foreground_threshold``.
        fraction: see ``foreground_threshold``.

    Returns:
        Mean over the slices that have a mask; NaN (never 1) if none has. The threshold used is logged; use
        ``foreground_ssim_result`` to get it, the values per slice and the number of slices without a mask.

    Raises:
        ValueError: if shapes differ, an image is smaller than 7 pixels, or an option is unknown.
        TypeError: if a volume is complex.
    """
    if threshold is None:
        threshold = foreground_threshold(target=target, anatomy=anatomy, preset=preset, fraction=fraction)
    return foreground_ssim_result(
        prediction=prediction, target=target, threshold=threshold, region=region, data_range=data_range
    ).value


def foreground_ssim_result(
    *,
    prediction: Volume,
    target: Volume,
    threshold: float,
    region: Region = "masked_image",
    data_range: float | None = None,
) -> ForegroundSSIMResult:
    """As ``foreground_ssim``, with the threshold, the values per slice and the number of empty masks.

    Args:
        prediction: real ``(slices, H, W)``.
        target: real, same shape.
        threshold: absolute threshold of the mask, in the units of the target.
        region: see ``foreground_ssim``.
        data_range: intensity range; None takes the maximum of the target volume.

    Returns:
        The value and what it was computed with.

    Raises:
        ValueError: if shapes differ, an image is smaller than 7 pixels, or the region is unknown.
        TypeError: if a volume is complex.
    """
    if region not in ("masked_image", "inside_mask"):
        raise ValueError(f"region must be 'masked_image' or 'inside_mask', got {region!r}")
    predicted, wanted = checked_volumes(prediction, target)
    scale = wanted.new_tensor(resolve_data_range(wanted, data_range))
    mask = foreground_mask(wanted, threshold)
    per_slice = np.array(
        [_slice_ssim(*images, scale, region) for images in zip(predicted, wanted, mask, strict=True)], dtype=np.float64
    )
    num_empty = int((~mask.flatten(1).any(dim=1)).sum())
    defined = per_slice[~np.isnan(per_slice)]
    value = float(defined.mean()) if defined.size else float("nan")
    logger.info(
        "foreground SSIM %.5f: threshold %.4g, region %s, %d of %d slices without a mask",
        value,
        threshold,
        region,
        num_empty,
        len(per_slice),
    )
    return ForegroundSSIMResult(value, float(threshold), per_slice, num_empty)


def _slice_ssim(prediction: Tensor, target: Tensor, mask: Tensor, scale: Tensor, region: Region) -> float:
    inside = mask[_BORDER:-_BORDER, _BORDER:-_BORDER]  # positions of the SSIM map are centers of whole windows
    if not bool(mask.any()):
        return float("nan")
    if region == "masked_image":
        zero = torch.zeros_like(target)
        prediction, target = torch.where(mask, prediction, zero), torch.where(mask, target, zero)
        return float(ssim_map(prediction[None, None], target[None, None], scale).mean())
    values = ssim_map(prediction[None, None], target[None, None], scale)[0, 0][inside]
    return float(values.mean()) if values.numel() else float("nan")


def _dilate(mask: Tensor, times: int) -> Tensor:
    """Dilate by a 3x3 square ``times`` times, which is one (separable) square of ``2 * times + 1``; pads with -inf."""
    size = 2 * times + 1
    mask = functional.max_pool2d(mask, (size, 1), stride=1, padding=(times, 0))
    return functional.max_pool2d(mask, (1, size), stride=1, padding=(0, times))


def _erode(mask: Tensor, times: int) -> Tensor:
    return -_dilate(-mask, times)


def _look_up(values: Mapping[str, float], anatomy: str | None, what: str) -> float:
    for name in (anatomy, "default"):
        if name is not None and name in values:
            return values[name]
    known = sorted(values)
    raise ValueError(f"the foreground {what} knows {known}, got anatomy {anatomy!r}; add it or pass threshold=")
