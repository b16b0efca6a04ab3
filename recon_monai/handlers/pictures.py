"""Pictures of reconstructions: pure functions from arrays to RGB arrays, without files or state.

All images of one panel share one window (intensity range shown), so that brightness can be compared by eye; the error
is shown on the same window after multiplying it by a stated factor. Pixels are enlarged by whole numbers only, never
interpolated. Every panel carries the research notice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from recon_monai import RESEARCH_NOTICE

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

__all__ = ["Box", "choose_window", "color_error", "contact_sheet", "gray", "panel", "panel_boxes", "write_line"]

_MARGIN, _GAP, _TITLE, _LABEL, _CAPTION, _FOOTER, _BAR = 16, 10, 40, 30, 26, 30, 74
_WHITE, _GRAY, _DIM = (245, 245, 245), (175, 180, 190), (120, 125, 135)
# black, violet, red, orange, yellow, white: lightness rises throughout, so that more error always looks brighter
_ERROR_POSITIONS = (0.0, 0.2, 0.45, 0.7, 0.88, 1.0)
_ERROR_COLORS = ((0, 0, 0), (62, 14, 107), (178, 42, 92), (240, 112, 32), (251, 199, 60), (255, 255, 240))


class Box(NamedTuple):
    """Where an image lies in a panel, in pixels; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int


def choose_window(image: np.ndarray, percentile: float = 99.5) -> tuple[float, float]:
    """The intensity range to show: from 0 to a high percentile, so that few bright pixels do not darken the rest.

    Args:
        image: real and not negative, any shape.
        percentile: of all finite pixels.

    Returns:
        ``(0, high)``; the maximum if the percentile is 0, and 1 if there is no signal at all.
    """
    finite = image[np.isfinite(image)]
    if finite.size == 0:
        return 0.0, 1.0
    high = float(np.percentile(finite, percentile))
    if high <= 0:
        high = float(finite.max())
    return 0.0, high if high > 0 else 1.0


