"""Volumes as they come from a site: NIfTI files and DICOM series, in the order of their own voxels."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from recon_monai.data.prepare import DicomSeries, expand_inputs, find_kind, find_series, stack_slices
from recon_monai.data.prepare.volumes import nifti_values, open_nifti, volume_stem
from recon_monai.physics import Grid

__all__ = ["InputVolume", "VolumeInput", "contrast_of", "find_inputs", "read_dicom", "read_nifti"]

_CONTRASTS = (  # the first that is found counts: a FLAIR may well call itself T2 too
    ("FLAIR", r"flair|tirm"),
    ("T2star", r"t2\s?\*|t2[-_ ]?star|t2starw"),
    ("SWI", r"swi"),
    ("PD", r"pdw?|proton"),
    ("T1", r"t1w?|mp2?rage|spgr|bravo"),
    ("T2", r"t2w?|inplanet2"),
)
_PLANE = "(?:ax|cor|sag)?"  # AXT1, as fastMRI has it
_LENGTHS_OK = ("mm", "unknown")
_SCANNER, _ALIGNED = 1, 2  # codes of NIfTI for what an affine leads to

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class InputVolume:
    """A volume that was read.

    Args:
        name: for files made of it; says nothing of the patient for DICOM.
        values: float32 ``(D, H, W)`` in the order of the file: the NIfTI array's, or DICOM's ``(column, row, slice)``.
        grid: where the voxels lie.
        contrast: such as ``"T1"``; None if nothing says it.
        space: code of NIfTI for what the affine leads to.
        notes: what a user should know about the file.
    """

    name: str
    values: torch.Tensor
    grid: Grid
    contrast: str | None
    space: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class VolumeInput:
    """A volume that can be read.

    Args:
        name: see `InputVolume`.
        place: of the file or series, for messages.
        kind: ``"NIfTI"`` or ``"DICOM"``.
        path: the NIfTI file.
        frame: which volume of a 4-D file.
        series: the DICOM series.
    """

    name: str
    place: str
    kind: str
    path: Path | None = None
    frame: int | None = None
    series: DicomSeries | None = None

    def read(self) -> InputVolume:
        """Read the volume.

        Returns:
            The volume; nothing is reoriented.

        Raises:
            ValueError: if it cannot be read, or its header has no usable affine; names the file.
        """
        if self.series is not None:
            return read_dicom(self.series)
        assert self.path is not None  # a source is of one kind or the other
        return read_nifti(self.path, self.frame)


def find_inputs(
    inputs: str | Path | Sequence[str | Path], *, frame: int | None = None, series: str | None = None
) -> list[VolumeInput]:
    """NIfTI files and DICOM series among inputs; of DICOM all headers are read and checked.

    Args:
        inputs: files, folders or patterns. A folder stands for the NIfTI files in it, one without these for the DICOM
            files anywhere below.
        frame: which volume of 4-D files, or image of each position of a DICOM series.
        series: regular expression that the description of a DICOM series has to match.

    Returns:
        The volumes, in the order of the inputs.

    Raises:
        FileNotFoundError: if an input matches no file.
        ImportError: if pydicom is needed and missing.
        ValueError: if a file is neither, a DICOM series is no volume, or two volumes have one name.
    """
    entries = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    files: list[Path] = []
    slices: list[Path] = []
    for path in expand_inputs(entries):
        kind = find_kind([path])
        if kind not in ("volumes", "dicom"):
            raise ValueError(f"{path}: holds {kind}, expected a NIfTI file or the files of a DICOM series")
        (files if kind == "volumes" else slices).append(path)
    sources = [VolumeInput(volume_stem(path), str(path), "NIfTI", path=path, frame=frame) for path in files]
    if slices:
        found = find_series(slices, frame=frame, series=series)
        sources += [VolumeInput(one.name, str(one.folder), "DICOM", series=one) for one in found]
    places: dict[str, str] = {}
    for source in sources:
        other = places.setdefault(source.name, source.place)
        if other != source.place:
            raise ValueError(
                f"{source.place} and {other} have one name, {source.name}, by which results are called; give them one "
                "at a time, with folders of their own for the results"
            )
    return sources


def contrast_of(text: str) -> str | None:
    """The contrast that a file name or a series' description speaks of.

    Args:
        text: for example ``sub-01_T1w`` or ``Ax T2 FLAIR``.

    Returns:
        ``"T1"``, ``"T2"``, ``"FLAIR"``, ``"PD"``, ``"T2star"`` or ``"SWI"``; None if it speaks of none.
    """
    for name, pattern in _CONTRASTS:
        if re.search(rf"(?<![a-zA-Z0-9]){_PLANE}(?:{pattern})(?![a-zA-Z0-9])", text, re.IGNORECASE):
            return name
    return None


def read_nifti(path: Path, frame: int | None = None) -> InputVolume:
    """Read a NIfTI file by nibabel.

    Args:
        path: the file.
        frame: which volume of a 4-D file.

    Returns:
        The volume, in the order of the file.

    Raises:
        ValueError: if it is no volume of real numbers, or its header has no usable affine.
    """
    image = open_nifti(path, frame=frame)
    header = image.header
    notes = []
    codes = [int(header[f"{form}_code"]) for form in ("sform", "qform") if f"{form}_code" in header]
    space = next((code for code in codes if code > 0), 0)
    if space == 0:
        notes.append("the header does not say how the volume lies in space; only its voxel sizes are taken from it")
    unit = header.get_xyzt_units()[0] if hasattr(header, "get_xyzt_units") else "unknown"
    if unit not in _LENGTHS_OK:
        notes.append(f"the header gives lengths in {unit}; they are taken for mm")
    name = volume_stem(path)
    grid = _grid(str(path), image.shape, np.asarray(image.affine, np.float64))
    values = torch.from_numpy(np.ascontiguousarray(nifti_values(image, path)))
    return InputVolume(name, values, grid, contrast_of(name), space or _ALIGNED, tuple(notes))


def read_dicom(series: DicomSeries) -> InputVolume:
    """Stack a DICOM series.

    Args:
        series: the series.

    Returns:
        The volume: columns, rows, slices in the order of their positions, as ITK has it.

    Raises:
        ValueError: if it is no volume, or its geometry cannot be used.
    """
    # columns first, as every converter of DICOM to NIfTI has it
    values = torch.from_numpy(np.ascontiguousarray(stack_slices(series).transpose(2, 1, 0)))
    affine = series.affine[:, [2, 1, 0, 3]]
    grid = _grid(str(series.folder), values.shape, affine)
    return InputVolume(series.name, values, grid, contrast_of(series.description), _SCANNER)


def _grid(place: str, shape: Sequence[int], affine: np.ndarray) -> Grid:
    try:
        return Grid((int(shape[0]), int(shape[1]), int(shape[2])), torch.from_numpy(affine.copy()))
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
