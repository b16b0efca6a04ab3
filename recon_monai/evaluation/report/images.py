"""The images of one case: read, put on common scales, encoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from recon_monai.evaluation.report.encoding import Encoder
from recon_monai.evaluation.report.fields import ReportError
from recon_monai.handlers.pictures import choose_window

__all__ = ["MAPS", "encode_case", "evenly_spaced", "slice_count"]

MAPS = ("residual", "null_space", "spread")
_SHOWN_PERCENTILE = 99.0
_HEADROOM = 2.0  # levels reach to twice what is shown at first, so that the page can show less amplified maps


def evenly_spaced(count: int, wanted: int) -> list[int]:
    """Indices of slices: the middles of equal parts, all where there are no more than wanted.

    Args:
        count: slices there are.
        wanted: at most so many.

    Returns:
        Ascending indices, the central slice for one.
    """
    if wanted >= count:
        return list(range(count))
    return [int((index + 0.5) * count / wanted) for index in range(wanted)]


def slice_count(path: Path) -> int:
    """Slices in an image file.

    Raises:
        ReportError: if it cannot be read, or holds no images.
    """
    with _opened(path) as file:
        return _shape(file, path)[0]


def encode_case(path: Path, methods: Sequence[str], wanted: int, encoder: Encoder) -> dict[str, Any]:
    """All images of a case as the page takes them.

    All methods and the target share one window; error and null-space error share one scale; residual and spread have
    one each, the same for all methods.

    Args:
        path: HDF5 file with ``methods/<name>``, and ``target`` and maps where they exist, each ``(S, H, W)``.
        methods: in the order to show; those without images are passed over.
        wanted: at most so many slices.
        encoder: that encodes.

    Returns:
        What is written as JSON: sizes, scales and base64 images by name, one per slice.

    Raises:
        ReportError: if the file cannot be read or an array is not of the common shape.
    """
    with _opened(path) as file:
        shape = _shape(file, path)
        slices = evenly_spaced(shape[0], wanted)
        images = _stacks(file.get("methods"), methods, shape, slices, path)
        if not images:
            raise ReportError(f"{path.name}: holds images of none of the methods {', '.join(methods)}")
        target = _stack(file["target"], "target", shape, slices, path) if "target" in file else None
        maps = {kind: _stacks(file.get(kind), methods, shape, slices, path) for kind in MAPS}
        spacing = [float(value) for value in np.ravel(file.attrs.get("spacing", [1, 1, 1]))]
        first = int(file.attrs.get("first_slice", 0))
    if target is not None:
        maps = {"error": {name: np.abs(image - target) for name, image in images.items()}, **maps}
    images, maps = _shrunk(images, encoder), {kind: _shrunk(stacks, encoder) for kind, stacks in maps.items()}
    target = None if target is None else encoder.shrunk(target)
    height, width = next(iter(images.values())).shape[1:]
    window = choose_window(target if target is not None else next(iter(images.values())))
    scales = _scales(maps)
    return {
        "height": height,
        "width": width,
        "pixel_aspect": _aspect(spacing),
        "slices": [first + index for index in slices],
        "of": shape[0],
        "window": list(window),
        "target": None if target is None else [encoder.image(image, window) for image in target],
        "methods": {name: [encoder.image(image, window) for image in stack] for name, stack in images.items()},
        "maps": {
            kind: {
                "shown": scales[kind],
                "full": _HEADROOM * scales[kind],
                "images": {
                    name: [encoder.map(values, _HEADROOM * scales[kind]) for values in stack]
                    for name, stack in stacks.items()
                },
            }
            for kind, stacks in maps.items()
            if stacks
        },
    }


def _shrunk(stacks: Mapping[str, np.ndarray], encoder: Encoder) -> dict[str, np.ndarray]:
    return {name: encoder.shrunk(stack) for name, stack in stacks.items()}


def _scales(maps: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, float]:
    """What the brightest color of each map stands for at first: a high percentile over all methods."""
    scales = {kind: _high(stacks) for kind, stacks in maps.items() if stacks}
    if "error" in scales and "null_space" in scales:
        scales["null_space"] = scales["error"]
    return scales


def _high(stacks: Mapping[str, np.ndarray]) -> float:
    values = np.concatenate([np.abs(stack).ravel() for stack in stacks.values()])
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 1.0
    high = float(np.percentile(values, _SHOWN_PERCENTILE)) or float(values.max())
    return high if high > 0 else 1.0


def _opened(path: Path) -> h5py.File:
    if not path.is_file():
        raise ReportError(f"{path.name}: the image file is missing")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise ReportError(f"{path.name}: the image file cannot be read as HDF5 ({error})") from error


def _shape(file: h5py.File, path: Path) -> tuple[int, int, int]:
    for _, dataset in _arrays(file):
        if dataset.ndim == 3 and all(dataset.shape):
            return dataset.shape
        raise ReportError(f"{path.name}: {dataset.name} has the shape {dataset.shape}, expected (slices, H, W)")
    raise ReportError(f"{path.name}: holds no images, expected methods/<name>")


def _arrays(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    methods = file.get("methods")
    if isinstance(methods, h5py.Group):
        yield from ((name, entry) for name, entry in methods.items() if isinstance(entry, h5py.Dataset))


def _stacks(
    group: h5py.Group | None, methods: Sequence[str], shape: tuple[int, ...], slices: list[int], path: Path
) -> dict[str, np.ndarray]:
    if not isinstance(group, h5py.Group):
        return {}
    return {name: _stack(group[name], group[name].name, shape, slices, path) for name in methods if name in group}


def _stack(dataset: h5py.Dataset, name: str, shape: tuple[int, ...], slices: list[int], path: Path) -> np.ndarray:
    if not isinstance(dataset, h5py.Dataset) or dataset.shape != shape or dataset.dtype.kind != "f":
        found = f"{dataset.dtype} {dataset.shape}" if isinstance(dataset, h5py.Dataset) else "a group"
        raise ReportError(f"{path.name}: {name} is {found}, expected real numbers of the common shape {shape}")
    try:
        return np.asarray(dataset[slices], np.float32)
    except OSError as error:
        raise ReportError(f"{path.name}: {name} cannot be read ({error})") from error


def _aspect(spacing: Sequence[float]) -> float:
    """Height of a pixel over its width."""
    if len(spacing) != 3 or not all(np.isfinite(spacing)) or min(spacing) <= 0:
        return 1.0
    return spacing[1] / spacing[2]
