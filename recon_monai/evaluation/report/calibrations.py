"""How well the spread of each method predicts its error, over the files of one kind of data."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from recon_monai.evaluation.report.cases import Case
from recon_monai.evaluation.report.reading import CALIBRATION_NUMBERS, Method, RowCalibration

__all__ = ["CalibrationPlot", "MethodCalibration", "calibration_plot"]

SIDE = 240.0


class MethodCalibration(NamedTuple):
    """The mean curve of a method.

    Attributes:
        method: its name.
        place: its place among all methods, for its color.
        path: of the curve, as SVG.
        numbers: by name, as shown.
        files: how many were averaged.
    """

    method: str
    place: int
    path: str
    numbers: dict[str, str]
    files: int


class CalibrationPlot(NamedTuple):
    """Curves of all methods on axes of one scale.

    Attributes:
        methods: those that have a spread.
        end: of both axes, relative to the maximum of the target, in words.
        side: of the square of the plot.
    """

    methods: list[MethodCalibration]
    end: str
    side: float


def calibration_plot(cases: Sequence[Case], methods: Sequence[Method]) -> CalibrationPlot | None:
    """Mean spread and error of each bin over files, each file relative to the maximum of its target.

    Args:
        cases: of one kind of data.
        methods: all.

    Returns:
        The plot; None if no file has a calibration.
    """
    curves = []
    for index, method in enumerate(methods):
        rows = [case.rows[method.name].calibration for case in cases if method.name in case.rows]
        found = [row for row in rows if row is not None and len(row.spread) > 1]
        bins = {len(row.spread) for row in found}
        if len(bins) == 1:
            spread, error = (_mean([getattr(row, name) for row in found]) for name in ("spread", "error"))
            curves.append((index, method.name, found, spread, error))
    if not curves:
        return None
    end = max(max(*spread, *error) for _, _, _, spread, error in curves) or 1.0
    plotted = [
        MethodCalibration(name, index, _path(spread, error, end), _numbers(found), len(found))
        for index, name, found, spread, error in curves
    ]
    return CalibrationPlot(plotted, f"{end:.2g}", SIDE)


def _mean(curves: Sequence[Sequence[float]]) -> list[float]:
    return [statistics.fmean(values) for values in zip(*curves, strict=True)]


def _numbers(found: Sequence[RowCalibration]) -> dict[str, str]:
    shown = {}
    for name in CALIBRATION_NUMBERS:
        values = [row.numbers[name] for row in found if name in row.numbers]
        shown[name] = f"{statistics.fmean(values):.2f}" if values else "\u2013"
    return shown


def _path(spread: Sequence[float], error: Sequence[float], end: float) -> str:
    points = [f"{SIDE * x / end:.1f} {SIDE * (1 - y / end):.1f}" for x, y in zip(spread, error, strict=True)]
    return "M" + "L".join(points)
