"""docs/from_least_squares.md: its figures are there and small, its table is the gallery's."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from recon_monai.evaluation.gallery import IMAGE_METHODS, LOSSES, METHODS, volume_methods
from recon_monai.evaluation.gallery.volumes import SHIPPED, STRATEGIES

DOCS = Path(__file__).parents[3] / "docs"
PAGE = DOCS / "from_least_squares.md"
LARGEST = 250_000


def test_figures_are_there_and_small() -> None:
    figures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", PAGE.read_text(encoding="utf-8"))
    folder = DOCS / "from_least_squares"
    assert {DOCS / figure for figure in figures} == set(folder.glob("*.png"))
    assert max(path.stat().st_size for path in folder.glob("*.png")) < LARGEST
    assert {*METHODS, *STRATEGIES, SHIPPED, "losses"} <= {path.stem for path in folder.glob("*.png")}


def test_the_table_holds_every_method() -> None:
    with (DOCS / "from_least_squares" / "gallery.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["method"] for row in rows if row["problem"] == "built_in_slice"} == set(METHODS)
    assert {row["method"] for row in rows if row["problem"] == "denoising"} == set(IMAGE_METHODS)
    assert {row["method"] for row in rows if row["problem"] == "built_in_volume"} == set(volume_methods())
    assert {row["method"] for row in rows if row["problem"] == "losses"} == set(LOSSES)
    assert not any(row["reason"] for row in rows)
    for row in rows:
        assert row["group"] != "measured" or row["problem"].startswith("raw_")
