"""Figures of a gallery: all methods on one problem in one window, and one panel for each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recon_monai import RESEARCH_NOTICE
from recon_monai.data import atomic_path
from recon_monai.handlers.pictures import choose_window, color_error, gray, panel, write_line

__all__ = ["ERROR_SCALE", "Tile", "mosaic", "save_panels", "save_picture"]

ERROR_SCALE = 5.0
"""Errors are multiplied by this before they are shown in the window of the images."""

_COLUMNS, _SIZE, _GAP, _MARGIN, _LINE, _TITLE = 6, 224, 12, 16, 22, 40
_WHITE, _GRAY, _DIM, _MARKED, _FAILED = (
    (245, 245, 245),
    (175, 180, 190),
    (120, 125, 135),
    (255, 190, 80),
    (255, 110, 90),
)


@dataclass(frozen=True)
class Tile:
    """One method in a mosaic.

    Args:
        name: of its panel's file.
        label: above the image.
        caption: below the label.
        mark: a second line that sets it apart: a sample with a time limit, a small training.
        image: real ``(h, w)``; None where the method failed.
    """

    name: str
    label: str
    caption: str
    mark: str
    image: npt.NDArray[np.float32] | None


def mosaic(target: npt.NDArray[np.float32], tiles: Sequence[Tile], title: str) -> npt.NDArray[np.uint8]:
    """Target and methods in one window, below each method its error on one scale.

    Args:
        target: real ``(h, w)``.
        tiles: the methods.
        title: one line above.

    Returns:
        uint8 RGB picture.
    """
    from PIL import Image, ImageDraw  # only pictures need it

    window = choose_window(target)
    high = (window[1] - window[0]) / ERROR_SCALE
    factor = max(1, round(_SIZE / max(target.shape)))
    height, width = (side * factor for side in target.shape)
    cell_height, cell_width = 2 * height + 3 * _LINE + _GAP, max(width, 190) + _GAP
    columns = min(_COLUMNS, len(tiles) + 1)
    rows = -(-(len(tiles) + 1) // columns)
    size = (columns * cell_width + 2 * _MARGIN, rows * cell_height + _TITLE + _LINE + 2 * _MARGIN)
    picture = Image.new("RGB", size)
    draw = ImageDraw.Draw(picture)
    write_line(draw, (_MARGIN, _MARGIN), title, 20, _WHITE, size[0] - 2 * _MARGIN)
    for number, tile in enumerate([None, *tiles]):
        left = _MARGIN + number % columns * cell_width
        top = _MARGIN + _TITLE + number // columns * cell_height
        label, caption, mark = ("target", "", "") if tile is None else (tile.label, tile.caption, tile.mark)
        write_line(draw, (left, top), label, 17, _WHITE, cell_width - _GAP)
        failed = tile is not None and tile.image is None
        write_line(draw, (left, top + _LINE), caption, 14, _FAILED if failed else _GRAY, cell_width - _GAP)
        write_line(draw, (left, top + 2 * _LINE - 2), mark, 13, _MARKED, cell_width - _GAP)
        upper = top + 3 * _LINE
        if tile is None:
            picture.paste(Image.fromarray(_enlarged(gray(target, window), factor)), (left, upper))
            write_line(draw, (left, upper + height + _GAP), f"|error|: 0 to {high:.2g}", 14, _GRAY, width)
            ramp = color_error(np.linspace(0, 1, width)[None].repeat(12, axis=0), 1.0)
            picture.paste(Image.fromarray(ramp), (left, upper + height + _GAP + _LINE))
        elif tile.image is not None:
            error = np.abs(tile.image.astype(np.float64) - target)
            picture.paste(Image.fromarray(_enlarged(gray(tile.image, window), factor)), (left, upper))
            picture.paste(Image.fromarray(_enlarged(color_error(error, high), factor)), (left, upper + height))
    footer = f"{RESEARCH_NOTICE}   ·   errors x{ERROR_SCALE:g} in the window of the images"
    write_line(draw, (_MARGIN, size[1] - _MARGIN - 14), footer, 14, _DIM, size[0] - 2 * _MARGIN)
    return np.array(picture)


def save_panels(
    folder: Path, target: npt.NDArray[np.float32], before: npt.NDArray[np.float32] | None, tiles: Sequence[Tile]
) -> None:
    """Write target, input, method and error of each method as one small picture.

    Args:
        folder: gets ``NAME.png`` of each tile that has an image.
        target: real ``(h, w)``.
        before: what the methods begin with; None leaves it out.
        tiles: the methods.
    """
    for tile in tiles:
        if tile.image is None:
            continue
        images: Mapping[str, npt.NDArray[np.float32]] = {"target": target}
        if before is not None and before is not tile.image:
            images = {**images, tiles[0].label: before}
        images = {**images, tile.label: tile.image}
        drawn = panel(
            images,
            error_of=tile.label,
            title=f"{tile.label}: {tile.mark}" if tile.mark else tile.label,
            captions={tile.label: tile.caption},
            error_scale=ERROR_SCALE,
            minimum_size=200 if max(target.shape) < 200 else 1,
        )
        save_picture(folder / f"{tile.name}.png", drawn)


def save_picture(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    """Write a PNG of at most 256 colors, which are enough for gray levels and one color map."""
    from PIL import Image  # only pictures need it

    reduced = Image.fromarray(picture).quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    with atomic_path(path) as temporary:
        reduced.save(temporary, optimize=True)


def _enlarged(picture: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.uint8]:
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)
