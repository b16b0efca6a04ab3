"""Measured k-space (or complex coil images) in numpy files, taken over as it is."""

from __future__ import annotations

import difflib
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
from recon_monai.data.prepare.processing import RawProcessing
from recon_monai.physics import center_crop_or_pad, fft2c, ifft2c, infer_mask, rss

__all__ = ["RawSettings", "read_kspace", "read_raw"]

logger = logging.getLogger(__name__)

_AXES = ("slice", "coil", "readout", "phase")
_MORE_AXES = ("average", "frame", "complex")
_DOMAINS = ("kspace", "image")
_TARGETS = ("auto", "rss", "none")


@dataclass(frozen=True)
class RawSettings:
    """How a raw array is laid out.

    Args:
        axes: name of each axis of the array: `readout`, `phase` and, where there are such, `coil` and `slice`; further
            `average` (repetitions of the same, which are averaged), `frame` (echoes, time points, contrasts, of which
            `frame` chooses one) and `complex` (real and imaginary part). The readout is the axis that is never
            undersampled; of two phase-encoding axes name either so. Axes of length 1 are named `average`.
        domain: `kspace` (centered), or `image` for complex coil images, which are transformed to k-space.
        readout_oversampling: factor by which the readout was oversampled; the target is cropped by it.
        target: `auto` writes the root sum of squares where every sample was acquired, `rss` always, `none` never.
        voxel_size: distances of rows (readout), columns (phase encoding) and slices in mm; NaN where unknown.
        frame: which one of the axis `frame`, counted from 0.
    """

    axes: Sequence[str] = ("coil", "phase", "readout")
    domain: str = "kspace"
    readout_oversampling: int = 1
    target: str = "auto"
    voxel_size: tuple[float, float, float] = (math.nan, math.nan, math.nan)
    frame: int | None = None

    def __post_init__(self) -> None:
        """Reject impossible settings before anything is read."""
        _check_axes(self.axes)
        for name, value, allowed in (("domain", self.domain, _DOMAINS), ("target", self.target, _TARGETS)):
            if value not in allowed:
                raise ValueError(f"{name} is {value!r}, expected one of {', '.join(allowed)}")
        check_integer("readout_oversampling", self.readout_oversampling, 1)
        if self.frame is not None:
            check_integer("frame", self.frame, 0)
            if "frame" not in self.axes:
                raise ValueError(f"frame is {self.frame}, but axes ({', '.join(self.axes)}) name no frame")

    def cropped_readout(self, length: int, path: Path) -> int:
        """Points along the readout without its oversampling.

        Args:
            length: points of k-space.
            path: of the array, for the message.

        Returns:
            The number of points.

        Raises:
            ValueError: if the length is no multiple of the oversampling.
        """
        if length % self.readout_oversampling:
            raise ValueError(
                f"{path}: {length} readout points cannot be oversampled {self.readout_oversampling} times; "
                "check axes and readout_oversampling"
            )
        return length // self.readout_oversampling


