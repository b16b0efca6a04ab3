"""Draw the figure of segmentation measures in docs/from_least_squares.md: pairs of masks, and what each runs into.

Run in the root of the repository (a second; needs the extra demo): python scripts/draw_segmentation.py [FILE]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from recon_monai import RESEARCH_NOTICE
from recon_monai.handlers.pictures import write_line
from recon_monai.metrics import segmentation_measures, segmentation_pitfalls

SIDE = 40  # mm, of the field of view
SCALE, COLUMNS, GAP, MARGIN, LINE = 5, 5, 16, 16, 21
WHITE, GRAY, MARKED = (245, 245, 245), (175, 180, 190), (255, 190, 80)
BACKGROUND, BOTH, TOO_MUCH, MISSED = (30, 32, 38), (190, 190, 190), (240, 112, 32), (60, 130, 240)
Mask = npt.NDArray[np.bool_]


class Case(NamedTuple):
    """A target and what was found instead."""

    title: str
    prediction: Mask
    target: Mask
    spacing: tuple[float, float] = (1.0, 1.0)


def nearest(count: int, row: float = 19.5, column: float = 19.5, spacing: tuple[float, float] = (1.0, 1.0)) -> Mask:
    """The voxels nearest to a place in mm: a disc of a number of voxels."""
    rows, columns = (np.arange(round(SIDE / step)) * step for step in spacing)
    distance = np.hypot(rows[:, None] - row, columns - column)
    mask = np.zeros(distance.size, bool)
    mask[np.argsort(distance, axis=None, kind="stable")[:count]] = True
    return mask.reshape(distance.shape)


def cases() -> list[Case]:
    """The pairs of the figure, in its order."""
    large, small, nothing = nearest(616), nearest(12), nearest(0)
    lesion = nearest(12, 6, 33)
    middle, thick = nearest(316), (4.0, 1.0)
    slices = nearest(96, 18, 19.5, thick)
    return [
        Case("a voxel too little all around", nearest(532), large),
        Case("the same, small structure", nearest(4), small),
        Case("a small one is missed", large, large | lesion),
        Case("a hole", large & ~nearest(12), large),
        Case("120 voxels too many", nearest(436), middle),
        Case("120 voxels missing", nearest(196), middle),
        Case("the same size elsewhere", nearest(200, 10, 10), nearest(200, 29, 29)),
        Case("one voxel off, of 4 x 1 mm", np.roll(slices, 1, axis=0), slices, thick),
        Case("nothing found", nothing, middle),
        Case("nothing there, nothing found", nothing, nothing),
    ]


def words(case: Case) -> tuple[list[str], list[str]]:
    """The measures of a pair in lines, and the names of its pitfalls."""
    found = segmentation_measures(prediction=case.prediction, target=case.target, spacing=case.spacing)
    lines = [
        f"Dice {found['dice']:.2f}   IoU {found['iou']:.2f}   F2 {found['f_beta']:.2f}",
        f"specificity {found['specificity']:.2f}   volume {found['volume_similarity']:.2f}",
        f"Hausdorff {found['hausdorff']:.1f}   surface {found['average_surface_distance']:.2f} mm",
    ]
    return lines, list(segmentation_pitfalls(found, spacing=case.spacing))


def colored(case: Case) -> Image.Image:
    """Both masks in one picture, each voxel of its size in mm."""
    picture = np.full((*case.target.shape, 3), BACKGROUND, np.uint8)
    for mask, color in (
        (case.prediction & case.target, BOTH),
        (case.prediction & ~case.target, TOO_MUCH),
        (case.target & ~case.prediction, MISSED),
    ):
        picture[mask] = color
    return Image.fromarray(picture).resize((SIDE * SCALE, SIDE * SCALE), Image.Resampling.NEAREST)


def draw() -> Image.Image:
    """All pairs, with their measures and pitfalls below each."""
    pairs = cases()
    width, height = SIDE * SCALE + 40 + GAP, SIDE * SCALE + 7 * LINE + GAP
    rows = -(-len(pairs) // COLUMNS)
    size = (2 * MARGIN + COLUMNS * width - GAP, 2 * MARGIN + LINE + rows * height - GAP)
    picture = Image.new("RGB", size)
    pen = ImageDraw.Draw(picture)
    for number, case in enumerate(pairs):
        left, top = MARGIN + number % COLUMNS * width, MARGIN + number // COLUMNS * height
        write_line(pen, (left, top), case.title, 17, WHITE, width - GAP)
        picture.paste(colored(case), (left, top + LINE + 4))
        lines, pitfalls = words(case)
        below = top + LINE + SIDE * SCALE + 8
        texts = [(line, GRAY) for line in lines] + [(name.replace("_", " "), MARKED) for name in pitfalls]
        for place, (text, color) in enumerate(texts):
            write_line(pen, (left, below + place * LINE), text, 14, color, width - GAP)
    left = MARGIN
    for color, text in ((BOTH, "both"), (TOO_MUCH, "prediction alone"), (MISSED, "target alone"), (MARKED, "pitfalls")):
        pen.rectangle((left, size[1] - MARGIN - 14, left + 12, size[1] - MARGIN - 2), fill=color)
        write_line(pen, (left + 20, size[1] - MARGIN - 17), text, 15, WHITE, 160)
        left += 190
    write_line(pen, (left, size[1] - MARGIN - 17), f"{RESEARCH_NOTICE} Masks are made up.", 15, GRAY, size[0] - left)
    return picture


if __name__ == "__main__":
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/from_least_squares/segmentation.png")
    draw().quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    for pair in cases():
        numbers, notes = words(pair)
        print(" | ".join([pair.title, *numbers, ", ".join(notes)]))
