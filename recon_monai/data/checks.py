"""Looking at all files before a run starts: what is there, and everything that is wrong with it, at once."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from recon_monai.data.fastmri import FastMRIFile, FastMRIFileError, FastMRIInfo, check_contents, stat_file
from recon_monai.data.index import FileIndex, FileRecord
from recon_monai.data.splits import read_split

__all__ = ["CheckLevel", "CheckReport", "check_files", "check_splits", "describe_files", "without_missing_targets"]

logger = logging.getLogger(__name__)

CheckLevel = Literal["headers", "full", "auto"]

_AUTO_BYTES = 4 * 2**30  # read in well under a minute from any local disk
_WORTH_SAYING = 500  # headers; opening so many files takes seconds
_SIZES_SHOWN = 3


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Attributes:
        infos: headers of the files that can be used, in the order given.
        problems: for each of the others one sentence that names the file, what was found, what was expected and what
            to do.
        read: the files of `infos` whose values were all read and found right, now or earlier.
    """

    infos: dict[Path, FastMRIInfo]
    problems: dict[Path, str]
    read: frozenset[Path]

    def raise_problems(self) -> None:
        """Refuse files with problems, all of them in one error.

        Raises:
            FastMRIFileError: if there are any; one line each.
        """
        if len(self.problems) == 1:
            raise FastMRIFileError(*self.problems.values())
        if self.problems:
            total = len(self.infos) + len(self.problems)
            raise FastMRIFileError(
                f"{len(self.problems)} of {total} files cannot be used; correct or remove them, or leave them out with "
                "skip_bad:\n" + "\n".join(self.problems.values())
            )


def check_files(
    files: Sequence[str | Path], level: CheckLevel = "headers", index: FileIndex | None = None
) -> CheckReport:
    """Look at files and collect what is wrong.

    Args:
        files: the files.
        level: ``"headers"`` finds what is missing, cannot be opened or has wrong shapes, types, attributes or links;
            ``"full"`` reads all values too and finds NaN, infinity, zeros and damage (once per version of a file, as
            the index remembers it); ``"auto"`` is full as long as no more than 4 GiB are to be read for it, else it
            says so and looks at the headers.
        index: of headers that were read before; None reads all of them and remembers nothing.

    Returns:
        What was found; nothing is raised for bad files.

    Raises:
        ValueError: if the level is unknown.
    """
    if level not in get_args(CheckLevel):
        raise ValueError(f"check_data is {level!r}, expected one of {list(get_args(CheckLevel))}")
    records: dict[Path, FileRecord] = {}
    keys: dict[Path, str] = {}
    problems: dict[Path, str] = {}
    for path in dict.fromkeys(map(Path, files)):
        try:
            record = None if index is None else index.find(path)
            if index is not None and record is None:
                keys[path] = index.key(path)
            if len(keys) == _WORTH_SAYING:
                logger.info("reading the headers of files that are not in the index yet ...")
            records[path] = record or _read_headers(path)
        except FastMRIFileError as error:
            problems[path] = str(error)
    if level != "headers":
        _check_values(records, problems, level, index, keys)
    for path, record in records.items():
        if record.contents:
            problems[path] = _with_paths(record.contents, record.info)
        if index is not None and path in keys:
            index.add(keys[path], record)
    if index is not None:
        index.save()
    infos = {path: record.info for path, record in records.items() if path not in problems}
    ordered = {path: problems[path] for path in map(Path, files) if path in problems}
    return CheckReport(infos, ordered, frozenset(path for path in infos if records[path].contents is not None))


def without_missing_targets(report: CheckReport) -> CheckReport:
    """Count files without a target among the problems, for runs that learn from targets or measure against them.

    Args:
        report: of the files.

    Returns:
        A new report.
    """
    missing = {
        path: f"{path}: holds no target, expected reconstruction_rss or reconstruction_esc to train on or measure "
        "against; leave it to the inference, or choose another split"
        for path, info in report.infos.items()
        if info.target_name is None
    }
    infos = {path: info for path, info in report.infos.items() if path not in missing}
    return CheckReport(infos, {**report.problems, **missing}, report.read - missing.keys())


