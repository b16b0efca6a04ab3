"""What random transforms of fully sampled k-space have in common: keyed draws, recorded in the item."""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from collections.abc import Hashable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

import torch
from monai.transforms import Transform

from recon_monai.physics import keyed_generator
from recon_monai.transforms.schedule import EpochAware
from recon_monai.transforms.undersampling import check_fully_sampled

__all__ = ["KeyedTransform", "check_probability"]

Draws = TypeVar("Draws")


class KeyedTransform(EpochAware, Transform, Generic[Draws]):
    """Random change of fully sampled k-space, in two parts: `draw` is random, `apply` is not.

    Draws are a frozen dataclass of numbers. They come from a generator keyed by (`name`, seed, epoch, file, slice) and
    are written into the item under the names of their fields, also where they say to change nothing, so that all
    items have the same keys. Where `enabled` is false, items pass as they are and nothing is written.

    Args:
        seed: the run's seed.
    """

    name: ClassVar[str]

    def __init__(self, seed: int = 0) -> None:
        EpochAware.__init__(self)
        self.seed = seed

    @property
    @abstractmethod
    def enabled(self) -> bool:
        """Whether anything can ever be changed."""

    @abstractmethod
    def draw(self, item: Mapping[Hashable, Any], generator: torch.Generator) -> Draws:
        """Draw the change of one item.

        Args:
            item: the item.
            generator: source of all randomness.

        Returns:
            A dataclass instance of numbers.
        """

    @abstractmethod
    def apply(self, item: Mapping[Hashable, Any], draws: Draws) -> dict[Hashable, Any]:
        """Change an item as drawn; equal draws give equal results.

        Args:
            item: the item, which stays as it is.
            draws: what `draw` returned.

        Returns:
            A new item.
        """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a new item, changed and with the draws.

        Raises:
            ValueError: if k-space was acquired undersampled.
        """
        if not self.enabled:
            return dict(data)
        check_fully_sampled(data)
        generator = keyed_generator(self.name, self.seed, self.epoch, data["file"], int(data["slice"]))
        draws: Any = self.draw(data, generator)
        changed = self.apply(data, draws)
        changed.update(dataclasses.asdict(draws))
        return changed


def check_probability(**probabilities: float) -> None:
    """Refuse what is no probability.

    Raises:
        ValueError: if one lies outside ``[0, 1]``; the message names it.
    """
    for name, value in probabilities.items():
        if not (math.isfinite(value) and 0 <= value <= 1):
            raise ValueError(f"{name} is {value}, expected a probability from 0 to 1")