def gray(image: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Gray levels of an image.

    Args:
        image: real ``(H, W)``; what is not finite becomes black.
        window: ``(low, high)``, shown as black and white.

    Returns:
        uint8 ``(H, W, 3)``.

    Raises:
        ValueError: if the window is empty.
    """
    levels = np.rint(255 * _normalized(image, window)).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)


def color_error(error: np.ndarray, high: float) -> np.ndarray:
    """Colors of an error map: black at 0, then violet, red, orange and yellow to white at ``high``.

    Args:
        error: real ``(H, W)``, not negative; what is not finite becomes black.
        high: the error shown as white.

    Returns:
        uint8 ``(H, W, 3)``.

    Raises:
        ValueError: if ``high`` is not positive.
    """
    share = _normalized(error, (0.0, high))
    channels = [np.interp(share, _ERROR_POSITIONS, [color[i] for color in _ERROR_COLORS]) for i in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def panel_boxes(count: int, height: int, width: int, *, minimum_size: int = 320) -> list[Box]:
    """Where the images of a panel lie.

    Args:
        count: number of images, side by side.
        height: of each image.
        width: of each image.
        minimum_size: images are enlarged by the smallest whole number that brings their longer side to this size.

    Returns:
        One box per image.
    """
    factor = _factor(height, width, minimum_size)
    top = _MARGIN + _TITLE + _LABEL
    lefts = [_MARGIN + i * (width * factor + _GAP) for i in range(count)]
    return [Box(left, top, left + width * factor, top + height * factor) for left in lefts]


def panel(
    images: Mapping[str, np.ndarray],
    *,
    reference: str = "target",
    error_of: str = "reconstruction",
    title: str = "",
    captions: Mapping[str, str] | None = None,
    window: tuple[float, float] | None = None,
    error_scale: float = 5.0,
    minimum_size: int = 320,
) -> np.ndarray:
    """Images side by side in one window, and the enlarged error.

    Args:
        images: label to real image ``(H, W)``, in the order to show; all of one shape.
        reference: label of the target. If it and ``error_of`` are there, ``|error_of - reference|`` is shown last.
        error_of: label of the image whose error is shown.
        title: one line above, for example file, slice and acceleration.
        captions: label to a line below that image, for example its PSNR and SSIM.
        window: intensity range of all images; None takes it from the reference, without one from ``error_of``.
        error_scale: the error is multiplied by this before it is shown in the same window.
        minimum_size: see ``panel_boxes``.

    Returns:
        uint8 RGB ``(height, width, 3)`` on black.

    Raises:
        ValueError: if there is no image, or shapes differ or are not 2-D.
    """
    shape = _common_shape(images)
    if window is None:
        window = choose_window(images.get(reference, images.get(error_of, next(iter(images.values())))))
    tiles = {label: gray(image, window) for label, image in images.items()}
    has_error = reference in images and error_of in images
    high = (window[1] - window[0]) / error_scale
    if has_error:
        error = np.abs(images[error_of].astype(np.float64) - images[reference].astype(np.float64))
        tiles[f"error x{error_scale:g}"] = color_error(error, high)
    boxes = panel_boxes(len(tiles), *shape, minimum_size=minimum_size)
    canvas = _paste(tiles, boxes, space_right=_BAR if has_error else 0)
    if has_error:
        _paste_color_bar(canvas, boxes[-1])
    footer = f"{RESEARCH_NOTICE}   ·   window {window[0]:.3g} to {window[1]:.3g}"
    return _write_texts(canvas, tiles, boxes, title, captions or {}, footer, f"{high:.2g}" if has_error else None)


def contact_sheet(panels: Sequence[np.ndarray], *, columns: int = 1, gap: int = 12) -> np.ndarray:
    """Several panels on one black sheet, row by row.

    Args:
        panels: uint8 RGB arrays; smaller ones stand at the top left of their cell.
        columns: panels per row.
        gap: black pixels between cells.

    Returns:
        uint8 RGB array.

    Raises:
        ValueError: if there is no panel.
    """
    if not panels:
        raise ValueError("a contact sheet needs at least one panel, got none")
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    height, width = (max(panel.shape[axis] for panel in panels) for axis in (0, 1))
    sheet = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), np.uint8)
    for index, image in enumerate(panels):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet


def _normalized(image: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    low, high = window
    if not high > low:
        raise ValueError(f"the window must have high > low, got {window}")
    share = (np.asarray(image, dtype=np.float64) - low) / (high - low)
    return np.where(np.isfinite(share), share, 0.0).clip(0, 1)


def _factor(height: int, width: int, minimum_size: int) -> int:
    return max(1, -(-minimum_size // max(height, width)))


def _common_shape(images: Mapping[str, np.ndarray]) -> tuple[int, int]:
    shapes = {label: image.shape for label, image in images.items()}
    if len(set(shapes.values())) != 1 or any(len(shape) != 2 for shape in shapes.values()):
        raise ValueError(f"a panel needs images (H, W) of one shape, got {shapes}")
    height, width = next(iter(shapes.values()))
    return height, width


def _paste(tiles: Mapping[str, np.ndarray], boxes: Sequence[Box], space_right: int) -> np.ndarray:
    canvas = np.zeros(
        (boxes[-1].bottom + _CAPTION + _FOOTER + _MARGIN, boxes[-1].right + _MARGIN + space_right, 3), np.uint8
    )
    for tile, box in zip(tiles.values(), boxes, strict=True):
        factor = (box.bottom - box.top) // tile.shape[0]
        canvas[box.top : box.bottom, box.left : box.right] = tile.repeat(factor, axis=0).repeat(factor, axis=1)
    return canvas


def _paste_color_bar(canvas: np.ndarray, box: Box) -> None:
    ramp = np.linspace(1, 0, box.bottom - box.top)[:, None].repeat(12, axis=1)
    canvas[box.top : box.bottom, box.right + 8 : box.right + 20] = color_error(ramp, 1.0)


def _write_texts(
    canvas: np.ndarray,
    tiles: Mapping[str, np.ndarray],
    boxes: Sequence[Box],
    title: str,
    captions: Mapping[str, str],
    footer: str,
    bar_top: str | None,
) -> np.ndarray:
    from PIL import Image, ImageDraw  # only pictures need it

    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    full_width = picture.width - 2 * _MARGIN
    write_line(draw, (_MARGIN, _MARGIN), title, 22, _WHITE, full_width)
    for label, box in zip(tiles, boxes, strict=True):
        write_line(draw, (box.left, box.top - _LABEL + 4), label, 18, _WHITE, box.right - box.left)
        write_line(draw, (box.left, box.bottom + 5), captions.get(label, ""), 16, _GRAY, box.right - box.left)
    if bar_top is not None:
        box = boxes[-1]
        write_line(draw, (box.right + 26, box.top - 2), bar_top, 15, _GRAY, _BAR)
        write_line(draw, (box.right + 26, box.bottom - 17), "0", 15, _GRAY, _BAR)
    write_line(draw, (_MARGIN, picture.height - _MARGIN - 17), footer, 15, _DIM, full_width)
    return np.array(picture)


def write_line(
    draw: ImageDraw, place: tuple[int, int], text: str, size: int, color: tuple[int, int, int], width: int
) -> None:
    """Write one line, shortened with an ellipsis to the width there is.

    Args:
        draw: Pillow's, of the picture.
        place: left and top in pixels.
        text: the line.
        size: of the font in pixels.
        color: RGB.
        width: in pixels.
    """
    font = _font(size)
    shown = text
    while shown and draw.textlength(shown, font) > width:
        text = text[:-1]
        shown = f"{text.rstrip()}…" if text else ""
    draw.text(place, shown, fill=color, font=font)


def _font(size: int) -> FreeTypeFont | ImageFont:
    from PIL import ImageFont  # only pictures need it

    return ImageFont.load_default(size)
