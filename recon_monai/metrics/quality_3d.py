"""Quality of a super-resolved volume, as numbers on one scale with its high-resolution target."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from recon_monai.metrics.functional import Volume, checked_volumes, nrmse, psnr, ssim

__all__ = ["QUALITY_CONVENTION", "quality_3d", "quality_convention", "sharpness"]

QUALITY_CONVENTION = (
    "both clipped to [0, 1] on the scale of the target; SSIM uniform 7x7x7 window, sample covariance, "
    "k1 0.01, k2 0.03, data range 1; PSNR with peak 1; NRMSE = |error| / |target| (Euclidean); sharpness = gradient "
    "energy of the image over that of the target"
)


def quality_convention(block: int | None = None) -> str:
    """How quality was measured, for tables.

    Args:
        block: voxels along each axis of the middle of volumes, if only that was measured; None or -1: all of them.

    Returns:
        One line.
    """
    measured = "whole volumes" if block in (None, -1) else f"middle {block} voxels along each axis"
    return f"{measured}, {QUALITY_CONVENTION}"


def quality_3d(*, prediction: Volume, target: Volume) -> dict[str, float]:
    """SSIM, PSNR, NRMSE and sharpness of a volume, by ``QUALITY_CONVENTION``.

    The measures of mDCSRN (Chen et al. 2018, MICCAI), with the data range said instead of guessed from the type of the
    numbers, so that values are comparable between packages.

    Args:
        prediction: real ``(D, H, W)`` on the scale on which the target's robust maximum is 1.
        target: same shape and scale.

    Returns:
        ``ssim``, ``psnr`` (dB), ``nrmse`` and ``sharpness``; NaN where undefined.

    Raises:
        ValueError: if the shapes differ, are not 3-D or smaller than 7 voxels along an axis, or the prediction holds
            NaN, which clipping would let pass.
        TypeError: if a volume is complex.
    """
    predicted, wanted = checked_volumes(prediction, target)
    for name, volume in (("prediction", predicted), ("target", wanted)):
        if not bool(torch.isfinite(volume).all()):
            raise ValueError(f"the {name} holds NaN or infinity, expected finite intensities")
    predicted, wanted = predicted.clamp(0, 1), wanted.clamp(0, 1)
    return {
        "ssim": ssim(prediction=predicted, target=wanted, data_range=1.0, spatial_dims=3),
        "psnr": psnr(prediction=predicted, target=wanted, data_range=1.0),
        "nrmse": nrmse(prediction=predicted, target=wanted),
        "sharpness": sharpness(prediction=predicted, target=wanted),
    }


def sharpness(*, prediction: Volume, target: Volume, axes: Sequence[int] = (0, 1, 2)) -> float:
    """Gradient energy of a volume over that of its target: below 1 for a blurred one, above for a noisy one.

    Args:
        prediction: real ``(D, H, W)``.
        target: same shape.
        axes: along which neighbors are compared; ``(1, 2)`` for slices that were reconstructed one by one, where what
            differs between slices is anatomy and says nothing of sharpness.

    Returns:
        Ratio of the sums of squared differences between neighbors, all axes alike; NaN for a constant target.

    Raises:
        ValueError: if the shapes differ or are not 3-D, or an axis is none of 0, 1 and 2, or given twice.
        TypeError: if a volume is complex.
    """
    if not axes or len(set(axes)) != len(axes) or not set(axes) <= {0, 1, 2}:
        raise ValueError(f"axes is {list(axes)}, expected some of 0, 1 and 2, each once")
    found, wanted = (
        sum(float(volume.diff(dim=axis).square().sum()) for axis in axes)
        for volume in checked_volumes(prediction, target)
    )
    return found / wanted if wanted else math.nan
