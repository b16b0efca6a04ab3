"""Curves, read from a run's TensorBoard files, and histograms: drawn as SVG."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

__all__ = ["Curve", "draw_curves", "draw_histograms", "mean_curve", "read_curves"]

Curve = dict[int, float]
"""Value by epoch."""

COLORS = ("#000000", "#0072b2", "#009e73", "#d55e00", "#cc79a7", "#e69f00", "#56b4e9")
_PANEL = (430, 300)
_MARGIN = (64, 34, 16, 46)  # left, top, right, bottom
_LEGEND_LINE = 20


def read_curves(folder: Path, prefix: str = "val_") -> dict[str, Curve]:
    """Scalars of a run.

    Args:
        folder: with its TensorBoard files, several of a run that was resumed; what was done again counts last.
        prefix: of the tags that are wanted.

    Returns:
        Curves by tag, like ``val_ssim/brain/4x``; none if there is no file.
    """
    from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
        EventAccumulator,  # slow to import
    )

    if not any(folder.glob("events.out.tfevents.*")):
        return {}
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    return {
        tag: {int(event.step): float(event.value) for event in accumulator.Scalars(tag)}
        for tag in accumulator.Tags()["scalars"]
        if tag.startswith(prefix)
    }


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Mean at the epochs that all curves have.

    Args:
        curves: of several seeds or accelerations.

    Returns:
        The mean; empty if there are no curves.
    """
    epochs = set.intersection(*(set(curve) for curve in curves)) if curves else set()
    return {epoch: sum(curve[epoch] for curve in curves) / len(curves) for epoch in sorted(epochs)}


def draw_curves(panels: Mapping[str, Mapping[str, Sequence[Curve]]], y_title: str, x_title: str = "epoch") -> str:
    """Panels side by side, one line for each label and, if it has several curves, a thin one for each of them.

    Args:
        panels: title to label to curves (of the seeds); labels without curves are left out.
        y_title: what is drawn.
        x_title: over what.

    Returns:
        An SVG file's text.

    Raises:
        ValueError: if there is nothing to draw.
    """
    shown = {
        title: {label: list(curves) for label, curves in lines.items() if any(curves)}
        for title, lines in panels.items()
    }
    labels = list(dict.fromkeys(label for lines in shown.values() for label in lines))
    if not labels:
        raise ValueError("there are no curves yet; wait for the first validation of a run")
    colors = {label: COLORS[index % len(COLORS)] for index, label in enumerate(labels)}
    drawn = {title: _panel(title, lines, colors, (x_title, y_title)) for title, lines in shown.items()}
    return _document(list(drawn.values()), colors)


def draw_histograms(
    panels: Mapping[str, Mapping[str, Sequence[float]]], x_title: str, width: float, marks: Mapping[str, float]
) -> str:
    """Histograms side by side with the same axes, one outline for each label.

    Args:
        panels: title to label to values.
        x_title: what the values are.
        width: of the bins, which begin at multiples of it.
        marks: label to value of vertical lines through all panels.

    Returns:
        An SVG file's text.

    Raises:
        ValueError: if there is nothing to draw.
    """
    everything = [value for lines in panels.values() for values in lines.values() for value in values]
    if not everything:
        raise ValueError("there are no values to draw a histogram of")
    first, last = (math.floor(bound / width) for bound in (min(everything), max(everything)))
    counts = {
        title: {label: _counts(values, width, first, last) for label, values in lines.items()}
        for title, lines in panels.items()
    }
    labels = list(dict.fromkeys(label for lines in panels.values() for label in lines))
    colors = {label: COLORS[1 + index % (len(COLORS) - 1)] for index, label in enumerate(labels)}
    x_range = (first * width, (last + 1) * width)
    y_range = (0.0, 1.08 * max(count for lines in counts.values() for found in lines.values() for count in found))
    drawn = []
    for title, lines in counts.items():
        parts, place = _axes(title, x_range, y_range, (x_title, "slices"))
        for label, found in lines.items():
            edges = [x_range[0] + width * (index + side) for index in range(len(found)) for side in (0, 1)]
            heights = [0.0, *(float(count) for count in found for _ in range(2)), 0.0]
            corners = [place(*point) for point in zip([edges[0], *edges, edges[-1]], heights, strict=True)]
            parts.append(_line(corners, colors[label], 2.0))
        for value in marks.values():
            parts.append(_line([place(value, y_range[0]), place(value, y_range[1])], COLORS[0], 1.0, "4 3"))
        drawn.append(parts)
    return _document(drawn, {**colors, **dict.fromkeys(marks, COLORS[0])})


