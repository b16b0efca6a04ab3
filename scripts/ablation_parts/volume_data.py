"""A copy of volumes for super-resolution: pairs of low and high resolution, cut to the middle of the head."""

from __future__ import annotations

import functools
import json
import logging
import operator
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from monai.transforms import Compose, CropForegroundd

from ablation_parts.task import Prepared
from recon_monai.data import VOLUME_SPLITS, VolumeDataset, atomic_path, write_volume
from recon_monai.evaluation import BASELINES, InterpolationBaselinesd
from recon_monai.evaluation.tables import csv_text
from recon_monai.metrics import missing_band, quality_3d
from recon_monai.physics import Grid
from recon_monai.transforms import ScaleToReferenced, SimulateLowResolutiond

__all__ = ["DESCRIPTION", "INTERPOLATION", "PARTS", "block_of", "measure_volume", "prepare_volumes", "reduce_volumes"]

DESCRIPTION = "data.json"
"""Written into the folder of a copy when it is complete; ``factors`` has the factors of each file."""
INTERPOLATION = "interpolation.csv"
"""How good plain interpolation is on the test volumes."""
PARTS = ("train", "val", "test")
_HEAD, _MARGIN = 0.05, 8  # of the scaled intensity; voxels around it, as in the bundle

logger = logging.getLogger(__name__)


class VolumeSize(Protocol):
    """What the plan of super-resolution says about its data."""

    @property
    def block(self) -> int:
        """Voxels along each axis."""

    @property
    def subjects(self) -> Mapping[str, int]:
        """The most of each part."""

    @property
    def recipes(self) -> tuple[str, ...]:
        """Of low resolution."""


def prepare_volumes(source: Path, folder: Path, scale: VolumeSize) -> Prepared:
    """The data of a comparison of super-resolution: a copy by `reduce_volumes`.

    Args:
        source: volumes as `VolumeDataset` finds them.
        folder: of the results; the copy goes there.
        scale: says how large.

    Returns:
        The data; how many updates an epoch has is the runs' own business.
    """
    parts = reduce_volumes(source, folder / "data", scale.block, scale.subjects, scale.recipes)
    return Prepared(folder / "data", parts, [], {None: 0})


def reduce_volumes(
    source: Path, folder: Path, block: int, subjects: Mapping[str, int], recipes: Sequence[str]
) -> dict[str, Any]:
    """Write the copy, unless it is there already.

    A volume is scaled, cropped to the head, and its low resolution made there, as the bundle makes a recipe that is
    given by name alone (magnitudes on the fine grid); across which axis slices lie follows from the name of the file.
    Then both are cut to the block in the middle, which has no edges that the low resolution would know of. What
    trilinear, cubic and sinc interpolation make of the same coarse samples is measured for the test volumes, on the
    same block.

    Args:
        source: volumes as `VolumeDataset` finds them, split by subject.
        folder: of the copy: ``low`` and ``high`` with the same names, NIfTI, ``split.json``, `INTERPOLATION`.
        block: voxels along each axis, or the whole axis if that is shorter.
        subjects: the most of each part; all volumes of the first ones by name are taken.
        recipes: of low resolution, by name.

    Returns:
        Subjects, volumes and pairs of each part, like ``{"train": {"subjects": 14, "volumes": 14, "pairs": 28}}``.

    Raises:
        ValueError: if the folder holds a copy made otherwise, or a volume cannot be used.
    """
    wanted = {"source": str(source), "block": block, "subjects": dict(subjects), "recipes": list(recipes)}
    description = folder / DESCRIPTION
    if description.is_file():
        found = json.loads(description.read_text())
        if found["made_by"] != wanted:
            raise ValueError(
                f"{folder} is a copy made by {found['made_by']}, expected {wanted}; choose another --output"
            )
        return found["parts"]
    split: dict[str, list[str]] = {part: [] for part in VOLUME_SPLITS}
    owners: dict[str, str] = {}
    factors: dict[str, list[float]] = {}
    measured: list[dict[str, Any]] = []
    parts: dict[str, Any] = {}
    for part in PARTS:
        data = _volumes(source, part, recipes)
        chosen = sorted({entry["subject"] for entry in data.data})[: subjects[part]]
        entries = [entry for entry in data.data if entry["subject"] in chosen]
        for entry in entries:
            item: dict[str, Any] = data.transform(data.load(entry))
            name = f"{_stem(entry['file'])}_{entry['recipe']}.nii"
            split[part].append(name)
            owners[name] = entry["subject"]
            factors[name] = item["factor"].tolist()
            _write(item, folder, name, block)
            if part == "test":
                measured += _interpolated(item, name, block)
        volumes = len({entry["file"] for entry in entries})
        parts[part] = {"subjects": len(chosen), "volumes": volumes, "pairs": len(entries)}
        logger.info("%s: %d pairs of %d subjects", part, len(entries), len(chosen))
    _write_text(folder / INTERPOLATION, csv_text(measured))
    _write_text(folder / "split.json", json.dumps({**split, "subjects": owners}, indent=2) + "\n")
    _write_text(description, json.dumps({"made_by": wanted, "parts": parts, "factors": factors}, indent=2) + "\n")
    return parts


