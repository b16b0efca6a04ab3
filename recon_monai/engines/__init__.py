"""Ignite engines, and what stands around them: batches, runs, the command line."""

from __future__ import annotations

from recon_monai.engines.batch import PrepareReconstructionBatch, ReconstructionInferer
from recon_monai.engines.command_line import locate_bundle
from recon_monai.engines.runs import find_weights
from recon_monai.engines.trainer import ReconstructionTrainer

__all__ = [
    "PrepareReconstructionBatch",
    "ReconstructionInferer",
    "ReconstructionTrainer",
    "find_weights",
    "locate_bundle",
]
