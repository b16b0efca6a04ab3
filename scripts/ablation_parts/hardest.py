"""Slices by difficulty, 1 - SSIM of the zero-filled image: their histogram, and which tenth is the hardest."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ablation_parts.curves import draw_histograms
from ablation_parts.pages import ZERO_FILLED, complete_rows
from ablation_parts.results import SLICE_METRICS, Row, difference, seed_means, value_and_spread
from recon_monai.evaluation.tables import markdown_table

__all__ = ["Hardest", "hardest", "hardest_table", "histogram", "select"]

SHARE = 0.1
BIN = 0.02


class Hardest(NamedTuple):
    """The hardest slices.

    Attributes:
        keys: file and acceleration of each, as rows of slices name them.
        threshold: least difficulty among them.
        groups: how many there are of each anatomy and acceleration.
    """

    keys: frozenset[tuple[str, int]]
    threshold: float
    groups: Mapping[tuple[str, int], int]


def hardest(rows: Sequence[Row], share: float = SHARE) -> Hardest:
    """The slices with the lowest SSIM of the zero-filled image, all anatomies and accelerations together.

    Args:
        rows: slices, the zero-filled ones among them.
        share: how many, rounded up; each acceleration of a slice counts.

    Returns:
        The slices.
    """
    ranked = sorted(_zero_filled(rows), key=lambda row: (row["ssim"], row["file"], row["acceleration"]))
    chosen = ranked[: math.ceil(share * len(ranked))]
    return Hardest(
        frozenset((row["file"], row["acceleration"]) for row in chosen),
        1 - chosen[-1]["ssim"],
        dict(sorted(Counter((row["anatomy"], row["acceleration"]) for row in chosen).items())),
    )


def select(rows: Sequence[Row], found: Hardest, inside: bool = True) -> list[Row]:
    """Rows of the hardest slices, or of all others.

    Args:
        rows: slices.
        found: the hardest ones.
        inside: False: the others.

    Returns:
        The rows.
    """
    return [row for row in rows if ((row["file"], row["acceleration"]) in found.keys) == inside]


def histogram(rows: Sequence[Row], found: Hardest) -> str:
    """Draw how many slices are how hard, a panel for each anatomy.

    Args:
        rows: slices, the zero-filled ones among them.
        found: the hardest ones, whose threshold is drawn too.

    Returns:
        An SVG file's text.
    """
    panels: dict[str, dict[str, list[float]]] = {}
    for row in sorted(_zero_filled(rows), key=lambda row: (row["anatomy"], row["acceleration"])):
        panel = panels.setdefault(row["anatomy"], {})
        panel.setdefault(f"{row['acceleration']}x", []).append(1 - row["ssim"])
    return draw_histograms(panels, "1 - SSIM(zero-filled)", BIN, {"the hardest tenth begins": found.threshold})


def hardest_table(rows: Sequence[Row], found: Hardest, labels: Mapping[str, str], default: str) -> str:
    """Quality on the hardest slices and on the others, and the difference from the default on each.

    Args:
        rows: slices of all variants.
        found: the hardest ones.
        labels: variants in their order, and how the table names them.
        default: the variant that is subtracted.

    Returns:
        A table.
    """
    inside, outside = (
        [row for variant in labels for row in complete_rows(select(rows, found, which), variant)]
        for which in (True, False)
    )
    table = []
    for variant, label in labels.items():
        cells: dict[str, Any] = {"variant": label}
        for metric in SLICE_METRICS:
            cells[f"{metric.upper()}, hardest"] = _cell(inside, variant, metric)
        cells["SSIM, others"] = _cell(outside, variant, "ssim")
        for name, part in (("hardest", inside), ("others", outside)):
            cells[f"SSIM - default, {name}"] = _against(part, variant, default)
        table.append(cells)
    return markdown_table(table)


def _cell(rows: Sequence[Row], variant: str, metric: str) -> str:
    cell = value_and_spread(seed_means(rows, variant, metric), metric)
    return cell.removesuffix(" *") if variant == ZERO_FILLED else cell


def _against(rows: Sequence[Row], variant: str, default: str) -> str:
    if variant in (default, ZERO_FILLED):
        return ""
    found = difference(rows, variant, default, "ssim")
    return "n/a" if found is None else f"{found.mean:+.4f} ({found.better} of {found.volumes} better)"


def _zero_filled(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["variant"] == ZERO_FILLED and not math.isnan(row["ssim"])]
