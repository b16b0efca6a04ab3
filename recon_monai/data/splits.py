"""Which files belong to training, validation and test.

A data set folder holds ``split.json`` (written by :func:`write_split`, or file by file by `recon-monai prepare`), or is
a fastMRI tree with folders whose names end in ``train``, ``val`` or ``test``, or a tree of the paired layout
(``train/kspace`` beside ``train/image``). A single file or a flat folder serves for inference.
"""

from __future__ import annotations

import json
import math
import numbers
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from recon_monai.data.fastmri.paired import nominal_acceleration
from recon_monai.data.folders import data_files, part_folders
from recon_monai.data.writers import atomic_path
from recon_monai.physics import keyed_seed

__all__ = [
    "SPLITS",
    "SPLIT_FILE",
    "Assignment",
    "SplitError",
    "assign_subjects",
    "read_assignment",
    "read_split",
    "write_assignment",
    "write_split",
]

SPLITS = ("train", "val", "test")
SPLIT_FILE = "split.json"

# part of the split by file name, and subject by file name
Assignment = tuple[dict[str, str], dict[str, str]]

_SHOWN = 10


class SplitError(ValueError):
    """A data set folder does not say, or says wrongly, which files belong to a split."""


def read_split(dataset_dir: str | Path | Sequence[str | Path], split: str) -> list[Path]:
    """Files of one split of a data set.

    Args:
        dataset_dir: a folder with ``split.json``; or a fastMRI tree (folders whose names end in ``train``, ``val``,
            ``test``, or such a folder itself; in the paired layout these hold ``kspace`` and ``image``, or ``acc4`` and
            ``acc8`` with them, and ``leaderboard`` is the test part); for ``split="all"`` also a single ``.h5`` file
            or a flat folder. Or a list of these, all of which have to hold the split.
        split: ``"train"``, ``"val"``, ``"test"`` or ``"all"``.

    Returns:
        The files, folder by folder, in the order of ``split.json``, else sorted; never empty.

    Raises:
        SplitError: if a folder, the split or listed files are missing, if the split is empty, if a listed name
            leaves its folder, if a file or subject is in two splits, or if two files have the same name (which only
            those in different folders ``acc4``, ``acc8`` of the paired layout may).
    """
    if split not in (*SPLITS, "all"):
        raise SplitError(f"split is {split!r}, expected one of {[*SPLITS, 'all']}")
    given = [dataset_dir] if isinstance(dataset_dir, str | Path) else dataset_dir
    if not isinstance(given, Sequence) or not given or not all(isinstance(root, str | Path) for root in given):
        raise SplitError(f"dataset_dir is {dataset_dir!r}, expected a folder or a list of folders")
    files = [file for root in given for file in _files_of_root(Path(root), split)]
    names: dict[tuple[str, int | None], Path] = {}
    twice = []
    for path in files:
        # volumes are told apart by file name and acceleration, which in the paired layout the folder may say
        other = names.setdefault((path.name, nominal_acceleration(path)), path)
        if other is not path:
            twice.append(f"{path.name} ({other.parent} and {path.parent})")
    if twice:
        raise SplitError(
            f"{', '.join(map(str, given))}: several files of the split {split!r} are called {_some(twice)}; "
            "results are kept by file name, so give one folder (for example only the multicoil one) or rename the files"
        )
    return files


def _files_of_root(root: Path, split: str) -> list[Path]:
    if not root.exists():
        raise SplitError(f"{root} does not exist; give a folder of fastMRI .h5 files as dataset_dir")
    if root.is_file():
        if split == "all":
            return [root]
        raise SplitError(f"{root} is a single file and has no split {split!r}; give the folder of the data set")
    files = _listed_files(root, split) if (root / SPLIT_FILE).exists() else _folder_files(root, split)
    if not files:
        raise SplitError(f"{root}: the split {split!r} holds no .h5 file; add files to it or choose another split")
    return files


