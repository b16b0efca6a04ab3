"""What a comparison has computed so far: rows as JSON, images as HDF5, each file written whole or not at all."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from recon_monai.data import atomic_path
from recon_monai.evaluation.comparison_maps import MapKind, write_comparison_map

__all__ = ["CaseImages", "ComparisonStore", "plain"]


class CaseImages(NamedTuple):
    """What a method leaves of a case to look at.

    Attributes:
        image: ``(S, H, W)``.
        maps: by kind, same shape.
    """

    image: np.ndarray
    maps: Mapping[MapKind, np.ndarray]


class ComparisonStore:
    """Rows and images by case and method.

    Args:
        folder: of the comparison.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def kept(self, case: str, method: str, key: str) -> dict[str, Any] | None:
        """The row of an earlier run, if it had a result and was made alike.

        Args:
            case: name of the case.
            method: its name.
            key: hash of all that the row depends on.
        """
        path = self._row(case, method)
        if not path.is_file():
            return None
        found = json.loads(path.read_text(encoding="utf-8"))
        if found.get("key") != key or found["row"]["failure"] is not None:
            return None
        images = found["row"]["images"]
        return found["row"] if images is None or self._holds(images, method) else None

    def keep(
        self,
        case: str,
        method: str,
        key: str,
        row: Mapping[str, Any],
        images: CaseImages | None,
        target: np.ndarray | None,
        attributes: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Write the result of a method, the images first.

        Args:
            case: name of the case.
            method: its name.
            key: hash of all that the row depends on.
            row: as in ``comparison.json``.
            images: None for a failure.
            target: ``(S, H, W)``; None without reference.
            attributes: of the image file.

        Returns:
            The row, with the place of its images.
        """
        done: dict[str, Any] = plain(dict(row))
        done["images"] = None if images is None else self._add(case, method, images, target, attributes)
        with atomic_path(self._row(case, method)) as temporary:
            temporary.write_text(json.dumps({"key": key, "row": done}, indent=1) + "\n", encoding="utf-8")
        return done

    def _add(
        self,
        case: str,
        method: str,
        images: CaseImages,
        target: np.ndarray | None,
        attributes: Mapping[str, Any],
    ) -> str:
        path = self.folder / "images" / f"{_safe(case)}.h5"
        with atomic_path(path) as temporary:
            if _fits(path, images.image.shape, target):
                shutil.copy(path, temporary)
            with h5py.File(temporary, "a") as file:
                file.attrs.update(attributes)
                if target is not None and "target" not in file:
                    _write(file, "target", target)
                for kind in ("methods", "residual", "null_space", "spread"):
                    if f"{kind}/{method}" in file:
                        del file[f"{kind}/{method}"]
                _write(file, f"methods/{method}", images.image)
                for kind, values in images.maps.items():
                    write_comparison_map(file, kind, method, values)
        return path.relative_to(self.folder).as_posix()

    def _holds(self, images: str, method: str) -> bool:
        path = self.folder / images
        if not path.is_file():
            return False
        with h5py.File(path, "r") as file:
            return f"methods/{method}" in file

    def _row(self, case: str, method: str) -> Path:
        return self.folder / "rows" / _safe(case) / f"{_safe(method)}.json"


def plain(value: Any) -> Any:
    """Numbers that are not finite as None, tuples as lists: what JSON and the report take."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _fits(path: Path, shape: tuple[int, ...], target: np.ndarray | None) -> bool:
    """Whether an image file of an earlier run is of the same images, so that a method can be added."""
    if not path.is_file():
        return False
    with h5py.File(path, "r") as file:
        shapes = [entry.shape for entry in file.get("methods", {}).values()]
        same = target is None or ("target" in file and np.array_equal(file["target"][()], target))
    return same and all(found == shape for found in shapes)


def _write(file: h5py.File, name: str, values: np.ndarray) -> None:
    values = np.ascontiguousarray(values, np.float32)
    file.create_dataset(name, data=values, chunks=(1, *values.shape[1:]), compression="gzip", compression_opts=4)


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", name)
