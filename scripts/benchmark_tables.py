"""What `scripts/benchmark.py` compares with what, and the tables it makes of it."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from benchmark_processes import Results

INSTALL_FASTMRI = "pip install --no-deps fastmri && pip install pandas pyyaml requests"


@dataclass(frozen=True)
class Comparison:
    """A row.

    Attributes:
        what: its name.
        ours: the part of the first value.
        compared: the part of the second value.
        value: which value.
        required: what the ratio has to be at least, by the size it is required for.
    """

    what: str
    ours: str
    compared: str
    value: str = "seconds"
    required: Mapping[str, float] = field(default_factory=dict)


# the ratio is the compared value by ours
COMPARISONS = [
    Comparison("reconstruction (forward pass)", "our forward", "monai forward"),
    Comparison("training step", "our step", "monai step", required={"standard": 1.7}),
    Comparison("training step, checkpointing all", "our step, checkpointing all", "monai step"),
    Comparison("memory of a training step", "our step", "monai step", "megabytes"),
    Comparison("the same, checkpointing sensitivity", "our step, checkpointing sensitivity", "our step", "megabytes"),
    Comparison(
        "the same, checkpointing all", "our step, checkpointing all", "our step", "megabytes", {"standard": 3.0}
    ),
    Comparison("reconstruction beside fastMRI's", "our forward", "fastmri forward"),
    Comparison("training step beside fastMRI's", "our step", "fastmri step", required={"medium": 2.0, "small": 2.0}),
    Comparison("the same, ours with ASPIN", "our step with ASPIN", "fastmri step"),
    Comparison("memory of a training step beside fastMRI's", "our step", "fastmri step", "megabytes"),
    Comparison("reading one slice", "our slice", "monai slice", required={"standard": 20.0}),
    Comparison("SSIM loss with gradient", "our ssim", "monai ssim"),
]
# the ratio is ours (with it) by the compared value (without)
COSTS = [
    Comparison("ASPIN: reconstruction", "our forward with ASPIN", "our forward"),
    Comparison("finding the anatomy: reconstruction", "our forward, anatomy found", "our forward with ASPIN"),
    Comparison("ASPIN: training step", "our step with ASPIN", "our step"),
    Comparison("ASPIN: memory of a training step", "our step with ASPIN", "our step", "megabytes"),
    Comparison("distillation: training step", "our step with ASPIN and distillation", "our step with ASPIN"),
    Comparison(
        "distillation: memory of a training step",
        "our step with ASPIN and distillation",
        "our step with ASPIN",
        "megabytes",
    ),
]


def parts(fastmri: bool) -> list[str]:
    """All parts that the tables need, without fastMRI's where it is not installed."""
    names = [name for row in COMPARISONS + COSTS for name in (row.ours, row.compared)]
    return [name for name in dict.fromkeys(names) if fastmri or not name.startswith("fastmri")]


def rows(results: Results, size: str) -> list[dict[str, Any]]:
    """Rows of both tables, without those whose part was not measured."""
    return [
        _row(comparison, results, size, costs=comparisons is COSTS)
        for comparisons in (COMPARISONS, COSTS)
        for comparison in comparisons
        if comparison.compared in results
    ]


def _row(comparison: Comparison, results: Results, size: str, *, costs: bool) -> dict[str, Any]:
    ours, compared = (
        [result[comparison.value] for result in results[part]] for part in (comparison.ours, comparison.compared)
    )
    our_median, compared_median = statistics.median(ours), statistics.median(compared)
    return {
        "what": comparison.what,
        "unit": comparison.value,
        "ours": our_median,
        "ours_range": _range(ours),
        "compared_with": comparison.compared,
        "theirs": compared_median,
        "theirs_range": _range(compared),
        "ratio": our_median / compared_median if costs else compared_median / our_median,
        "ratio_is": "ours / theirs" if costs else "theirs / ours",
        "required": comparison.required.get(size),
    }


def _range(values: list[float]) -> str:
    return f"{min(values):.4g} to {max(values):.4g}"


def page(rows: list[dict[str, Any]], results: Results, settings: dict[str, Any], arguments: argparse.Namespace) -> str:
    """The Markdown page: what was measured, both tables, the command."""
    lines = [_description(results, settings, arguments), ""]
    if "fastmri" not in settings:
        lines += [f"fastMRI's own code could not be imported; for its rows: `{INSTALL_FASTMRI}`.", ""]
    lines += ["| what | ours | compared with | its value | ratio | required |", "|---|---|---|---|---|---|"]
    for row in rows:
        if row["ratio_is"] == "theirs / ours":
            required = "" if row["required"] is None else f"{row['required']:g}"
            cells = [row["what"], _cell(row, "ours"), row["compared_with"], _cell(row, "theirs")]
            lines.append(f"| {' | '.join(cells)} | **{row['ratio']:.2f}** | {required} |")
    lines += ["", "| what it costs | with it | compared with | without it | with / without |", "|---|---|---|---|---|"]
    for row in rows:
        if row["ratio_is"] == "ours / theirs":
            cells = [row["what"], _cell(row, "ours"), row["compared_with"], _cell(row, "theirs")]
            lines.append(f"| {' | '.join(cells)} | **{row['ratio']:.2f}** |")
    options = " ".join(f"--{name} {getattr(arguments, name)}" for name in ("size", "rounds", "repeats"))
    return "\n".join([*lines, "", f"`python scripts/benchmark.py {options}`", ""])


def _cell(row: dict[str, Any], side: str) -> str:
    unit = "s" if row["unit"] == "seconds" else "MB"
    return f"{row[side]:.4g} {unit} ({row[f'{side}_range']})"


def _description(results: Results, settings: dict[str, Any], arguments: argparse.Namespace) -> str:
    coils, height, width = settings["shape"]
    cascades, channels, sensitivity_channels = settings["sizes"]
    networks = {"our step": "ours", "our step with ASPIN": "ours with ASPIN and classifier", "monai step": "MONAI"}
    if "fastmri" in settings:
        networks["fastmri step"] = f"fastMRI {settings['fastmri']}"
    parameters = ", ".join(f"{results[part][0]['parameters']:,} ({name})" for part, name in networks.items())
    return (
        f"{cascades} cascades, {channels} channels, {sensitivity_channels} sensitivity channels, {coils} coils, "
        f"{height} x {width}, batch 1, {arguments.device}, {settings['threads']} thread(s), "
        f"PyTorch {torch.__version__}; parameters {parameters}; volume of {settings['slices']} slices; medians of "
        f"{arguments.rounds} process(es), ranges in parentheses."
    )
