"""Evaluation: classical baselines, tables."""

from __future__ import annotations

from recon_monai.evaluation.baselines import CGSense, calibration_maps, espirit_maps, tune_cg_sense, zero_filled
from recon_monai.evaluation.cg_sense import CGSensed, tune_on_validation
from recon_monai.evaluation.evaluation_table import EvaluationTable

__all__ = [
    "CGSense",
    "CGSensed",
    "EvaluationTable",
    "calibration_maps",
    "espirit_maps",
    "tune_cg_sense",
    "tune_on_validation",
    "zero_filled",
]
