"""Ignite engines, and what stands around them: batches, runs, the command line."""

from __future__ import annotations

from recon_monai.engines.adversarial import AdversarialState, WGANTrainer
from recon_monai.engines.batch import PrepareReconstructionBatch, ReconstructionInferer
from recon_monai.engines.classification import ClassificationInferer, ClassificationTrainer, PrepareAnatomyBatch
from recon_monai.engines.classifier_weights import classifier_varnet
from recon_monai.engines.command import begin_command
from recon_monai.engines.command_line import locate_bundle
from recon_monai.engines.distillation import DistillationTrainer
from recon_monai.engines.domain import training_domain
from recon_monai.engines.memory import OutOfMemory
from recon_monai.engines.new_anatomy import AnatomyAddition, check_only_added, joined_domain
from recon_monai.engines.optimizers import CosineRate, muon
from recon_monai.engines.plan import plan_training
from recon_monai.engines.runs import find_weights, name_run
from recon_monai.engines.self_supervision import KspaceInferer, SelfSupervisedTrainer, prepare_fine_tuning
from recon_monai.engines.stage_sequence import StageSequence
from recon_monai.engines.stages import TrainingStages
from recon_monai.engines.super_resolution import SuperResolution, SuperResolver, output_grid
from recon_monai.engines.super_resolution_domain import (
    differences_from_training,
    differences_of_preparation,
    read_domain,
    super_resolution_domain,
    uncompared_contrast,
    uncompared_resolution,
)
from recon_monai.engines.super_resolution_training import (
    check_recipes,
    check_volumes,
    epoch_length,
    prepare_features,
    prepare_generator,
    volume_domain,
)
from recon_monai.engines.trainer import ReconstructionTrainer
from recon_monai.engines.transfer import check_growth, prepare_transfer
from recon_monai.engines.universal import UniversalInferer
from recon_monai.engines.update_schedule import UpdateSchedule
from recon_monai.engines.volume_batch import PrepareVolumeBatch
from recon_monai.engines.volume_plan import plan_super_resolution

__all__ = [
    "AdversarialState",
    "AnatomyAddition",
    "ClassificationInferer",
    "ClassificationTrainer",
    "CosineRate",
    "DistillationTrainer",
    "KspaceInferer",
    "OutOfMemory",
    "PrepareAnatomyBatch",
    "PrepareReconstructionBatch",
    "PrepareVolumeBatch",
    "ReconstructionInferer",
    "ReconstructionTrainer",
    "SelfSupervisedTrainer",
    "StageSequence",
    "SuperResolution",
    "SuperResolver",
    "TrainingStages",
    "UniversalInferer",
    "UpdateSchedule",
    "WGANTrainer",
    "begin_command",
    "check_growth",
    "check_only_added",
    "check_recipes",
    "check_volumes",
    "classifier_varnet",
    "differences_from_training",
    "differences_of_preparation",
    "epoch_length",
    "find_weights",
    "joined_domain",
    "locate_bundle",
    "muon",
    "name_run",
    "output_grid",
    "plan_super_resolution",
    "plan_training",
    "prepare_features",
    "prepare_fine_tuning",
    "prepare_generator",
    "prepare_transfer",
    "read_domain",
    "super_resolution_domain",
    "training_domain",
    "uncompared_contrast",
    "uncompared_resolution",
    "volume_domain",
]
