"""Evaluation: classical baselines, tables."""

from __future__ import annotations

from recon_monai.evaluation.evaluation_table import EvaluationTable

__all__ = ["EvaluationTable"]
