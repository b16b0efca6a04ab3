"""New fully sampled k-space in an item, and the target that goes with it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch

from recon_monai.physics import center_crop_or_pad, ifft2c, rss

__all__ = ["replace_kspace"]


def replace_kspace(item: Mapping[Hashable, Any], kspace: torch.Tensor) -> dict[Hashable, Any]:
    """Put changed, fully sampled k-space into an item, with the target that a reconstruction of it would be.

    What a change moved beyond the acquired columns (``padding``) is dropped, as no scanner would have measured it. An
    item without ``target`` gets none.

    Args:
        item: with ``output_size`` ``(2,)`` and ``padding`` ``(2,)`` that hold for the new k-space.
        kspace: complex, ``(coil, H, W)``.

    Returns:
        A new item with ``kspace``, and with ``target``: the root sum of squares of the coil images, its center cropped
        or zero-padded to ``output_size``, ``(1, h, w)``. ``maximum`` stays as it is.
    """
    left, right = (int(edge) for edge in item["padding"])
    if left > 0 or right < kspace.shape[-1]:
        kspace = kspace.clone()
        kspace[..., :left] = 0
        kspace[..., right:] = 0
    changed = {**item, "kspace": kspace}
    if "target" in item:
        size = [int(length) for length in item["output_size"]]
        changed["target"] = center_crop_or_pad(rss(ifft2c(kspace)), size).contiguous()
    return changed
