"""Measured k-space (or complex coil images) in numpy files, taken over as it is."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from recon_monai.data.prepare.acquisition import Acquisition, KspaceSlice, cartesian_header
from recon_monai.data.prepare.checks import check_integer
from recon_monai.data.prepare.images import read_numpy
from recon_monai.physics import center_crop_or_pad, fft2c, ifft2c, infer_mask, rss

__all__ = ["RawSettings", "read_raw"]

logger = logging.getLogger(__name__)

_AXES = ("slice", "coil", "readout", "phase")
_DOMAINS = ("kspace", "image")
_TARGETS = ("auto", "rss", "none")


@dataclass(frozen=True)
class RawSettings:
    """How a raw array is laid out.

    Args:
        axes: name of each axis of the array: `readout`, `phase` and, where there are such, `coil` and `slice`. The
            readout is the axis that is never undersampled; of two phase-encoding axes name either so. Echoes may be
            given as slices.
        domain: `kspace` (centered), or `image` for complex coil images, which are transformed to k-space.
        readout_oversampling: factor by which the readout was oversampled; the target is cropped by it.
        target: `auto` writes the root sum of squares where every sample was acquired, `rss` always, `none` never.
        voxel_size: distances of rows (readout), columns (phase encoding) and slices in mm; NaN where unknown.
    """

    axes: Sequence[str] = ("coil", "phase", "readout")
    domain: str = "kspace"
    readout_oversampling: int = 1
    target: str = "auto"
    voxel_size: tuple[float, float, float] = (math.nan, math.nan, math.nan)

    def __post_init__(self) -> None:
        """Reject impossible settings before anything is read."""
        known = all(axis in _AXES for axis in self.axes) and len(set(self.axes)) == len(self.axes)
        if not known or not {"readout", "phase"} <= set(self.axes):
            raise ValueError(
                f"axes are {', '.join(self.axes)}; expected readout, phase and, where present, coil and slice, "
                "in the order of the array, for example coil,phase,readout"
            )
        for name, value, allowed in (("domain", self.domain, _DOMAINS), ("target", self.target, _TARGETS)):
            if value not in allowed:
                raise ValueError(f"{name} is {value!r}, expected one of {', '.join(allowed)}")
        check_integer("readout_oversampling", self.readout_oversampling, 1)


def read_raw(path: Path, settings: RawSettings, *, key: str | None = None) -> Acquisition:
    """Read a raw array; its values are not changed, nothing is added.

    K-space with missing samples gets no target; its sampled columns are written as mask if whole columns are missing,
    else (two phase-encoding axes) the mask is left out and follows from the zeros.

    Args:
        path: a `.npy` or `.npz` file.
        settings: layout of the array.
        key: name of the array in a `.npz` file.

    Returns:
        The acquisition.

    Raises:
        ValueError: if the array is missing, not complex, not finite, zero, or has other dimensions than the axes say.
    """
    kspace = _arrange(_complex_array(path, key), settings, path)
    sampled = infer_mask(kspace)
    complete = bool(sampled.all())
    height = kspace.shape[-2]
    if height % settings.readout_oversampling:
        raise ValueError(
            f"{path}: {height} readout points cannot be oversampled {settings.readout_oversampling} times; "
            "check axes and readout_oversampling"
        )
    shape = (height // settings.readout_oversampling, kspace.shape[-1])
    with_target = settings.target == "rss" or (settings.target == "auto" and complete)
    mask = None if complete else _columns(sampled)
    if not complete:
        share = float((kspace != 0).any(dim=1).float().mean())
        logger.info(
            "%s: undersampled (%.1f %% of the samples): %s, %s",
            path,
            100 * share,
            "no target" if not with_target else "target as asked for",
            "mask left out (not whole columns, or it varies)" if mask is None else "mask of columns written",
        )
    return Acquisition(
        _slices(kspace, shape if with_target else None),
        cartesian_header(shape, settings.voxel_size, settings.readout_oversampling),
        mask=mask,
        attributes={"source": "measured", "coils": kspace.shape[1], "noise": 0.0},
    )


def _complex_array(path: Path, key: str | None) -> NDArray[np.complexfloating]:
    array = read_numpy(path)
    if isinstance(array, Mapping):
        if key is None or key not in array:
            raise ValueError(f"{path}: holds the arrays {', '.join(array)}; name one of them with --image_key")
        array = array[key]
    if not np.iscomplexobj(array):
        raise ValueError(
            f"{path}: raw data are {array.dtype}, expected complex numbers; for magnitude images use --kind images"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{path}: raw data hold NaN or infinite values; repair them first")
    if not array.any():
        raise ValueError(f"{path}: raw data are zero everywhere")
    return array


def _arrange(array: NDArray[np.complexfloating], settings: RawSettings, path: Path) -> torch.Tensor:
    """K-space `(slice, coil, readout, phase)`, complex64."""
    axes = tuple(settings.axes)
    if array.ndim != len(axes):
        raise ValueError(
            f"{path}: the array has shape {array.shape}, but axes name {len(axes)} ({', '.join(axes)}); give --axes"
        )
    for name in ("coil", "slice"):
        if name not in axes:
            array, axes = array[np.newaxis], (name, *axes)
    ordered = np.transpose(array, [axes.index(name) for name in _AXES])
    kspace = torch.from_numpy(np.ascontiguousarray(ordered, dtype=np.complex64))
    return fft2c(kspace) if settings.domain == "image" else kspace


def _columns(sampled: torch.Tensor) -> NDArray[np.bool_] | None:
    """The sampled columns if the pattern consists of whole columns, the same in all slices."""
    if sampled.shape[-2] != 1 or not bool((sampled == sampled[:1]).all()):
        return None
    return sampled[0].reshape(-1).numpy()


def _slices(kspace: torch.Tensor, shape: tuple[int, int] | None) -> Iterator[KspaceSlice]:
    for one in kspace:
        target = None if shape is None else rss(center_crop_or_pad(ifft2c(one), shape), dim=0)[0].numpy()
        yield one.numpy(), target
