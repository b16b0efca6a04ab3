"""Images as 8-bit WebP, with what that loses."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

__all__ = ["COMPRESSIONS", "Compression", "Encoder", "Loss"]


class Compression(NamedTuple):
    """How images are made small.

    Attributes:
        image: quality of WebP for images.
        map: likewise for maps.
        block: side of the blocks of pixels that are averaged; 1 for none.
    """

    image: int
    map: int
    block: int


COMPRESSIONS = (Compression(90, 80, 1), Compression(60, 45, 1), Compression(60, 45, 2), Compression(50, 35, 3))
"""From the best to what is used where many files are to fit into a mail."""


@dataclass
class Loss:
    """What compression has changed so far.

    Attributes:
        worst: largest difference, in levels of 255.
        squares: sum of squared differences.
        pixels: compressed.
    """

    worst: int = 0
    squares: float = 0.0
    pixels: int = 0

    @property
    def rms(self) -> float:
        """Root mean square of the differences, in levels of 255."""
        return math.sqrt(self.squares / self.pixels) if self.pixels else 0.0

    def add(self, differences: np.ndarray) -> None:
        """Count the differences of one image."""
        self.worst = max(self.worst, int(np.abs(differences).max()))
        self.squares += float(np.square(differences, dtype=np.float64).sum())
        self.pixels += differences.size


@dataclass
class Encoder:
    """Encodes images and measures the loss of compression.

    Attributes:
        lossless: keep the 8-bit levels exactly, in files about three times as large.
        compression: index into ``COMPRESSIONS``; of a lossless one, its blocks alone count.
        images: loss of images.
        maps: loss of maps.
    """

    lossless: bool = False
    compression: int = 0
    images: Loss = field(default_factory=Loss)
    maps: Loss = field(default_factory=Loss)

    @property
    def kind(self) -> Compression:
        """The compression."""
        return COMPRESSIONS[self.compression]

    def shrunk(self, stack: np.ndarray) -> np.ndarray:
        """Slices ``(S, H, W)`` with blocks of pixels averaged, the last ones smaller where a side has a remainder."""
        block = self.kind.block
        if block == 1:
            return stack
        for axis in (1, 2):
            starts = np.arange(0, stack.shape[axis], block)
            counts = np.diff(np.append(starts, stack.shape[axis]))
            shape = [1, 1, 1]
            shape[axis] = len(counts)
            stack = np.add.reduceat(stack, starts, axis=axis) / counts.reshape(shape).astype(np.float32)
        return stack

    def image(self, image: np.ndarray, window: tuple[float, float]) -> str:
        """An image of intensities.

        Args:
            image: real ``(H, W)``; what is not finite becomes black.
            window: ``(low, high)``, the levels 0 and 255.

        Returns:
            WebP, base64.
        """
        return self._encoded(image, window, self.kind.image, self.images)

    def map(self, values: np.ndarray, high: float) -> str:
        """A map of magnitudes.

        Args:
            values: real ``(H, W)``, not negative.
            high: the value of level 255.

        Returns:
            WebP, base64.
        """
        return self._encoded(values, (0.0, high), self.kind.map, self.maps)

    def _encoded(self, image: np.ndarray, window: tuple[float, float], quality: int, loss: Loss) -> str:
        from PIL import Image  # only pictures need it

        low, high = window
        share = (np.asarray(image, np.float64) - low) / (high - low)
        levels = np.rint(255 * np.where(np.isfinite(share), share, 0.0).clip(0, 1)).astype(np.uint8)
        stream = io.BytesIO()
        # more effort than method 2 takes twice as long and gains nothing on noise; quality of a lossless file is effort
        options: dict[str, Any] = {"lossless": True, "quality": 20} if self.lossless else {"quality": quality}
        Image.fromarray(levels).save(stream, "WEBP", method=2, **options)
        with Image.open(stream) as decoded:
            loss.add(np.asarray(decoded.convert("L"), np.int16) - levels)
        return base64.b64encode(stream.getvalue()).decode("ascii")