def measure_volume(volume: torch.Tensor, target: torch.Tensor, factor: Sequence[float]) -> dict[str, float]:
    """All metrics of a volume.

    Args:
        volume: ``(D, H, W)``.
        target: same shape.
        factor: how many times coarser the low resolution was along each axis.

    Returns:
        Those of `quality_3d`; and ``detail_energy`` and ``detail_agreement`` in the band that the low resolution lacks,
        of volumes that are not clipped, as that would add to it.
    """
    band = missing_band(prediction=volume, target=target, factor=factor)
    quality = quality_3d(prediction=volume, target=target)
    return {**quality, "detail_energy": band.energy, "detail_agreement": band.agreement}


def block_of(shape: Sequence[int], block: int) -> tuple[slice, ...]:
    """The block in the middle of a volume.

    Args:
        shape: of the volume.
        block: voxels along each axis, at most.

    Returns:
        A slice for each axis.
    """
    starts = [max(0, (size - block) // 2) for size in shape]
    return tuple(slice(start, start + min(block, size)) for start, size in zip(starts, shape, strict=True))


def _volumes(source: Path, part: str, recipes: Sequence[str]) -> VolumeDataset:
    low_resolution = SimulateLowResolutiond("target", "image", list(recipes), interpolation="fourier", seed=0)
    transforms = [
        ScaleToReferenced("target"),
        CropForegroundd(
            ["target"], "target", functools.partial(operator.lt, _HEAD), margin=_MARGIN, allow_smaller=True
        ),
        low_resolution,
    ]
    if part == "test":
        transforms.append(InterpolationBaselinesd("image", ["target"], recipes=low_resolution.recipes))
    return VolumeDataset(source, part, Compose(transforms), cache=False, recipes=list(recipes))


def _stem(file: str) -> str:
    return file.replace("/", "_").removesuffix(".gz").removesuffix(".nii")


def _write(item: Mapping[str, Any], folder: Path, name: str, block: int) -> None:
    place = block_of(item["target"].shape[1:], block)
    affine = torch.as_tensor(item["target"].affine, dtype=torch.float64).clone()
    affine[:3, 3] += affine[:3, :3] @ torch.tensor([float(one.start) for one in place], dtype=torch.float64)
    for key, kind in (("image", "low"), ("target", "high")):
        cut = item[key].as_tensor()[0][place].contiguous()
        (folder / kind).mkdir(parents=True, exist_ok=True)
        write_volume(folder / kind / name, cut, Grid(tuple(cut.shape), affine))


def _interpolated(item: Mapping[str, Any], name: str, block: int) -> list[dict[str, Any]]:
    place = block_of(item["target"].shape[1:], block)
    target, factor = torch.as_tensor(item["target"])[0][place], item["factor"].tolist()
    fields = {"file": name, "subject": item["subject"], "recipe": item["recipe"]}
    return [
        {**fields, "method": method, **measure_volume(torch.as_tensor(item[method])[0][place], target, factor)}
        for method in BASELINES
    ]


def _write_text(file: Path, text: str) -> None:
    with atomic_path(file) as temporary:
        temporary.write_text(text, encoding="utf-8")
