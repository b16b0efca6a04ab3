"""Volumes for super-resolution, as a MONAI data set."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.data import Dataset, MetaTensor

from recon_monai.data.splits import SplitError
from recon_monai.data.volumes.cache import VolumeCache
from recon_monai.data.volumes.layout import VolumeLayout, VolumeSource, find_volumes
from recon_monai.data.volumes.reading import VolumeError, dicom_files, grid_of, load_volume
from recon_monai.data.volumes.sampling import VolumeVisit
from recon_monai.data.volumes.splits import choose_volumes
from recon_monai.physics import InterpolationMethod, resample_to_grid

__all__ = ["VolumeDataset"]


class VolumeDataset(Dataset):
    """High-resolution volumes of a folder, or pairs of low and high resolution, one item per volume.

    ``data`` is a list of one dictionary per volume (``file``, ``path``, ``subject``, and ``low_path`` if there is one),
    so that samplers and MONAI's partitioning tools can choose among them without reading. An item has besides

    * ``target``: float32 `MetaTensor` ``(1, D, H, W)`` on the voxel axes of the file, with its affine;
    * ``spacing``: voxel size along the three axes in mm, float32 ``(3,)``;
    * of a pair: ``image`` on the grid of ``target``, ``factor`` (how many times coarser it was, NaN where it lay on
      that grid already, float32 ``(3,)``) and ``recipe`` ``"measured"``;
    * asked for by a `VolumeVisit`: ``visit``, its number, by which random transforms draw.

    `recon_monai.transforms` makes ``image`` where there is none (`SimulateLowResolutiond`), scales both alike
    (`ScaleToReferenced`) and cuts several patches out of each volume (`RandomPatchd`).

    Args:
        folder: the data set, see `find_volumes`; or a list of folders, each of which is split by itself (and may
            lack the part), and whose names then precede those of files and subjects.
        split: ``"train"``, ``"val"``, ``"evaluation"``, ``"test"`` or ``"all"``, see `choose_volumes`.
        transform: applied to each item.
        layout: ``"auto"``, ``"volumes"``, ``"paired"``, ``"hcp"`` or ``"hcp_unprocessed"``, see `find_volumes`.
        pattern: see `find_volumes`.
        subject_pattern: see `find_volumes`.
        frame: which volume of 4-D files, see `load_volume`.
        series: which DICOM series, see `load_volume`.
        interpolation: how a measured low resolution comes to the grid of the high one.
        cache: keep unpacked volumes on disk, see `VolumeCache`.
        cache_folder: where.
        split_seed: see `split_subjects`.
        max_volumes: use only the first volumes, for quick runs.
        recipes: give each volume once for each of these recipes of low resolution, whose name is the item's ``recipe``,
            so that `SimulateLowResolutiond` draws none; pairs come once, as they are.

    Raises:
        VolumeError: if there is no volume, or (when items are read) one cannot be used: names the file.
        SplitError: if the split is unknown or empty.
        ValueError: if ``max_volumes`` is below 1.
    """

    def __init__(
        self,
        folder: str | Path | Sequence[str | Path],
        split: str = "train",
        transform: Sequence[Callable] | Callable | None = None,
        *,
        layout: VolumeLayout = "auto",
        pattern: str | None = None,
        subject_pattern: str | None = None,
        frame: int | None = None,
        series: str | None = None,
        interpolation: InterpolationMethod = "cubic",
        cache: bool = True,
        cache_folder: str | Path | None = None,
        split_seed: int = 0,
        max_volumes: int | None = None,
        recipes: Sequence[str] | None = None,
    ) -> None:
        if max_volumes is not None and max_volumes < 1:
            raise ValueError(f"max_volumes is {max_volumes}, expected at least 1")
        roots = [Path(folder)] if isinstance(folder, str | Path) else [Path(root) for root in folder]
        if not roots or len({root.name for root in roots}) < len(roots):
            raise VolumeError(f"the folders are {[str(root) for root in roots]}, expected some with different names")
        self.frame = frame
        self.series = series
        self.interpolation = interpolation
        self._cache = VolumeCache(cache_folder) if cache else None
        entries = []
        for root in roots:
            found = find_volumes(root, layout, pattern=pattern, subject_pattern=subject_pattern)
            before = f"{root.name}/" if len(roots) > 1 else ""
            chosen = choose_volumes(root, found, split, seed=split_seed, allow_empty=len(roots) > 1)
            entries += [_entry(source, before) for source in chosen]
        if not entries:
            raise SplitError(f"the split {split!r} holds no volume in any of {[str(root) for root in roots]}")
        super().__init__([one for entry in entries[:max_volumes] for one in _by_recipe(entry, recipes)], transform)

    @property
    def files(self) -> list[Path]:
        """All files that the items are read from, each once."""
        paths = dict.fromkeys(entry[key] for key in ("path", "low_path") for entry in self.data if key in entry)
        files: list[Path] = []
        for path in map(Path, paths):
            files += dicom_files(path) if path.is_dir() else [path]
        return files

    def __getitem__(self, index: Any) -> Any:
        """The item of a number, or of a `VolumeVisit`; of slices and lists a subset, as of MONAI's data sets."""
        if isinstance(index, VolumeVisit):
            return self.transform({**self.load(self.data[index.volume]), "visit": index.visit})
        return super().__getitem__(index)

    def load(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Read the item of one entry of ``data``, without the transform.

        Args:
            entry: one of ``data``.

        Returns:
            A new dictionary; see the class.

        Raises:
            VolumeError: if a volume cannot be read or used; names the file.
        """
        item = dict(entry)
        item["target"] = self._read(entry["path"])
        item["spacing"] = torch.tensor(grid_of(item["target"]).spacing, dtype=torch.float32)
        if "low_path" in entry:
            item["image"], item["factor"] = self._read_low(entry["low_path"], item["target"])
            item["recipe"] = "measured"
        return item

    def _transform(self, index: int) -> Any:
        return self.transform(self.load(self.data[index]))

    def _read(self, path: str) -> MetaTensor:
        read = load_volume if self._cache is None else self._cache.load
        return read(path, frame=self.frame, series=self.series)

    def _read_low(self, path: str, target: MetaTensor) -> tuple[MetaTensor, torch.Tensor]:
        low = self._read(path)
        coarse, fine = grid_of(low), grid_of(target)
        if coarse.matches(fine):
            values, factor = low.as_tensor(), [math.nan] * 3
        else:
            try:
                values = resample_to_grid(low.as_tensor(), coarse, fine, self.interpolation)
            except ValueError as error:
                raise VolumeError(f"{path}: does not lie along the axes of its high resolution: {error}") from error
            factor = [one / other for one, other in zip(coarse.spacing, fine.spacing, strict=True)]
        image = MetaTensor(values, affine=target.affine, meta={"filename_or_obj": path})
        return image, torch.tensor(factor, dtype=torch.float32)


def _entry(source: VolumeSource, before: str) -> dict[str, Any]:
    entry = {"file": before + source.name, "path": str(source.path), "subject": before + source.subject}
    return entry if source.low is None else {**entry, "low_path": str(source.low)}


def _by_recipe(entry: dict[str, Any], recipes: Sequence[str] | None) -> list[dict[str, Any]]:
    return [{**entry, "recipe": name} for name in recipes] if recipes and "low_path" not in entry else [entry]
