"""Files in, slice by slice: HDF5 in the fastMRI layout (Zbontar et al., arXiv:1811.08839)."""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import torch

from recon_monai.data.header import AcquisitionHeader

__all__ = ["FastMRIFile", "FastMRIFileError", "FastMRIInfo", "HandleCache"]

_UNKNOWN = "unknown"


class FastMRIFileError(ValueError):
    """A file cannot be used as fastMRI data; the message names file, found, expected and what to do."""


@dataclass(frozen=True)
class FastMRIInfo:
    """What the headers of a file say; no array of the size of a slice is read for it.

    Attributes:
        path: the file.
        num_slices: slices in the file.
        kspace_shape: ``(coil, H, W)`` of a slice; one coil for the single-coil layout.
        target_name: ``reconstruction_rss`` or ``reconstruction_esc``; None without target.
        target_shape: ``(h, w)`` of a target slice; None without target.
        has_mask: whether the file holds a sampling mask.
        acceleration: attribute ``acceleration``, the nominal one of the file's mask, rounded; None if the file does
            not say or has no mask.
        maximum: attribute ``max``, the maximum of the target volume; None if the file does not say.
        anatomy: attribute ``anatomy``, else from the acquisition (``AX...`` is brain, ``COR...`` is knee), else
            ``"unknown"``.
        acquisition: attribute ``acquisition``, else ``"unknown"``.
        source: attribute ``source``, else ``"measured"`` for files with an acquisition, else ``"unknown"``.
        header: the ISMRMRD header; all parts None if the file has none.
        padding: columns ``[left, right)`` that were acquired.
    """

    path: Path
    num_slices: int
    kspace_shape: tuple[int, int, int]
    target_name: str | None
    target_shape: tuple[int, int] | None
    has_mask: bool
    acceleration: int | None
    maximum: float | None
    anatomy: str
    acquisition: str
    source: str
    header: AcquisitionHeader
    padding: tuple[int, int]

    @property
    def output_size(self) -> tuple[int, int]:
        """Size ``(h, w)`` of the image: of the target, else of the header's reconstruction, else of k-space."""
        if self.target_shape is not None:
            return self.target_shape
        if self.header.recon_matrix is not None and min(self.header.recon_matrix[:2]) > 0:
            return self.header.recon_matrix[0], self.header.recon_matrix[1]
        return self.kspace_shape[1], self.kspace_shape[2]


