"""Tables of an evaluation: pure functions from rows of numbers to a summary, Markdown and CSV text.

A row is a mapping. Rows of slices and volumes hold ``file``, ``anatomy``, ``source``, ``acceleration``,
``effective_acceleration``, ``method`` and one number per metric; rows of slices also ``slice``. Simulated and measured
data never share a table: results on simulated k-space say little about a scanner.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from recon_monai import RESEARCH_NOTICE

__all__ = [
    "ALL_ANATOMIES",
    "Row",
    "csv_text",
    "format_number",
    "markdown_table",
    "mean",
    "summarize",
    "summary_markdown",
]

Row = Mapping[str, Any]
ALL_ANATOMIES = "all"

_HIGHER_IS_BETTER = {"ssim": True, "foreground_ssim": True, "psnr": True, "nmse": False, "nrmse": False}
_DECIMALS = {"ssim": 4, "foreground_ssim": 4, "psnr": 2, "nmse": 5, "nrmse": 4, "effective_acceleration": 2}
_TITLES = {"simulated": "Simulated k-space", "measured": "Measured k-space", "unknown": "k-space of unknown origin"}
_UNITS = {"psnr": "PSNR [dB]", "foreground_ssim": "foreground SSIM"}


def mean(values: Iterable[float]) -> float:
    """Mean of the defined values.

    Args:
        values: numbers; NaN are left out.

    Returns:
        The mean; NaN if there is none.
    """
    defined = [float(value) for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan


def summarize(
    volumes: Sequence[Row], slices: Sequence[Row], *, metrics: Sequence[str], baseline: str | None
) -> list[dict[str, Any]]:
    """Means over the volumes of each group, and each method's margin over the baseline.

    Groups are source, anatomy and acceleration; where a source has several anatomies, there is also one group of all of
    them. ``psnr_margin`` is the mean over volumes of the difference in PSNR; ``ssim_better`` and ``nmse_better`` are
    the shares of slices where the method is strictly better than the baseline, among those where both values are
    defined.

    Args:
        volumes: one row per volume and method.
        slices: one row per slice and method.
        metrics: names of the columns to average.
        baseline: the method others are compared with; None compares none.

    Returns:
        One row per group and method, sorted by source, anatomy and acceleration, methods in the order of ``volumes``.
        ``undefined`` counts values that are NaN and were left out.
    """
    summary = []
    for (source, anatomy, acceleration), group in _groups(volumes).items():
        group_slices = [row for row in slices if _belongs(row, source, anatomy, acceleration)]
        for method in dict.fromkeys(row["method"] for row in group):
            chosen = [row for row in group if row["method"] == method]
            entry = {
                "source": source,
                "anatomy": anatomy,
                "acceleration": acceleration,
                "effective_acceleration": mean(_number(row.get("effective_acceleration")) for row in chosen),
                "method": method,
                "volumes": len(chosen),
                "slices": sum(row["method"] == method for row in group_slices),
                **{name: mean(row[name] for row in chosen) for name in metrics},
                "undefined": sum(math.isnan(row[name]) for row in chosen for name in metrics),
            }
            compared = method != baseline and baseline is not None
            entry |= {f"{name}_better": math.nan for name in ("ssim", "nmse")} | {"psnr_margin": math.nan}
            if compared:
                entry |= _compare(group, group_slices, metrics, method, str(baseline))
            summary.append(entry)
    return summary


def summary_markdown(
    summary: Sequence[Row], *, metrics: Sequence[str], baseline: str | None, convention: str, title: str = "Evaluation"
) -> str:
    """The summary as a page: one table per source, with the metrics' convention and the research notice.

    Args:
        summary: rows of ``summarize``.
        metrics: names of the metric columns.
        baseline: the method others were compared with.
        convention: how the metrics are defined, one line.
        title: heading.

    Returns:
        Markdown.
    """
    parts = [f"# {title}", f"**{RESEARCH_NOTICE}**", f"Means over volumes. Metrics: {convention}."]
    if baseline is not None:
        parts.append(
            f'Columns "better": share of slices where the method beats {_readable(baseline)}; PSNR margin: mean over '
            f"volumes of its PSNR minus that of {_readable(baseline)}. R: nominal acceleration, effective in brackets."
        )
    for source in dict.fromkeys(row["source"] for row in summary):
        rows = [_summary_cells(row, metrics, baseline) for row in summary if row["source"] == source]
        parts += [f"## {_TITLES.get(source, source)}", markdown_table(rows)]
    undefined = sum(row["undefined"] for row in summary if row["anatomy"] != ALL_ANATOMIES)
    if undefined:
        parts.append(f"{undefined} values are undefined (NaN) and left out of the means.")
    return "\n\n".join(parts) + "\n"


def markdown_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Cells to a Markdown table whose columns line up in plain text too.

    Args:
        rows: column title to cell, all with the same titles; at least one row.

    Returns:
        The table without a line break at its end.
    """
    titles = list(rows[0])
    widths = [max(len(title), *(len(row[title]) for row in rows)) for title in titles]

    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([line(titles), rule, *(line(row.values()) for row in rows)])