def _counts(values: Sequence[float], width: float, first: int, last: int) -> list[int]:
    bins = [math.floor(value / width) for value in values]
    return [bins.count(number) for number in range(first, last + 1)]


def _document(panels: Sequence[Sequence[str]], colors: Mapping[str, str]) -> str:
    """Panels side by side, and below them what each color stands for."""
    width, height = _PANEL[0] * len(panels), _PANEL[1] + _LEGEND_LINE * math.ceil(len(colors) / 2) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for number, panel in enumerate(panels):
        parts += [f'<g transform="translate({number * _PANEL[0]} 0)">', *panel, "</g>"]
    for index, (label, color) in enumerate(colors.items()):
        x, y = 20 + index % 2 * width // 2, _PANEL[1] + 16 + index // 2 * _LEGEND_LINE
        parts.append(f'<line x1="{x}" x2="{x + 26}" y1="{y - 4}" y2="{y - 4}" stroke="{color}" stroke-width="2"/>')
        parts.append(f'<text x="{x + 34}" y="{y}">{escape(label)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers within a range.

    Args:
        low: its lower end.
        high: its upper end, above `low`.
        count: about how many.

    Returns:
        The numbers.
    """
    raw = (high - low) / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    return [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _panel(
    title: str, lines: Mapping[str, Sequence[Curve]], colors: Mapping[str, str], titles: tuple[str, str]
) -> list[str]:
    points = [point for curves in lines.values() for curve in curves for point in curve.items()]
    if not points:
        return [_heading(title)]
    x_range, y_range = (_range([point[axis] for point in points]) for axis in (0, 1))
    parts, place = _axes(title, x_range, y_range, titles)
    for label, curves in lines.items():
        thin = [(curve, 0.6) for curve in curves] if len(curves) > 1 else []
        for curve, stroke in [*thin, (mean_curve(curves), 2.0)]:
            parts.append(_line([place(*point) for point in curve.items()], colors[label], stroke))
    return parts


def _axes(
    title: str, x_range: tuple[float, float], y_range: tuple[float, float], titles: tuple[str, str]
) -> tuple[list[str], Callable[[float, float], tuple[float, float]]]:
    """An empty panel, and the function that gives the place of a point in it."""
    left, top, right, bottom = _MARGIN
    (x_low, x_high), (y_low, y_high) = x_range, y_range

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = (x - x_low) / (x_high - x_low), (y - y_low) / (y_high - y_low)
        return left + across * (_PANEL[0] - left - right), _PANEL[1] - bottom - up * (_PANEL[1] - top - bottom)

    corner, opposite = place(x_low, y_high), place(x_high, y_low)
    parts = [_heading(title)]
    for value in ticks(y_low, y_high):
        y = place(x_low, value)[1]
        parts.append(f'<line x1="{corner[0]}" x2="{opposite[0]}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(f'<text x="{corner[0] - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.6g}</text>')
    for value in ticks(x_low, x_high):
        x = place(value, y_low)[0]
        parts.append(f'<text x="{x:.1f}" y="{opposite[1] + 17:.1f}" text-anchor="middle">{value:.6g}</text>')
    middle, (x_title, y_title) = (corner[1] + opposite[1]) / 2, titles
    parts += [
        f'<rect x="{corner[0]}" y="{corner[1]}" width="{opposite[0] - corner[0]}" height="{opposite[1] - corner[1]}" '
        'fill="none" stroke="#555555"/>',
        f'<text x="{(corner[0] + opposite[0]) / 2}" y="{_PANEL[1] - 10}" text-anchor="middle">{escape(x_title)}</text>',
        f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{escape(y_title)}</text>',
    ]
    return parts, place


def _heading(title: str) -> str:
    return f'<text x="{_MARGIN[0]}" y="{_MARGIN[1] - 12}" font-weight="bold">{escape(title)}</text>'


def _line(points: Sequence[tuple[float, float]], color: str, stroke: float, dashes: str = "") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{stroke}"{dashed}/>'


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin
