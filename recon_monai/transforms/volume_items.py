"""What transforms of volumes ask of an item, and how they say what is wrong with one."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.data import MetaTensor
from monai.utils import convert_to_dst_type

__all__ = ["checked_volume", "file_of", "like", "spacing_of"]


def file_of(item: Mapping[Hashable, Any]) -> str:
    """Name of the item's file for messages and keys.

    Args:
        item: with ``file``, or volumes that MONAI loaded.

    Raises:
        ValueError: if the item does not say it.
    """
    if "file" in item:
        return str(item["file"])
    for value in item.values():
        if isinstance(value, MetaTensor) and value.meta.get("filename_or_obj"):
            return str(value.meta["filename_or_obj"])
    raise ValueError(
        f"an item with the keys {sorted(map(str, item))} does not name its file, expected the key 'file', by which "
        "random draws are keyed"
    )


def checked_volume(item: Mapping[Hashable, Any], key: Hashable) -> torch.Tensor:
    """A volume of the item as a plain tensor.

    Args:
        item: the item.
        key: of the volume.

    Returns:
        Float tensor ``(C, D, H, W)``, sharing memory.

    Raises:
        ValueError: if there is none, or it is no real volume with one channel dimension, has no voxels, or holds NaN or
            infinity.
    """
    if key not in item:
        raise ValueError(f"{file_of(item)}: there is no {key!r} in the item, expected one of {sorted(map(str, item))}")
    volume = item[key]
    if not isinstance(volume, torch.Tensor) or volume.ndim != 4 or not volume.is_floating_point():
        found = f"{volume.dtype} of shape {tuple(volume.shape)}" if isinstance(volume, torch.Tensor) else type(volume)
        raise ValueError(
            f"{file_of(item)}: {key!r} is {found}, expected a real tensor (C, D, H, W); load it with a channel"
        )
    if volume.numel() == 0:
        raise ValueError(
            f"{file_of(item)}: {key!r} is of shape {tuple(volume.shape)}, expected voxels; if it was cropped to its "
            "foreground, all of it is as dark as air on this intensity scale: correct --scale, or leave the file out"
        )
    plain = volume.as_tensor() if isinstance(volume, MetaTensor) else volume
    # the sum is finite unless a value is not, and costs a fraction of looking at each
    if not bool(torch.isfinite(plain.sum(dtype=torch.float64))):
        bad = int((~torch.isfinite(plain)).sum())
        raise ValueError(
            f"{file_of(item)}: {key!r} holds NaN or infinity in {bad} voxels, expected numbers; correct the file"
        )
    return plain


def spacing_of(item: Mapping[Hashable, Any], key: Hashable) -> list[float]:
    """Voxel size of the item along the three axes in mm: its ``spacing``, else that of the volume's affine.

    Args:
        item: the item.
        key: of the volume.

    Raises:
        ValueError: if neither is there.
    """
    if "spacing" in item:
        return [float(step) for step in item["spacing"]]
    volume = item[key]
    if isinstance(volume, MetaTensor):
        return [float(step) for step in volume.pixdim]
    raise ValueError(f"{file_of(item)}: the voxel size is not known, expected the key 'spacing' (three numbers in mm)")


def like(result: torch.Tensor, original: torch.Tensor) -> torch.Tensor:
    """A result with the metadata of the volume that it was made of.

    Args:
        result: plain tensor on the same grid.
        original: the volume, a `MetaTensor` or not.

    Returns:
        Of the type of ``original``.
    """
    converted, *_ = convert_to_dst_type(result, original)
    return converted
