"""Simple reconstructions as transforms, for comparison beside a network's."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.transforms import Transform

from recon_monai.physics import center_crop_or_pad, ifft2c, rss

__all__ = ["ZeroFilledd"]


class ZeroFilledd(Transform):
    """Root-sum-of-squares image of the k-space as it is, zeros where nothing was sampled.

    Args:
        key: complex k-space ``(coil, H, W)``.
        output_key: where the image ``(1, h, w)`` goes.
        size_key: ``(h, w)``, the size of the image; cropped or zero-padded about the center as the target is.
    """

    def __init__(self, key: str = "kspace", output_key: str = "zero_filled", size_key: str = "output_size") -> None:
        self.key = key
        self.output_key = output_key
        self.size_key = size_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a new item with the image added."""
        height, width = (int(size) for size in data[self.size_key])
        image = rss(ifft2c(data[self.key]), dim=0)
        return {**data, self.output_key: center_crop_or_pad(image, (height, width))}
