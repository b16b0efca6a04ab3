"""Every method on every file, kept as it comes, and the tables."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from recon_monai.data import VolumeError
from recon_monai.data.folders import data_files, part_folders
from recon_monai.data.splits import SPLIT_FILE, SPLITS
from recon_monai.evaluation.comparing.bundles import load_bundle
from recon_monai.evaluation.comparing.described import MethodRecord
from recon_monai.evaluation.comparing.kspace_cases import DATA_NAMES, UNREADABLE, BadFile, KspaceCase, find_kspace
from recon_monai.evaluation.comparing.measures import convention_of
from recon_monai.evaluation.comparing.settings import ComparisonSettings, fingerprint_of
from recon_monai.evaluation.comparing.slice_methods import BundleReconstruction, SliceMethod, make_slice_method
from recon_monai.evaluation.comparing.slices import KspaceReader, reconstruct_case
from recon_monai.evaluation.comparing.store import CaseImages, ComparisonStore
from recon_monai.evaluation.comparing.tables import empty_row, write_tables
from recon_monai.evaluation.comparing.volume_labels import volume_labels
from recon_monai.evaluation.comparing.volumes import (
    BundleSuperResolution,
    VolumeCase,
    VolumeMethod,
    VolumeReader,
    find_volume_cases,
    make_volume_method,
    resolve_case,
)
from recon_monai.evaluation.comparing.words import MethodWord, parse_method

__all__ = ["Compared", "compare_methods", "holds_kspace", "make_methods"]

_FORMAT = 4  # of rows and images that are kept; another number computes them anew

logger = logging.getLogger(__name__)


class Compared(NamedTuple):
    """What a comparison did.

    Attributes:
        folder: where it lies.
        rows: of all files and methods that were done.
        computed: rows that were computed now, not found.
        failed: rows with a failure.
    """

    folder: Path
    rows: list[dict[str, Any]]
    computed: int
    failed: int


@dataclass(frozen=True)
class _Methods:
    slices: tuple[SliceMethod, ...]
    volumes: tuple[VolumeMethod, ...]
    order: tuple[str, ...]

    @property
    def records(self) -> list[MethodRecord]:
        """In the order they were asked for."""
        records = [method.record for method in self.slices] + [method.record for method in self.volumes]
        found = {record.name: record for record in records}
        return [found[name] for name in self.order]


def compare_methods(
    output: str | Path,
    methods: Sequence[str],
    folders: Sequence[str | Path],
    settings: ComparisonSettings | None = None,
    *,
    command: str | None = None,
) -> Compared:
    """Run methods on data sets, all on the same masks and low resolutions, and write the folder of the comparison.

    Results are kept file by file and method by method: a second run computes what is missing, failed or made with
    other settings. When it is interrupted, what was done until then is in the tables.

    Args:
        output: folder.
        methods: see `parse_method`; those for slices run on k-space, those for volumes on volumes.
        folders: data sets of k-space, or of volumes.
        settings: masks and measures.
        command: that made it, for the record.

    Returns:
        What was done.

    Raises:
        ValueError: if a method or a data set cannot be used at all, or none of the methods fits one. What a method
            raises on a file is in the row.
        FileNotFoundError: if a bundle has no weights, or a method was not tuned.
    """
    settings = settings or ComparisonSettings()
    words = [parse_method(text) for text in methods]
    _check_names(words)
    made = make_methods(words, settings, Path(output))
    comparison = _Comparison(Path(output), made, settings, command)
    for folder in map(Path, folders):
        kspace = holds_kspace(folder)
        if not (made.slices if kspace else made.volumes):
            kind = "k-space" if kspace else "volumes"
            raise ValueError(f"{folder} holds {kind}, and none of the methods {', '.join(methods)} is for {kind}")
    try:
        for folder in map(Path, folders):
            if holds_kspace(folder):
                cases, bad = find_kspace(folder, settings)
                comparison.add_bad(bad)
                for case in cases:
                    comparison.reconstruct(case)
            else:
                for volume in find_volume_cases(folder, settings):
                    comparison.resolve(volume)
    finally:
        comparison.write()
    failed = sum(row["failure"] is not None for row in comparison.rows)
    return Compared(Path(output), comparison.rows, comparison.computed, failed)


def make_methods(words: Sequence[MethodWord], settings: ComparisonSettings, output: Path) -> _Methods:
    """Make all methods: load networks and weights, look for tunings.

    Args:
        words: as they were asked for.
        settings: masks and device.
        output: folder of the comparison.

    Returns:
        The methods.

    Raises:
        ValueError: if a bundle cannot be used; names the method.
        FileNotFoundError: if weights or a tuning are missing; names the method.
    """
    slices: list[SliceMethod] = []
    volumes: list[VolumeMethod] = []
    for word in words:
        try:
            if word.kind == "slices":
                slices.append(make_slice_method(word, settings, output))
            elif word.kind == "volumes":
                volumes.append(make_volume_method(word, settings))
            else:
                bundle, for_volumes = load_bundle(word, settings)
                if for_volumes:
                    volumes.append(BundleSuperResolution(bundle))
                else:
                    slices.append(BundleReconstruction(bundle))
        except FileNotFoundError as error:
            raise FileNotFoundError(f"method {word.name}: {error}") from error
        except ValueError as error:
            raise ValueError(f"method {word.name}: {error}") from error
    return _Methods(tuple(slices), tuple(volumes), tuple(word.name for word in words))


class _Comparison:
    """Rows so far."""

    def __init__(self, output: Path, methods: _Methods, settings: ComparisonSettings, command: str | None) -> None:
        self.output = output
        self.methods = methods
        self.settings = settings
        self.command = command
        self.store = ComparisonStore(output)
        self.rows: list[dict[str, Any]] = []
        self.computed = 0

    def add_bad(self, files: Sequence[BadFile]) -> None:
        """Rows of files of k-space that cannot be used: one per method, each with the reason."""
        for file in files:
            logger.warning("%s cannot be used: %s", file.path.name, file.problem)
            self._add_unreadable(file.path.name, "", file.problem, self.methods.slices)

    def reconstruct(self, case: KspaceCase) -> None:
        """All methods for slices on one file of k-space."""
        first = case.entries[0]
        known = {
            "file": first["file"],
            "subject": case.subject,
            "anatomy": first["anatomy"],
            "contrast": first["acquisition"],
            "data": DATA_NAMES.get(case.source, "raw"),
            "acceleration": first.get("acceleration"),
            "coils": first["coils"],
        }
        slices = [int(entry["slice"]) for entry in case.entries]
        key = self._key(case.path, slices, known, asdict(self.settings))
        reader: list[KspaceReader] = []

        def compute(method: SliceMethod) -> _Parts:
            if not reader:
                reader.append(KspaceReader(case, self.settings))
            numbers, images = reconstruct_case(method, reader[0], self.settings)
            target = None if reader[0].target is None else reader[0].target.numpy()
            return _Parts({**reader[0].fields, **numbers}, images, target, reader[0].attributes)

        for method in self.methods.slices:
            self._take(case.name, method.record, key, known, partial(compute, method))
        case.dataset.close()

    def resolve(self, case: VolumeCase) -> None:
        """All methods for volumes on one volume."""
        entry = case.entry
        try:
            labels = volume_labels(case.path, self.settings.anatomy)
        except VolumeError as error:
            logger.warning("%s cannot be used: %s", entry["file"], error)
            self._add_unreadable(entry["file"], entry["subject"], str(error), self.methods.volumes)
            return
        known = {
            "file": entry["file"],
            "subject": entry["subject"],
            "anatomy": labels.anatomy,
            "contrast": labels.contrast,
            "data": "volume",
            "acceleration": entry.get("recipe", "measured"),
        }
        key = self._key(case.path, [], known, asdict(self.settings))
        reader: list[VolumeReader] = []

        def compute(method: VolumeMethod) -> _Parts:
            if not reader:
                reader.append(VolumeReader(case, self.settings, labels))
            numbers, images = resolve_case(method, reader[0], self.settings)
            return _Parts({**reader[0].fields, **numbers}, images, reader[0].shown, reader[0].attributes)

        for method in self.methods.volumes:
            self._take(case.name, method.record, key, known, partial(compute, method))

    def write(self) -> None:
        """Write the tables, if there is anything to write."""
        if self.rows:
            records = self.methods.records
            write_tables(self.output, records, self.rows, command=self.command, settings=self.settings)

    def _add_unreadable(
        self, file: str, subject: str, problem: str, methods: Sequence[SliceMethod | VolumeMethod]
    ) -> None:
        """Rows of a file of which nothing is known; a volume has one whatever the number of its recipes."""
        known = {"file": file, "subject": subject, "data": UNREADABLE, "failure": _sentence(problem)}
        if not any(row["file"] == file and row["data"] == UNREADABLE for row in self.rows):
            self.rows += [empty_row(**known, method=method.record.name) for method in methods]

    def _take(
        self,
        case: str,
        record: MethodRecord,
        key: str,
        known: Mapping[str, Any],
        compute: Callable[[], _Parts],
    ) -> None:
        own_key = fingerprint_of(key, record.key)
        kept = self.store.kept(case, record.name, own_key)
        if kept is not None:
            self.rows.append({**empty_row(), **kept})
            return
        logger.info("%s: %s", case, record.name)
        self.computed += 1
        try:
            made = compute()
        except Exception as error:  # a method that fails on a file is a row as well
            logger.warning("%s failed on %s: %s", record.name, case, error)
            logger.debug("traceback", exc_info=error)
            row = empty_row(**known, method=record.name, failure=_sentence(f"{type(error).__name__}: {error}"))
            self.rows.append(self.store.keep(case, record.name, own_key, row, None, None, {}))
            return
        found = {**known, **made.row}
        row = empty_row(**found, method=record.name, convention=convention_of(found["data"], self.settings.block))
        self.rows.append(self.store.keep(case, record.name, own_key, row, made.images, made.target, made.attributes))

    def _key(self, path: Path, slices: Sequence[int], known: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
        """Hash of the file and of what is asked; what else is asked of other files does not matter to this one."""
        state = path.stat()
        others = ("accelerations", "center_fractions", "max_files", "max_slices", "recipes", "split", "anatomy")
        chosen = {name: value for name, value in settings.items() if name not in others}
        fractions = dict(zip(self.settings.accelerations, self.settings.center_fractions, strict=True))
        chosen["center_fraction"] = fractions.get(known["acceleration"])
        return fingerprint_of(_FORMAT, path.name, state.st_size, state.st_mtime_ns, list(slices), dict(known), chosen)


class _Parts(NamedTuple):
    row: dict[str, Any]
    images: CaseImages
    target: Any
    attributes: Mapping[str, Any]


def holds_kspace(folder: Path) -> bool:
    """Whether a data set holds k-space, not volumes.

    Raises:
        FileNotFoundError: if it does not exist.
    """
    if not folder.exists():
        raise FileNotFoundError(
            f"{folder} does not exist; give a folder of k-space (*.h5) or of volumes (NIfTI, DICOM)"
        )
    if folder.is_file():
        return folder.suffix == ".h5"
    return any(data_files(place) for place in _parts_of(folder))


def _parts_of(folder: Path) -> Iterator[Path]:
    yield folder
    if not (folder / SPLIT_FILE).exists():
        for part in SPLITS:
            yield from part_folders(folder, part)


def _check_names(words: Sequence[MethodWord]) -> None:
    names = [word.name for word in words]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not names:
        raise ValueError(f"methods are called {names}, expected at least one and each name once; write NAME=METHOD")
    bad = [name for name in names if "/" in name or name != name.strip() or not name]
    if bad:
        raise ValueError(f"{bad[0]!r} cannot be the name of a method, expected one without slashes")


def _sentence(text: str) -> str:
    return " ".join(text.split())