def check_splits(
    dataset_dir: str | Path | Sequence[str | Path],
    splits: Sequence[str] = ("train", "val"),
    check_data: CheckLevel = "auto",
    skip_bad: bool = False,
) -> None:
    """Find all that is wrong with the files of a training before it starts, not part by part; all need targets.

    Args:
        dataset_dir: see :func:`recon_monai.data.read_split`.
        splits: the parts that the run reads.
        check_data: see :func:`check_files`.
        skip_bad: leave it to the data sets to skip bad files.

    Raises:
        FastMRIFileError: if files cannot be used, unless they are to be skipped; one line each.
        SplitError: if a part is missing.
    """
    files = [file for split in splits for file in read_split(dataset_dir, split)]
    if not skip_bad:
        without_missing_targets(check_files(files, check_data, FileIndex())).raise_problems()


def describe_files(infos: Iterable[FastMRIInfo], anatomies: Mapping[Path, str] | None = None) -> str:
    """A table of what is there: one row per anatomy, acquisition and source.

    Args:
        infos: headers of the files.
        anatomies: by file; by the default rules otherwise.

    Returns:
        Lines of text: files, slices, coils, sizes of k-space and image, files with targets and with masks.
    """
    groups: dict[tuple[str, str, str], list[FastMRIInfo]] = {}
    for info in infos:
        anatomy = info.anatomy if anatomies is None else anatomies[info.path]
        groups.setdefault((anatomy, info.acquisition, info.source), []).append(info)
    head = ("anatomy", "acquisition", "source", "files", "slices", "coils", "k-space", "image", "targets", "masks")
    rows = [head, *((*group, *_summary(members)) for group, members in sorted(groups.items()))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _summary(infos: list[FastMRIInfo]) -> tuple[str, ...]:
    coils = [info.coils for info in infos]
    span = str(min(coils)) if min(coils) == max(coils) else f"{min(coils)}-{max(coils)}"
    return (
        str(len(infos)),
        str(sum(info.num_slices for info in infos)),
        span,
        _sizes([info.kspace_shape[1:] for info in infos]),
        _sizes([info.output_size for info in infos]),
        str(sum(info.target_name is not None for info in infos)),
        str(sum(info.has_mask for info in infos)),
    )


def _sizes(sizes: Sequence[tuple[int, int]]) -> str:
    common = Counter(f"{height}x{width}" for height, width in sizes).most_common()
    rest = [f"{len(common) - _SIZES_SHOWN} more"] if len(common) > _SIZES_SHOWN else []
    return ", ".join([size for size, _ in common[:_SIZES_SHOWN]] + rest)


def _read_headers(path: Path) -> FileRecord:
    with FastMRIFile(path) as file:
        return FileRecord(file.info)


def _check_values(
    records: dict[Path, FileRecord],
    problems: dict[Path, str],
    level: CheckLevel,
    index: FileIndex | None,
    keys: dict[Path, str],
) -> None:
    unread = [path for path, record in records.items() if record.contents is None]
    size = sum(_size(records[path].info) for path in unread)
    if level == "auto" and size > _AUTO_BYTES:
        logger.info(
            "%d files (%.1f GB) were never read in full, so only their headers are checked; "
            "recon-monai check reads them once and remembers it",
            len(unread),
            size / 1e9,
        )
        return
    if unread:
        logger.info("reading %d files (%.3g GB) in full, once, to find bad values", len(unread), size / 1e9)
    for path in unread:
        try:
            if index is not None and path not in keys:
                keys[path] = index.key(path)
            records[path] = _read_values(path)
        except FastMRIFileError as error:
            problems[path] = str(error)


def _read_values(path: Path) -> FileRecord:
    with FastMRIFile(path) as file:
        try:
            check_contents(file)
        except FastMRIFileError as error:
            if error.__cause__ is not None:
                # what could not be read may be readable again tomorrow: not to be remembered
                raise
            return FileRecord(file.info, _without_paths(str(error), file.info))
        return FileRecord(file.info, "")


def _size(info: FastMRIInfo) -> int:
    paths = [path for path in (info.path, info.image_path) if path is not None]
    try:
        return sum(stat_file(path).st_size for path in paths)
    except FastMRIFileError:
        return 0


# what is remembered of a file must not say where the file lay
_NAMES = (("image_path", "<image>"), ("path", "<file>"))


def _without_paths(message: str, info: FastMRIInfo) -> str:
    for name, short in _NAMES:
        message = message.replace(f"{getattr(info, name)}: ", f"{short}: ")
    return message


def _with_paths(message: str, info: FastMRIInfo) -> str:
    for name, short in _NAMES:
        message = message.replace(f"{short}: ", f"{getattr(info, name)}: ")
    return message
