"""Which volumes lie in a folder, and whose they are."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, get_args

from recon_monai.data.prepare.dicom_frames import read_header
from recon_monai.data.prepare.volumes import NIFTI_SUFFIXES, volume_stem
from recon_monai.data.volumes.reading import VolumeError, dicom_files

__all__ = ["HCP_FILE", "VolumeLayout", "VolumeSource", "find_volumes"]

VolumeLayout = Literal["auto", "volumes", "paired", "hcp", "hcp_unprocessed"]

HCP_FILE = "T1w/T1w_acpc_dc_restore_brain.nii.gz"
_HCP = {"hcp": HCP_FILE, "hcp_unprocessed": "unprocessed/3T/T1w_MPR1/*_3T_T1w_MPR1.nii.gz"}
_BIDS_SUBJECT = re.compile(r"(?:^|[/_])(sub-[A-Za-z0-9]+)")
_LOW, _HIGH = "low", "high"


@dataclass(frozen=True)
class VolumeSource:
    """A volume in a data set.

    Args:
        name: tells it from the others: path relative to the folder, with forward slashes.
        subject: whose it is.
        path: NIfTI file, or folder of a DICOM series.
        low: the same at low resolution, where it was measured.
    """

    name: str
    subject: str
    path: Path
    low: Path | None = None


def find_volumes(
    folder: str | Path,
    layout: VolumeLayout = "auto",
    *,
    pattern: str | None = None,
    subject_pattern: str | None = None,
) -> list[VolumeSource]:
    """List the volumes of a folder, without reading them.

    * ``"volumes"``: all NIfTI files below the folder, and all folders that hold DICOM files, one series each.
    * ``"paired"``: the same in ``low/`` and ``high/``; both have the same names.
    * ``"hcp_unprocessed"``: ``<subject>/unprocessed/3T/T1w_MPR1/*_3T_T1w_MPR1.nii.gz``, the first T1-weighted scan of
      the Human Connectome Project as it was acquired, 256 x 320 x 320 voxels of 0.7 mm.
    * ``"hcp"``: ``<subject>/T1w/T1w_acpc_dc_restore_brain.nii.gz``, the same project's brain after preprocessing
      (Glasser et al. 2013, NeuroImage): aligned, that is interpolated, to 260 x 311 x 260 voxels.
    * ``"auto"``: paired if both folders are there, HCP if such files are there (the processed ones first), else all
      volumes.

    The subject is the BIDS entity ``sub-...`` of the path if there is one; else, of DICOM, a pseudonym of the patient
    (or study); else the name of the file.

    Args:
        folder: the data set, or a single NIfTI file.
        layout: how it is laid out.
        pattern: only volumes whose path relative to the folder (of a paired set: to ``high/``) matches, as in
            ``"*_T1w.nii.gz"``; ``*`` also stands for slashes.
        subject_pattern: regular expression found in that path, whose first group (or whole match) is the subject.

    Returns:
        The volumes, sorted by name; never empty.

    Raises:
        VolumeError: if there are none, a partner is missing, two have the same name, or an argument cannot be used.
    """
    root = Path(folder)
    if layout not in get_args(VolumeLayout):
        raise VolumeError(f"layout is {layout!r}, expected one of {get_args(VolumeLayout)}")
    if not root.exists():
        raise VolumeError(f"{root} does not exist, expected a folder of volumes or a NIfTI file")
    kind = _guess(root) if layout == "auto" else layout
    base = root / _HIGH if kind == "paired" else root.parent if root.is_file() else root
    if kind == "paired":
        _check_paired(root)
    paths = [root] if root.is_file() else sorted(root.glob(f"*/{_HCP[kind]}") if kind in _HCP else _volumes(base))
    chosen = [path for path in paths if pattern is None or fnmatchcase(_name(path, base), pattern)]
    if not chosen:
        raise VolumeError(_nothing(root, kind, len(paths), pattern))
    sources = []
    for path in chosen:
        name = _name(path, base)
        subject = name.split("/")[0] if kind in _HCP and not subject_pattern else _subject(path, name, subject_pattern)
        sources.append(VolumeSource(name, subject, path, root / _LOW / name if kind == "paired" else None))
    missing = [source.name for source in sources if source.low is not None and not source.low.exists()]
    if missing:
        raise VolumeError(
            f"{root / _LOW}: {len(missing)} of {len(sources)} volumes of {_HIGH}/ have no partner of the same name, "
            f"the first is {missing[0]}; add them, or leave them out by a pattern"
        )
    return sources


def _guess(root: Path) -> str:
    if root.is_file():
        return "volumes"
    if (root / _LOW).is_dir() and (root / _HIGH).is_dir():
        return "paired"
    found = (kind for kind, file in _HCP.items() if next(root.glob(f"*/{file}"), None) is not None)
    return next(found, "volumes")


def _check_paired(root: Path) -> None:
    for name in (_LOW, _HIGH):
        if not (root / name).is_dir():
            raise VolumeError(
                f"{root}: there is no folder {name}/, expected {_LOW}/ and {_HIGH}/ for the paired layout"
            )


def _volumes(root: Path) -> Iterator[Path]:
    """NIfTI files, and folders with DICOM files; links to folders are followed, names with a leading dot left out."""
    for place, folders, files in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        shown = [name for name in files if not name.startswith(".")]
        nifti = [name for name in shown if name.endswith(NIFTI_SUFFIXES)]
        yield from (Path(place, name) for name in nifti)
        if len(shown) > len(nifti) and dicom_files(Path(place)):
            yield Path(place)


def _name(path: Path, base: Path) -> str:
    name = path.relative_to(base).as_posix()
    return path.resolve().name if name == "." else name


def _subject(path: Path, name: str, pattern: str | None) -> str:
    if pattern is not None:
        try:
            found = re.search(pattern, name)
        except re.error as error:
            raise VolumeError(f"subject_pattern {pattern!r} is no regular expression ({error})") from error
        if found is None:
            raise VolumeError(f"{path}: subject_pattern {pattern!r} does not match {name!r}; widen it")
        return found.group(1) if found.groups() else found.group()
    bids = _BIDS_SUBJECT.search(name)
    if bids is not None:
        return bids.group(1)
    return read_header(dicom_files(path)[0]).patient if path.is_dir() else volume_stem(path)


def _nothing(root: Path, kind: str, found: int, pattern: str | None) -> str:
    if found:
        return f"{root}: none of {found} volumes matches the pattern {pattern!r}; loosen it"
    wanted = {layout: f"<subject>/{file}" for layout, file in _HCP.items()}
    wanted["paired"] = f"volumes in {_HIGH}/ and {_LOW}/"
    return f"{root}: holds no volume, expected {wanted.get(kind, '.nii, .nii.gz or DICOM files')}; check the folder"
