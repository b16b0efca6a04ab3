"""Tables of the overview: means per group, paired differences."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from recon_monai.evaluation.bootstrap import FEWEST_SUBJECTS
from recon_monai.evaluation.groups import ALL_ANATOMIES, ALL_CONTRASTS, Group
from recon_monai.evaluation.report.cases import Case, groups_of
from recon_monai.evaluation.report.measures import Measure, formatted, formatted_difference
from recon_monai.evaluation.report.paired import beaten_by
from recon_monai.evaluation.report.reading import Difference, Method

__all__ = ["DifferenceCell", "DifferenceTable", "MeanCell", "MeanRow", "difference_tables", "mean_rows"]


@dataclass(frozen=True)
class MeanCell:
    """Mean of one method in one group.

    Attributes:
        text: the mean as shown; empty without a number.
        mean: over files; NaN without.
        spread: standard deviation over files as shown; empty for one file.
        files: how many have a number.
        best: whether no method of the group is better.
        failed: files of which it failed to make a result.
        behind: the classical method that is better on the same files; empty if none, or for a classical method.
    """

    text: str
    mean: float
    spread: str
    files: int
    best: bool = False
    failed: int = 0
    behind: str = ""


@dataclass(frozen=True)
class MeanRow:
    """One group.

    Attributes:
        group: anatomy, acceleration, contrast.
        files: in the group.
        cells: one per method.
        pooled: whether it puts several groups together.
    """

    group: Group
    files: int
    cells: list[MeanCell]
    pooled: bool


@dataclass(frozen=True)
class DifferenceCell:
    """One paired difference, ready to draw.

    Attributes:
        mean: as shown.
        interval: as shown; empty without.
        subjects: how many.
        files: how many.
        verdict: better, worse, unclear (also of fewer than `FEWEST_SUBJECTS`), or none where neither way is better.
        at: place of the mean on an axis from 0 to 100 with the zero at 50.
        start: place of the lower end.
        end: place of the upper end.
    """

    mean: str
    interval: str
    subjects: int
    files: int
    verdict: str
    at: float
    start: float
    end: float


@dataclass(frozen=True)
class DifferenceTable:
    """All differences from one base.

    Attributes:
        base: that is subtracted.
        methods: the columns.
        rows: words of the group, and one cell per column; None where there is no difference.
        reach: the number at either end of the axis, as shown.
    """

    base: str
    methods: list[str]
    rows: list[tuple[str, list[DifferenceCell | None]]]
    reach: str


def mean_rows(cases: Sequence[Case], methods: Sequence[Method], measure: Measure) -> list[MeanRow]:
    """Means over files, per group and method.

    Args:
        cases: of one kind of data.
        methods: the columns.
        measure: what is averaged.

    Returns:
        One row per group in which some method has the number.
    """
    rows = []
    for group, members in groups_of(cases, pooled=True).items():
        cells = [_mean_cell(members, method, methods, measure) for method in methods]
        if any(cell.files for cell in cells):
            pooled = ALL_ANATOMIES in group or ALL_CONTRASTS in group
            rows.append(MeanRow(group, len(members), _with_best(cells, measure), pooled))
    return rows


def difference_tables(
    differences: Sequence[Difference], methods: Sequence[Method], measure: Measure
) -> list[DifferenceTable]:
    """Paired differences of one kind of data, one table per base.

    Args:
        differences: of one kind of data, of any metric.
        methods: in the order to show.
        measure: whose differences are taken.

    Returns:
        Tables on one axis each, every method being the base of one.
    """
    given = [entry for entry in differences if entry.metric == measure.key and entry.mean is not None]
    mine = given + [_mirrored(entry) for entry in given]
    order = [method.name for method in methods]
    tables = []
    for base in sorted({entry.base for entry in mine}, key=order.index):
        of_base = [entry for entry in mine if entry.base == base]
        columns = sorted({entry.method for entry in of_base}, key=order.index)
        reach = max(
            abs(value) for entry in of_base for value in (entry.mean, entry.low, entry.high) if value is not None
        )
        found = {(entry.group, entry.method): _difference_cell(entry, measure, reach) for entry in of_base}
        groups = dict.fromkeys(entry.group for entry in of_base)
        rows = [(group, [found.get((group, column)) for column in columns]) for group in groups]
        tables.append(DifferenceTable(base, columns, rows, formatted_difference(reach, measure).lstrip("+")))
    return tables


def _mean_cell(members: Sequence[Case], method: Method, methods: Sequence[Method], measure: Measure) -> MeanCell:
    rows = [case.rows[method.name] for case in members if method.name in case.rows]
    values = [row.values[measure.key] for row in rows if measure.key in row.values]
    failed = sum(row.failure is not None for row in rows)
    if not values:
        return MeanCell("", math.nan, "", 0, failed=failed)
    mean = statistics.fmean(values)
    spread = formatted(statistics.stdev(values), measure) if len(values) > 1 else ""
    beaten = beaten_by(members, method, methods, measure)
    behind = "" if beaten is None else beaten.base.name
    return MeanCell(formatted(mean, measure), mean, spread, len(values), failed=failed, behind=behind)


def _with_best(cells: Sequence[MeanCell], measure: Measure) -> list[MeanCell]:
    scores = [measure.better * cell.mean for cell in cells if cell.files]
    if not measure.better or len(scores) < 2:
        return list(cells)
    best = max(scores)
    return [replace(cell, best=bool(cell.files) and measure.better * cell.mean == best) for cell in cells]


def _mirrored(entry: Difference) -> Difference:
    mean, low, high = (None if value is None else -value for value in (entry.mean, entry.high, entry.low))
    return replace(entry, method=entry.base, base=entry.method, mean=mean, low=low, high=high)


def _difference_cell(entry: Difference, measure: Measure, reach: float) -> DifferenceCell:
    mean = entry.mean or 0.0
    low, high = (mean if value is None else value for value in (entry.low, entry.high))
    has_interval = entry.low is not None and entry.high is not None
    at, start, end = (round(50 + 48 * value / reach, 2) if reach else 50.0 for value in (mean, low, high))
    interval = f"{formatted_difference(low, measure)} to {formatted_difference(high, measure)}" if has_interval else ""
    return DifferenceCell(
        formatted_difference(mean, measure),
        interval,
        entry.subjects,
        entry.files,
        _verdict(low, high, measure) if has_interval and entry.subjects >= FEWEST_SUBJECTS else "unclear",
        at,
        start,
        end,
    )


def _verdict(low: float, high: float, measure: Measure) -> str:
    if not measure.better:
        return "none"
    if low <= 0 <= high:
        return "unclear"
    return "better" if (low > 0) == (measure.better > 0) else "worse"
