"""A small copy of a data set: fewer slices, a smaller matrix, the same split of subjects."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ablation_parts.task import Prepared
from recon_monai.data import (
    SPLITS,
    AcquisitionHeader,
    EncodingLimits,
    FastMRIInfo,
    FastMRISliceDataset,
    atomic_path,
    read_split,
    write_fastmri_h5,
)
from recon_monai.physics import ifft2c, rss, truncate_kspace

__all__ = ["DESCRIPTION", "describe_data", "prepare_slices", "reduce_data", "share_out"]

DESCRIPTION = "data.json"
"""Written into the folder of a reduced copy when it is complete."""

logger = logging.getLogger(__name__)


class SliceSize(Protocol):
    """What the plans of reconstruction say about their data."""

    @property
    def matrix(self) -> int | None:
        """Rows and columns of k-space in the reduced copy of the data; None uses the data as they are."""

    @property
    def slices(self) -> Mapping[str, int]:
        """Slices of each anatomy in each part of that copy."""


def prepare_slices(source: Path, folder: Path, scale: SliceSize) -> Prepared:
    """The data of a comparison of reconstructions: a small copy, or the source itself.

    Args:
        source: a data set with a split.
        folder: of the results; the copy goes there.
        scale: says which.

    Returns:
        The data; an update is a slice.
    """
    if scale.matrix is None:
        data, parts = source, describe_data(source)
    else:
        data = folder / "data"
        parts = reduce_data(source, data, scale.matrix, scale.slices)
    slices = {anatomy: counts["slices"] for anatomy, counts in parts["train"].items()}
    return Prepared(data, parts, sorted(slices), {None: sum(slices.values()), **slices})


def reduce_data(source: Path, folder: Path, size: int, slices: Mapping[str, int]) -> dict[str, Any]:
    """Write a small copy of a data set, unless it is there already.

    k-space is truncated to its center on both axes, which keeps the field of view and makes voxels larger; where the
    matrix was not square, they are longer along one axis. No image is cropped or padded. The targets are made anew.

    Args:
        source: a data set with a split, all of it with targets.
        folder: of the copy.
        size: rows and columns of its k-space.
        slices: of each anatomy in each part, by the names of the parts; fewer where there are not as many.

    Returns:
        What `describe_data` gives for the copy.

    Raises:
        ValueError: if a matrix is smaller than ``size``, or its center was not measured completely; or if the folder
            holds a copy made otherwise.
    """
    wanted = {"source": str(source), "size": size, "slices": dict(slices)}
    description = folder / DESCRIPTION
    if description.is_file():
        found = json.loads(description.read_text())
        if found["made_by"] != wanted:
            raise ValueError(
                f"{folder} is a copy made by {found['made_by']}, expected {wanted}; choose another --output"
            )
        return found["parts"]
    split: dict[str, list[str]] = {}
    for part in SPLITS:
        data = FastMRISliceDataset(read_split(source, part), require_target=True)
        split[part] = []
        for path, numbers in _chosen(data, slices[part]).items():
            _write(data, path, numbers, folder, size)
            split[part].append(Path(path).name)
        logger.info("%s: %d files", part, len(split[part]))
    with atomic_path(folder / "split.json") as temporary:
        temporary.write_text(json.dumps(split, indent=2) + "\n")
    parts = describe_data(folder)
    with atomic_path(description) as temporary:
        temporary.write_text(json.dumps({"made_by": wanted, "parts": parts}, indent=2) + "\n")
    return parts


def describe_data(folder: Path) -> dict[str, Any]:
    """Volumes and slices of each anatomy in each part of a data set.

    Args:
        folder: a data set with a split.

    Returns:
        Like ``{"train": {"brain": {"volumes": 18, "slices": 72}}}``.
    """
    parts: dict[str, Any] = {}
    for part in SPLITS:
        data = FastMRISliceDataset(read_split(folder, part), require_target=True)
        parts[part] = {
            anatomy: {"volumes": len({entry["path"] for entry in entries}), "slices": len(entries)}
            for anatomy, entries in _by_anatomy(data).items()
        }
    return parts


def share_out(total: int, available: Sequence[int]) -> list[int]:
    """Divide a number of slices among volumes as evenly as their lengths allow.

    Args:
        total: slices wanted.
        available: slices of each volume.

    Returns:
        How many to take of each; their sum is ``total``, or that of ``available`` if it is smaller.
    """
    taken = [0] * len(available)
    left = min(total, sum(available))
    while left:
        for index, length in enumerate(available):
            if left and taken[index] < length:
                taken[index] += 1
                left -= 1
    return taken


def _by_anatomy(data: FastMRISliceDataset) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in sorted(data.data, key=lambda entry: str(entry["anatomy"])):
        found.setdefault(entry["anatomy"], []).append(entry)
    return found


def _chosen(data: FastMRISliceDataset, total: int) -> dict[str, list[int]]:
    """Slices to take of each file, spread evenly over the volume."""
    chosen: dict[str, list[int]] = {}
    for entries in _by_anatomy(data).values():
        lengths = {entry["path"]: entry["num_slices"] for entry in entries}
        counts = share_out(total, list(lengths.values()))
        for (path, length), count in zip(lengths.items(), counts, strict=True):
            if count:
                chosen[path] = [int((index + 0.5) * length / count) for index in range(count)]
    return chosen


def _write(data: FastMRISliceDataset, path: str, numbers: Sequence[int], folder: Path, size: int) -> None:
    info = data.infos[path]
    header = _header(info, size)
    entries = {entry["slice"]: entry for entry in data.data if entry["path"] == path}
    kspace = [truncate_kspace(data.load(entries[number])["kspace"], (size, size)) for number in numbers]
    entry = entries[numbers[0]]
    write_fastmri_h5(
        folder / Path(path).name,
        kspace=kspace,
        target=[rss(ifft2c(one))[0] for one in kspace],
        header=header,
        attributes={name: entry[name] for name in ("acquisition", "anatomy", "source")},
    )


def _header(info: FastMRIInfo, size: int) -> AcquisitionHeader:
    """The header of the truncated k-space; refuses what would not be fully sampled."""
    height, width = info.kspace_shape[-2:]
    first = width // 2 - size // 2
    complete = info.padding[0] <= first and first + size <= info.padding[1] and not info.has_mask
    if min(height, width) < size or not complete or info.target_shape != (height, width):
        raise ValueError(
            f"{info.path}: k-space is {height} x {width}, columns {info.padding[0]} to {info.padding[1]} were measured"
            f"{' with a mask' if info.has_mask else ''} and the image is {info.target_shape}; expected fully sampled "
            f"k-space of at least {size} x {size} without oversampling; leave the file out of the split"
        )
    depth = (info.header.recon_matrix or (0, 0, 1))[2]
    return dataclasses.replace(
        info.header,
        encoded_matrix=(size, size, depth),
        recon_matrix=(size, size, depth),
        phase_limits=EncodingLimits(0, size - 1, size // 2),
    )
