"""Evaluation: classical baselines, tables."""

from __future__ import annotations

from recon_monai.evaluation.cg_sense import CGSense
from recon_monai.evaluation.classical_transforms import CGSensed, L1Waveletd
from recon_monai.evaluation.coil_maps import calibration_maps, espirit_maps
from recon_monai.evaluation.evaluation_table import EvaluationTable
from recon_monai.evaluation.l1_wavelet import L1Wavelet
from recon_monai.evaluation.tuning import tune_cg_sense, tune_l1_wavelet
from recon_monai.evaluation.validation_tuning import tune_on_validation
from recon_monai.evaluation.zero_filled import zero_filled

__all__ = [
    "CGSense",
    "CGSensed",
    "EvaluationTable",
    "L1Wavelet",
    "L1Waveletd",
    "calibration_maps",
    "espirit_maps",
    "tune_cg_sense",
    "tune_l1_wavelet",
    "tune_on_validation",
    "zero_filled",
]
