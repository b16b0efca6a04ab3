"""The files of k-space that are compared on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon_monai.data import FastMRISliceDataset, read_split
from recon_monai.data.splits import read_assignment
from recon_monai.evaluation.comparing.settings import ComparisonSettings

__all__ = ["DATA_NAMES", "UNREADABLE", "BadFile", "KspaceCase", "find_kspace"]

DATA_NAMES = {"simulated": "simulated", "measured": "raw"}
"""What a file says of its source, to the ``data`` of its rows."""

UNREADABLE = "unreadable"
"""The ``data`` of files that cannot be opened, of which nothing is known."""


@dataclass(frozen=True, eq=False)
class KspaceCase:
    """One file at one acceleration.

    Attributes:
        dataset: that reads its slices, without a transform.
        entries: of the data set, in the order of slices.
        subject: whose it is; empty if the data set does not say.
    """

    dataset: FastMRISliceDataset
    entries: tuple[dict[str, Any], ...]
    subject: str

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.entries[0]["path"])

    @property
    def source(self) -> str:
        """What the file says: simulated, measured or unknown."""
        return str(self.entries[0]["source"])

    @property
    def name(self) -> str:
        """For messages and the names of files."""
        nominal = self.entries[0].get("acceleration")
        return f"{self.path.stem}_{'own_mask' if nominal is None else f'{nominal}x'}"


@dataclass(frozen=True)
class BadFile:
    """A file that cannot be used.

    Attributes:
        path: the file.
        problem: why.
    """

    path: Path
    problem: str


def find_kspace(folder: Path, settings: ComparisonSettings) -> tuple[list[KspaceCase], list[BadFile]]:
    """The cases of a data set.

    Args:
        folder: of fastMRI files, or one file.
        settings: which part, how many, which accelerations.

    Returns:
        Cases and files that cannot be used.

    Raises:
        ValueError: if there is no file in the part, or none can be used.
    """
    split = "all" if folder.is_file() else settings.split
    files = read_split(folder, split)
    whole = _dataset(files, settings, skip_bad=True)
    chosen = _chosen(whole, settings.max_files)
    dataset = _dataset(chosen, settings, skip_bad=False)
    volumes: dict[tuple[str, Any], list[dict[str, Any]]] = {}
    for entry in dataset.data:
        volumes.setdefault((entry["path"], entry.get("acceleration")), []).append(entry)
    _, subjects = read_assignment(folder) if folder.is_dir() else ({}, {})
    cases = [
        KspaceCase(dataset, tuple(entries), subjects.get(Path(path).name, "")) for (path, _), entries in volumes.items()
    ]
    return cases, [BadFile(Path(path), problem) for path, problem in whole.problems.items()]


def _dataset(files: Sequence[Path], settings: ComparisonSettings, *, skip_bad: bool) -> FastMRISliceDataset:
    return FastMRISliceDataset(
        files,
        accelerations=settings.accelerations,
        file_mask=settings.file_mask,
        max_slices=settings.max_slices,
        skip_bad=skip_bad,
    )


def _chosen(dataset: FastMRISliceDataset, most: int | None) -> list[Path]:
    if most is None:
        return list(dataset.files)
    kinds = {entry["path"]: (entry["anatomy"], entry["acquisition"]) for entry in dataset.data}
    counts: Counter[tuple[str, str]] = Counter()
    chosen = []
    for path in dataset.files:
        kind = kinds[str(path)]
        counts[kind] += 1
        if counts[kind] <= most:
            chosen.append(path)
    return chosen
