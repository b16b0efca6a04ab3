"""One open file, read slice by slice."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import h5py
import torch

from recon_monai.data.fastmri.hdf5 import HDF5File
from recon_monai.data.fastmri.layout import find_target_name, read_info, read_mask
from recon_monai.data.fastmri.paired import find_image_file

__all__ = ["FastMRIFile"]


class FastMRIFile:
    """One open file. Each read brings one slice into a buffer of its own; volumes are never read.

    In the paired layout (a folder ``kspace`` with a folder ``image`` beside it) the targets come from the image file of
    the same name, which is opened too.

    Args:
        path: a file with ``kspace`` ``(slices, coil, H, W)`` or, single-coil, ``(slices, H, W)``; optionally ``mask``
            ``(W,)``, ``reconstruction_rss`` or ``reconstruction_esc`` ``(slices, h, w)`` and ``ismrmrd_header``.

    Raises:
        FastMRIFileError: if the file is missing, is not HDF5, does not have this layout, or keeps arrays outside of
            itself (links to other files, external storage, virtual arrays).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with contextlib.ExitStack() as opened:
            self._file = HDF5File(self.path)
            opened.callback(self._file.close)
            images = _open_images(self._file)
            if images is not None:
                opened.callback(images.close)
            self.info = read_info(self._file, images)
            self._mask = read_mask(self._file, self.info.kspace_shape[2])
            self._kspace = cast(h5py.Dataset, self._file.array("kspace"))
            self._target_file = images or self._file
            name = self.info.target_name
            self._target = None if name is None else self._target_file.array(name)
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def read_kspace(self, index: int) -> torch.Tensor:
        """Read the k-space of a slice.

        Args:
            index: number of the slice in the file, from 0.

        Returns:
            ``(coil, H, W)`` complex64.

        Raises:
            FastMRIFileError: if there is no such slice or it cannot be read.
        """
        self._check_index(index)
        slice_data = torch.empty(self.info.kspace_shape, dtype=torch.complex64)
        # a view without the coil axis has the shape of a single-coil slice in the file
        view = slice_data if self._kspace.ndim == 4 else slice_data[0]
        self._file.read_slice(self._kspace, index, view.numpy())
        return slice_data

    def read_target(self, index: int) -> torch.Tensor | None:
        """Read the target of a slice.

        Args:
            index: number of the slice in the file, from 0.

        Returns:
            ``(1, h, w)`` float32, or None if the file has no target.

        Raises:
            FastMRIFileError: if there is no such slice or it cannot be read.
        """
        if self._target is None or self.info.target_shape is None:
            return None
        self._check_index(index)
        target = torch.empty((1, *self.info.target_shape), dtype=torch.float32)
        self._target_file.read_slice(self._target, index, target[0].numpy())
        return target

    def read_mask(self) -> torch.Tensor | None:
        """The sampling mask: ``(1, 1, W)`` bool, a tensor of its own, or None if the file has none."""
        return None if self._mask is None else torch.tensor(self._mask).reshape(1, 1, -1)

    def compute_maximum(self) -> float:
        """Maximum of the target volume, read slice by slice.

        Raises:
            FastMRIFileError: if the file has no target or the maximum is not a finite number.
        """
        maximum = -math.inf
        for index in range(self.info.num_slices):
            target = self.read_target(index)
            if target is None:
                raise self._file.error(
                    "has no target, expected reconstruction_rss or reconstruction_esc; use it for inference only"
                )
            # torch.max lets NaN through, Python's max may not
            value = float(target.max())
            if not math.isfinite(value):
                raise self._target_file.error(
                    f"slice {index}: the target holds {value}, expected finite values; write it again"
                )
            maximum = max(maximum, value)
        return maximum

    def _check_index(self, index: int) -> None:
        if not 0 <= index < self.info.num_slices:
            raise self._file.error(
                f"slice {index} was asked for, expected 0 to {self.info.num_slices - 1}; check who asks"
            )


def _open_images(file: HDF5File) -> HDF5File | None:
    """The image file of the paired layout, unless the k-space file has a target itself."""
    path = find_image_file(file.path)
    if path is None or file.array("kspace") is None or find_target_name(file) is not None:
        return None
    if not path.exists():
        raise file.error(
            f"has no image file {path}, expected one per k-space file in the folder beside it; copy it there, or move "
            "k-space without images to a folder of another name"
        )
    return HDF5File(path)