def write_split(
    dataset_dir: str | Path,
    subjects: Mapping[str, str],
    fractions: Sequence[float] = (0.7, 0.15, 0.15),
    seed: int = 0,
) -> Path:
    """Split the files of a folder by subject and write ``split.json``.

    All files of a subject go to the same part, see :func:`assign_subjects`; each part with a positive fraction gets at
    least one subject.

    Args:
        dataset_dir: the folder; ``split.json`` in it is replaced.
        subjects: subject of each file name (relative to the folder).
        fractions: parts of the subjects for training, validation and test; they sum to 1.
        seed: another seed gives another split.

    Returns:
        The path of ``split.json``.

    Raises:
        SplitError: if the fractions are no partition, a name leaves the folder, or there are fewer subjects than
            parts with a positive fraction.
    """
    root = Path(dataset_dir)
    places = assign_subjects(list(subjects.values()), {}, fractions, seed=seed)
    needed = sum(fraction > 0 for fraction in fractions)
    if len(places) < needed:
        raise SplitError(f"{root}: {len(places)} subjects for {needed} parts; add subjects or set fractions to 0")
    parts = {file: places[subject] for file, subject in subjects.items()}
    return write_assignment(root, (parts, dict(subjects)), seed=seed)


def assign_subjects(
    new: Sequence[str], existing: Mapping[str, str], fractions: Sequence[float], *, seed: int
) -> dict[str, str]:
    """Give every new subject a part of the split.

    Subjects are taken in the order of a hash of seed and name; each goes to the part that lacks most to its fraction
    of all subjects so far (to the earlier of train, val, test if equal). A part with a positive fraction that is still
    empty then gets the last new subject of the largest part, as long as that one keeps another. The result depends
    neither on the order of `new` nor on the machine.

    Args:
        new: names of subjects; those in `existing` keep their place.
        existing: part by subject.
        fractions: share of the subjects for training, validation and test; they sum to 1.
        seed: another seed gives another split.

    Returns:
        Part by subject for all of `new`.

    Raises:
        SplitError: if the fractions are no partition or the seed is not an integer.
    """
    _check_fractions(fractions)
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral):
        raise SplitError(f"seed is {seed!r}, expected an integer, for example 0")
    placed = dict(existing)
    added = sorted(set(new) - set(existing), key=lambda name: (keyed_seed("split", seed, name), name))
    for subject in added:
        held = Counter(placed.values())
        # rounded, so that equal deficits tie on every machine
        lacks = [round(f * (len(placed) + 1) - held[part], 9) for f, part in zip(fractions, SPLITS, strict=True)]
        placed[subject] = SPLITS[lacks.index(max(lacks))]
    _fill_empty_parts(placed, added, fractions)
    return {subject: placed[subject] for subject in new}


def _fill_empty_parts(placed: dict[str, str], added: Sequence[str], fractions: Sequence[float]) -> None:
    for part, fraction in zip(SPLITS, fractions, strict=True):
        held = Counter(placed.values())
        if fraction == 0 or held[part]:
            continue
        # the earlier part if two are equally large
        sizes = [(held[other], other) for other in SPLITS if held[other] > 1]
        movable = [
            [subject for subject in added if placed[subject] == other]
            for _, other in sorted(sizes, key=lambda size: -size[0])
        ]
        for subjects in movable:
            if subjects:
                placed[subjects[-1]] = part
                break


def _check_fractions(fractions: Sequence[float]) -> None:
    given = list(fractions) if isinstance(fractions, Sequence) and not isinstance(fractions, str) else []
    known = all(isinstance(f, numbers.Real) and not isinstance(f, bool) and math.isfinite(f) for f in given)
    if len(given) != len(SPLITS) or not known or min(given) < 0 or abs(sum(given) - 1) > 1e-6:
        shown = ",".join(map(str, given)) or repr(fractions)
        raise SplitError(
            f"fractions are {shown}, expected three numbers >= 0 (train, val, test) with sum 1, "
            "for example 0.7,0.15,0.15"
        )


def read_assignment(folder: Path) -> Assignment:
    """Part and subject of every file listed in a folder's split file; empty if there is none.

    Args:
        folder: the data set's folder.

    Returns:
        Parts by file name and subjects by file name.

    Raises:
        SplitError: if the file exists but is not a split file with a subject for every file.
    """
    path = folder / SPLIT_FILE
    if not path.exists():
        return {}, {}
    content = _read_content(folder)
    parts = {name: part for part in SPLITS for name in content.get(part, [])}
    listed = content.get("subjects", {})
    without = [name for name in parts if name not in listed]
    if without:
        raise SplitError(
            f'{path}: "subjects" gives no subject for {_some(without)}, so it cannot be extended; '
            "add them, or write to another folder"
        )
    return parts, {name: str(listed[name]) for name in parts}


