"""Find the input files and tell what they are."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from recon_monai.data.prepare.volumes import NIFTI_SUFFIXES

__all__ = ["KINDS", "expand_inputs", "find_kind", "is_dicom"]

KINDS = ("volumes", "dicom", "images", "raw")

_NUMPY_SUFFIXES = (".npy", ".npz")
_SUFFIXES = (*NIFTI_SUFFIXES, *_NUMPY_SUFFIXES)
_OTHER_ARRAYS = (".mat", ".h5", ".hdf5", ".cfl", ".dat")
_PREAMBLE = 128  # bytes before the mark of a DICOM file (DICOM PS3.10, section 7.1)
_INDEX = "DICOMDIR"


def is_dicom(path: Path) -> bool:
    """Whether a file carries the mark of DICOM files; their names say nothing."""
    with path.open("rb") as file:
        file.seek(_PREAMBLE)
        return file.read(4) == b"DICM"


def expand_inputs(inputs: Sequence[str | Path], kind: str = "auto") -> list[Path]:
    """Files named by paths, folders and glob patterns, sorted within each.

    Args:
        inputs: files, folders and patterns such as `data/sub-*_T1w.nii.gz`. A folder stands for the NIfTI and numpy
            files in it; one without these, and every folder if the kind is `dicom`, for the DICOM files anywhere below.
        kind: one of `KINDS` or `auto`.

    Returns:
        Files without repetition.

    Raises:
        FileNotFoundError: if an input matches no file.
        ValueError: if nothing was given.
    """
    if not inputs:
        raise ValueError("no input was given; name files, folders or patterns, for example data/sub-*_T1w.nii.gz")
    found: dict[Path, None] = {}
    for entry in map(str, inputs):
        files = sorted(_matches(entry, kind))
        if not files:
            kinds = "DICOM" if kind == "dicom" else f"{', '.join(_SUFFIXES)} or DICOM"
            raise FileNotFoundError(f"{entry}: no such file, or no {kinds} file in that folder")
        found.update(dict.fromkeys(files))
    return list(found)


def _matches(entry: str, kind: str) -> Iterator[Path]:
    path = Path(entry).expanduser()
    if path.is_dir():
        yield from _in_folder(path, kind)
    elif path.exists():
        yield path
    else:
        for found in map(Path, glob.glob(str(path), recursive=True)):  # noqa: PTH207
            if found.is_file():
                yield found
            elif kind == "dicom":
                yield from _in_folder(found, kind)


def _in_folder(folder: Path, kind: str) -> list[Path]:
    known = [p for p in folder.iterdir() if p.name.endswith(_SUFFIXES)]
    if kind == "dicom" or (kind == "auto" and not known):
        return [p for p in folder.rglob("*") if p.is_file() and p.name != _INDEX and is_dicom(p)]
    return known


def find_kind(paths: Sequence[Path]) -> str:
    """Kind of the inputs: `volumes` (NIfTI), `dicom`, `images` (real numpy arrays) or `raw` (a complex `.npy` array).

    Args:
        paths: input files.

    Returns:
        One of `KINDS`.

    Raises:
        ValueError: if a file is of no known kind or the kinds are mixed.
    """
    kinds = {path: _kind_of(path) for path in paths}
    if len(set(kinds.values())) > 1:
        examples = {kind: path for path, kind in kinds.items()}
        listed = ", ".join(f"{path} ({kind})" for kind, path in sorted(examples.items()))
        raise ValueError(f"the inputs are of different kinds: {listed}; prepare one kind at a time")
    return kinds[paths[0]]


def _kind_of(path: Path) -> str:
    if path.name.endswith(NIFTI_SUFFIXES):
        return "volumes"
    if path.suffix == ".npz":
        return "images"
    if path.suffix == ".npy":
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise ValueError(f"{path}: cannot be read as a numpy file of plain arrays ({error})") from error
        return "raw" if np.iscomplexobj(array) else "images"
    if is_dicom(path):
        return "dicom"
    hint = "; read the array with its own tools and save it with numpy.save" if path.suffix in _OTHER_ARRAYS else ""
    raise ValueError(f"{path}: unknown kind of file, expected {', '.join(_SUFFIXES)} or DICOM{hint}")
