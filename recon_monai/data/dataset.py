"""Slices of fastMRI files as a MONAI data set."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.data import Dataset

from recon_monai.data.fastmri import FastMRIFile, FastMRIInfo, HandleCache

__all__ = ["FastMRISliceDataset"]


class FastMRISliceDataset(Dataset):
    """Slices of files in the fastMRI layout, read one at a time.

    Building it reads headers only. ``data`` is a list of one dictionary per item (``path``, ``file``, ``slice``,
    ``first_slice``, ``num_slices``, ``anatomy``, ``acquisition``, ``source`` and, where known, ``acceleration``), so
    that samplers and MONAI's partitioning tools can choose among items without reading them. An item is a dictionary
    with

    * ``kspace`` ``(coil, H, W)`` complex64; ``mask`` ``(1, 1, W)`` bool if the file has one;
    * ``target`` ``(1, h, w)`` float32 and ``maximum`` (float, of the whole volume) if the file has a target;
    * ``file``, ``path``, ``slice`` (number in the file), ``first_slice`` and ``num_slices`` (of this volume in the data
      set), ``anatomy``, ``acquisition``, ``source`` (``"simulated"``, ``"measured"``, ``"unknown"``), ``acceleration``
      if repeated, or if a file with its own mask states it;
    * ``output_size`` ``(2,)`` int64: target size, else the header's reconstruction size, else k-space size;
    * ``padding`` ``(2,)`` int64: columns ``[left, right)`` were acquired, the others are zero-filled;
    * ``voxel_size`` ``(3,)`` float32: distance of rows, columns, slices in mm, NaN where unknown.

    Args:
        files: the files; the slices of a volume follow each other in order.
        transform: applied to each item.
        accelerations: repeat each file once per acceleration, volume by volume (all slices of the first file at the
            first acceleration, then all at the second, ...); the undersampling transform reads ``acceleration``. A file
            that brings its own mask was acquired undersampled and comes once.
        anatomy: anatomy of all files, whatever they say; None takes it from each file (attribute ``anatomy``, else
            ``AX...`` acquisitions are brain and ``COR...`` knee, else ``"unknown"``).
        max_files: use only the first files, for quick runs.
        max_slices: use only this many central slices of each volume, for quick runs.
        max_open_files: most files that a process holds open.

    Raises:
        FastMRIFileError: if a file is missing or does not have the fastMRI layout; the message names it.
        ValueError: if there is no file or an argument is out of range.
    """

    def __init__(
        self,
        files: Sequence[str | Path],
        transform: Sequence[Callable] | Callable | None = None,
        *,
        accelerations: Sequence[int] | None = None,
        anatomy: str | None = None,
        max_files: int | None = None,
        max_slices: int | None = None,
        max_open_files: int = 8,
    ) -> None:
        if isinstance(files, str | Path):
            raise ValueError(f"files is the single path {files}, expected a list of paths; write [path]")
        _check_limits(max_files=max_files, max_slices=max_slices, max_open_files=max_open_files)
        if accelerations is not None and (len(accelerations) == 0 or min(accelerations) < 1):
            raise ValueError(f"accelerations is {list(accelerations)}, expected numbers >= 1 or None")
        self.files = [Path(file) for file in files][:max_files]
        if not self.files:
            raise ValueError("the list of files is empty, expected at least one .h5 file; check dataset_dir and split")
        self.anatomy = anatomy
        self.infos: dict[str, FastMRIInfo] = {}
        for file in self.files:
            with FastMRIFile(file) as opened:
                self.infos[str(file)] = opened.info
        self._positions = {path: position for position, path in enumerate(self.infos)}
        # in shared memory, so that what one worker computes is known to all of them and in the next epoch
        self._maxima = torch.full((len(self.infos),), math.nan, dtype=torch.float64).share_memory_()
        self._handles = HandleCache(max_open_files)
        super().__init__(self._index(accelerations, max_slices), transform)

    def load(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Read the item of one entry of ``data``, without the transform.

        Args:
            entry: one of ``data``.

        Returns:
            A new dictionary; see the class.

        Raises:
            FastMRIFileError: if the slice cannot be read.
        """
        item = dict(entry)
        info = self.infos[entry["path"]]
        with self._handles.open(entry["path"]) as file:
            item["kspace"] = file.read_kspace(entry["slice"])
            mask = file.read_mask()
            target = file.read_target(entry["slice"])
            if target is not None:
                item["target"] = target
                item["maximum"] = self._maximum(info, file)
        if mask is not None:
            item["mask"] = mask
        item["output_size"] = torch.tensor(info.output_size)
        item["padding"] = torch.tensor(info.padding)
        item["voxel_size"] = torch.tensor(info.header.voxel_size, dtype=torch.float32)
        return item

    def close(self) -> None:
        """Close the files that this process holds open; they are opened again when needed."""
        self._handles.close()

    def _transform(self, index: int) -> Any:
        return self.transform(self.load(self.data[index]))

    def _index(self, accelerations: Sequence[int] | None, max_slices: int | None) -> list[dict[str, Any]]:
        entries = []
        for file in self.files:
            info = self.infos[str(file)]
            count = min(info.num_slices, max_slices or info.num_slices)
            start = (info.num_slices - count) // 2
            volume = {
                "path": str(file),
                "file": file.name,
                "first_slice": start,
                "num_slices": count,
                "anatomy": self.anatomy or info.anatomy,
                "acquisition": info.acquisition,
                "source": info.source,
            }
            repeats: list[dict[str, Any]] = [{"acceleration": int(value)} for value in accelerations or ()]
            if not repeats or info.has_mask:
                stated = info.has_mask and info.acceleration is not None
                repeats = [{"acceleration": info.acceleration}] if stated else [{}]
            entries += [
                {**volume, **repeat, "slice": number} for repeat in repeats for number in range(start, start + count)
            ]
        return entries

    def _maximum(self, info: FastMRIInfo, file: FastMRIFile) -> float:
        if info.maximum is not None:
            return info.maximum
        position = self._positions[str(info.path)]
        if math.isnan(self._maxima[position]):
            self._maxima[position] = file.compute_maximum()
        return float(self._maxima[position])


def _check_limits(**limits: int | None) -> None:
    for name, limit in limits.items():
        if limit is not None and limit < 1:
            raise ValueError(f"{name} is {limit}, expected at least 1")