class FastMRIFile:
    """One open file. Each read brings one slice into a buffer of its own; volumes are never read.

    Args:
        path: a file with ``kspace`` ``(slices, coil, H, W)`` or, single-coil, ``(slices, H, W)``; optionally ``mask``
            ``(W,)``, ``reconstruction_rss`` or ``reconstruction_esc`` ``(slices, h, w)`` and ``ismrmrd_header``.

    Raises:
        FastMRIFileError: if the file is missing, is not HDF5 or does not have this layout.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise self._error("the file does not exist, expected an .h5 file; check the path or prepare it again")
        try:
            self._file = h5py.File(self.path, "r")
        except OSError as error:
            raise self._error(f"cannot be opened as HDF5 ({error}); copy or prepare the file again") from error
        try:
            with self._reading("headers"):
                self.info = self._read_info()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read_kspace(self, index: int) -> torch.Tensor:
        """Read the k-space of a slice.

        Args:
            index: number of the slice in the file, from 0.

        Returns:
            ``(coil, H, W)`` complex64.

        Raises:
            FastMRIFileError: if there is no such slice or it cannot be read.
        """
        slice_data = torch.empty(self.info.kspace_shape, dtype=torch.complex64)
        # a view without the coil axis has the shape of a single-coil slice in the file
        view = slice_data if self._file["kspace"].ndim == 4 else slice_data[0]
        self._read_slice("kspace", index, view)
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
        if self.info.target_name is None or self.info.target_shape is None:
            return None
        target = torch.empty((1, *self.info.target_shape), dtype=torch.float32)
        self._read_slice(self.info.target_name, index, target[0])
        return target

    def read_mask(self) -> torch.Tensor | None:
        """Read the sampling mask: ``(1, 1, W)`` bool, or None if the file has none."""
        if not self.info.has_mask:
            return None
        with self._reading("mask"):
            mask = np.asarray(self._file["mask"][()]) != 0
        return torch.from_numpy(mask).reshape(1, 1, -1)

    def compute_maximum(self) -> float:
        """Maximum of the target volume, read slice by slice.

        Raises:
            FastMRIFileError: if the file has no target or the maximum is not a finite number.
        """
        maximum = -math.inf
        for index in range(self.info.num_slices):
            target = self.read_target(index)
            if target is None:
                raise self._error("has no target, expected reconstruction_rss or reconstruction_esc")
            # torch.max lets NaN through, Python's max may not
            value = float(target.max())
            if not math.isfinite(value):
                raise self._error(f"slice {index}: the target holds {value}, expected finite values; write it again")
            maximum = max(maximum, value)
        return maximum

    def _read_slice(self, name: str, index: int, destination: torch.Tensor) -> None:
        if not 0 <= index < self.info.num_slices:
            raise self._error(f"slice {index} was asked for, expected 0 to {self.info.num_slices - 1}")
        with self._reading(f"slice {index} of {name}"):
            self._file[name].read_direct(destination.numpy(), np.s_[index])

    @contextlib.contextmanager
    def _reading(self, part: str) -> Iterator[None]:
        try:
            yield
        except (OSError, KeyError, RuntimeError) as error:
            raise self._error(f"{part} cannot be read ({error}); copy or prepare the file again") from error

    def _error(self, message: str) -> FastMRIFileError:
        return FastMRIFileError(f"{self.path}: {message}")

    def _read_info(self) -> FastMRIInfo:
        num_slices, kspace_shape = self._kspace_shape()
        target_name = self._target_name()
        header = self._header()
        try:
            padding = header.padding(kspace_shape[2])
        except ValueError as error:
            raise self._error(str(error)) from error
        acquisition = self._text("acquisition")
        has_mask = self._has_mask(kspace_shape[2])
        return FastMRIInfo(
            path=self.path,
            num_slices=num_slices,
            kspace_shape=kspace_shape,
            target_name=target_name,
            target_shape=None if target_name is None else self._target_shape(target_name, num_slices),
            has_mask=has_mask,
            acceleration=self._acceleration() if has_mask else None,
            maximum=self._maximum(),
            anatomy=self._text("anatomy") or _anatomy(acquisition),
            acquisition=acquisition or _UNKNOWN,
            source=self._text("source") or ("measured" if acquisition else _UNKNOWN),
            header=header,
            padding=padding,
        )

    def _dataset(self, name: str) -> h5py.Dataset | None:
        item = self._file.get(name)
        if item is None or isinstance(item, h5py.Dataset):
            return item
        raise self._error(f"{name} is a group, expected an array; write the file in the fastMRI layout")

    def _kspace_shape(self) -> tuple[int, tuple[int, int, int]]:
        kspace = self._dataset("kspace")
        if kspace is None:
            raise self._error(
                f"holds {sorted(self._file) or 'nothing'} but no 'kspace'; write the file in the fastMRI layout"
            )
        shape = tuple(int(size) for size in kspace.shape)
        if len(shape) not in (3, 4):
            raise self._error(f"kspace has shape {shape}, expected (slices, coil, H, W) or (slices, H, W)")
        if kspace.dtype.kind != "c":
            raise self._error(
                f"kspace has type {kspace.dtype}, expected complex64; combine real and imaginary parts to complex"
            )
        if 0 in shape:
            raise self._error(f"kspace has shape {shape} and so no data, expected at least one slice")
        return shape[0], (1 if len(shape) == 3 else shape[1], shape[-2], shape[-1])

    def _target_name(self) -> str | None:
        names = ["reconstruction_rss", "reconstruction_esc"]
        # single-coil knee files hold both; the single-coil challenge scores the emulated single-coil one
        if self._file["kspace"].ndim == 3:
            names.reverse()
        return next((name for name in names if self._dataset(name) is not None), None)

    def _target_shape(self, name: str, num_slices: int) -> tuple[int, int]:
        target = self._file[name]
        if target.ndim != 3 or target.shape[0] != num_slices or 0 in target.shape:
            raise self._error(
                f"{name} has shape {target.shape}, expected ({num_slices}, h, w) like the slices of kspace"
            )
        if target.dtype.kind not in "fiu":
            raise self._error(f"{name} has type {target.dtype}, expected real magnitudes (float32)")
        return int(target.shape[1]), int(target.shape[2])

    def _has_mask(self, width: int) -> bool:
        mask = self._dataset("mask")
        if mask is not None and mask.shape != (width,):
            raise self._error(f"mask has shape {mask.shape}, expected ({width},), one value per column of kspace")
        return mask is not None

    def _maximum(self) -> float | None:
        value = self._file.attrs.get("max")
        if value is None:
            return None
        number = np.asarray(value)
        if number.size != 1 or number.dtype.kind not in "fiu" or not np.isfinite(number).all():
            raise self._error(f"the attribute max is {value!r}, expected a finite number; correct or remove it")
        return float(number.item())

    def _acceleration(self) -> int | None:
        value = self._file.attrs.get("acceleration")
        if value is None:
            return None
        try:
            number = float(np.asarray(value).item())
        except (TypeError, ValueError):
            number = math.nan
        if not number >= 1:
            raise self._error(f"the attribute acceleration is {value!r}, expected a number >= 1; correct or remove it")
        return round(number)

    def _text(self, name: str) -> str:
        value = self._file.attrs.get(name, "")
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def _header(self) -> AcquisitionHeader:
        dataset = self._dataset("ismrmrd_header")
        if dataset is None:
            return AcquisitionHeader()
        document: Any = dataset[()]
        if isinstance(document, np.ndarray) and document.size == 1:
            document = document.reshape(-1)[0]
        if not isinstance(document, bytes | str):
            raise self._error(f"ismrmrd_header is {type(document).__name__}, expected XML text; correct or remove it")
        try:
            return AcquisitionHeader.from_xml(document)
        except ValueError as error:
            raise self._error(f"{error}; correct or remove ismrmrd_header") from error


class HandleCache:
    """Open files of one process, the least recently used closed first.

    Opening a file costs less than reading a slice but is not free, and a handle per file and epoch would exhaust the
    limit of open files. Handles are never shared with forked workers: HDF5 keeps per-process state.

    Args:
        max_files: most files open at the same time.
    """

    def __init__(self, max_files: int = 8) -> None:
        if max_files < 1:
            raise ValueError(f"max_files is {max_files}, expected at least 1")
        self.max_files = max_files
        self._reset()

    def __len__(self) -> int:
        return len(self._files) if self._process == os.getpid() else 0

    def __getstate__(self) -> dict[str, Any]:
        return {"max_files": self.max_files}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.max_files = state["max_files"]
        self._reset()

    @contextlib.contextmanager
    def open(self, path: str | Path) -> Iterator[FastMRIFile]:
        """Lend the open file ``path``; it may be closed any time after the block.

        Args:
            path: the file.

        Yields:
            The open file. Threads of one process wait for each other, as they do inside HDF5 anyway.

        Raises:
            FastMRIFileError: if the file cannot be used.
        """
        if self._process != os.getpid():
            self._leave_parent()
        with self._lock:
            key = str(path)
            file = self._files.pop(key, None)
            if file is None:
                while len(self._files) >= self.max_files:
                    self._files.popitem(last=False)[1].close()
                file = FastMRIFile(path)
            self._files[key] = file
            yield file

    def close(self) -> None:
        """Close all files of this process."""
        if self._process != os.getpid():
            self._leave_parent()
        with self._lock:
            for file in self._files.values():
                file.close()
            self._files.clear()

    def _leave_parent(self) -> None:
        # inherited handles are closed in this process before anything is opened: otherwise HDF5 would find the same
        # file open and go on with the parent's file descriptor
        for file in self._files.values():
            file.close()
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._files: OrderedDict[str, FastMRIFile] = OrderedDict()


def _anatomy(acquisition: str) -> str:
    """Anatomy of fastMRI's acquisitions: axial scans are brains (AXT2, ...), coronal ones knees (CORPD_FBK, ...)."""
    name = acquisition.upper()
    if name.startswith("AX"):
        return "brain"
    return "knee" if name.startswith("COR") else _UNKNOWN
