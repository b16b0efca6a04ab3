"""Patches of several methods side by side, as a picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from recon_monai import RESEARCH_NOTICE
from recon_monai.handlers.pictures import choose_window, gray

__all__ = ["mosaic"]

_GAP, _HEAD, _LEFT, _FOOT, _LINE = 6, 44, 74, 24, 13
_SIDE = 192


def mosaic(columns: Mapping[str, Mapping[str, np.ndarray]], reference: str) -> Image.Image:
    """A column for each method, a row for each case.

    Args:
        columns: method to case to image ``(H, W)``, all of one size.
        reference: method that says which intensities a row shows.

    Returns:
        Pixels enlarged by a whole number, with names and the research notice.
    """
    cases = list(dict.fromkeys(case for images in columns.values() for case in images))
    height, width = next(iter(next(iter(columns.values())).values())).shape
    factor = max(1, _SIDE // max(height, width))
    cell_height, cell_width = height * factor + _GAP, max(width * factor, _SIDE) + _GAP
    size = (_LEFT + len(columns) * cell_width, _HEAD + len(cases) * cell_height + _FOOT)
    picture = Image.new("L", size, 24)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(11)
    for column, (name, images) in enumerate(columns.items()):
        left = _LEFT + column * cell_width
        for line, words in enumerate(_lines(name, cell_width - _GAP, font)):
            pen.text((left, 4 + line * _LINE), words, fill=235, font=font)
        for row, case in enumerate(cases):
            if case not in images:
                continue
            levels = gray(images[case], choose_window(columns[reference][case]))[..., 0]
            picture.paste(
                Image.fromarray(np.kron(levels, np.ones((factor, factor), np.uint8))), (left, _top(row, cell_height))
            )
    for row, case in enumerate(cases):
        pen.text((4, _top(row, cell_height)), case, fill=235, font=font)
    pen.text((4, size[1] - 18), RESEARCH_NOTICE, fill=150, font=font)
    return picture


def _top(row: int, cell_height: int) -> int:
    return _HEAD + row * cell_height


def _lines(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    """Words in lines that fit the width."""
    lines = [""]
    for word in text.replace("`", "").split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
