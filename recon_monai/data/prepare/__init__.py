"""NIfTI volumes, magnitude images and raw arrays into fastMRI files.

A new kind of input (DICOM, measured coil maps for the simulation) is one more reader that gives `Source` objects.
"""

from __future__ import annotations

from recon_monai.data.prepare.acquisition import Acquisition, Source
from recon_monai.data.prepare.raw import RawSettings, read_raw
from recon_monai.data.prepare.simulate import ImageVolume, SimulationSettings, simulate_acquisition
from recon_monai.data.prepare.sources import (
    KINDS,
    Naming,
    expand_inputs,
    find_kind,
    image_sources,
    raw_sources,
    volume_sources,
)
from recon_monai.data.prepare.volumes import PLANES, read_volume
from recon_monai.data.prepare.write import Description, PrepareSummary, write_sources

__all__ = [
    "KINDS",
    "PLANES",
    "Acquisition",
    "Description",
    "ImageVolume",
    "Naming",
    "PrepareSummary",
    "RawSettings",
    "SimulationSettings",
    "Source",
    "expand_inputs",
    "find_kind",
    "image_sources",
    "raw_sources",
    "read_raw",
    "read_volume",
    "simulate_acquisition",
    "volume_sources",
    "write_sources",
]
