"""Evaluation: classical baselines, tables."""

from __future__ import annotations

from recon_monai.evaluation.bootstrap import PairedGain, paired_gain
from recon_monai.evaluation.classical_methods import CLASSICAL_METHODS, ClassicalMethod, classical_method
from recon_monai.evaluation.classical_transforms import CGSensed, Classicald, L1Waveletd
from recon_monai.evaluation.evaluation_table import EvaluationTable
from recon_monai.evaluation.interpolation import (
    BASELINES,
    InterpolationBaselinesd,
    interpolate,
    interpolation_baselines,
)
from recon_monai.evaluation.super_resolution_table import SuperResolutionTable
from recon_monai.evaluation.tuning import tune, tune_cg_sense, tune_l1_wavelet
from recon_monai.evaluation.validation_tuning import tune_on_validation
from recon_monai.solvers import CGSense, L1Wavelet, zero_filled
from recon_monai.solvers.coil_maps import calibration_maps, espirit_maps

__all__ = [
    "BASELINES",
    "CLASSICAL_METHODS",
    "CGSense",
    "CGSensed",
    "ClassicalMethod",
    "Classicald",
    "EvaluationTable",
    "InterpolationBaselinesd",
    "L1Wavelet",
    "L1Waveletd",
    "PairedGain",
    "SuperResolutionTable",
    "calibration_maps",
    "classical_method",
    "espirit_maps",
    "interpolate",
    "interpolation_baselines",
    "paired_gain",
    "tune",
    "tune_cg_sense",
    "tune_l1_wavelet",
    "tune_on_validation",
    "zero_filled",
]
