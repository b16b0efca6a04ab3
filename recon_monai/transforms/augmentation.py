"""Augmentation of the object: its coil images are flipped, moved and bent before they are measured again."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping
from typing import Any

import torch

from recon_monai.physics import fft2c, ifft2c
from recon_monai.transforms.affine import affine_matrix, resample
from recon_monai.transforms.augmentation_schedule import AugmentationSchedule, ScheduleKind
from recon_monai.transforms.keyed import KeyedTransform, check_probability
from recon_monai.transforms.target import replace_kspace

__all__ = ["AugmentationDraws", "PhysicsAugmentd"]


@dataclasses.dataclass(frozen=True)
class AugmentationDraws:
    """What happens to one item, in this order; the defaults are nothing.

    ``augmented_probability`` is the schedule's value; flips are 0 or 1, ``augmented_rot90`` quarter turns from rows
    towards columns, translations pixels towards higher indices, angles degrees, the scaling a factor.
    """

    augmented_probability: float = 0.0
    augmented_fliph: int = 0
    augmented_flipv: int = 0
    augmented_rot90: int = 0
    augmented_translation_x: int = 0
    augmented_translation_y: int = 0
    augmented_rotation: float = 0.0
    augmented_shearing_x: float = 0.0
    augmented_shearing_y: float = 0.0
    augmented_scaling: float = 1.0

    @property
    def is_identity(self) -> bool:
        """Whether nothing happens."""
        return self == AugmentationDraws(self.augmented_probability)


class PhysicsAugmentd(KeyedTransform[AugmentationDraws]):
    """Augment fully sampled k-space through its complex coil images (Fabian et al. 2021, arXiv:2106.14947).

    The coil images of fully sampled k-space are changed, all coils and their maps alike; the target is the root sum of
    squares of what comes out, cropped or padded to ``output_size``; its transform is the new k-space, to be
    undersampled afterwards. ``maximum`` stays: it is that of the volume. The changes, in this order:

    1. ``fliph`` (left and right, along columns) and ``flipv`` (up and down, along rows);
    2. ``rot90``: one to three quarter turns where matrix and image are square and no column is zero-padded; elsewhere
       half a turn, so that shapes stay;
    3. ``translation`` by whole pixels, uniform up to ``max_translation_x`` of the height and ``max_translation_y`` of
       the width, rounded; pixels that come in are mirrored at the edge. As in the original work, "x" acts on rows;
    4. ``rotation``, ``shearing`` and ``scaling`` about the middle, as one bilinear interpolation (`resample`) in
       pixels, whatever the voxels' shape. They smooth images a little, and are off by default.

    Each happens with probability ``weight * p(epoch)``, p of `AugmentationSchedule`; each has draws of its own, which
    no other argument changes. An item to which nothing happens keeps its k-space and target bit for bit. All draws are
    written into the item, see `AugmentationDraws`. Goes before `RandomPhased` and other changes of the acquisition.

    Args:
        delay: epochs without augmentation.
        strength: probability at the end of training; 0 leaves items as they are.
        max_epochs: of the run.
        kind: shape of the schedule: ``"exponential"``, ``"linear"`` or ``"constant"``.
        weight_fliph: weight of each change, from 0 (never) to 1.
        weight_flipv: see ``weight_fliph``.
        weight_rot90: see ``weight_fliph``.
        weight_translation: see ``weight_fliph``.
        weight_rotation: see ``weight_fliph``.
        weight_shearing: see ``weight_fliph``.
        weight_scaling: see ``weight_fliph``.
        max_translation_x: largest shift of rows, as a share of the height.
        max_translation_y: largest shift of columns, as a share of the width.
        max_rotation: largest angle in degrees, up to 180, either way.
        max_shearing_x: largest angle in degrees by which rows move with the column, below 90.
        max_shearing_y: largest angle in degrees by which columns move with the row, below 90.
        max_scaling: the factor is uniform in ``[1 - max_scaling, 1 + max_scaling]``.
        seed: the run's seed.

    Raises:
        ValueError: if a number is out of range; see also `AugmentationSchedule`.
    """

    name = "augmentation"

    def __init__(
        self,
        delay: int,
        strength: float,
        max_epochs: int,
        kind: ScheduleKind = "exponential",
        *,
        weight_fliph: float = 0.5,
        weight_flipv: float = 0.0,
        weight_rot90: float = 0.0,
        weight_translation: float = 0.5,
        weight_rotation: float = 0.0,
        weight_shearing: float = 0.0,
        weight_scaling: float = 0.0,
        max_translation_x: float = 0.02,
        max_translation_y: float = 0.02,
        max_rotation: float = 15.0,
        max_shearing_x: float = 5.0,
        max_shearing_y: float = 5.0,
        max_scaling: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        self.weights = {
            "weight_fliph": weight_fliph,
            "weight_flipv": weight_flipv,
            "weight_rot90": weight_rot90,
            "weight_translation": weight_translation,
            "weight_rotation": weight_rotation,
            "weight_shearing": weight_shearing,
            "weight_scaling": weight_scaling,
        }
        check_probability(**self.weights)
        self.limits = {
            "max_translation_x": max_translation_x,
            "max_translation_y": max_translation_y,
            "max_rotation": max_rotation,
            "max_shearing_x": max_shearing_x,
            "max_shearing_y": max_shearing_y,
            "max_scaling": max_scaling,
        }
        for limit, value in self.limits.items():
            if not (math.isfinite(value) and 0 <= value < _BOUNDS[limit]):
                raise ValueError(f"{limit} is {value}, expected at least 0 and below {_BOUNDS[limit]}")
        self.schedule = AugmentationSchedule(delay, strength, max_epochs, kind)

    @property
    def enabled(self) -> bool:
        """Whether anything is ever augmented, be it in a later epoch."""
        return self.schedule.strength > 0 and any(weight > 0 for weight in self.weights.values())

    def draw(self, item: Mapping[Hashable, Any], generator: torch.Generator) -> AugmentationDraws:
        """Draw what happens in the current epoch."""
        happens = torch.rand(len(self.weights), generator=generator, dtype=torch.float64).tolist()
        # from -1 to 1, one each in a fixed order, whether needed or not
        sides = (2 * torch.rand(len(self.limits), generator=generator, dtype=torch.float64) - 1).tolist()
        quarters = int(torch.randint(1, 4, (), generator=generator))
        probability = self.schedule.probability(self.epoch)
        flip_h, flip_v, quarter, move, rotate, shear, scale = (
            chance < weight * probability for chance, weight in zip(happens, self.weights.values(), strict=True)
        )
        by = {name: side * limit for side, (name, limit) in zip(sides, self.limits.items(), strict=True)}
        height, width = item["kspace"].shape[-2:]
        return AugmentationDraws(
            augmented_probability=probability,
            augmented_fliph=int(flip_h),
            augmented_flipv=int(flip_v),
            augmented_rot90=(quarters if _is_square(item) else 2) if quarter else 0,
            augmented_translation_x=round(by["max_translation_x"] * height) if move else 0,
            augmented_translation_y=round(by["max_translation_y"] * width) if move else 0,
            augmented_rotation=by["max_rotation"] if rotate else 0.0,
            augmented_shearing_x=by["max_shearing_x"] if shear else 0.0,
            augmented_shearing_y=by["max_shearing_y"] if shear else 0.0,
            augmented_scaling=1 + by["max_scaling"] if scale else 1.0,
        )

    def apply(self, item: Mapping[Hashable, Any], draws: AugmentationDraws) -> dict[Hashable, Any]:
        """Augment the coil images as drawn."""
        if draws.is_identity:
            return dict(item)
        images = ifft2c(item["kspace"])
        if draws.augmented_fliph:
            images = images.flip(-1)
        if draws.augmented_flipv:
            images = images.flip(-2)
        images = torch.rot90(images, draws.augmented_rot90, dims=(-2, -1))
        images = _translate(images, draws.augmented_translation_x, draws.augmented_translation_y)
        affine = (
            draws.augmented_rotation,
            draws.augmented_shearing_x,
            draws.augmented_shearing_y,
            draws.augmented_scaling,
        )
        if affine != (0, 0, 0, 1):
            images = resample(images, affine_matrix(*affine))
        return replace_kspace(item, fft2c(images))


_BOUNDS = {
    "max_translation_x": 0.5,
    "max_translation_y": 0.5,
    "max_rotation": 180.1,
    "max_shearing_x": 90,
    "max_shearing_y": 90,
    "max_scaling": 1,
}


def _is_square(item: Mapping[Hashable, Any]) -> bool:
    """Whether a quarter turn leaves all shapes, and what was acquired, as they are."""
    height, width = item["kspace"].shape[-2:]
    rows, columns = (int(length) for length in item["output_size"])
    left, right = (int(edge) for edge in item["padding"])
    return height == width and rows == columns and (left, right) == (0, width)


def _translate(images: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """Shift by whole pixels; what comes in at an edge is mirrored there, the outermost pixel not repeated."""
    return images[..., _mirrored(images.shape[-2], down), :][..., _mirrored(images.shape[-1], right)]


def _mirrored(length: int, shift: int) -> torch.Tensor:
    """Indices to read from; a shift is less than the length, so that mirroring once will do."""
    index = (torch.arange(length) - shift).abs()
    return (length - 1) - ((length - 1) - index).abs()
