"""Numbers of an ablation: means over test volumes, their spread over seeds, differences between variants."""

from __future__ import annotations

import csv
import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "METRICS",
    "SLICE_METRICS",
    "VOLUME_METRICS",
    "Difference",
    "case_of",
    "difference",
    "format_metric",
    "paired_deviation",
    "pooled_deviation",
    "read_rows",
    "read_slices",
    "read_volumes",
    "seed_means",
    "value_and_spread",
]

SLICE_METRICS = ("ssim", "psnr", "nmse")
METRICS = {"ssim": "SSIM", "psnr": "PSNR [dB]", "nmse": "NMSE", "foreground_ssim": "foreground SSIM"}
VOLUME_METRICS = {
    "ssim": "SSIM",
    "psnr": "PSNR [dB]",
    "nrmse": "NRMSE",
    "sharpness": "sharpness",
    "detail_energy": "detail, energy",
    "detail_agreement": "detail, agreement",
}
_DECIMALS = {"ssim": 4, "psnr": 2, "nmse": 4, "foreground_ssim": 4, "nrmse": 4}
_USUAL_DECIMALS = 3

Row = dict[str, Any]
"""A test volume: ``variant``, ``seed`` (None: the same for all seeds), ``file`` and metrics; of reconstructions also
``anatomy`` and ``acceleration``, of super-resolution ``subject`` and ``recipe``."""


def read_rows(file: Path, variant: str, seed: int, method: str = "reconstruction") -> list[Row]:
    """Volumes of one evaluation.

    Args:
        file: ``volumes.csv``.
        variant: written into the rows.
        seed: likewise.
        method: which of the methods.

    Returns:
        The rows.
    """
    return [
        {**_fields(row, variant, seed), **{metric: float(row[metric]) for metric in METRICS}}
        for row in _read(file)
        if row["method"] == method
    ]


def read_slices(file: Path, variant: str, seed: int, method: str = "reconstruction") -> list[Row]:
    """Slices of one evaluation.

    Args:
        file: ``slices.csv``.
        variant: written into the rows.
        seed: likewise.
        method: which of the methods.

    Returns:
        The rows, with the slice's number added to ``file``, so that they are compared slice by slice; of the metrics
        they have `SLICE_METRICS`.
    """
    return [
        {
            **_fields(row, variant, seed),
            "file": f"{row['file']}, slice {row['slice']}",
            **{metric: float(row[metric]) for metric in SLICE_METRICS},
        }
        for row in _read(file)
        if row["method"] == method
    ]


def read_volumes(file: Path, variant: str, seed: int | None, method: str | None = None) -> list[Row]:
    """Volumes of one evaluation of super-resolution.

    Args:
        file: ``volumes.csv``, or a table of several methods.
        variant: written into the rows.
        seed: likewise; None for what does not depend on it.
        method: which of the methods; None where there is one.

    Returns:
        The rows.
    """
    return [
        {
            **{"variant": variant, "seed": seed},
            **{name: row[name] for name in ("file", "subject", "recipe")},
            **{metric: float(row[metric]) for metric in VOLUME_METRICS},
        }
        for row in _read(file)
        if method is None or row["method"] == method
    ]


def case_of(row: Row) -> tuple[Any, ...]:
    """What was measured, by whichever variant.

    Args:
        row: a volume.
    """
    return row["file"], row.get("acceleration")


def _read(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _fields(row: Mapping[str, str], variant: str, seed: int) -> Row:
    return {
        "variant": variant,
        "seed": seed,
        "file": row["file"],
        "anatomy": row["anatomy"],
        "acceleration": int(float(row["acceleration"])),
    }


def seed_means(rows: Iterable[Row], variant: str, metric: str, **fields: Any) -> dict[int | None, float]:
    """Mean over the volumes of a variant, for each seed.

    Args:
        rows: of any variants.
        variant: which.
        metric: which; undefined values are left out.
        fields: conditions, like ``anatomy="brain"``.

    Returns:
        Mean by seed.
    """
    values: dict[int | None, list[float]] = {}
    for row in rows:
        fits = row["variant"] == variant and all(row[name] == value for name, value in fields.items())
        if fits and not math.isnan(row[metric]):
            values.setdefault(row["seed"], []).append(row[metric])
    return {seed: statistics.fmean(found) for seed, found in sorted(values.items())}


def value_and_spread(means: Mapping[Any, float], metric: str) -> str:
    """A cell: mean over the seeds and their standard deviation; a star where there is one seed.

    Args:
        means: by seed.
        metric: decides the decimals.

    Returns:
        Like ``0.8512 ± 0.0007`` or ``0.8503 *``; ``n/a`` without seeds.
    """
    if not means:
        return "n/a"
    values = list(means.values())
    mean = format_metric(statistics.fmean(values), metric)
    return f"{mean} *" if len(values) == 1 else f"{mean} ± {format_metric(statistics.stdev(values), metric)}"


def format_metric(value: float, metric: str, sign: str = "") -> str:
    """A value with the decimals of its metric.

    Args:
        value: of it, or a difference of two.
        metric: which.
        sign: ``"+"`` to show it always.
    """
    return f"{value:{sign}.{_DECIMALS.get(metric, _USUAL_DECIMALS)}f}"


def pooled_deviation(rows: Sequence[Row], metric: str) -> float | None:
    """Standard deviation over seeds, pooled over the variants that have several.

    Args:
        rows: of all variants.
        metric: which.

    Returns:
        The deviation; None if no variant has several seeds.
    """
    groups = [list(seed_means(rows, variant, metric).values()) for variant in {row["variant"] for row in rows}]
    return _pooled(groups)


def paired_deviation(differences: Iterable[Difference]) -> float | None:
    """Standard deviation over seeds of the difference of two variants, pooled over differences at several seeds.

    Args:
        differences: of pairs of variants.

    Returns:
        The deviation; None if no difference is known at several seeds.
    """
    return _pooled([list(found.by_seed.values()) for found in differences])


def _pooled(groups: Iterable[Sequence[float]]) -> float | None:
    several = [group for group in groups if len(group) > 1]
    if not several:
        return None
    degrees = sum(len(group) - 1 for group in several)
    return math.sqrt(sum((len(group) - 1) * statistics.variance(group) for group in several) / degrees)


@dataclasses.dataclass(frozen=True)
class Difference:
    """One variant minus another, at the seeds that both have.

    Attributes:
        by_seed: difference of the means over volumes.
        better: test volumes (each acceleration and seed counts) where the first is better.
        volumes: all of them.
    """

    by_seed: dict[int, float]
    better: int
    volumes: int

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return statistics.fmean(self.by_seed.values())

    def sign(self, deviation: float | None) -> int | None:
        """Which way it goes: 1 or -1 beyond two standard errors, else 0; None if the spread over seeds is not known.

        Args:
            deviation: over seeds, of the difference at one seed.
        """
        if deviation is None:
            return None
        error = deviation / math.sqrt(len(self.by_seed))
        return 0 if abs(self.mean) <= 2 * error else int(math.copysign(1, self.mean))


def difference(rows: Sequence[Row], variant: str, base: str, metric: str) -> Difference | None:
    """Compare two variants volume by volume.

    Args:
        rows: of all variants.
        variant: the first.
        base: what is subtracted.
        metric: one of which more is better.

    Returns:
        The difference; None if they have no seed in common.
    """
    values = {
        name: {
            (row["seed"], *case_of(row)): row[metric]
            for row in rows
            if row["variant"] == name and not math.isnan(row[metric])
        }
        for name in (variant, base)
    }
    common = sorted(values[variant].keys() & values[base].keys())
    if not common:
        return None
    pairs: dict[int, list[float]] = {}
    for key in common:
        pairs.setdefault(key[0], []).append(values[variant][key] - values[base][key])
    differences = [value for group in pairs.values() for value in group]
    return Difference(
        {seed: statistics.fmean(group) for seed, group in pairs.items()},
        sum(value > 0 for value in differences),
        len(differences),
    )
