"""Files out: fastMRI HDF5, reconstructions as HDF5 and NIfTI. Every file appears complete or not at all."""

from __future__ import annotations

import contextlib
import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import torch

from recon_monai import RESEARCH_NOTICE
from recon_monai.data.header import AcquisitionHeader

__all__ = ["FastMRIWriter", "atomic_path", "write_fastmri_h5", "write_nifti", "write_reconstruction_h5"]

logger = logging.getLogger(__name__)

Array = np.ndarray | torch.Tensor


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Write a file under a temporary name that becomes ``path`` only if the block succeeds.

    Args:
        path: the file to write; its folder is created if needed.

    Yields:
        A hidden name in the same folder with the same suffixes. If the block raises, that file is removed and an
        older file at ``path`` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class FastMRIWriter:
    """Write one file in the fastMRI layout slice by slice (Zbontar et al., arXiv:1811.08839).

    Use it as a context manager; the file appears under its name when the block ends without an error. ``kspace`` is
    ``(slices, coil, H, W)`` complex64 (``(slices, H, W)`` if the slices have no coil axis), the target
    ``reconstruction_rss`` (``reconstruction_esc`` without coil axis) ``(slices, h, w)`` float32; each slice is one
    uncompressed chunk, so that a slice is one read. The attributes ``max`` and ``norm`` of the target are computed
    unless given.

    Args:
        path: the ``.h5`` file.
        mask: ``(W,)`` sampled columns, for files with undersampled k-space.
        header: written as ``ismrmrd_header``.
        attributes: attributes of the file, for example ``acquisition``, ``anatomy``, ``patient_id``, ``source``.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        mask: Array | None = None,
        header: AcquisitionHeader | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        self.num_slices = 0
        self._mask = None if mask is None else _to_numpy(mask, np.dtype(bool)).reshape(-1)
        self._header = header
        self._attributes = dict(attributes or {})
        self._maximum = -math.inf
        self._sum_of_squares = 0.0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            self._file = stack.enter_context(h5py.File(temporary, "w"))
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._exit.__exit__(kind, error, traceback)
            return
        with self._exit:
            self._finish()

    def append(self, kspace: Array, target: Array | None = None) -> None:
        """Write the next slice.

        Args:
            kspace: ``(coil, H, W)`` or ``(H, W)`` complex; the same shape for all slices.
            target: ``(h, w)`` real, for all slices or for none.

        Raises:
            ValueError: if a shape or type is wrong or differs from that of the slices before; names file and slice.
        """
        if not (torch.is_complex(kspace) if isinstance(kspace, torch.Tensor) else np.iscomplexobj(kspace)):
            raise self._error(f"k-space is {kspace.dtype}, expected a complex type")
        if kspace.ndim not in (2, 3):
            raise self._error(f"k-space has shape {tuple(kspace.shape)}, expected (coil, H, W) or (H, W)")
        if self._mask is not None and self._mask.size != kspace.shape[-1]:
            raise self._error(f"the mask has {self._mask.size} columns and k-space {kspace.shape[-1]}; make them equal")
        target_name = "reconstruction_rss" if kspace.ndim == 3 else "reconstruction_esc"
        if self.num_slices > 0 and (target is not None) != (target_name in self._file):
            raise self._error("some slices have a target and others none; give a target for all slices or for none")
        self._write("kspace", kspace, np.dtype(np.complex64))
        if target is not None:
            if target.ndim != 2:
                raise self._error(f"the target has shape {tuple(target.shape)}, expected (h, w)")
            written = self._write(target_name, target, np.dtype(np.float32))
            self._maximum = max(self._maximum, float(written.max()))
            self._sum_of_squares += float(np.sum(np.square(written, dtype=np.float64)))
        self.num_slices += 1

    def _write(self, name: str, data: Array, dtype: np.dtype) -> np.ndarray:
        array = _to_numpy(data, dtype)
        if not np.isfinite(array).all():
            raise self._error(f"{name} holds NaN or infinity, expected finite {dtype} values; remove or replace them")
        if name not in self._file:
            shape = tuple(array.shape)
            self._file.create_dataset(name, (0, *shape), dtype, chunks=(1, *shape), maxshape=(None, *shape))
        dataset = self._file[name]
        if dataset.shape[1:] != array.shape:
            raise self._error(f"{name} has shape {array.shape}, the slices before {dataset.shape[1:]}; make them equal")
        dataset.resize(self.num_slices + 1, axis=0)
        dataset[self.num_slices] = array
        return array

    def _finish(self) -> None:
        if self.num_slices == 0:
            raise ValueError(f"{self.path}: no slice was given, expected at least one")
        if self._mask is not None:
            self._file.create_dataset("mask", data=self._mask)
        if self._header is not None:
            self._file.create_dataset("ismrmrd_header", data=self._header.to_xml())
        if math.isfinite(self._maximum):
            self._attributes.setdefault("max", self._maximum)
            self._attributes.setdefault("norm", math.sqrt(self._sum_of_squares))
        _write_attributes(self.path, self._file, self._attributes)

    def _error(self, message: str) -> ValueError:
        return ValueError(f"{self.path}, slice {self.num_slices}: {message}")


def write_fastmri_h5(
    path: str | Path,
    *,
    kspace: Iterable[Array] | Array,
    target: Iterable[Array] | Array | None = None,
    mask: Array | None = None,
    header: AcquisitionHeader | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> Path:
    """Write a volume in the fastMRI layout; slices are taken one at a time, so iterables need not fit in memory.

    Args:
        path: the ``.h5`` file; an existing one is replaced at the end.
        kspace: slices ``(coil, H, W)`` or ``(H, W)`` (an iterable, or an array with the slices first), complex.
        target: slices ``(h, w)``, as many as ``kspace``; each is taken right after its k-space.
        mask: ``(W,)`` sampled columns.
        header: written as ``ismrmrd_header``.
        attributes: attributes of the file; see :class:`FastMRIWriter`.

    Returns:
        ``path``.

    Raises:
        ValueError: if a slice does not fit or the numbers of slices differ; names file and slice.
    """
    path = Path(path)
    with FastMRIWriter(path, mask=mask, header=header, attributes=attributes) as writer:
        if target is None:
            for kspace_slice in kspace:
                writer.append(kspace_slice)
            return path
        for kspace_slice, target_slice in zip_longest(kspace, target):
            if kspace_slice is None or target_slice is None:
                found = "targets" if kspace_slice is None else "k-space slices"
                raise ValueError(f"{path}, slice {writer.num_slices}: there are more {found}; give equal numbers")
            writer.append(kspace_slice, target_slice)
    return path


def write_reconstruction_h5(path: str | Path, volume: Array, attributes: Mapping[str, Any] | None = None) -> Path:
    """Write a reconstructed volume in the form of a fastMRI submission.

    Args:
        path: the ``.h5`` file; an existing one is replaced.
        volume: ``(D, H, W)`` real; written as dataset ``reconstruction``, float32.
        attributes: attributes of the file. ``notice`` is set to the research notice.

    Returns:
        ``path``.

    Raises:
        ValueError: if ``volume`` is not a real volume.
    """
    path = Path(path)
    array = _volume(path, volume)
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.create_dataset("reconstruction", data=array)
        _write_attributes(path, file, {"notice": RESEARCH_NOTICE, **(attributes or {})})
    return path


def write_nifti(
    path: str | Path, volume: Array, voxel_size: Sequence[float] | Array = (math.nan, math.nan, math.nan)
) -> Path:
    """Write a reconstructed volume as NIfTI through ITK.

    The first axis of the NIfTI array (ITK's x) runs along W, the second along H, the third along D: nibabel reads
    ``(W, H, D)``, ``itk.array_from_image`` gives ``(D, H, W)`` back. The voxel sizes are right. The orientation is
    not known, as fastMRI headers hold a field of view but neither directions nor position: ITK's identity directions
    and origin 0 are written, and the description of the file says so.

    Args:
        path: a file name that ends in ``.nii`` or ``.nii.gz``; an existing file is replaced.
        volume: ``(D, H, W)`` real; written as float32.
        voxel_size: distance of rows (along H), columns (along W) and slices (along D) in mm. Unknown ones (NaN) are
            written as 1 mm, with a warning in the log.

    Returns:
        ``path``.

    Raises:
        ValueError: if the name, the volume or the voxel size cannot be used.
    """
    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise ValueError(f"{path}: expected a file name that ends in .nii or .nii.gz")
    array = _volume(path, volume)
    row, column, between = _known_voxel_size(path, voxel_size)

    import itk
    from monai.data.image_writer import ITKWriter

    image = ITKWriter.create_backend_obj(
        array.transpose(2, 1, 0),
        channel_dim=None,
        affine=np.diag([column, row, between, 1.0]),
        dtype=np.float32,
        affine_lps_to_ras=False,
    )
    image.GetMetaDataDictionary()["ITK_FileNotes"] = f"{RESEARCH_NOTICE} Orientation unknown."
    with atomic_path(path) as temporary:
        itk.imwrite(image, str(temporary), compression=path.name.endswith(".gz"))
    return path


def _known_voxel_size(path: Path, voxel_size: Sequence[float] | Array) -> list[float]:
    sizes = [float(size) for size in voxel_size]
    if len(sizes) != 3 or any(size <= 0 or math.isinf(size) for size in sizes):
        raise ValueError(f"{path}: voxel size is {sizes}, expected three positive numbers in mm (NaN if unknown)")
    if any(math.isnan(size) for size in sizes):
        logger.warning("%s: voxel size (row, column, slice) is %s mm; 1 mm is written for NaN", path, sizes)
    return [1.0 if math.isnan(size) else size for size in sizes]


def _volume(path: Path, volume: Array) -> np.ndarray:
    is_complex = torch.is_complex(volume) if isinstance(volume, torch.Tensor) else np.iscomplexobj(volume)
    if volume.ndim != 3 or is_complex or 0 in volume.shape:
        raise ValueError(
            f"{path}: the volume has shape {tuple(volume.shape)} and type {volume.dtype}, expected real (D, H, W)"
        )
    return _to_numpy(volume, np.dtype(np.float32))


def _to_numpy(data: Array, dtype: np.dtype) -> np.ndarray:
    if isinstance(data, torch.Tensor):
        data = data.detach().cpu().resolve_conj().numpy()
    return np.asarray(data).astype(dtype, copy=False)


def _write_attributes(path: Path, file: h5py.File, attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        try:
            file.attrs[name] = value
        except TypeError as error:
            raise ValueError(
                f"{path}: the attribute {name} is {value!r}, which HDF5 cannot hold; expected a number or text"
            ) from error
