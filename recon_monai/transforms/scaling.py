"""One intensity scale for low and high resolution."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any, Literal

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from recon_monai.transforms.volume_items import checked_volume, file_of

__all__ = ["ScaleToReferenced"]


class ScaleToReferenced(MapTransform):
    """Divide several volumes of an item by one number, taken from one of them.

    Low and high resolution have to keep their ratio: MONAI's ``ScaleIntensityRangePercentilesd`` scales every key by
    its own values. Nothing is shifted and nothing clipped, so that multiplying by ``scale`` gives the volumes back.
    Writes ``scale`` (float).

    Args:
        keys: of the volumes ``(C, D, H, W)`` that are divided.
        reference: key of the volume that gives the number: ``"target"`` in training, ``"image"`` where there is no
            high resolution.
        scale: ``"percentile"`` (a maximum that a few bright voxels do not decide), ``"maximum"``, or a number, such as
            4095 for 12-bit data.
        percentile: of all voxels of the reference.
        allow_missing_keys: leave out keys that an item does not have.

    Raises:
        ValueError: if ``scale`` or ``percentile`` cannot be used; and on items whose reference is constant, or has no
            positive number of this kind, or holds NaN or infinity: names the file.
    """

    def __init__(
        self,
        keys: KeysCollection = ("image", "target"),
        reference: str = "target",
        scale: Literal["percentile", "maximum"] | float = "percentile",
        percentile: float = 99.9,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        number = isinstance(scale, int | float) and not isinstance(scale, bool) and math.isfinite(scale) and scale > 0
        if not number and scale not in ("percentile", "maximum"):
            raise ValueError(f"scale is {scale!r}, expected 'percentile', 'maximum' or a positive number such as 4095")
        if not 0 < percentile <= 100:
            raise ValueError(f"percentile is {percentile}, expected above 0 and at most 100, such as 99.9")
        self.reference = reference
        self.scale = scale
        self.percentile = percentile

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a new item, scaled."""
        item = dict(data)
        scale = self._find(item)
        for key in self.key_iterator(item):
            item[key] = item[key] / scale
        item["scale"] = scale
        return item

    def _find(self, item: Mapping[Hashable, Any]) -> float:
        volume = checked_volume(item, self.reference)
        lowest, highest = (float(value) for value in torch.aminmax(volume))
        if lowest == highest:
            raise ValueError(
                f"{file_of(item)}: {self.reference!r} is {lowest:g} everywhere, expected an image; leave the file out"
            )
        if isinstance(self.scale, int | float):
            return float(self.scale)
        found = highest if self.scale == "maximum" else float(np.percentile(volume.numpy(), self.percentile))
        if found <= 0:
            what = "maximum" if self.scale == "maximum" else f"percentile {self.percentile:g}"
            raise ValueError(
                f"{file_of(item)}: the {what} of {self.reference!r} is {found:g}, expected a positive number; the "
                "volume is nearly empty or negative: leave it out, or scale by 'maximum' or a number"
            )
        return found
