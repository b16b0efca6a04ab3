"""Draw the picture of docs/built_in_set.md: the built-in set, one subject per contrast, lesions outlined.

Usage:
    python scripts/draw_built_in_set.py [PICTURE]       # docs/built_in_set.png if not given

The set is made if it is not there yet (see docs/built_in_set.md).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from recon_monai import RESEARCH_NOTICE
from recon_monai.data import built_in_dataset, read_split

SLICES = {"brain": (3, 5, 7), "knee": (2, 5, 8)}
ENLARGE = 1.5
TILE = (216, 180)
GAP, TITLE, FOOTER = 6, 44, 26
# the picture has 255 gray levels and one color
WHITE, LINE, LINE_COLOR = 254, 255, (255, 140, 30)


class Subject(NamedTuple):
    """What is shown of one file."""

    name: str
    images: np.ndarray
    lesions: np.ndarray
    coils: int


def main() -> None:
    """Write the picture and say where it lies."""
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "built_in_set.png"
    subjects = choose(Path(built_in_dataset()))
    draw(subjects).save(output, optimize=True)
    print(f"{output}: {', '.join(subject.name for subject in subjects)}")


def choose(folder: Path) -> list[Subject]:
    """The first subject with lesions of every contrast, as slices in its window."""
    chosen: dict[str, Subject] = {}
    for path in read_split(folder, "all"):
        with h5py.File(path) as file:
            acquisition = str(file.attrs["acquisition"])
            if acquisition in chosen or not file.attrs.get("lesions", False):
                continue
            images, lesions = file["reconstruction_rss"][()], file["lesion_mask"][()]
            shown = [*SLICES[str(file.attrs["anatomy"])], int(lesions.sum(axis=(1, 2)).argmax())]
            scaled = np.clip(images[shown] / np.percentile(images, 99.7), 0, 1)
            chosen[acquisition] = Subject(path.stem, scaled, lesions[shown], file["kspace"].shape[1])
    return list(chosen.values())


def draw(subjects: list[Subject]) -> Image.Image:
    """One column per subject; below three slices, the one with most lesions and their outlines."""
    rows = len(subjects[0].images)
    height, width = TILE
    sheet = Image.new("P", (GAP + len(subjects) * (width + GAP), TITLE + rows * (height + GAP) + FOOTER))
    sheet.putpalette([level for gray in range(LINE) for level in (gray,) * 3] + list(LINE_COLOR))
    pen = ImageDraw.Draw(sheet)
    pen.fontmode = "1"
    for column, subject in enumerate(subjects):
        left = GAP + column * (width + GAP)
        name, acquisition = subject.name.split("_", 1)
        size = " x ".join(map(str, subject.images.shape[1:]))
        pen.text((left, 5), acquisition, font=ImageFont.load_default(15), fill=WHITE)
        pen.text((left, 25), f"{name}, {size}, {subject.coils} coils", font=ImageFont.load_default(11), fill=175)
        for row, (image, lesion) in enumerate(zip(subject.images, subject.lesions, strict=True)):
            picture = tile(image, lesion if row == rows - 1 else np.zeros_like(lesion))
            corner = left + (width - picture.width) // 2, TITLE + row * (height + GAP) + (height - picture.height) // 2
            sheet.paste(picture, corner)
    pen.text(
        (GAP, sheet.height - FOOTER + 6),
        f"{RESEARCH_NOTICE} Made-up subjects, simulated k-space; targets (RSS). Last row: lesions outlined.",
        font=ImageFont.load_default(11),
        fill=150,
    )
    return sheet


def tile(image: np.ndarray, lesion: np.ndarray) -> Image.Image:
    """A slice, enlarged, with a thin line round its lesions."""
    height, width = image.shape
    size = round(width * ENLARGE), round(height * ENLARGE)
    picture = Image.fromarray(np.rint(WHITE * image).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    inside = np.array(Image.fromarray(lesion * np.uint8(255)).resize(size, Image.Resampling.BILINEAR)) > 127
    outline = ndimage.binary_dilation(inside, iterations=2) & ~ndimage.binary_dilation(inside)
    levels = np.minimum(np.array(picture), WHITE)
    levels[outline] = LINE
    return Image.fromarray(levels)


if __name__ == "__main__":
    main()
