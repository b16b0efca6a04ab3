"""Evaluation: classical baselines, tables, consistency with the measured samples, downstream check, uncertainty."""

from __future__ import annotations

from recon_monai.evaluation.bootstrap import PairedGain, paired_gain
from recon_monai.evaluation.classical_methods import CLASSICAL_METHODS, ClassicalMethod, classical_method
from recon_monai.evaluation.classical_transforms import CGSensed, Classicald, L1Waveletd
from recon_monai.evaluation.comparison_maps import write_comparison_map
from recon_monai.evaluation.consistency import (
    KspaceResidual,
    coil_combination,
    kspace_residual,
    noise_ratio,
    with_phase,
)
from recon_monai.evaluation.downstream import downstream_check
from recon_monai.evaluation.evaluation_table import EvaluationTable
from recon_monai.evaluation.interpolation import (
    BASELINES,
    InterpolationBaselinesd,
    interpolate,
    interpolation_baselines,
)
from recon_monai.evaluation.null_space import NullSpaceError, null_space_error, null_space_part
from recon_monai.evaluation.super_resolution_table import SuperResolutionTable
from recon_monai.evaluation.tuning import tune, tune_cg_sense, tune_l1_wavelet
from recon_monai.evaluation.uncertainty import (
    Calibration,
    Spread,
    calibration,
    calibration_figure,
    estimate_noise,
    mask_bootstrap,
    noise_bootstrap,
    volume_noise_bootstrap,
)
from recon_monai.evaluation.validation_tuning import tune_on_validation
from recon_monai.solvers import CGSense, L1Wavelet, zero_filled
from recon_monai.solvers.coil_maps import calibration_maps, espirit_maps

__all__ = [
    "BASELINES",
    "CLASSICAL_METHODS",
    "CGSense",
    "CGSensed",
    "Calibration",
    "ClassicalMethod",
    "Classicald",
    "EvaluationTable",
    "InterpolationBaselinesd",
    "KspaceResidual",
    "L1Wavelet",
    "L1Waveletd",
    "NullSpaceError",
    "PairedGain",
    "Spread",
    "SuperResolutionTable",
    "calibration",
    "calibration_figure",
    "calibration_maps",
    "classical_method",
    "coil_combination",
    "downstream_check",
    "espirit_maps",
    "estimate_noise",
    "interpolate",
    "interpolation_baselines",
    "kspace_residual",
    "mask_bootstrap",
    "noise_bootstrap",
    "noise_ratio",
    "null_space_error",
    "null_space_part",
    "paired_gain",
    "tune",
    "tune_cg_sense",
    "tune_l1_wavelet",
    "tune_on_validation",
    "volume_noise_bootstrap",
    "with_phase",
    "write_comparison_map",
    "zero_filled",
]
