"""Augmentation by receiver noise."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping
from typing import Any

import torch

from recon_monai.transforms.keyed import KeyedTransform, check_probability
from recon_monai.transforms.target import replace_kspace

__all__ = ["NoiseDraws", "RandomNoised"]


@dataclasses.dataclass(frozen=True)
class NoiseDraws:
    """How much noise: standard deviation relative to the volume's maximum (0: none), and the seed of its samples."""

    noise_level: float = 0.0
    noise_seed: int = 0


class RandomNoised(KeyedTransform[NoiseDraws]):
    """Add white complex Gaussian noise to fully sampled k-space, so that images span the SNR that scanners deliver.

    The standard deviation of real and imaginary part is ``noise_level * maximum``, with ``maximum`` that of the whole
    volume, so that dark slices are as noisy as bright ones, and the level log-uniform in ``[min_noise, max_noise]``.
    The transform being orthonormal, it is the same in k-space and in the coil images: the peak SNR of an image from
    well-covering coils is ``1 / noise_level``. Noise goes where k-space was measured (is not zero in all coils) and
    is independent from coil to coil.

    The target becomes the root sum of squares of the noisy k-space, with the noise floor that a fully sampled
    measurement would have. ``maximum`` stays: a range of the volume, which noise moves by a few standard deviations.

    Goes right before undersampling: new coil maps would color the noise, a lower resolution would reduce it. Writes
    ``noise_level`` and ``noise_seed`` into the item.

    Args:
        max_noise: largest level, for example 0.05; 0 leaves items as they are.
        min_noise: smallest level; None for a hundredth of ``max_noise``.
        probability: of adding noise at all.
        seed: the run's seed.

    Raises:
        ValueError: if a level is negative or not finite, ``min_noise`` is 0 or above ``max_noise``, or ``probability``
            is none.
    """

    name = "noise"

    def __init__(
        self, max_noise: float, min_noise: float | None = None, probability: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__(seed)
        if not (math.isfinite(max_noise) and max_noise >= 0):
            raise ValueError(f"max_noise is {max_noise}, expected a share of the maximum of at least 0, such as 0.05")
        smallest = max_noise / 100 if min_noise is None else min_noise
        if max_noise > 0 and not 0 < smallest <= max_noise:
            raise ValueError(f"min_noise is {min_noise}, expected above 0 and at most max_noise, {max_noise}")
        check_probability(probability=probability)
        self.max_noise = max_noise
        self.min_noise = smallest
        self.probability = probability

    @property
    def enabled(self) -> bool:
        """Whether there can be noise."""
        return self.max_noise > 0 and self.probability > 0

    def draw(self, item: Mapping[Hashable, Any], generator: torch.Generator) -> NoiseDraws:
        """Draw level and seed."""
        happens, where = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        seed = int(torch.randint(2**62, (), generator=generator))
        if happens >= self.probability:
            return NoiseDraws()
        return NoiseDraws(self.min_noise * (self.max_noise / self.min_noise) ** where, seed)

    def apply(self, item: Mapping[Hashable, Any], draws: NoiseDraws) -> dict[Hashable, Any]:
        """Add the noise.

        Raises:
            ValueError: if the item has no ``maximum`` to measure the level by.
        """
        if draws.noise_level == 0:
            return dict(item)
        if "maximum" not in item:
            raise ValueError(
                f"{item['file']} slice {int(item['slice'])}: there is no maximum of the volume, expected one to "
                "measure noise by; use files with a target, or max_noise 0"
            )
        kspace = item["kspace"]
        generator = torch.Generator().manual_seed(draws.noise_seed)
        noise = torch.randn(kspace.shape, generator=generator, dtype=torch.complex64).to(kspace)
        # complex64 draws have variance 1/2 in real and imaginary part
        std = math.sqrt(2) * draws.noise_level * float(item["maximum"])
        measured = (kspace != 0).any(dim=0)
        if not bool(measured.any()):  # an empty slice of a simulated volume: measured all the same
            measured = torch.ones_like(measured)
        return replace_kspace(item, kspace + std * torch.where(measured, noise, 0))
