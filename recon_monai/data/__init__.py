"""Files to tensors and back: fastMRI HDF5, ISMRMRD headers, splits, NIfTI and DICOM volumes, the built-in sets.

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
from recon_monai.data.volumes import (
    VOLUME_SPLITS,
    InputVolume,
    VolumeBatchSampler,
    VolumeCache,
    VolumeDataset,
    VolumeError,
    VolumeFacts,
    VolumeInput,
    VolumeSource,
    VolumeVisit,
    choose_volumes,
    contrast_of,
    find_inputs,
    find_volumes,
    grid_of,
    load_volume,
    split_subjects,
    volume_facts,
    write_volume,
)
from recon_monai.data.writers import (
    FastMRIWriter,
    atomic_path,
    write_fastmri_h5,
    write_nifti,
    write_reconstruction_h5,
)
from recon_monai.optional import require

if TYPE_CHECKING:
    from recon_monai.data.demo import (
        DemoRecipe,
        DemoVolumeRecipe,
        built_in_dataset,
        ensure_demo_scans,
        ensure_demo_volumes,
    )

__all__ = [
    "DEFAULT_ANATOMY_RULES",
    "SPLITS",
    "SPLIT_FILE",
    "VOLUME_SPLITS",
    "AcquisitionHeader",
    "AnatomyRule",
    "CheckLevel",
    "CheckReport",
    "DemoRecipe",
    "DemoVolumeRecipe",
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
    "VolumeBatchSampler",
    "VolumeCache",
    "VolumeDataset",
    "VolumeError",
    "VolumeFacts",
    "VolumeInput",
    "VolumeSampler",
    "VolumeSource",
    "VolumeVisit",
    "anatomies_of",
    "atomic_path",
    "built_in_dataset",
    "cache_dir",
    "check_files",
    "check_splits",
    "choose_volumes",
    "contrast_of",
    "describe_files",
    "ensure_demo_scans",
    "ensure_demo_volumes",
    "find_anatomy",
    "find_inputs",
    "find_volumes",
    "grid_of",
    "image_sources",
    "is_sampled",
    "load_volume",
    "only_anatomy",
    "parse_anatomy_rules",
    "raw_sources",
    "read_raw",
    "read_split",
    "read_volume",
    "split_subjects",
    "start_worker",
    "volume_facts",
    "volume_sources",
    "write_fastmri_h5",
    "write_nifti",
    "write_reconstruction_h5",
    "write_sources",
    "write_split",
    "write_volume",
]


def __getattr__(name: str) -> Any:
    """Import what draws the built-in sets only when asked for: it needs SciPy, which reading and writing do not."""
    if name in ("DemoRecipe", "DemoVolumeRecipe", "built_in_dataset", "ensure_demo_scans", "ensure_demo_volumes"):
        require("scipy.ndimage", extra="demo")
        from recon_monai.data import demo

        return getattr(demo, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
