"""NIfTI volumes, DICOM series, magnitude images and raw arrays into fastMRI files.

A new kind of input is one more reader that gives `Source` objects.
"""

from __future__ import annotations

from recon_monai.data.prepare.acquisition import Acquisition, Source
from recon_monai.data.prepare.dicom_series import DicomSeries, find_series, read_series, stack_slices
from recon_monai.data.prepare.inputs import KINDS, expand_inputs, find_kind
from recon_monai.data.prepare.measured_coils import MeasuredCoils, measure_coils
from recon_monai.data.prepare.naming import Naming
from recon_monai.data.prepare.processing import RawProcessing
from recon_monai.data.prepare.raw import RawSettings, read_kspace, read_raw
from recon_monai.data.prepare.simulate import ImageVolume, SimulationSettings, simulate_acquisition
from recon_monai.data.prepare.sources import dicom_sources, image_sources, raw_sources, volume_sources
from recon_monai.data.prepare.volumes import PLANES, read_volume
from recon_monai.data.prepare.write import Description, PrepareSummary, write_sources

__all__ = [
    "KINDS",
    "PLANES",
    "Acquisition",
    "Description",
    "DicomSeries",
    "ImageVolume",
    "MeasuredCoils",
    "Naming",
    "PrepareSummary",
    "RawProcessing",
    "RawSettings",
    "SimulationSettings",
    "Source",
    "dicom_sources",
    "expand_inputs",
    "find_kind",
    "find_series",
    "image_sources",
    "measure_coils",
    "raw_sources",
    "read_kspace",
    "read_raw",
    "read_series",
    "read_volume",
    "simulate_acquisition",
    "stack_slices",
    "volume_sources",
    "write_sources",
]
