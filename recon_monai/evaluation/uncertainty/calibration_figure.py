"""The picture of a calibration: predicted spread against true error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recon_monai.evaluation.uncertainty.calibration import Calibration
from recon_monai.optional import require

__all__ = ["calibration_figure"]


def calibration_figure(calibrations: Mapping[str, Calibration], path: str | Path | None = None) -> Any:
    """Draw calibration curves, on axes of one scale, with the diagonal of a perfect one.

    Args:
        calibrations: by name, at least one; all in the same units.
        path: file to write (the ending says the kind), or None.

    Returns:
        The `matplotlib.figure.Figure`, made without pyplot, so that it is no window and nothing has to be closed.

    Raises:
        ImportError: if matplotlib is missing (the message holds the pip line).
        ValueError: if there is nothing to draw.
    """
    if not calibrations:
        raise ValueError("there is no calibration to draw, expected at least one")
    figure = require("matplotlib.figure", extra="report").Figure(figsize=(5.6, 5.2), layout="constrained")
    axes = figure.add_subplot()
    largest = 0.0
    for name, found in calibrations.items():
        curve = found.curve
        label = (
            f"{name}: slope {curve.slope:.2f}, rank correlation {found.rank_correlation:.2f},\n"
            f"within 1 / 2 spreads {found.coverage_1:.0%} / {found.coverage_2:.0%}"
        )
        axes.plot(curve.spread, curve.error, marker="o", markersize=4, label=label)
        largest = max(largest, float(curve.spread.max()), float(curve.error.max()))
    end = 1.05 * largest or 1.0
    axes.plot([0, end], [0, end], color="0.5", linestyle="--", linewidth=1, label="calibrated: error = spread")
    axes.set(xlim=(0, end), ylim=(0, end), aspect="equal")
    axes.set_xlabel("predicted spread (RMS of the bin)\n(research use only, not for diagnosis)")
    axes.set_ylabel("true error (RMS of the bin)")
    axes.set_title("Below the line: spread too large. Above: too small.", fontsize=9)
    axes.legend(fontsize=7, loc="best")
    if path is not None:
        figure.savefig(path, dpi=120)
    return figure
