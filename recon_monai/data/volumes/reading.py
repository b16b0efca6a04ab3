"""One volume from a NIfTI file or a DICOM series, on the voxel axes of the file."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray

from recon_monai.data.prepare import DicomSeries, find_series
from recon_monai.data.prepare.inputs import is_dicom
from recon_monai.data.prepare.volumes import NIFTI_SUFFIXES, open_nifti, volume_stem
from recon_monai.data.volumes.inputs import InputVolume, contrast_of, read_dicom, read_nifti
from recon_monai.physics import Grid

__all__ = ["VolumeError", "VolumeFacts", "dicom_files", "grid_of", "load_volume", "volume_facts"]


class VolumeError(ValueError):
    """A volume cannot be read or used."""


class VolumeFacts(NamedTuple):
    """What headers say of a volume.

    Attributes:
        spacing: size of the voxels along the axes of the file in mm.
        contrast: see `InputVolume`.
        shape: number of voxels along these axes.
        anatomy: BodyPartExamined of a DICOM series in lower case; None where nothing says it.
    """

    spacing: tuple[float, float, float]
    contrast: str | None
    shape: tuple[int, int, int]
    anatomy: str | None = None


def load_volume(path: str | Path, *, frame: int | None = None, series: str | None = None) -> MetaTensor:
    """Read a volume with its geometry.

    NIfTI is read by nibabel, in the order of the file. Of DICOM, the axes are column, row and slice, as ITK has them,
    slices in the order of their positions. MONAI's ``LoadImage`` takes a 4-D file for channels, the first of several
    series, and slices at uneven distances for even ones, each without an error; here these are refused.

    Args:
        path: a ``.nii`` or ``.nii.gz`` file, a DICOM file, or a folder with the files of one DICOM series.
        frame: which volume of a 4-D file or of a series with several images at each position.
        series: regular expression that chooses a series by its description.

    Returns:
        Float32 ``(1, D, H, W)`` with ``affine`` (float64, RAS+) and the path as ``meta["filename_or_obj"]``.

    Raises:
        VolumeError: if it cannot be read, is no three-dimensional volume of real numbers, holds NaN or infinity, is
            constant, or its header holds no usable affine. The message names the file.
        ImportError: for DICOM, if pydicom is missing; the message holds the pip line.
    """
    path = Path(path)
    if not path.exists():
        raise VolumeError(f"{path} does not exist, expected a NIfTI file, a DICOM file or a folder with a DICOM series")
    try:
        is_series = path.is_dir() or not path.name.endswith(NIFTI_SUFFIXES)
        volume = _read_series(path, frame, series) if is_series else read_nifti(path, frame)
        _check_values(volume.values.numpy())
    except ValueError as error:
        named = str(error) if str(path) in str(error) else f"{path}: {error}"
        raise VolumeError(named) from error
    return MetaTensor(volume.values[None], affine=volume.grid.affine, meta={"filename_or_obj": str(path)})


def volume_facts(path: str | Path, *, frame: int | None = None, series: str | None = None) -> VolumeFacts:
    """What the headers of a volume say, without reading it.

    Args:
        path: see `load_volume`.
        frame: see `load_volume`.
        series: see `load_volume`.

    Returns:
        Spacing, contrast, shape and anatomy.

    Raises:
        VolumeError: if there is no volume, or its header cannot be used; names the file.
    """
    path = Path(path)
    if not path.exists():
        raise VolumeError(f"{path} does not exist, expected a NIfTI file, a DICOM file or a folder with a DICOM series")
    anatomy = None
    try:
        if path.is_dir() or not path.name.endswith(NIFTI_SUFFIXES):
            found = _one_series(path, frame, series)
            affine, contrast = found.affine[:, [2, 1, 0, 3]], contrast_of(found.description)
            shape = (found.frames[0].shape[1], found.frames[0].shape[0], len(found.frames))
            anatomy = found.body_part.strip().lower() or None
        else:
            image = open_nifti(path, frame=frame)
            affine, contrast = image.affine, contrast_of(volume_stem(path))
            shape = (int(image.shape[0]), int(image.shape[1]), int(image.shape[2]))
        spacing = Grid((1, 1, 1), torch.from_numpy(np.asarray(affine, np.float64).copy())).spacing
    except ValueError as error:
        raise VolumeError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    return VolumeFacts(spacing, contrast, shape, anatomy)


def grid_of(volume: MetaTensor) -> Grid:
    """Grid of a volume ``(C, D, H, W)``.

    Args:
        volume: with its affine.

    Returns:
        The grid of its last three dimensions.
    """
    depth, height, width = volume.shape[-3:]
    return Grid((depth, height, width), volume.affine)


def dicom_files(folder: Path) -> list[Path]:
    """DICOM files directly in a folder, sorted; names that start with a dot do not count.

    Args:
        folder: the folder.

    Returns:
        The files; empty if there are none.
    """
    names = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return sorted(path for path in names if path.name != "DICOMDIR" and is_dicom(path))


def _read_series(path: Path, frame: int | None, series: str | None) -> InputVolume:
    return read_dicom(_one_series(path, frame, series))


def _one_series(path: Path, frame: int | None, series: str | None) -> DicomSeries:
    files = dicom_files(path) if path.is_dir() else [path] if is_dicom(path) else []
    if not files:
        raise ValueError(f"{path}: holds no DICOM file, expected .nii, .nii.gz or DICOM; convert it first")
    found = find_series(files, frame=frame, series=series)
    if len(found) > 1:
        raise ValueError(
            f"{path}: holds {len(found)} DICOM series, expected one; put each into a folder of its own, or choose "
            "one by its description (series)"
        )
    return found[0]


def _check_values(values: NDArray[np.float32]) -> None:
    if values.size == 0:
        raise ValueError(f"has shape {values.shape}, expected voxels")
    if not np.isfinite(values.sum(dtype=np.float64)):
        bad = int((~np.isfinite(values)).sum())
        raise ValueError(f"holds NaN or infinity in {bad} voxels, expected numbers; correct the file or leave it out")
    if values.min() == values.max():
        raise ValueError(f"is {values.flat[0]:g} everywhere, expected an image; leave it out")
