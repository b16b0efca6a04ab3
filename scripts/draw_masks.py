"""Draw the picture of docs/masks.md, every undersampling mask at 4x and 8x, and print the figures of its table.

Run in the root of the repository: python scripts/draw_masks.py [FILE]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image, ImageDraw

from recon_monai.physics import MaskKind, create_mask, seed_from_name

WIDTH = 160  # columns of k-space
HEIGHT = 120
SCALE = 2
BAND = 16
LEFT, TOP, GAP = 130, 24, 12
PAIRS = ((0.08, 4), (0.04, 8))
SEED = seed_from_name("file1000001.h5")


def draw() -> Image.Image:
    """White is sampled; masks of columns are bands, the 2-D mask a box of k-space."""
    columns = [kind for kind in get_args(MaskKind) if kind != "poisson"]
    top_of_box = TOP + len(columns) * (BAND + GAP)
    size = (LEFT + len(PAIRS) * (WIDTH * SCALE + GAP), top_of_box + HEIGHT * SCALE + GAP)
    picture = Image.new("L", size, 64)
    pen = ImageDraw.Draw(picture)
    for place, (fraction, acceleration) in enumerate(PAIRS):
        left = LEFT + place * (WIDTH * SCALE + GAP)
        pen.text((left, 6), f"{acceleration}x, center fraction {fraction}", fill=255)
        for row, kind in enumerate([*columns, "poisson"]):
            mask = create_mask(kind, [fraction], [acceleration])((HEIGHT, WIDTH), seed=SEED).mask[0].numpy()
            shape = (WIDTH * SCALE, BAND if kind != "poisson" else HEIGHT * SCALE)
            band = Image.fromarray(mask.astype(np.uint8) * 255).resize(shape, Image.Resampling.NEAREST)
            top = TOP + row * (BAND + GAP)
            picture.paste(band, (left, top))
            if place == 0:
                pen.text((6, top + 2), kind, fill=255)
    return picture


def print_figures() -> None:
    """Mean and range of the effective acceleration at 368 columns over 100 seeds, and the time to draw one mask."""
    for kind in get_args(MaskKind):
        words = [kind]
        for fraction, acceleration in PAIRS:
            mask = create_mask(kind, [fraction], [acceleration])
            found = [mask((320, 368), seed=seed).effective_acceleration for seed in range(100)]
            words.append(f"{np.mean(found):.2f} ({min(found):.2f} to {max(found):.2f})")
        start = time.perf_counter()
        create_mask(kind, [0.08], [4])((320, 320), seed=0)
        words.append(f"{(time.perf_counter() - start) * 1e3:.1f} ms")
        print(" | ".join(words))


if __name__ == "__main__":
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/masks.png")
    draw().quantize(4).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    print_figures()