def _check_axes(axes: Sequence[str]) -> None:
    listed = ", ".join(axes)
    for axis in axes:
        if axis not in (*_AXES, *_MORE_AXES):
            close = difflib.get_close_matches(axis, (*_AXES, *_MORE_AXES), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(
                f"axes are {listed}; {axis!r} is unknown, expected {', '.join((*_AXES, *_MORE_AXES))}{hint}"
            )
    if len(set(axes)) < len(axes) or not {"readout", "phase"} <= set(axes):
        raise ValueError(
            f"axes are {listed}; expected readout, phase and, where present, {', '.join((*_AXES[:2], *_MORE_AXES))}, "
            "each once, in the order of the array, for example coil,phase,readout"
        )


def read_raw(
    path: Path, settings: RawSettings, *, key: str | None = None, processing: RawProcessing | None = None
) -> Acquisition:
    """Read a raw array; its values are not changed, nothing is added, unless processing is asked for.

    K-space with missing samples gets no target; its sampled columns are written as mask if whole columns are missing,
    else (two phase-encoding axes) the mask is left out and follows from the zeros.

    Args:
        path: a `.npy` or `.npz` file.
        settings: layout of the array.
        key: name of the array in a `.npz` file.
        processing: pre-whitening and coil compression, before the target is made; None for neither.

    Returns:
        The acquisition.

    Raises:
        ValueError: if the array is missing, not complex, not finite, zero, or has other dimensions than the axes say.
    """
    kspace = read_kspace(path, settings, key=key)
    sampled = infer_mask(kspace)
    complete = bool(sampled.all())
    shape = (settings.cropped_readout(kspace.shape[-2], path), kspace.shape[-1])
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
    kspace, done = (kspace, {}) if processing is None else processing.apply(kspace, path)
    return Acquisition(
        _slices(kspace, shape if with_target else None),
        cartesian_header(shape, settings.voxel_size, settings.readout_oversampling),
        mask=mask,
        attributes={"source": "measured", "coils": kspace.shape[1], "noise": 0.0, **done},
    )


def read_kspace(path: Path, settings: RawSettings, *, key: str | None = None) -> torch.Tensor:
    """Read a raw array as k-space in the order of fastMRI files.

    Args:
        path: a `.npy` or `.npz` file.
        settings: layout of the array.
        key: name of the array in a `.npz` file.

    Returns:
        Complex64 `(slice, coil, readout, phase)`; one slice or coil where the array has no such axis.

    Raises:
        ValueError: as `read_raw`.
    """
    array, axes = _read_array(path, key), tuple(settings.axes)
    if array.ndim != len(axes):
        raise ValueError(
            f"{path}: the array has shape {array.shape}, but axes name {len(axes)} ({', '.join(axes)}); give --axes "
            "with one name for each, and name axes of length 1 average"
        )
    array, axes = _joined_parts(array, axes, path)
    _check_values(array, path)
    array, axes = _one_frame(array, axes, settings.frame, path)
    array, axes = _averaged(array, axes, path)
    for name in ("coil", "slice"):
        if name not in axes:
            array, axes = array[np.newaxis], (name, *axes)
    ordered = np.transpose(array, [axes.index(name) for name in _AXES])
    kspace = torch.from_numpy(np.ascontiguousarray(ordered, dtype=np.complex64))
    return fft2c(kspace) if settings.domain == "image" else kspace


def _read_array(path: Path, key: str | None) -> NDArray:
    array = read_numpy(path)
    if not isinstance(array, Mapping):
        return array
    if key is None or key not in array:
        raise ValueError(f"{path}: holds the arrays {', '.join(array)}; name one of them with --image_key")
    return array[key]


def _joined_parts(array: NDArray, axes: tuple[str, ...], path: Path) -> tuple[NDArray, tuple[str, ...]]:
    """Complex numbers of an axis with real and imaginary part."""
    if "complex" in axes:
        place = axes.index("complex")
        if np.iscomplexobj(array) or array.shape[place] != 2:
            raise ValueError(
                f"{path}: the array has shape {array.shape} and type {array.dtype}, expected real numbers with an axis "
                f"complex of length 2 at place {place + 1}"
            )
        real, imaginary = np.moveaxis(array, place, 0)
        return real + 1j * imaginary, (*axes[:place], *axes[place + 1 :])
    if not np.iscomplexobj(array):
        raise ValueError(
            f"{path}: raw data are {array.dtype}, expected complex numbers; for magnitude images use --kind images, "
            "for an axis of real and imaginary part name it complex in --axes"
        )
    return array, axes


def _check_values(array: NDArray, path: Path) -> None:
    if not np.isfinite(array).all():
        raise ValueError(f"{path}: raw data hold NaN or infinite values; repair them first")
    if not array.any():
        raise ValueError(f"{path}: raw data are zero everywhere")


def _one_frame(array: NDArray, axes: tuple[str, ...], frame: int | None, path: Path) -> tuple[NDArray, tuple[str, ...]]:
    if "frame" not in axes:
        return array, axes
    place = axes.index("frame")
    count = array.shape[place]
    frame = 0 if frame is None and count == 1 else frame
    if frame is None or frame >= count:
        found = "no --frame" if frame is None else f"--frame {frame}"
        raise ValueError(f"{path}: holds {count} frames, and {found} was given; choose --frame 0 to {count - 1}")
    return np.take(array, frame, axis=place), (*axes[:place], *axes[place + 1 :])


def _averaged(array: NDArray, axes: tuple[str, ...], path: Path) -> tuple[NDArray, tuple[str, ...]]:
    if "average" not in axes:
        return array, axes
    place = axes.index("average")
    others = tuple(axis for axis, name in enumerate(axes) if name not in ("average", "phase"))
    lines = (array != 0).any(axis=others)
    repeats = int(place > axes.index("phase"))
    if (lines.all(axis=repeats) != lines.any(axis=repeats)).any():
        raise ValueError(f"{path}: the averages hold different phase-encoding lines, expected the same in all of them")
    averaged = array.mean(axis=place) if array.shape[place] > 1 else array.squeeze(place)
    return averaged, (*axes[:place], *axes[place + 1 :])


def _columns(sampled: torch.Tensor) -> NDArray[np.bool_] | None:
    """The sampled columns if the pattern consists of whole columns, the same in all slices."""
    if sampled.shape[-2] != 1 or not bool((sampled == sampled[:1]).all()):
        return None
    return sampled[0].reshape(-1).numpy()


def _slices(kspace: torch.Tensor, shape: tuple[int, int] | None) -> Iterator[KspaceSlice]:
    for one in kspace:
        target = None if shape is None else rss(center_crop_or_pad(ifft2c(one), shape), dim=0)[0].numpy()
        yield one.numpy(), target
