"""Ignite engines, and what stands around them: batches, runs, the command line."""

from __future__ import annotations

from recon_monai.engines.batch import PrepareReconstructionBatch, ReconstructionInferer
from recon_monai.engines.command import begin_command
from recon_monai.engines.command_line import locate_bundle
from recon_monai.engines.domain import training_domain
from recon_monai.engines.memory import OutOfMemory
from recon_monai.engines.plan import plan_training
from recon_monai.engines.runs import find_weights, name_run
from recon_monai.engines.trainer import ReconstructionTrainer

__all__ = [
    "OutOfMemory",
    "PrepareReconstructionBatch",
    "ReconstructionInferer",
    "ReconstructionTrainer",
    "begin_command",
    "find_weights",
    "locate_bundle",
    "name_run",
    "plan_training",
    "training_domain",
]
