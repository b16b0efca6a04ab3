"""Files to tensors and back: fastMRI HDF5, ISMRMRD headers, splits, NIfTI, the built-in set.

How other formats become fastMRI files is in :mod:`recon_monai.data.prepare`; its main names are exported here too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recon_monai.data.anatomy import (
    DEFAULT_ANATOMY_RULES,
    AnatomyRule,
    anatomies_of,
    find_anatomy,
    only_anatomy,
    parse_anatomy_rules,
)
from recon_monai.data.cache import cache_dir
from recon_monai.data.checks import CheckLevel, CheckReport, check_files, check_splits, describe_files
from recon_monai.data.dataset import FastMRISliceDataset
from recon_monai.data.fastmri import FastMRIFile, FastMRIFileError, FastMRIInfo, HandleCache
from recon_monai.data.header import AcquisitionHeader, EncodingLimits
from recon_monai.data.index import FileIndex, FileRecord
from recon_monai.data.prepare import (
    PrepareSummary,
    RawSettings,
    SimulationSettings,
    image_sources,
    raw_sources,
    read_raw,
    read_volume,
    volume_sources,
    write_sources,
)
from recon_monai.data.sampling import SliceBatchSampler, VolumeSampler, start_worker
from recon_monai.data.selection import FileFilter, is_sampled
from recon_monai.data.splits import SPLIT_FILE, SPLITS, SplitError, read_split, write_split
from recon_monai.data.volume_input import InputVolume, VolumeSource, contrast_of, find_volumes
from recon_monai.data.volume_output import write_volume
from recon_monai.data.writers import (
    FastMRIWriter,
    atomic_path,
    write_fastmri_h5,
    write_nifti,
    write_reconstruction_h5,
)
from recon_monai.optional import require

if TYPE_CHECKING:
    from recon_monai.data.demo import DemoRecipe, built_in_dataset

__all__ = [
    "DEFAULT_ANATOMY_RULES",
    "SPLITS",
    "SPLIT_FILE",
    "AcquisitionHeader",
    "AnatomyRule",
    "CheckLevel",
    "CheckReport",
    "DemoRecipe",
    "EncodingLimits",
    "FastMRIFile",
    "FastMRIFileError",
    "FastMRIInfo",
    "FastMRISliceDataset",
    "FastMRIWriter",
    "FileFilter",
    "FileIndex",
    "FileRecord",
    "HandleCache",
    "InputVolume",
    "PrepareSummary",
    "RawSettings",
    "SimulationSettings",
    "SliceBatchSampler",
    "SplitError",
    "VolumeSampler",
    "VolumeSource",
    "anatomies_of",
    "atomic_path",
    "built_in_dataset",
    "cache_dir",
    "check_files",
    "check_splits",
    "contrast_of",
    "describe_files",
    "find_anatomy",
    "find_volumes",
    "image_sources",
    "is_sampled",
    "only_anatomy",
    "parse_anatomy_rules",
    "raw_sources",
    "read_raw",
    "read_split",
    "read_volume",
    "start_worker",
    "volume_sources",
    "write_fastmri_h5",
    "write_nifti",
    "write_reconstruction_h5",
    "write_sources",
    "write_split",
    "write_volume",
]


def __getattr__(name: str) -> Any:
    """Import what draws the built-in set only when asked for: it needs SciPy, which reading and writing do not."""
    if name in ("DemoRecipe", "built_in_dataset"):
        require("scipy.ndimage", extra="demo")
        from recon_monai.data import demo

        return getattr(demo, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