def csv_text(rows: Sequence[Row]) -> str:
    """Rows to CSV (RFC 4180 quoting, ``.`` as decimal point, full precision, ``nan`` for undefined values).

    Args:
        rows: all with the same keys, which become the header; a column ``notice`` with the research notice is added.

    Returns:
        CSV text; empty if there are no rows.
    """
    if not rows:
        return ""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*rows[0], "notice"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "notice": RESEARCH_NOTICE} for row in rows)
    return stream.getvalue()


def format_number(value: float | None, name: str) -> str:
    """A number with the decimals its metric is usually given with.

    Args:
        value: the number; None and NaN become ``n/a``.
        name: of the metric.

    Returns:
        Text.
    """
    if value is None or math.isnan(value):
        return "n/a"
    return f"{value:.{_DECIMALS[name]}f}" if name in _DECIMALS else f"{value:.4g}"


def _groups(volumes: Sequence[Row]) -> dict[tuple[str, str, Any], list[Row]]:
    groups: dict[tuple[str, str, Any], list[Row]] = {}
    for row in volumes:
        groups.setdefault((row["source"], row["anatomy"], row["acceleration"]), []).append(row)
    for source in {row["source"] for row in volumes}:
        if len({row["anatomy"] for row in volumes if row["source"] == source}) > 1:
            for row in volumes:
                if row["source"] == source:
                    groups.setdefault((source, ALL_ANATOMIES, row["acceleration"]), []).append(row)
    return dict(sorted(groups.items(), key=lambda item: _order(*item[0])))


def _order(source: str, anatomy: str, acceleration: Any) -> tuple[str, bool, str, float]:
    return source, anatomy == ALL_ANATOMIES, anatomy, -1.0 if acceleration is None else float(acceleration)


def _belongs(row: Row, source: str, anatomy: str, acceleration: Any) -> bool:
    same = row["source"] == source and row["acceleration"] == acceleration
    return same and anatomy in (ALL_ANATOMIES, row["anatomy"])


def _compare(
    volumes: Sequence[Row], slices: Sequence[Row], metrics: Sequence[str], method: str, baseline: str
) -> dict[str, float]:
    compared = {}
    for name in ("ssim", "nmse"):
        if name in metrics:
            pairs = _pairs(slices, name, method, baseline)
            wins = [(a > b) if _HIGHER_IS_BETTER[name] else (a < b) for a, b in pairs]
            compared[f"{name}_better"] = sum(wins) / len(wins) if wins else math.nan
    if "psnr" in metrics:
        compared["psnr_margin"] = mean(a - b for a, b in _pairs(volumes, "psnr", method, baseline))
    return compared


def _pairs(rows: Sequence[Row], name: str, method: str, baseline: str) -> list[tuple[float, float]]:
    """Values of both methods wherever both are defined."""
    values: dict[tuple[Any, ...], dict[str, float]] = {}
    for row in rows:
        values.setdefault((row["file"], row["acceleration"], row.get("slice")), {})[row["method"]] = row[name]
    pairs = [(both[method], both[baseline]) for both in values.values() if {method, baseline} <= both.keys()]
    return [(a, b) for a, b in pairs if not (math.isnan(a) or math.isnan(b))]


def _summary_cells(row: Row, metrics: Sequence[str], baseline: str | None) -> dict[str, str]:
    cells = {
        "anatomy": row["anatomy"],
        "R": _acceleration_cell(row["acceleration"], row["effective_acceleration"]),
        "method": _readable(row["method"]),
        "volumes": str(row["volumes"]),
        "slices": str(row["slices"]),
        **{_UNITS.get(name, _readable(name).upper()): format_number(row[name], name) for name in metrics},
    }
    if baseline is None:
        return cells
    is_baseline = row["method"] == baseline
    for name in ("ssim", "nmse"):
        if name in metrics:
            share = row[f"{name}_better"]
            cells[f"{name.upper()} better"] = "" if is_baseline else "n/a" if math.isnan(share) else f"{share:.1%}"
    if "psnr" in metrics:
        margin = row["psnr_margin"]
        cells["PSNR margin [dB]"] = "" if is_baseline else "n/a" if math.isnan(margin) else f"{margin:+.2f}"
    return cells


def _acceleration_cell(nominal: Any, effective: float) -> str:
    known = "unknown" if nominal is None else f"{nominal:g}x"
    return known if math.isnan(effective) else f"{known} ({effective:.2f}x)"


def _readable(name: str) -> str:
    return name.replace("_", "-") if name == "zero_filled" else name.replace("_", " ")


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
