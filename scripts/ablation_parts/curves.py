"""Validation curves: read from a run's TensorBoard files, drawn as SVG."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

__all__ = ["Curve", "draw_curves", "mean_curve", "read_curves"]

Curve = dict[int, float]
"""Value by epoch."""

COLORS = ("#000000", "#0072b2", "#009e73", "#d55e00", "#cc79a7", "#e69f00", "#56b4e9")
_PANEL = (430, 300)
_MARGIN = (64, 34, 16, 46)  # left, top, right, bottom
_LEGEND_LINE = 20


def read_curves(folder: Path) -> dict[str, Curve]:
    """Scalars of a run.

    Args:
        folder: with its TensorBoard files, several of a run that was resumed; what was done again counts last.

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
        if tag.startswith("val_")
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


def draw_curves(panels: Mapping[str, Mapping[str, Sequence[Curve]]], y_title: str) -> str:
    """Panels side by side, one line for each label and, if it has several curves, a thin one for each of them.

    Args:
        panels: title to label to curves (of the seeds); labels without curves are left out.
        y_title: what is drawn.

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
        raise ValueError("there are no validation curves yet; wait for the first validation of a run")
    colors = {label: COLORS[index % len(COLORS)] for index, label in enumerate(labels)}
    width, height = _PANEL[0] * len(shown), _PANEL[1] + _LEGEND_LINE * math.ceil(len(labels) / 2) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for number, (title, lines) in enumerate(shown.items()):
        parts += [f'<g transform="translate({number * _PANEL[0]} 0)">', *_panel(title, lines, colors, y_title), "</g>"]
    for index, label in enumerate(labels):
        x, y = 20 + index % 2 * width // 2, _PANEL[1] + 16 + index // 2 * _LEGEND_LINE
        parts.append(
            f'<line x1="{x}" x2="{x + 26}" y1="{y - 4}" y2="{y - 4}" stroke="{colors[label]}" stroke-width="2"/>'
        )
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


def _panel(title: str, lines: Mapping[str, Sequence[Curve]], colors: Mapping[str, str], y_title: str) -> list[str]:
    left, top, right, bottom = _MARGIN
    points = [point for curves in lines.values() for curve in curves for point in curve.items()]
    if not points:
        return [f'<text x="{left}" y="{top - 12}" font-weight="bold">{escape(title)}</text>']
    (x_low, x_high), (y_low, y_high) = (_range([point[axis] for point in points]) for axis in (0, 1))

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = (x - x_low) / (x_high - x_low), (y - y_low) / (y_high - y_low)
        return left + across * (_PANEL[0] - left - right), _PANEL[1] - bottom - up * (_PANEL[1] - top - bottom)

    corner, opposite = place(x_low, y_high), place(x_high, y_low)
    parts = [f'<text x="{left}" y="{top - 12}" font-weight="bold">{escape(title)}</text>']
    for value in ticks(y_low, y_high):
        y = place(x_low, value)[1]
        parts.append(f'<line x1="{corner[0]}" x2="{opposite[0]}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(f'<text x="{corner[0] - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.6g}</text>')
    for value in ticks(x_low, x_high):
        x = place(value, y_low)[0]
        parts.append(f'<text x="{x:.1f}" y="{opposite[1] + 17:.1f}" text-anchor="middle">{value:.6g}</text>')
    middle = (corner[1] + opposite[1]) / 2
    parts += [
        f'<rect x="{corner[0]}" y="{corner[1]}" width="{opposite[0] - corner[0]}" height="{opposite[1] - corner[1]}" '
        'fill="none" stroke="#555555"/>',
        f'<text x="{(corner[0] + opposite[0]) / 2}" y="{_PANEL[1] - 10}" text-anchor="middle">epoch</text>',
        f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">{escape(y_title)}</text>',
    ]
    for label, curves in lines.items():
        thin = [(curve, 0.6) for curve in curves] if len(curves) > 1 else []
        for curve, stroke in [*thin, (mean_curve(curves), 2.0)]:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in curve.items()))
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colors[label]}" stroke-width="{stroke}"/>')
    return parts


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin
