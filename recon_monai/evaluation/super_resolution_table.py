"""The table of an evaluation of super-resolution: how good, how sure, and against which interpolation."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine

from recon_monai import RESEARCH_NOTICE, distributed
from recon_monai.data.writers import atomic_path
from recon_monai.evaluation.bootstrap import paired_gain
from recon_monai.evaluation.interpolation import BASELINES
from recon_monai.evaluation.tables import Row, csv_text, format_number, markdown_table
from recon_monai.handlers.whole_volumes import WholeVolumeHandler
from recon_monai.metrics import quality_convention

__all__ = ["SuperResolutionTable", "gains", "super_resolution_summary"]

ALL_RECIPES = "all"
_METRICS = ("ssim", "psnr", "nrmse", "sharpness")
_COMPARED = {"ssim": 1, "psnr": 1, "nrmse": -1}
"""Sign by which a difference becomes a gain; whether more sharpness is a gain depends."""

logger = logging.getLogger(__name__)


class SuperResolutionTable(WholeVolumeHandler):
    """Quality of several methods over the volumes of an engine, and each method's gain over plain interpolation.

    Writes at the end of an epoch, replacing what was there (of several processes, the main one for all):

    * ``volumes.csv``: one row per volume and method;
    * ``summary.csv``: mean and standard deviation over subjects, per recipe of low resolution and over all;
    * ``gains.csv``: mean gain over each baseline, paired by subject, with its bootstrap interval;
    * ``summary.md``: the same to read, with the metrics' convention and the research notice.

    A subject with several volumes counts once, by their mean.

    Args:
        output_dir: folder of the files; made when needed.
        methods: name of a method to the key of its image ``(1, D, H, W)`` in output or item.
        baselines: the methods that the others are compared with.
        confidence: of the intervals.
        resamples: draws of the bootstrap.
        seed: of these draws.
        title: heading of ``summary.md``.
        block: voxels along each axis of the middle of volumes, if only that is measured, for the tables to say so;
            None or -1: all of them.

    Raises:
        ValueError: if a baseline is not one of the methods.
    """

    def __init__(
        self,
        output_dir: str | Path,
        methods: Mapping[str, str] | None = None,
        baselines: Sequence[str] = BASELINES,
        confidence: float = 0.95,
        resamples: int = 10_000,
        seed: int = 0,
        title: str = "Super-resolution",
        block: int | None = None,
    ) -> None:
        self.methods = dict(methods or {**{name: name for name in BASELINES}, "super-resolution": "pred"})
        unknown = [name for name in baselines if name not in self.methods]
        if unknown:
            raise ValueError(f"the baseline {unknown[0]!r} is not one of the methods {list(self.methods)}")
        super().__init__(tuple(self.methods.values()))
        self.output_dir = Path(output_dir)
        self.baselines = tuple(baselines)
        self.confidence = confidence
        self.resamples = resamples
        self.seed = seed
        self.title = title
        self.convention = quality_convention(block)

    def finish(self, engine: Engine) -> None:
        """Write and log the tables."""
        if not distributed.is_main():
            return
        names = {key: name for name, key in self.methods.items()}
        volumes = [
            {"file": row["file"], "subject": row["subject"], "recipe": row["recipe"], "method": names[row["image"]]}
            | {metric: row[metric] for metric in _METRICS}
            for row in self.rows
        ]
        summary = super_resolution_summary(volumes)
        compared = gains(volumes, self.baselines, confidence=self.confidence, resamples=self.resamples, seed=self.seed)
        page = _page(summary, compared, self.confidence, self.title, self.convention)
        self._write("volumes.csv", csv_text(volumes))
        self._write("summary.csv", csv_text([{**row, "convention": self.convention} for row in summary]))
        self._write("gains.csv", csv_text(compared))
        self._write("summary.md", page)
        logger.info("%d volumes measured, in %s:\n%s", len(self.rows), self.output_dir.resolve(), page)

    def _write(self, name: str, text: str) -> None:
        with atomic_path(self.output_dir / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def super_resolution_summary(volumes: Sequence[Row]) -> list[dict[str, Any]]:
    """Mean and spread over subjects.

    Args:
        volumes: rows with ``subject``, ``recipe``, ``method`` and the metrics.

    Returns:
        One row per recipe (and ``all``, where there are several) and method: ``subjects``, ``volumes``, for each metric
        its mean and ``<metric>_sd`` (sample standard deviation over subjects; NaN for one subject).
    """
    summary = []
    for recipe, group in _groups(volumes).items():
        for method in dict.fromkeys(row["method"] for row in group):
            chosen = [row for row in group if row["method"] == method]
            entry: dict[str, Any] = {"recipe": recipe, "method": method}
            entry |= {"subjects": len({row["subject"] for row in chosen}), "volumes": len(chosen)}
            for metric in _METRICS:
                values = [value for value in _by_subject(chosen, metric).values() if not math.isnan(value)]
                entry[metric] = math.fsum(values) / len(values) if values else math.nan
                entry[f"{metric}_sd"] = _spread(values)
            summary.append(entry)
    return summary


def gains(
    volumes: Sequence[Row],
    baselines: Sequence[str],
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Each method's mean gain over each baseline in SSIM, PSNR and NRMSE, paired by subject.

    Args:
        volumes: as for `super_resolution_summary`.
        baselines: methods that the others are compared with.
        confidence: of the bootstrap interval, see `recon_monai.evaluation.paired_gain`.
        resamples: draws.
        seed: of the draws.

    Returns:
        One row per recipe (and ``all``), method, baseline and metric: ``subjects``, ``gain`` (positive if the method is
        better, also in NRMSE), ``low`` and ``high``, ``certain`` (whether the whole interval is above zero).
    """
    rows = []
    for recipe, group in _groups(volumes).items():
        for method in dict.fromkeys(row["method"] for row in group if row["method"] not in baselines):
            for baseline in baselines:
                for metric, sign in _COMPARED.items():
                    ours, theirs = (
                        _by_subject([row for row in group if row["method"] == name], metric)
                        for name in (method, baseline)
                    )
                    both = [subject for subject in ours if subject in theirs]
                    found = paired_gain(
                        [sign * ours[subject] for subject in both],
                        [sign * theirs[subject] for subject in both],
                        confidence=confidence,
                        resamples=resamples,
                        seed=seed,
                    )
                    names = {"recipe": recipe, "method": method, "baseline": baseline, "metric": metric}
                    values = {"subjects": found.subjects, "gain": found.mean, "low": found.low, "high": found.high}
                    rows.append({**names, **values, "certain": found.is_certain})
    return rows


