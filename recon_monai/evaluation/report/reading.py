"""What `recon-monai compare` wrote, read and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon_monai.evaluation.report.fields import ReportError, choice, number, objects, optional_text, text

__all__ = ["DATA_KINDS", "Comparison", "Difference", "Method", "ReportError", "Row", "read_comparison"]

COMPARISON_FILE = "comparison.json"
DATA_KINDS = ("simulated", "raw", "volume", "unreadable")
METHOD_KINDS = ("bundle", "checkpoint", "classical", "interpolation")
CALIBRATION_NUMBERS = ("slope", "rank_correlation", "coverage_1", "coverage_2")
NUMBERS = (
    "ssim",
    "psnr",
    "nmse",
    "foreground_ssim",
    "sharpness",
    "kspace_residual",
    "null_space_error",
    "seconds",
    "peak_memory_mb",
)


@dataclass(frozen=True)
class Method:
    """One way to reconstruct.

    Attributes:
        name: short and unique.
        kind: bundle, checkpoint, classical or interpolation.
        detail: what it is, in words; empty if unknown.
        weights: file or fingerprint of its weights; None without.
        tuned_on: the data its settings were chosen on; None if they were not tuned.
    """

    name: str
    kind: str
    detail: str
    weights: str | None
    tuned_on: str | None

    @property
    def is_learned(self) -> bool:
        """Whether it was trained on data."""
        return self.kind in ("bundle", "checkpoint")


@dataclass(frozen=True)
class RowCalibration:
    """Predicted spread against true error of one file, relative to the maximum of its target.

    Attributes:
        spread: root mean square of each bin, rising.
        error: likewise.
        numbers: slope, rank correlation and the like.
    """

    spread: tuple[float, ...]
    error: tuple[float, ...]
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class Row:
    """One file, reconstructed by one method.

    Attributes:
        file: name of the file.
        subject: whose it is.
        anatomy: for example brain; empty if unknown.
        contrast: for example AXT2; empty if unknown.
        data: simulated, raw or volume; unreadable for a file that could not be opened.
        acceleration: nominal, or the name of the recipe; empty if unknown.
        effective_acceleration: samples of the grid over samples taken; None if unknown.
        coils: receive coils; None if unknown.
        method: name of the method.
        values: the numbers that exist, by name; downstream measures as ``downstream: NAME``.
        failure: why there is no result; None if there is one.
        images: HDF5 file below the folder; None without.
        calibration: how well the spread predicts the error; None without.
    """

    file: str
    subject: str
    anatomy: str
    contrast: str
    data: str
    acceleration: str
    effective_acceleration: float | None
    coils: int | None
    method: str
    values: Mapping[str, float]
    failure: str | None
    images: str | None
    calibration: RowCalibration | None = None

    @property
    def group(self) -> tuple[str, str, str]:
        """Anatomy, acceleration and contrast, within which results are averaged."""
        return self.anatomy, self.acceleration, self.contrast


@dataclass(frozen=True)
class Difference:
    """A mean paired difference ``method - base`` with its bootstrap interval over subjects.

    Attributes:
        data: simulated, raw or volume.
        group: what was put together, in words.
        metric: name of the number.
        method: the one compared.
        base: the one it is compared with.
        mean: of the differences.
        low: lower end of the interval; None for fewer than two subjects.
        high: upper end; None likewise.
        files: how many.
        subjects: how many.
    """

    data: str
    group: str
    metric: str
    method: str
    base: str
    mean: float | None
    low: float | None
    high: float | None
    files: int
    subjects: int


@dataclass(frozen=True)
class Comparison:
    """A whole comparison.

    Attributes:
        folder: where it lies.
        notice: what the results may be used for.
        convention: of the metrics, by name or under ``metrics``.
        created: when.
        versions: of what made it.
        command: that made it; None if it was not recorded.
        methods: in the order to show.
        rows: one per file and method.
        differences: paired.
    """

    folder: Path
    notice: str
    convention: Mapping[str, str]
    created: str
    versions: Mapping[str, str]
    command: str | None
    methods: tuple[Method, ...]
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]


def read_comparison(folder: str | Path) -> Comparison:
    """Read and check ``comparison.json``.

    Args:
        folder: that `recon-monai compare` wrote.

    Returns:
        Its content; images are not looked at.

    Raises:
        ReportError: if the file is missing or not of that format.
    """
    path = Path(folder) / COMPARISON_FILE
    if not path.is_file():
        what = "no such folder" if not Path(folder).is_dir() else f"no {COMPARISON_FILE} in it"
        raise ReportError(f"{folder}: {what}, expected the folder that recon-monai compare wrote (its --output)")
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (ValueError, OSError) as error:
        raise ReportError(f"{path}: cannot be read as JSON ({error}); run recon-monai compare again") from error
    if not isinstance(content, dict):
        raise ReportError(f"{path}: holds a {type(content).__name__}, expected one JSON object with methods and rows")
    try:
        return _comparison(Path(folder), content)
    except ReportError as error:
        raise ReportError(f"{path}: {error}; run recon-monai compare of this version again") from None


def _comparison(folder: Path, content: dict[str, Any]) -> Comparison:
    methods = tuple(_method(entry, where) for where, entry in objects(content, "methods"))
    names = [method.name for method in methods]
    if not methods or len(set(names)) != len(names):
        raise ReportError(f"the names of methods are {names}, expected at least one and each once")
    rows = tuple(_row(entry, where, names) for where, entry in objects(content, "rows"))
    if not rows:
        raise ReportError("rows is empty, expected one row per file and method")
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        key = (row.data, row.file, row.acceleration, row.method)
        if key in seen:
            raise ReportError(f"two rows of {row.file} ({row.data}, {row.acceleration}) by {row.method}, expected one")
        seen.add(key)
    return Comparison(
        folder,
        text(content, "notice", "the file"),
        _texts(content.get("convention"), "convention", "metrics"),
        text(content, "created", "the file"),
        _texts(content.get("versions"), "versions", "recon_monai"),
        optional_text(content, "command", "the file"),
        methods,
        rows,
        tuple(_difference(entry, where, names) for where, entry in objects(content, "differences")),
    )


def _method(entry: dict[str, Any], where: str) -> Method:
    return Method(
        text(entry, "name", where),
        choice(entry, "kind", where, METHOD_KINDS),
        optional_text(entry, "detail", where) or "",
        optional_text(entry, "weights", where),
        optional_text(entry, "tuned_on", where),
    )


def _row(entry: dict[str, Any], where: str, methods: list[str]) -> Row:
    values = {name: number(entry, name, where) for name in NUMBERS}
    downstream = entry.get("downstream") or {}
    if not isinstance(downstream, dict):
        raise ReportError(f"downstream of {where} is {downstream!r}, expected an object of measures or null")
    for name, value in downstream.items():
        if not isinstance(value, str):
            values[f"downstream: {name}"] = number(downstream, name, f"downstream of {where}")
    coils = number(entry, "coils", where)
    return Row(
        file=text(entry, "file", where),
        subject=optional_text(entry, "subject", where) or "",
        anatomy=optional_text(entry, "anatomy", where) or "",
        contrast=optional_text(entry, "contrast", where) or "",
        data=choice(entry, "data", where, DATA_KINDS),
        acceleration=_acceleration(entry.get("acceleration")),
        effective_acceleration=number(entry, "effective_acceleration", where),
        coils=None if coils is None else int(coils),
        method=choice(entry, "method", where, methods),
        values={name: value for name, value in values.items() if value is not None},
        failure=optional_text(entry, "failure", where),
        images=optional_text(entry, "images", where),
        calibration=_calibration(entry.get("calibration"), where),
    )


def _calibration(entry: object, where: str) -> RowCalibration | None:
    if entry is None:
        return None
    if not isinstance(entry, dict):
        raise ReportError(f"calibration of {where} is {entry!r}, expected an object or null")
    curves = [entry.get(name) for name in ("spread", "error")]
    if not all(isinstance(curve, list) and all(isinstance(one, int | float) for one in curve) for curve in curves):
        raise ReportError(f"calibration of {where} has no lists spread and error of numbers")
    spread, error = (tuple(float(one) for one in curve) for curve in curves if isinstance(curve, list))
    if len(spread) != len(error):
        raise ReportError(f"calibration of {where} has {len(spread)} spreads and {len(error)} errors, expected pairs")
    known = {name: number(entry, name, f"calibration of {where}") for name in CALIBRATION_NUMBERS}
    return RowCalibration(spread, error, {name: value for name, value in known.items() if value is not None})


def _difference(entry: dict[str, Any], where: str, methods: list[str]) -> Difference:
    group = entry.get("group")
    return Difference(
        choice(entry, "data", where, DATA_KINDS),
        " · ".join(map(str, group)) if isinstance(group, list) else text(entry, "group", where),
        text(entry, "metric", where),
        choice(entry, "method", where, methods),
        choice(entry, "base", where, methods),
        number(entry, "mean", where),
        number(entry, "low", where),
        number(entry, "high", where),
        int(number(entry, "files", where) or 0),
        int(number(entry, "subjects", where) or 0),
    )


def _acceleration(value: object) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}x"
    return str(value)


def _texts(value: object, name: str, single: str) -> dict[str, str]:
    if isinstance(value, str):
        return {single: value}
    if isinstance(value, dict):
        return {str(key): str(entry) for key, entry in value.items()}
    raise ReportError(f"{name} is {value!r}, expected text or an object of texts")


def _refuse_constant(word: str) -> float:
    raise ValueError(f"{word} is no JSON, expected null for a number that does not exist")
