"""The split file of a folder that grows: new subjects find a place, old ones keep theirs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from recon_monai.data.splits import SPLIT_FILE, SPLITS, SplitError
from recon_monai.data.writers import atomic_path
from recon_monai.physics import keyed_seed

__all__ = ["Assignment", "assign_subjects", "read_assignment", "write_assignment"]

# part of the split by file name, and subject by file name
Assignment = tuple[dict[str, str], dict[str, str]]


def read_assignment(folder: Path) -> Assignment:
    """Part and subject of every file listed in a folder's split file; empty if there is none.

    Args:
        folder: the data set's folder.

    Returns:
        Parts by file name and subjects by file name.

    Raises:
        SplitError: if the file exists but is not a split file with subjects.
    """
    path = folder / SPLIT_FILE
    if not path.exists():
        return {}, {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        parts = {name: part for part in SPLITS for name in content.get(part, [])}
        subjects = {name: str(content["subjects"][name]) for name in parts}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SplitError(f"{path}: not a split file with a subject for every file ({error!r}); move it away") from error
    return parts, subjects


def assign_subjects(
    new: Sequence[str], existing: Mapping[str, str], fractions: Sequence[float], *, seed: int
) -> dict[str, str]:
    """Give every new subject a part of the split.

    Subjects are taken in the order of a hash of seed and name; each goes to the part that lacks most to its fraction
    of all subjects so far (to the earlier of train, val, test if equal). The result depends neither on the order of
    `new` nor on the machine.

    Args:
        new: names of subjects; those in `existing` keep their place.
        existing: part by subject.
        fractions: share of the subjects for training, validation and test; they sum to 1.
        seed: another seed gives another split.

    Returns:
        Part by subject for all of `new`.

    Raises:
        SplitError: if the fractions are no partition.
    """
    if len(fractions) != len(SPLITS) or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise SplitError(f"fractions are {list(fractions)}, expected three numbers >= 0 (train, val, test) with sum 1")
    placed = dict(existing)
    for subject in sorted(set(new) - set(existing), key=lambda name: (keyed_seed("split", seed, name), name)):
        held = [sum(part == split for part in placed.values()) for split in SPLITS]
        # rounded, so that equal deficits tie on every machine
        lacks = [round(f * (len(placed) + 1) - h, 9) for f, h in zip(fractions, held, strict=True)]
        placed[subject] = SPLITS[lacks.index(max(lacks))]
    return {subject: placed[subject] for subject in new}


def write_assignment(folder: Path, assignment: Assignment, *, seed: int) -> Path:
    """Write a folder's split file.

    Args:
        folder: the data set's folder.
        assignment: parts and subjects by file name.
        seed: recorded in the file.

    Returns:
        Path of the split file.

    Raises:
        SplitError: if a subject would be in two parts.
    """
    parts, subjects = assignment
    home: dict[str, str] = {}
    for name, part in sorted(parts.items()):
        if home.setdefault(subjects[name], part) != part:
            raise SplitError(
                f"{folder / SPLIT_FILE}: subject {subjects[name]} would be in {home[subjects[name]]!r} and {part!r} "
                f"({name}); write to another folder, use another --subject or --prefix"
            )
    content: dict[str, object] = {split: sorted(n for n, part in parts.items() if part == split) for split in SPLITS}
    content |= {"subjects": dict(sorted(subjects.items())), "seed": seed}
    with atomic_path(folder / SPLIT_FILE) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return folder / SPLIT_FILE
