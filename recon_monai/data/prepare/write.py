"""Write sources as fastMRI files and extend the folder's split."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py

from recon_monai.data.prepare.acquisition import Source
from recon_monai.data.splits import SPLITS, assign_subjects, read_assignment, write_assignment
from recon_monai.data.writers import FastMRIWriter

__all__ = ["Description", "PrepareSummary", "write_sources"]

logger = logging.getLogger(__name__)

_ELSEWHERE = "other"


@dataclass(frozen=True)
class Description:
    """What is said about every file of a call.

    Args:
        anatomy: for example `brain`, `heart`, `phantom`.
        acquisition: contrast or protocol; fastMRI's names (`AXT1`, `AXT2`, `AXFLAIR`) where they fit.
        credit: public source of the data, kept as attribute `origin`.
    """

    anatomy: str
    acquisition: str
    credit: str


@dataclass(frozen=True)
class PrepareSummary:
    """What a call wrote.

    Args:
        folder: the data set.
        files: files written.
        num_slices: slices in them.
        subjects: number of subjects per part of the split, in the whole folder.
    """

    folder: Path
    files: list[Path]
    num_slices: int
    subjects: dict[str, int]


def write_sources(
    sources: Sequence[Source],
    folder: str | Path,
    description: Description,
    *,
    split: str | None = None,
    fractions: Sequence[float] = (0.7, 0.15, 0.15),
    seed: int = 0,
    overwrite: bool = False,
    log_level: int = logging.INFO,
) -> PrepareSummary:
    """Write one file per source and put their subjects into `split.json`.

    The split file is extended: subjects that it lists keep their part. New ones are shared out so that the fractions
    hold among the subjects of the same anatomy in the folder, or all go to `split`. Each file is listed as soon as it
    is complete, so that an interrupted call leaves a usable folder.

    Args:
        sources: what to write.
        folder: the data set's folder, made if needed.
        description: what is said about every file.
        split: `train`, `val` or `test` for all subjects of this call; None splits by fractions.
        fractions: share of the subjects for training, validation and test.
        seed: of the split.
        overwrite: replace files that exist.
        log_level: of the messages about each file and the summary.

    Returns:
        A summary, which is also logged.

    Raises:
        FileExistsError: if a file exists and `overwrite` is False; nothing is written then.
        ValueError: if two sources have the same name, `split` is unknown, or an input cannot be used.
    """
    folder = Path(folder)
    _check_names(sources, folder, overwrite)
    if split is not None and split not in SPLITS:
        raise ValueError(f"split is {split!r}, expected one of {', '.join(SPLITS)} or nothing to split by fractions")
    parts, subjects = read_assignment(folder)
    for source in sources:
        # a replaced file does not hold its old subject in place
        parts.pop(f"{source.name}.h5", None)
        subjects.pop(f"{source.name}.h5", None)
    places = _places(sources, folder, description, (parts, subjects), split, fractions, seed)
    files, num_slices = [], 0
    for number, source in enumerate(sources, start=1):
        path, count = _write(source, folder, description)
        parts[path.name], subjects[path.name] = places[source.subject], source.subject
        write_assignment(folder, (parts, subjects), seed=seed)
        logger.log(
            log_level, "[%d/%d] %s: %d slices -> %s", number, len(sources), path.name, count, places[source.subject]
        )
        files.append(path)
        num_slices += count
    totals = Counter({subjects[name]: part for name, part in parts.items()}.values())
    summary = PrepareSummary(folder, files, num_slices, {part: totals[part] for part in SPLITS})
    logger.log(
        log_level,
        "wrote %d files with %d slices to %s; subjects in the folder: %s",
        len(files),
        num_slices,
        folder.resolve(),
        ", ".join(f"{count} {part}" for part, count in summary.subjects.items()),
    )
    _warn_of_empty_parts(summary, log_level)
    return summary


def _warn_of_empty_parts(summary: PrepareSummary, log_level: int) -> None:
    """Say what the folder cannot be used for yet; a folder of test subjects only is meant to be one."""
    held = summary.subjects
    if log_level < logging.INFO or (held["test"] and not held["train"] and not held["val"]):
        return
    for part, use in (("val", "trained on (training measures on the validation part)"), ("test", "evaluated on")):
        if not held[part]:
            logger.warning(
                "%s: the %s part is empty, so the folder cannot be %s yet; prepare another subject into it with "
                "--split %s, or more subjects at a time",
                summary.folder.resolve(),
                part,
                use,
                part,
            )


def _check_names(sources: Sequence[Source], folder: Path, overwrite: bool) -> None:
    by_name: dict[str, Source] = {}
    for source in sources:
        other = by_name.setdefault(source.name, source)
        if other is not source:
            raise ValueError(
                f"{other.origin} and {source.origin} would both become {source.name}.h5; "
                "prepare them in separate calls with different --prefix"
            )
    existing = [name for name in by_name if (folder / f"{name}.h5").exists()]
    if existing and not overwrite:
        shown = ", ".join(f"{name}.h5" for name in existing[:5]) + (" ..." if len(existing) > 5 else "")
        raise FileExistsError(
            f"{folder}: {len(existing)} of {len(by_name)} files exist already ({shown}); "
            "replace them with --overwrite, or choose another --output or --prefix"
        )


def _places(
    sources: Sequence[Source],
    folder: Path,
    description: Description,
    assignment: tuple[dict[str, str], dict[str, str]],
    split: str | None,
    fractions: Sequence[float],
    seed: int,
) -> dict[str, str]:
    """Part of the split for the subject of every source."""
    parts, subjects = assignment
    held = {subjects[name]: part for name, part in parts.items()}
    wanted = [source.subject for source in sources]
    known = {subject: held[subject] for subject in wanted if subject in held}
    if split is not None:
        moved = [subject for subject, part in known.items() if part != split]
        if moved:
            raise ValueError(
                f"{folder}: {moved[0]} is in {known[moved[0]]!r} already and cannot be put into {split!r} as well; "
                "write to another folder or use another --subject or --prefix"
            )
        return dict.fromkeys(wanted, split)
    alike = {subjects[name]: part for name, part in parts.items() if _anatomy(folder / name) == description.anatomy}
    return assign_subjects(wanted, alike | known, fractions, seed=seed)


def _anatomy(path: Path) -> str:
    """Anatomy of a written file; a listed file that has gone counts for none."""
    if not path.exists():
        return _ELSEWHERE
    with h5py.File(path, "r") as file:
        return str(file.attrs.get("anatomy", _ELSEWHERE))


def _write(source: Source, folder: Path, description: Description) -> tuple[Path, int]:
    acquisition = source.load()
    attributes = {
        "acquisition": description.acquisition,
        "anatomy": description.anatomy,
        "patient_id": source.subject,
        "origin": description.credit,
        **acquisition.attributes,
    }
    path = folder / f"{source.name}.h5"
    with FastMRIWriter(path, mask=acquisition.mask, header=acquisition.header, attributes=attributes) as writer:
        for kspace, target in acquisition.slices:
            writer.append(kspace, target)
    return path, writer.num_slices
