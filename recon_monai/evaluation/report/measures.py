"""The numbers a report shows: their names, which way is better, how they are written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from recon_monai.evaluation.report.reading import Row

__all__ = ["Measure", "formatted", "formatted_difference", "measures_of"]


@dataclass(frozen=True)
class Measure:
    """A number per file and method.

    Attributes:
        key: its name in the rows.
        label: its name on the page, with the unit.
        better: 1 if higher is better, -1 if lower is, 0 if neither.
        decimals: after the point; None for three significant digits.
        meaning: one line of explanation.
    """

    key: str
    label: str
    better: int
    decimals: int | None
    meaning: str

    @property
    def is_downstream(self) -> bool:
        """Whether it is of the downstream check, which has many numbers."""
        return self.key.startswith("downstream: ")

    @property
    def is_quality(self) -> bool:
        """Whether it says how near the reconstruction is to a reference."""
        return self.key in ("ssim", "psnr", "nmse", "foreground_ssim")


_KNOWN = (
    Measure("ssim", "SSIM", 1, 3, "Structural similarity to the reference; higher is better, 1 is equal."),
    Measure("psnr", "PSNR (dB)", 1, 2, "Peak signal-to-noise ratio against the reference; higher is better."),
    Measure("nmse", "NMSE", -1, 4, "Squared error over the squared reference; lower is better, 0 is equal."),
    Measure(
        "foreground_ssim", "Foreground SSIM", 1, 3, "SSIM of the images with the background set to 0; higher is better."
    ),
    Measure("sharpness", "Sharpness", 0, 3, "Gradient energy; too low means blurred, too high noisy: neither is best."),
    Measure(
        "kspace_residual",
        "k-space residual",
        0,
        4,
        "Distance from the measured k-space. Noise alone makes it larger than 0, so that lowest is not best.",
    ),
    Measure(
        "null_space_error",
        "Null-space error",
        -1,
        4,
        "Error in the null space of the acquisition: where the measurement says nothing; lower is better.",
    ),
    Measure("seconds", "Seconds", -1, None, "Time per file; lower is better."),
    Measure(
        "peak_memory_mb", "Memory added (MB)", -1, 0, "Most that a call added to the memory in use; lower is better."
    ),
)


def measures_of(rows: Iterable[Row]) -> list[Measure]:
    """The measures that some row has, in the order to show; downstream measures last.

    Args:
        rows: of a comparison.

    Returns:
        Known measures, then one per downstream measure, of which no direction is known.
    """
    present = {name: None for row in rows for name in row.values}
    known = [measure for measure in _KNOWN if measure.key in present]
    names = {measure.key for measure in known}
    others = [
        Measure(name, name.removeprefix("downstream: "), 0, 3, "Downstream check on masks found by one segmentation.")
        for name in present
        if name not in names
    ]
    return known + others


def formatted(value: float, measure: Measure) -> str:
    """The number as shown."""
    return f"{value:.3g}" if measure.decimals is None else f"{value:.{measure.decimals}f}"


def formatted_difference(value: float, measure: Measure) -> str:
    """A difference of two such numbers as shown, with sign."""
    words = f"{value:+.2g}" if measure.decimals is None else f"{value:+.{measure.decimals}f}"
    return words.replace("-", "\u2212")
