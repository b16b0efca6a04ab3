"""Images as 8-bit WebP, with what that loses."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["Encoder", "Loss"]

_IMAGE_QUALITY, _MAP_QUALITY = 90, 80


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
        images: loss of images.
        maps: loss of maps.
    """

    lossless: bool = False
    images: Loss = field(default_factory=Loss)
    maps: Loss = field(default_factory=Loss)

    def image(self, image: np.ndarray, window: tuple[float, float]) -> str:
        """An image of intensities.

        Args:
            image: real ``(H, W)``; what is not finite becomes black.
            window: ``(low, high)``, the levels 0 and 255.

        Returns:
            WebP, base64.
        """
        return self._encoded(image, window, _IMAGE_QUALITY, self.images)

    def map(self, values: np.ndarray, high: float) -> str:
        """A map of magnitudes.

        Args:
            values: real ``(H, W)``, not negative.
            high: the value of level 255.

        Returns:
            WebP, base64.
        """
        return self._encoded(values, (0.0, high), _MAP_QUALITY, self.maps)

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
