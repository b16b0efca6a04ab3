"""Augmentation by matrix size: the same field of view in larger voxels."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch

from recon_monai.physics import truncate_kspace
from recon_monai.transforms.keyed import KeyedTransform, check_probability
from recon_monai.transforms.target import replace_kspace

__all__ = ["RandomResolutiond", "ResolutionDraws"]


@dataclasses.dataclass(frozen=True)
class ResolutionDraws:
    """Share of each axis of k-space that is kept (1: all)."""

    resolution: float = 1.0


class RandomResolutiond(KeyedTransform[ResolutionDraws]):
    """Keep a centered part of fully sampled k-space, so that networks see matrices of many sizes.

    The shorter side of the image gets an even number of pixels, uniform from ``min_size`` to ``max_size``; the other
    one, k-space and ``output_size`` shrink in the same proportion, to even sizes. The field of view stays (to half a
    pixel), ``voxel_size`` grows, ``padding`` and a mask that the item brings are cut alike.

    k-space is scaled by ``sqrt(h w / (H W))``, which undoes the gain of the smaller orthonormal transform: intensities
    of images stay comparable, and so does ``maximum``, which is not touched. Noise in the images gets weaker by that
    factor, as larger voxels have it. The target is made anew from what is kept.

    Images get different sizes, so that this needs a batch size of 1. Goes before `RandomNoised`. Writes ``resolution``
    into the item.

    Args:
        min_size: smallest size of the image's shorter side, in pixels; None leaves items as they are, and so do
            images that are not larger.
        max_size: largest size; None for that of the file.
        probability: of changing the size; otherwise it stays what it is in the file, even if above ``max_size``.
        seed: the run's seed.

    Raises:
        ValueError: if a size is odd or below 2, ``max_size`` below ``min_size``, or ``probability`` is none.
    """

    name = "resolution"

    def __init__(
        self, min_size: int | None, max_size: int | None = None, probability: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__(seed)
        for name, size in (("min_size", min_size), ("max_size", max_size)):
            if size is not None and (size < 2 or size % 2):
                raise ValueError(f"{name} is {size}, expected an even number of at least 2")
        if min_size is not None and max_size is not None and max_size < min_size:
            raise ValueError(f"max_size is {max_size}, expected at least min_size, {min_size}")
        check_probability(probability=probability)
        self.min_size = min_size
        self.max_size = max_size
        self.probability = probability

    @property
    def enabled(self) -> bool:
        """Whether sizes can change."""
        return self.min_size is not None and self.probability > 0

    def draw(self, item: Mapping[Hashable, Any], generator: torch.Generator) -> ResolutionDraws:
        """Draw the share that is kept."""
        happens, where = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        shortest = _shorter_side(item)
        largest = shortest if self.max_size is None else min(self.max_size, shortest)
        if self.min_size is None or self.min_size > largest or happens >= self.probability:
            return ResolutionDraws()
        choices = (largest - self.min_size) // 2 + 1
        return ResolutionDraws((self.min_size + 2 * int(where * choices)) / shortest)

    def apply(self, item: Mapping[Hashable, Any], draws: ResolutionDraws) -> dict[Hashable, Any]:
        """Cut k-space and what goes with it."""
        if draws.resolution == 1:
            return dict(item)
        full = item["kspace"].shape[-2:]
        size = _shrunk(full, draws.resolution)
        left = full[1] // 2 - size[1] // 2
        changed = dict(item)
        changed["output_size"] = torch.tensor(_shrunk(item["output_size"].tolist(), draws.resolution))
        changed["padding"] = (item["padding"] - left).clamp(0, size[1])
        if "voxel_size" in item:
            factors = torch.tensor([full[0] / size[0], full[1] / size[1], 1.0])
            changed["voxel_size"] = item["voxel_size"] * factors
        if "mask" in item:
            top = full[0] // 2 - size[0] // 2
            mask = item["mask"][..., left : left + size[1]]
            changed["mask"] = mask if mask.shape[-2] == 1 else mask[..., top : top + size[0], :]
        return replace_kspace(changed, truncate_kspace(item["kspace"], size))


def _shorter_side(item: Mapping[Hashable, Any]) -> int:
    return min(int(length) for length in item["output_size"])


def _shrunk(size: Sequence[int], share: float) -> list[int]:
    """Even sizes, at least 2, never larger than before."""
    return [min(max(2 * round(share * length / 2), 2), length) for length in size]
