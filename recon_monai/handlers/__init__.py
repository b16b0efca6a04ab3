"""Ignite handlers for runs, and for slices that belong to volumes: metrics, tables, pictures, files."""

from __future__ import annotations

from recon_monai.handlers.epoch import EpochNotifier
from recon_monai.handlers.image_panels import ImagePanels
from recon_monai.handlers.progress import TrainingProgress
from recon_monai.handlers.reconstruction_saver import ReconstructionSaver
from recon_monai.handlers.record import RunRecord
from recon_monai.handlers.volume_metrics import VolumeMetrics
from recon_monai.handlers.volumes import CollectedVolume, MeasuringHandler, VolumeCollector, VolumeHandler, VolumeKey

__all__ = [
    "CollectedVolume",
    "EpochNotifier",
    "ImagePanels",
    "MeasuringHandler",
    "ReconstructionSaver",
    "RunRecord",
    "TrainingProgress",
    "VolumeCollector",
    "VolumeHandler",
    "VolumeKey",
    "VolumeMetrics",
]
