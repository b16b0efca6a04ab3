"""What the page shows, as plain values for its template and scripts."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from recon_monai.evaluation.groups import group_words
from recon_monai.evaluation.report.calibrations import calibration_plot
from recon_monai.evaluation.report.cases import SECTION_TITLES, Case, groups_of
from recon_monai.evaluation.report.measures import Measure, measures_of
from recon_monai.evaluation.report.notes import notes_of
from recon_monai.evaluation.report.overview import difference_tables, mean_rows
from recon_monai.evaluation.report.reading import Comparison, Method
from recon_monai.handlers.pictures import color_error

__all__ = ["failures_of", "script_data", "sections_of", "unreadable_files"]


def sections_of(comparison: Comparison, cases: Sequence[Case]) -> list[dict[str, Any]]:
    """One section per kind of data that is there: never pooled.

    Args:
        comparison: whose methods and differences are shown.
        cases: of all kinds.

    Returns:
        Title, notes and, per measure, tables of means and of paired differences, one for each base.
    """
    sections = []
    for data, title in SECTION_TITLES.items():
        members = [case for case in cases if case.first.data == data]
        if not members:
            continue
        rows = [row for case in members for row in case.rows.values()]
        measures = measures_of(rows)
        present = {row.method for row in rows}
        methods = [method for method in comparison.methods if method.name in present]
        differences = [entry for entry in comparison.differences if entry.data == data]
        tables = [
            {
                "measure": measure,
                "means": mean_rows(members, methods, measure),
                "differences": difference_tables(differences, methods, measure),
            }
            for measure in measures
        ]
        sections.append(
            {
                "data": data,
                "title": title,
                "files": len({case.first.file for case in members}),
                "subjects": len({case.first.subject for case in members if case.first.subject}),
                "methods": methods,
                "notes": notes_of(members, methods, measures, differences),
                "tables": tables,
                "base": _first_base(members, methods, tables),
                "calibration": calibration_plot(members, comparison.methods),
            }
        )
    return sections


def _first_base(members: Sequence[Case], methods: Sequence[Method], tables: Sequence[dict[str, Any]]) -> str:
    """The method that others are first compared with: the best that is not learned, by SSIM, else the first."""
    bases = {one.base for table in tables for one in table["differences"]}
    means = {}
    for name in (method.name for method in methods if method.name in bases and not method.is_learned):
        rows = [case.rows[name] for case in members if name in case.rows]
        values = [row.values["ssim"] for row in rows if "ssim" in row.values]
        if values:
            means[name] = statistics.fmean(values)
    return max(means, key=means.__getitem__, default=next((one.name for one in methods if one.name in bases), ""))


def failures_of(cases: Sequence[Case]) -> list[dict[str, str]]:
    """Rows without a result, each with its reason."""
    return [
        {
            "file": row.file,
            "data": SECTION_TITLES[row.data],
            "group": group_words(row.group),
            "method": row.method,
            "failure": row.failure,
        }
        for case in cases
        for row in case.rows.values()
        if row.failure is not None
    ]


def unreadable_files(comparison: Comparison) -> list[dict[str, str]]:
    """Files that could not be opened, each once with the reason."""
    reasons = {row.file: row.failure or "no reason was given" for row in comparison.rows if row.data == "unreadable"}
    return [{"file": file, "failure": reason} for file, reason in reasons.items()]


def script_data(
    comparison: Comparison, cases: Sequence[Case], measures: Sequence[Measure], problems: Sequence[str | None]
) -> dict[str, Any]:
    """What the scripts need before any image is shown.

    Args:
        comparison: whose methods are shown.
        cases: in the order of their image blocks.
        measures: of all cases.
        problems: why a case has no images; None where it has.

    Returns:
        What is written as JSON.
    """
    return {
        "methods": [
            {"name": method.name, "learned": method.is_learned, "detail": method.detail}
            for method in comparison.methods
        ],
        "measures": [
            {"key": measure.key, "label": measure.label, "better": measure.better, "decimals": measure.decimals}
            for measure in measures
        ],
        "sections": {data: title for data, title in SECTION_TITLES.items() if _has(cases, data)},
        "groups": {data: _groups(cases, data) for data in SECTION_TITLES if _has(cases, data)},
        "colors": np.asarray(color_error(np.linspace(0, 1, 256)[None], 1.0)[0]).tolist(),
        "cases": [_case(case, problem) for case, problem in zip(cases, problems, strict=True)],
    }


def _groups(cases: Sequence[Case], data: str) -> list[str]:
    return [group_words(group) for group in groups_of(case for case in cases if case.first.data == data)]


def _has(cases: Sequence[Case], data: str) -> bool:
    return any(case.first.data == data for case in cases)


def _case(case: Case, problem: str | None) -> dict[str, Any]:
    first = case.first
    return {
        "file": first.file,
        "data": first.data,
        "group": group_words(first.group),
        "subject": first.subject,
        "effective": first.effective_acceleration,
        "coils": first.coils,
        "values": {name: dict(row.values) for name, row in case.rows.items()},
        "failures": {name: row.failure for name, row in case.rows.items() if row.failure is not None},
        "problem": problem,
    }