def write_assignment(folder: Path, assignment: Assignment, *, seed: int) -> Path:
    """Write a folder's split file.

    Args:
        folder: the data set's folder.
        assignment: parts and subjects by file name.
        seed: recorded in the file.

    Returns:
        Path of the split file.

    Raises:
        SplitError: if a name leaves the folder or a subject would be in two parts.
    """
    parts, subjects = assignment
    home: dict[str, str] = {}
    for name, part in sorted(parts.items()):
        _check_inside(folder, name)
        if home.setdefault(subjects[name], part) != part:
            raise SplitError(
                f"{folder / SPLIT_FILE}: subject {subjects[name]} would be in {home[subjects[name]]!r} and {part!r} "
                f"({name}); write to another folder, use another --subject or --prefix"
            )
    content: dict[str, Any] = {split: sorted(n for n, part in parts.items() if part == split) for split in SPLITS}
    content |= {"subjects": dict(sorted(subjects.items())), "seed": seed}
    with atomic_path(folder / SPLIT_FILE) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return folder / SPLIT_FILE


def _listed_files(root: Path, split: str) -> list[Path]:
    content = _read_content(root)
    wanted = SPLITS if split == "all" else (split,)
    files = [root / name for part in wanted for name in content.get(part, [])]
    missing = [path.relative_to(root).as_posix() for path in files if not path.is_file()]
    if missing:
        raise SplitError(
            f"{root / SPLIT_FILE}: {len(missing)} of {len(files)} files of the split {split!r} do not exist: "
            f"{_some(missing)}; restore them or prepare the data set again"
        )
    return files


def _read_content(root: Path) -> dict[str, Any]:
    path = root / SPLIT_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SplitError(f"{path} cannot be read as JSON ({error}); write it again") from error
    if not isinstance(content, dict) or not all(_is_list_of_names(content.get(split, [])) for split in SPLITS):
        raise SplitError(f'{path}: expected {{"train": [file names], "val": [...], "test": [...]}}')
    for split in SPLITS:
        for name in content.get(split, []):
            _check_inside(root, name)
    _check_disjoint(path, content)
    return content


def _is_list_of_names(part: Any) -> bool:
    return isinstance(part, list) and all(isinstance(name, str) for name in part)


def _check_disjoint(path: Path, content: Mapping[str, Any]) -> None:
    """No file twice, no subject in two parts: either would make validation and test meaningless."""
    subjects = content.get("subjects", {})
    if not isinstance(subjects, dict):
        raise SplitError(f'{path}: "subjects" is no mapping of file names to subjects')
    part_of_subject: dict[str, str] = {}
    seen: set[str] = set()
    for split in SPLITS:
        for name in content.get(split, []):
            if name in seen:
                raise SplitError(f"{path}: {name} is listed twice; list each file once")
            seen.add(name)
            subject = str(subjects.get(name, f"file {name}"))
            other = part_of_subject.setdefault(subject, split)
            if other != split:
                raise SplitError(f"{path}: subject {subject} is in {other!r} and {split!r} ({name}); keep it in one")


def _check_inside(root: Path, name: str) -> None:
    windows = PureWindowsPath(name)
    leaves = PurePosixPath(name).is_absolute() or bool(windows.anchor) or ".." in windows.parts
    if leaves or not windows.parts:
        raise SplitError(f"{root / SPLIT_FILE}: the file name {name!r} leaves the folder; use names relative to it")


def _folder_files(root: Path, split: str) -> list[Path]:
    wanted = SPLITS if split == "all" else (split,)
    folders = sorted({folder for part in wanted for folder in part_folders(root, part)})
    if not folders and split == "all":
        folders = [root]
    if not folders:
        raise SplitError(
            f"{root} holds neither {SPLIT_FILE} nor a folder whose name ends in {split!r} (like multicoil_{split}); "
            "prepare the data set first, or give the fastMRI folder as dataset_dir"
        )
    return [file for folder in folders for file in data_files(folder)]


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + rest
