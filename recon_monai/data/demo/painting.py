"""Paint tissues over each other: what all phantoms of the built-in set are made with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Canvas", "DrawnSlice", "edge", "plane_points"]

FloatArray = NDArray[np.float32]
AnyFloatArray = NDArray[np.floating[Any]]


class DrawnSlice(NamedTuple):
    """A slice of a phantom.

    Attributes:
        image: magnitude `(H, W)` (or a volume), the brightest main tissue near 1, without noise and coil maps.
        tissues: share of each pixel `(H, W)` by name of the tissue, 0 to 1; what is missing to 1 is air.
        lesion: share of each pixel `(H, W)` that a lesion takes, 0 to 1.
    """

    image: FloatArray
    tissues: Mapping[str, FloatArray]
    lesion: FloatArray


class Canvas:
    """Shares of tissues in every pixel; what is painted covers what was there.

    Args:
        shape: `(H, W)`, or that of a volume.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.tissues: dict[str, FloatArray] = {}

    def paint(self, tissue: str, share: AnyFloatArray) -> None:
        """Cover a share of every pixel with a tissue.

        Args:
            tissue: its name.
            share: `(H, W)`; cut to between 0 and 1.
        """
        covered = np.clip(share, 0.0, 1.0).astype(np.float32)
        self.fade(1 - covered)
        self.tissues[tissue] = self[tissue] + covered

    def fade(self, share: FloatArray) -> None:
        """Keep a share of everything and leave the rest to air.

        Args:
            share: `(H, W)`, 0 to 1.
        """
        self.tissues = {name: present * share for name, present in self.tissues.items()}

    def signal(self, contrast: Mapping[str, float], *, names: tuple[str, ...] | None = None) -> FloatArray:
        """Sum of the tissues' signals.

        Args:
            contrast: signal by tissue.
            names: only these tissues; None takes all.

        Returns:
            Magnitude `(H, W)`.
        """
        total = np.zeros(self.shape, dtype=np.float32)
        for name in self.tissues if names is None else names:
            total += np.float32(contrast[name]) * self[name]
        return total

    def __getitem__(self, tissue: str) -> FloatArray:
        return self.tissues.get(tissue, np.zeros(self.shape, dtype=np.float32))


def edge(distance: AnyFloatArray, width: float = 0.45) -> FloatArray:
    """Share of a pixel on the positive side of a surface.

    Args:
        distance: signed distance to the surface in mm.
        width: softness of the surface in mm (the share rises from 0.27 to 0.73 over twice this).

    Returns:
        Share, 0 to 1.
    """
    return (1.0 / (1.0 + np.exp(-np.clip(distance / width, -30.0, 30.0)))).astype(np.float32)


def plane_points(
    plane: str, shape: tuple[int, int], pixel_mm: float, position: float, *, center: tuple[float, float] = (0.0, 0.0)
) -> FloatArray:
    """Positions of the pixels of a slice: x to the left of the picture, y to anterior, z to superior.

    Args:
        plane: `axial` (rows from anterior to posterior) or `coronal` (rows from superior to inferior).
        shape: `(H, W)` of the slice.
        pixel_mm: size of a pixel in mm.
        position: of the slice along its normal in mm.
        center: what the middle of the picture shows, along its rows and columns in mm.

    Returns:
        Positions `(x, y, z)` as an array `(3, H, W)` in mm.

    Raises:
        ValueError: if the plane is neither of the two.
    """
    if plane not in ("axial", "coronal"):
        raise ValueError(f"plane is {plane!r}, expected axial or coronal")
    height, width = shape
    down = center[0] + pixel_mm * (height / 2 - np.arange(height, dtype=np.float32))
    across = center[1] + pixel_mm * (width / 2 - np.arange(width, dtype=np.float32))
    rows, columns = np.meshgrid(down, across, indexing="ij")
    through = np.full(shape, position, dtype=np.float32)
    order = (columns, rows, through) if plane == "axial" else (columns, through, rows)
    return np.stack(order).astype(np.float32)
