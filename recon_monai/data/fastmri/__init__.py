"""Files in, slice by slice: HDF5 in the fastMRI layout, and in the paired layout ``kspace/`` + ``image/``."""

from __future__ import annotations

from recon_monai.data.fastmri.contents import check_contents, check_finite
from recon_monai.data.fastmri.file import FastMRIFile
from recon_monai.data.fastmri.handles import HandleCache
from recon_monai.data.fastmri.hdf5 import FastMRIFileError, HDF5File, stat_file
from recon_monai.data.fastmri.info import FastMRIInfo
from recon_monai.data.fastmri.paired import find_image_file, nominal_acceleration

__all__ = [
    "FastMRIFile",
    "FastMRIFileError",
    "FastMRIInfo",
    "HDF5File",
    "HandleCache",
    "check_contents",
    "check_finite",
    "find_image_file",
    "nominal_acceleration",
    "stat_file",
]
