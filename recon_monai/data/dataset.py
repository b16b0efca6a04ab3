"""Slices of fastMRI files as a MONAI data set."""

from __future__ import annotations

import logging
import math
import numbers
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from monai.data import Dataset

from recon_monai.data.anatomy import AnatomyRule, find_anatomy, parse_anatomy_rules
from recon_monai.data.checks import CheckLevel, CheckReport, check_files, without_missing_targets
from recon_monai.data.fastmri import FastMRIFile, FastMRIFileError, FastMRIInfo, HandleCache, check_finite
from recon_monai.data.index import FileIndex
from recon_monai.data.selection import FileFilter, is_sampled

__all__ = ["FastMRISliceDataset"]

logger = logging.getLogger(__name__)


class FastMRISliceDataset(Dataset):
    """Slices of files in the fastMRI layout or the paired one, read one at a time.

    Building it checks all files: their headers, which an index remembers, and if ``check_data`` says so all their
    values, once. ``data`` is a list of one dictionary per item (``path``, ``file``, ``slice``, ``first_slice``,
    ``num_slices``, ``coils``, ``anatomy``, ``acquisition``, ``source`` and, where known, ``acceleration``), so that
    samplers and MONAI's partitioning tools can choose among items without reading them. An item is a dictionary with

    * ``kspace`` ``(coil, H, W)`` complex64; ``mask`` ``(1, 1, W)`` bool if the file has one;
    * ``target`` ``(1, h, w)`` float32 and ``maximum`` (float, of the whole volume) if the file has a target;
    * ``file``, ``path``, ``slice`` (number in the file), ``first_slice`` (the first one used) and ``num_slices`` (of
      this volume in the data set), ``coils``, ``anatomy``, ``acquisition``, ``source`` (``"simulated"``,
      ``"measured"``, ``"unknown"``), ``acceleration`` if repeated, or if a file with its own mask states it;
    * ``output_size`` ``(2,)`` int64: target size, else the header's reconstruction size, else k-space size;
    * ``padding`` ``(2,)`` int64: columns ``[left, right)`` were acquired, the others are zero-filled;
    * ``voxel_size`` ``(3,)`` float32: distance of rows, columns, slices in mm, NaN where unknown.

    Args:
        files: the files; the slices of a volume follow each other in order.
        transform: applied to each item.
        accelerations: repeat each file once per acceleration, volume by volume (all slices of the first file at the
            first acceleration, then all at the second, ...); the undersampling transform reads ``acceleration``. A file
            that brings its own mask, and whose mask is used, comes once.
        anatomy: anatomy of all files, whatever they say; None goes by the rules.
        anatomy_rules: tried in order before the default rules (attribute ``anatomy``; ``AX...`` acquisitions are brain
            and ``COR...`` knee; the header's body part; names of the paired layout), see
            :mod:`recon_monai.data.anatomy`. Plain JSON like
            ``[{"look_at": "file", "pattern": "^knee_", "anatomy": "knee"}]``.
        filters: use only files with these headers, see :class:`recon_monai.data.FileFilter`. Plain JSON like
            ``{"anatomy": "knee", "acquisition": ["CORPD*"], "coils": [4, 20], "min_slices": 5}``.
        volume_sample_rate: use this share of the files, chosen by a hash of seed and file name.
        slice_sample_rate: use this share of the slices, chosen by a hash of seed, file name and number.
        sample_seed: another seed makes another choice.
        file_mask: ``"ignore"`` leaves out the masks that files bring, and what acceleration they state. Meant for
            files whose k-space is fully sampled all the same (the paired layout); others are refused by
            ``Undersampled``.
        check_data: ``"headers"``, ``"full"`` or ``"auto"``, see :func:`recon_monai.data.check_files`.
        require_target: count files without a target as unusable, as in training and evaluation.
        skip_bad: leave out files that cannot be used, with a warning for each, instead of refusing all.
        use_index: remember headers and checks of files under :func:`recon_monai.data.cache_dir`.
        max_files: use only the first files, for quick runs.
        max_slices: use only this many central slices of each volume, for quick runs.
        max_open_files: most files that a process holds open.

    Attributes:
        files: the files used.
        infos: their headers by path.
        problems: what is wrong with the files that were left out as bad, by path.

    Raises:
        FastMRIFileError: if files are missing or cannot be used; the message names each with its reason.
        ValueError: if no file or slice is left, an argument is out of range, or two volumes cannot be told apart.
    """

    def __init__(
        self,
        files: Sequence[str | Path],
        transform: Sequence[Callable] | Callable | None = None,
        *,
        accelerations: Sequence[int] | None = None,
        anatomy: str | None = None,
        anatomy_rules: Sequence[AnatomyRule | Mapping[str, Any]] | None = None,
        filters: FileFilter | Mapping[str, Any] | None = None,
        volume_sample_rate: float = 1.0,
        slice_sample_rate: float = 1.0,
        sample_seed: int = 0,
        file_mask: Literal["use", "ignore"] = "use",
        check_data: CheckLevel = "headers",
        skip_bad: bool = False,
        require_target: bool = False,
        use_index: bool = True,
        max_files: int | None = None,
        max_slices: int | None = None,
        max_open_files: int = 8,
    ) -> None:
        if isinstance(files, str | Path):
            raise ValueError(f"files is the single path {files}, expected a list of paths; write [path]")
        _check_limits(max_files=max_files, max_slices=max_slices, max_open_files=max_open_files)
        _check_rates(volume_sample_rate=volume_sample_rate, slice_sample_rate=slice_sample_rate)
        _check_flags(skip_bad=skip_bad, use_index=use_index, require_target=require_target)
        if accelerations is not None and (len(accelerations) == 0 or min(accelerations) < 1):
            raise ValueError(f"accelerations is {list(accelerations)}, expected numbers >= 1 or None")
        if file_mask not in ("use", "ignore"):
            raise ValueError(f"file_mask is {file_mask!r}, expected 'use' or 'ignore'")
        if not files:
            raise ValueError("the list of files is empty, expected at least one .h5 file; check dataset_dir and split")
        self.anatomy = anatomy
        self.anatomy_rules = parse_anatomy_rules(anatomy_rules or ())
        self.file_mask = file_mask
        self._sampling = (slice_sample_rate, sample_seed)
        self.use_index = use_index
        chosen = [path for path in map(Path, files) if is_sampled(volume_sample_rate, sample_seed, path.name)]
        condition = FileFilter.parse(filters)
        if condition == FileFilter():
            chosen = chosen[:max_files]
        report = check_files(chosen, check_data, FileIndex() if use_index else None)
        if require_target:
            report = without_missing_targets(report)
        self.problems = {str(path): problem for path, problem in report.problems.items()}
        _handle_problems(report, skip_bad)
        self.files = self._filter(report.infos, condition)[:max_files]
        if not self.files:
            raise ValueError(
                f"no file is left of {len(files)}: {len(files) - len(chosen)} by volume_sample_rate or max_files, "
                f"{len(report.problems)} bad, {len(report.infos)} by filters; loosen them"
            )
        self.infos: dict[str, FastMRIInfo] = {str(path): report.infos[path] for path in self.files}
        self._read = {str(path) for path in report.read}
        self._positions = {path: position for position, path in enumerate(self.infos)}
        # in shared memory, so that what one worker computes is known to all of them and in the next epoch
        self._maxima = torch.full((len(self.infos),), math.nan, dtype=torch.float64).share_memory_()
        self._handles = HandleCache(max_open_files)
        super().__init__(self._entries(accelerations, max_slices), transform)

    def shape_key(self, index: int) -> tuple[tuple[int, int, int], tuple[int, int], bool, bool]:
        """Items with equal keys can be collated into one batch; nothing is read for it.

        Args:
            index: of the item.

        Returns:
            Shape of k-space, size of the image, whether there is a target, and whether the file gives a mask.
        """
        info = self.infos[self.data[index]["path"]]
        return info.kspace_shape, info.output_size, info.target_name is not None, self._uses_mask(info)

    def load(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Read the item of one entry of ``data``, without the transform.

        Args:
            entry: one of ``data``.

        Returns:
            A new dictionary; see the class.

        Raises:
            FastMRIFileError: if the slice cannot be read, holds NaN or infinity, or the file was changed.
        """
        item = dict(entry)
        info = self.infos[entry["path"]]
        with self._handles.open(entry["path"]) as file:
            if file.info != info:
                self._refuse_changed(info)
            item["kspace"] = file.read_kspace(entry["slice"])
            mask = file.read_mask() if self._uses_mask(info) else None
            target = file.read_target(entry["slice"])
            if entry["path"] not in self._read:
                check_finite(item["kspace"], f"{info.path}: slice {entry['slice']}: kspace")
                if target is not None:
                    check_finite(target, f"{info.image_path or info.path}: slice {entry['slice']}: the target")
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

    def _anatomy(self, info: FastMRIInfo) -> str:
        return self.anatomy or find_anatomy(info, self.anatomy_rules)

    def _uses_mask(self, info: FastMRIInfo) -> bool:
        return info.has_mask and self.file_mask == "use"

    def _filter(self, infos: Mapping[Path, FastMRIInfo], condition: FileFilter) -> list[Path]:
        failed = {path: condition.failed(info, self._anatomy(info)) for path, info in infos.items()}
        reasons = Counter(reason for reason in failed.values() if reason is not None)
        if reasons:
            shown = ", ".join(f"{name} {count}" for name, count in reasons.items())
            logger.info("filters leave out %d of %d files (%s)", reasons.total(), len(infos), shown)
        return [path for path, reason in failed.items() if reason is None]

    def _entries(self, accelerations: Sequence[int] | None, max_slices: int | None) -> list[dict[str, Any]]:
        entries = []
        for file in self.files:
            info = self.infos[str(file)]
            slices = self._slices(info, max_slices)
            volume = {
                "path": str(file),
                "file": file.name,
                "first_slice": min(slices, default=0),
                "num_slices": len(slices),
                "coils": info.coils,
                "anatomy": self._anatomy(info),
                "acquisition": info.acquisition,
                "source": info.source,
            }
            repeats: list[dict[str, Any]] = [{"acceleration": int(value)} for value in accelerations or ()]
            if not repeats or self._uses_mask(info):
                stated = self._uses_mask(info) and info.acceleration is not None
                repeats = [{"acceleration": info.acceleration}] if stated else [{}]
            entries += [{**volume, **repeat, "slice": number} for repeat in repeats for number in slices]
        _check_entries(entries)
        return entries

    def _slices(self, info: FastMRIInfo, max_slices: int | None) -> list[int]:
        rate, seed = self._sampling
        count = min(info.num_slices, max_slices or info.num_slices)
        start = (info.num_slices - count) // 2
        return [number for number in range(start, start + count) if is_sampled(rate, seed, info.path.name, number)]

    def _maximum(self, info: FastMRIInfo, file: FastMRIFile) -> float:
        if info.maximum is not None:
            return info.maximum
        position = self._positions[str(info.path)]
        if math.isnan(self._maxima[position]):
            self._maxima[position] = file.compute_maximum()
        return float(self._maxima[position])

    def _refuse_changed(self, info: FastMRIInfo) -> None:
        if self.use_index:
            FileIndex().forget(info.path)
        raise FastMRIFileError(
            f"{info.path}: its headers are not those of the check before the run, expected a file that stays the same; "
            "start again once nothing writes to it"
        )


def _handle_problems(report: CheckReport, skip_bad: bool) -> None:
    if not skip_bad:
        report.raise_problems()
    for problem in report.problems.values():
        logger.warning("left out: %s", problem)
    if report.problems and not report.infos:
        raise FastMRIFileError(
            f"none of {len(report.problems)} files can be used, expected at least one good file with skip_bad; the "
            f"first one is {next(iter(report.problems.values()))}"
        )


def _check_entries(entries: Sequence[Mapping[str, Any]]) -> None:
    """Volumes are collected, and results kept, by file name and acceleration."""
    if not entries:
        raise ValueError("no slice is left; choose a larger slice_sample_rate or another sample_seed")
    paths: dict[tuple[str, int | None], str] = {}
    for entry in entries:
        other = paths.setdefault((entry["file"], entry.get("acceleration")), entry["path"])
        if other != entry["path"]:
            raise ValueError(
                f"{other} and {entry['path']} have the same name and acceleration, expected names that tell volumes "
                "apart; rename one, or give them in separate runs"
            )


def _check_limits(**limits: int | None) -> None:
    for name, limit in limits.items():
        if limit is not None and limit < 1:
            raise ValueError(f"{name} is {limit}, expected at least 1")


def _check_rates(**rates: float) -> None:
    for name, rate in rates.items():
        if isinstance(rate, bool) or not isinstance(rate, numbers.Real) or not 0 < rate <= 1:
            raise ValueError(f"{name} is {rate!r}, expected a number above 0 and at most 1, for example 0.1")


def _check_flags(**flags: bool) -> None:
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise ValueError(f"{name} is {flag!r}, expected true or false")
