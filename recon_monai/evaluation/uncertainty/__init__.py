"""Uncertainty of a reconstruction: its spread over simulated acquisitions, and how well that predicts its error."""

from __future__ import annotations

from recon_monai.evaluation.uncertainty.calibration import (
    CALIBRATION_CONVENTION,
    Calibration,
    CalibrationCurve,
    calibration,
    calibration_curve,
    coverage,
    rank_correlation,
)
from recon_monai.evaluation.uncertainty.calibration_figure import calibration_figure
from recon_monai.evaluation.uncertainty.mask import mask_bootstrap
from recon_monai.evaluation.uncertainty.noise import noise_bootstrap
from recon_monai.evaluation.uncertainty.noise_level import NoiseEstimate, estimate_noise
from recon_monai.evaluation.uncertainty.replicas import Spread
from recon_monai.evaluation.uncertainty.volumes import estimate_volume_noise, volume_noise_bootstrap

__all__ = [
    "CALIBRATION_CONVENTION",
    "Calibration",
    "CalibrationCurve",
    "NoiseEstimate",
    "Spread",
    "calibration",
    "calibration_curve",
    "calibration_figure",
    "coverage",
    "estimate_noise",
    "estimate_volume_noise",
    "mask_bootstrap",
    "noise_bootstrap",
    "rank_correlation",
    "volume_noise_bootstrap",
]
