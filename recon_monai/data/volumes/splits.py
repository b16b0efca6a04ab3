"""Which volumes belong to training, validation, evaluation and test."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recon_monai.data.splits import SPLIT_FILE, SplitError
from recon_monai.data.volumes.layout import VolumeSource
from recon_monai.physics import keyed_seed

__all__ = ["VOLUME_SPLITS", "choose_volumes", "split_subjects"]

VOLUME_SPLITS = ("train", "val", "evaluation", "test")

_FEW = 10  # subjects below which there is no evaluation part
_FEWEST = 3


def split_subjects(subjects: Iterable[str], seed: int = 0) -> dict[str, str]:
    """Give every subject a part of the split.

    From 10 subjects on, 10 % each (rounded down) go to test, evaluation and validation and the rest, 70 %, to training
    (Chen et al. 2018: 780, 111, 111 and 111 of 1113). Of 3 to 9 subjects one each goes to test and validation, the
    rest, about 80 %, to training, and evaluation has none. The order is that of a hash of seed and name: it depends
    neither on the order of the files nor on the machine, but adding subjects moves others; write a ``split.json`` to
    keep a split.

    Args:
        subjects: names; each counts once.
        seed: another seed gives another split.

    Returns:
        Part by subject.

    Raises:
        SplitError: with fewer than 3 subjects.
    """
    order = sorted(set(subjects), key=lambda name: (keyed_seed("volumes", seed, name), name))
    if len(order) < _FEWEST:
        raise SplitError(
            f"there are {len(order)} subjects ({', '.join(order)}), expected at least {_FEWEST} to split them; use "
            f"split 'all', or write {SPLIT_FILE}"
        )
    held = max(1, len(order) // 10)
    counts = {"test": held, "evaluation": held if len(order) >= _FEW else 0, "val": held}
    parts: dict[str, str] = {}
    for part, count in counts.items():
        first = len(parts)
        parts |= dict.fromkeys(order[first : first + count], part)
    return parts | dict.fromkeys(order[len(parts) :], "train")


def choose_volumes(
    folder: str | Path, sources: Sequence[VolumeSource], split: str, *, seed: int = 0, allow_empty: bool = False
) -> list[VolumeSource]:
    """Volumes of one part of the split.

    ``split.json`` in the folder decides if it is there: ``{"train": [...], "val": [...], "test": [...]}``, perhaps
    ``"evaluation"``, with names of volumes (relative paths) or of subjects, and perhaps ``"subjects"``, the subject by
    name of the volume; what it does not list is left out. Else `split_subjects` does.

    Args:
        folder: of the data set.
        sources: its volumes.
        split: one of `VOLUME_SPLITS`, or ``"all"``.
        seed: of `split_subjects`.
        allow_empty: return an empty list for a part that holds nothing, as one of several folders may.

    Returns:
        The volumes, in their order.

    Raises:
        SplitError: if the split is unknown or (unless allowed) empty, or ``split.json`` cannot be used: a subject in
            two parts, or names that are not there.
    """
    if split not in (*VOLUME_SPLITS, "all"):
        raise SplitError(f"split is {split!r}, expected one of {[*VOLUME_SPLITS, 'all']}")
    path = Path(folder) / SPLIT_FILE
    if path.is_file():
        content = _read(path)
        named = [replace(one, subject=str(content.get("subjects", {}).get(one.name, one.subject))) for one in sources]
        parts = _listed(path, content, named)
        chosen = [source for source in named if source.name in parts and split in ("all", parts[source.name])]
    elif split == "all":
        chosen = list(sources)
    else:
        by_subject = split_subjects((source.subject for source in sources), seed)
        chosen = [source for source in sources if by_subject[source.subject] == split]
    if not chosen and not allow_empty:
        raise SplitError(f"{folder}: the split {split!r} holds no volume; choose another, or write {SPLIT_FILE}")
    return chosen


def _listed(path: Path, content: dict[str, Any], sources: Sequence[VolumeSource]) -> dict[str, str]:
    """Part by name of the volume."""
    places: dict[str, str] = {}
    for part in VOLUME_SPLITS:
        for name in content.get(part, []):
            if places.setdefault(name, part) != part:
                raise SplitError(f"{path}: {name} is in {places[name]!r} and {part!r}; keep it in one")
    known = {name for source in sources for name in (source.name, source.subject)}
    # a pattern may have left volumes out that are listed
    places_of_files = (path.parent, path.parent / "high")
    missing = [
        name for name in places if name not in known and not any((place / name).exists() for place in places_of_files)
    ]
    if missing:
        raise SplitError(
            f"{path}: {len(missing)} of {len(places)} names are no volume or subject of the folder, the first is "
            f"{missing[0]}; restore the files or correct the names"
        )
    parts: dict[str, str] = {}
    by_subject: dict[str, set[str]] = {}
    for source in sources:
        found = {places[name] for name in (source.name, source.subject) if name in places}
        if found:
            held = by_subject.setdefault(source.subject, set())
            held |= found
            parts[source.name] = min(found)
            if len(held) > 1:
                raise SplitError(
                    f"{path}: subject {source.subject} is in {sorted(held)} ({source.name}); keep it in one part"
                )
    return parts


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SplitError(f"{path} cannot be read as JSON ({error}); write it again") from error
    lists = [content.get(part, []) for part in VOLUME_SPLITS] if isinstance(content, dict) else [None]
    known = all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists)
    if not known or not isinstance(content.get("subjects", {}), dict):
        raise SplitError(f'{path}: expected {{"train": [names], "val": [...], "test": [...]}}; write it again')
    return content
