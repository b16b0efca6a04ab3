"""Image quality metrics, each with one stated convention.

Functions take one volume, ``ssim(prediction=..., target=..., data_range=None)``; classes are MONAI metrics.
"""

from __future__ import annotations

from recon_monai.metrics.foreground import (
    DEFAULT_FOREGROUND_FRACTION,
    FOREGROUND_THRESHOLDS,
    ForegroundSSIMResult,
    foreground_mask,
    foreground_ssim,
    foreground_ssim_result,
    foreground_threshold,
)
from recon_monai.metrics.functional import nmse, nrmse, psnr, ssim, ssim_per_slice
from recon_monai.metrics.missing_band import MissingBand, missing_band
from recon_monai.metrics.quality_3d import QUALITY_CONVENTION, quality_3d, quality_convention, sharpness
from recon_monai.metrics.segmentation import SEGMENTATION_CONVENTION, segmentation_measures, segmentation_pitfalls
from recon_monai.metrics.ssim_map import SSIM_CONVENTION, SSIM_WINDOW, ssim_map
from recon_monai.metrics.volume import (
    ForegroundSSIM,
    VolumeMetric,
    VolumeNMSE,
    VolumeNRMSE,
    VolumePSNR,
    VolumeSSIM,
)

__all__ = [
    "DEFAULT_FOREGROUND_FRACTION",
    "FOREGROUND_THRESHOLDS",
    "QUALITY_CONVENTION",
    "SEGMENTATION_CONVENTION",
    "SSIM_CONVENTION",
    "SSIM_WINDOW",
    "ForegroundSSIM",
    "ForegroundSSIMResult",
    "MissingBand",
    "VolumeMetric",
    "VolumeNMSE",
    "VolumeNRMSE",
    "VolumePSNR",
    "VolumeSSIM",
    "foreground_mask",
    "foreground_ssim",
    "foreground_ssim_result",
    "foreground_threshold",
    "missing_band",
    "nmse",
    "nrmse",
    "psnr",
    "quality_3d",
    "quality_convention",
    "segmentation_measures",
    "segmentation_pitfalls",
    "sharpness",
    "ssim",
    "ssim_map",
    "ssim_per_slice",
]