def _groups(volumes: Sequence[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in volumes:
        groups.setdefault(row["recipe"], []).append(row)
    groups = dict(sorted(groups.items()))
    return groups if len(groups) < 2 else {**groups, ALL_RECIPES: list(volumes)}


def _by_subject(rows: Sequence[Row], metric: str) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for row in rows:
        values.setdefault(row["subject"], []).append(row[metric])
    return {subject: math.fsum(some) / len(some) for subject, some in sorted(values.items())}


def _spread(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 and np.isfinite(values).all() else math.nan


def _page(
    summary: Sequence[Mapping[str, Any]],
    compared: Sequence[Mapping[str, Any]],
    confidence: float,
    title: str,
    convention: str,
) -> str:
    parts = [f"# {title}", f"**{RESEARCH_NOTICE}**", f"Mean ± standard deviation over subjects. {convention}."]
    for recipe in dict.fromkeys(row["recipe"] for row in summary):
        parts.append(f"## {recipe}")
        parts.append(markdown_table([_quality_cells(row) for row in summary if row["recipe"] == recipe]))
        pairs = [row for row in compared if row["recipe"] == recipe]
        if pairs:
            parts.append(
                f"Mean gain over interpolation, paired by subject, with its {confidence:.0%} bootstrap interval; "
                "positive is better, * marks intervals above zero."
            )
            parts.append(markdown_table(_gain_rows(pairs)))
    return "\n\n".join(parts) + "\n"


def _quality_cells(row: Mapping[str, Any]) -> dict[str, str]:
    titles = {"ssim": "SSIM", "psnr": "PSNR [dB]", "nrmse": "NRMSE", "sharpness": "sharpness"}
    cells = {"method": str(row["method"]), "subjects": str(row["subjects"]), "volumes": str(row["volumes"])}
    for metric, shown in titles.items():
        mean, spread = format_number(row[metric], metric), format_number(row[f"{metric}_sd"], metric)
        cells[shown] = mean if spread == "n/a" else f"{mean} ± {spread}"
    return cells


def _gain_rows(pairs: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for pair in pairs:
        key = (str(pair["method"]), str(pair["baseline"]))
        cells = rows.setdefault(key, {"method": key[0], "over": key[1], "subjects": "0"})
        metric = str(pair["metric"])
        low, high = (format_number(pair[end], metric) for end in ("low", "high"))
        mark = " *" if pair["certain"] else ""
        cells["subjects"] = str(max(int(cells["subjects"]), pair["subjects"]))
        cells[metric.upper()] = f"{format_number(pair['gain'], metric)} ({low} to {high}){mark}"
    return list(rows.values())
