"""Ignite handlers for runs, and for slices that belong to volumes: metrics, tables, pictures, files."""

from __future__ import annotations

from recon_monai.handlers.adversarial_curves import AdversarialCurves
from recon_monai.handlers.anatomy_record import AnatomyRecord
from recon_monai.handlers.augmentation_record import AugmentationRecord
from recon_monai.handlers.checkpoint import TrainingCheckpoint
from recon_monai.handlers.confusion import ConfusionReport
from recon_monai.handlers.curves import CurveWriter
from recon_monai.handlers.decisions import ClassificationMetrics
from recon_monai.handlers.domain_check import DomainCheck
from recon_monai.handlers.effective_batch import EffectiveBatchScheduler
from recon_monai.handlers.epoch import EpochNotifier
from recon_monai.handlers.feature_statistics import FeatureStatistics
from recon_monai.handlers.held_out import HeldOutMetrics
from recon_monai.handlers.hyper_parameters import HyperParameters
from recon_monai.handlers.image_panels import ImagePanels
from recon_monai.handlers.new_anatomy import NewAnatomyOutput
from recon_monai.handlers.plateau import PlateauLearningRate
from recon_monai.handlers.progress import TrainingProgress
from recon_monai.handlers.reconstruction_saver import ReconstructionSaver
from recon_monai.handlers.record import RunRecord
from recon_monai.handlers.stop_signals import Interrupted, StopSignals
from recon_monai.handlers.training_curves import TrainingCurves, learned_weights
from recon_monai.handlers.validation import FinalValidation, InitialValidation, validation_due
from recon_monai.handlers.volume_domain_check import VolumeDomainCheck
from recon_monai.handlers.volume_metrics import VolumeMetrics
from recon_monai.handlers.volume_panels import VolumePanels
from recon_monai.handlers.volumes import CollectedVolume, MeasuringHandler, VolumeCollector, VolumeHandler, VolumeKey
from recon_monai.handlers.whole_volumes import SuperResolutionMetrics, WholeVolumeHandler

__all__ = [
    "AdversarialCurves",
    "AnatomyRecord",
    "AugmentationRecord",
    "ClassificationMetrics",
    "CollectedVolume",
    "ConfusionReport",
    "CurveWriter",
    "DomainCheck",
    "EffectiveBatchScheduler",
    "EpochNotifier",
    "FeatureStatistics",
    "FinalValidation",
    "HeldOutMetrics",
    "HyperParameters",
    "ImagePanels",
    "InitialValidation",
    "Interrupted",
    "MeasuringHandler",
    "NewAnatomyOutput",
    "PlateauLearningRate",
    "ReconstructionSaver",
    "RunRecord",
    "StopSignals",
    "SuperResolutionMetrics",
    "TrainingCheckpoint",
    "TrainingCurves",
    "TrainingProgress",
    "VolumeCollector",
    "VolumeDomainCheck",
    "VolumeHandler",
    "VolumeKey",
    "VolumeMetrics",
    "VolumePanels",
    "WholeVolumeHandler",
    "learned_weights",
    "validation_due",
]
