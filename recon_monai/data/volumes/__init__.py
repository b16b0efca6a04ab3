"""Volumes for super-resolution: NIfTI files and DICOM series, their splits and their cache."""

from __future__ import annotations

from recon_monai.data.volumes.cache import VolumeCache
from recon_monai.data.volumes.dataset import VolumeDataset
from recon_monai.data.volumes.inputs import InputVolume, VolumeInput, contrast_of, find_inputs
from recon_monai.data.volumes.layout import HCP_FILE, VolumeLayout, VolumeSource, find_volumes
from recon_monai.data.volumes.output import write_volume
from recon_monai.data.volumes.reading import VolumeError, VolumeFacts, grid_of, load_volume, volume_facts
from recon_monai.data.volumes.sampling import VolumeBatchSampler, VolumeVisit
from recon_monai.data.volumes.splits import VOLUME_SPLITS, choose_volumes, split_subjects

__all__ = [
    "HCP_FILE",
    "VOLUME_SPLITS",
    "InputVolume",
    "VolumeBatchSampler",
    "VolumeCache",
    "VolumeDataset",
    "VolumeError",
    "VolumeFacts",
    "VolumeInput",
    "VolumeLayout",
    "VolumeSource",
    "VolumeVisit",
    "choose_volumes",
    "contrast_of",
    "find_inputs",
    "find_volumes",
    "grid_of",
    "load_volume",
    "split_subjects",
    "volume_facts",
    "write_volume",
]
