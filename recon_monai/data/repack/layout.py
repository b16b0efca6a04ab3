"""How a file lies on disk: what makes reading a slice slow, and how long it takes."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

__all__ = ["is_sliced", "seconds_per_slice", "slow_reasons"]

_TIMED_SLICES = 3


def is_sliced(dataset: h5py.Dataset) -> bool:
    """Whether an array is read slice by slice: slices first, at least two axes more."""
    return dataset.ndim >= 3 and dataset.size > 0


def slow_reasons(file: h5py.Group) -> list[str]:
    """Say what makes reading slices of a file slow.

    Slow are arrays of slices that are compressed or filtered, and those whose chunks hold parts of several slices or
    cut images into pieces. Contiguous arrays, and chunks of a slice or of whole coil images of one slice, are not.

    Args:
        file: the open file.

    Returns:
        One phrase for each slow array, naming it; empty for a file that is as it should be.
    """
    found = []
    for name, dataset in sorted(_datasets(file)):
        reasons = [*_filters(dataset), *_chunks(dataset)] if is_sliced(dataset) else []
        if reasons:
            found.append(f"{name}: {', '.join(reasons)}")
    return found


def seconds_per_slice(path: str | Path) -> float | None:
    """Measure how long reading a slice of the largest array takes.

    The file is in the page cache then (each slice is read once before, through another handle), so that what is
    measured is HDF5's work and not the disk's.

    Args:
        path: the file.

    Returns:
        Median over at most 3 slices, in seconds; None for a file without slices.
    """
    times: list[float] = []
    for _ in range(2):
        times.clear()
        with h5py.File(path, "r") as file:
            sliced = [dataset for _, dataset in _datasets(file) if is_sliced(dataset)]
            if not sliced:
                return None
            dataset = max(sliced, key=lambda array: array.nbytes)
            buffer = np.empty(dataset.shape[1:], dataset.dtype)
            for index in range(0, len(dataset), math.ceil(len(dataset) / _TIMED_SLICES)):
                start = time.perf_counter()
                dataset.read_direct(buffer, np.s_[index])
                times.append(time.perf_counter() - start)
    return statistics.median(times)


def _datasets(group: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
    """All arrays of a file by name; links are not followed."""
    found: dict[str, h5py.Dataset] = {}
    group.visititems(lambda name, item: found.update({name: item} if isinstance(item, h5py.Dataset) else {}))
    yield from found.items()


def _filters(dataset: h5py.Dataset) -> list[str]:
    properties = dataset.id.get_create_plist()
    reasons = []
    for index in range(properties.get_nfilters()):
        code, _, values, name = properties.get_filter(index)
        if code == h5py.h5z.FILTER_DEFLATE:
            reasons.append(f"gzip (level {values[0]})")
        else:
            reasons.append(name.decode(errors="replace") or f"filter {code}")
    return reasons


def _chunks(dataset: h5py.Dataset) -> list[str]:
    chunks, shape = dataset.chunks, dataset.shape
    if chunks is None or (chunks[0] == 1 and chunks[-2:] == shape[-2:]):
        return []
    pieces = math.prod(math.ceil(size / chunk) for size, chunk in zip(shape[1:], chunks[1:], strict=True))
    return [f"chunks of {' x '.join(map(str, chunks))} (a slice of {' x '.join(map(str, shape[1:]))} touches {pieces})"]
