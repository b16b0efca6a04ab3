"""Maps of uncertainty and consistency in the image files of a comparison, beside the methods' images."""

from __future__ import annotations

from typing import Literal, get_args

import h5py
import numpy as np
import torch
from torch import Tensor

from recon_monai.physics import center_crop_or_pad

__all__ = ["MapKind", "write_comparison_map"]

MapKind = Literal["residual", "null_space", "spread"]


def write_comparison_map(group: h5py.Group, kind: MapKind, method: str, image: np.ndarray | Tensor) -> None:
    """Write ``<kind>/<method>`` of one file: magnitudes, ``(slices, H, W)``, float32, on the scale of the images.

    Args:
        group: the open HDF5 file of the comparison's images.
        kind: ``"residual"`` (`KspaceResidual.image`), ``"null_space"`` (`NullSpaceError.image`) or ``"spread"``
            (`Spread.std`).
        method: name of the method, which has an image under ``methods/<method>`` already.
        image: real, ``(slices, H, W)``, or ``(slices, 1, H, W)`` as slices are made. One that is larger in the plane
            than the method's image is cropped to its center, as that was.

    Raises:
        ValueError: if the kind is unknown, the method has no image, the map is there already, does not fit the image,
            is complex, negative or not finite.
    """
    if kind not in get_args(MapKind):
        raise ValueError(f"kind is {kind!r}, expected one of {get_args(MapKind)}")
    name = f"{kind}/{method}"
    if f"methods/{method}" not in group:
        raise ValueError(f"there is no methods/{method} in {group.file.filename}; write the image of the method first")
    if name in group:
        raise ValueError(f"{group.file.filename} has {name} already; give each method a name of its own")
    values = _fitted(image, group[f"methods/{method}"].shape, name)
    group.create_dataset(name, data=values, chunks=(1, *values.shape[1:]), compression="gzip", compression_opts=4)


def _fitted(image: np.ndarray | Tensor, shape: tuple[int, ...], name: str) -> np.ndarray:
    values = image.detach().cpu().numpy() if isinstance(image, Tensor) else np.asarray(image)
    if values.ndim == 4 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 3 or len(values) != shape[0] or any(a < b for a, b in zip(values.shape, shape, strict=True)):
        raise ValueError(f"{name} has shape {values.shape}, expected that of the method's image, {shape}, or larger")
    if np.iscomplexobj(values) or not np.isfinite(values).all() or values.min() < 0:
        raise ValueError(f"{name} is complex, negative or not finite, expected magnitudes")
    return center_crop_or_pad(torch.from_numpy(values.astype(np.float32)), shape[1:]).numpy()
