"""Augmentation by the receiver: other coil arrays than the one that a file was acquired with."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from recon_monai.physics import (
    compress_coils,
    fft2c,
    ifft2c,
    normalize_maps,
    rss,
    simulate_coil_maps,
    svd_compression,
)
from recon_monai.transforms.keyed import KeyedTransform, check_probability

__all__ = ["CoilDraws", "RandomCoilsd", "combine_coils"]

_MAP_SIZE = 64  # fields of loops outside the field of view are smooth; computing them pixel by pixel would take longer


@dataclasses.dataclass(frozen=True)
class CoilDraws:
    """Number of coils, whether they are new (1) or the file's (0), whether they are mixed, and the seed of both."""

    coils: int
    coils_redrawn: int = 0
    coils_mixed: int = 0
    coils_seed: int = 0


class RandomCoilsd(KeyedTransform[CoilDraws]):
    """Give an item another coil array: another number of coils, with new smooth sensitivity maps.

    The coils of the file are combined into one complex image (`combine_coils`), which is weighted by new simulated maps
    (``recon_monai.physics.simulate_coil_maps``) over the field of view of the target. The maps are normalized to a root
    sum of squares of 1, so that ``target`` and ``maximum`` stay what they are; the shading of the file's own array is
    taken for a property of the object. (In files with zero-padded edges, what moves into them counts as not sampled.)

    Mixing turns the coils by a random unitary matrix (Haar measure), which makes of single loops something like the
    virtual coils of a compressed array; it changes no root sum of squares either.

    The number of coils differs from item to item, so that this needs a batch size of 1, unless ``num_coils`` is a
    single number and ``probability`` 1. Goes before `RandomResolutiond` and `RandomNoised`. Writes ``coils``,
    ``coils_redrawn``, ``coils_mixed`` and ``coils_seed`` into the item.

    Args:
        num_coils: numbers to choose from, all equally likely, such as ``[2, 4, 6, 8, 12, 16]``; None or empty to keep
            the coils of the file.
        probability: of new coils.
        mix_probability: of mixing the coils, new or not.
        seed: the run's seed.

    Raises:
        ValueError: if a number of coils is below 1 or a probability is none.
    """

    name = "coils"

    def __init__(
        self,
        num_coils: Sequence[int] | None,
        probability: float = 1.0,
        mix_probability: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        self.num_coils = [int(number) for number in num_coils or ()]
        if any(number < 1 for number in self.num_coils):
            raise ValueError(f"num_coils is {self.num_coils}, expected numbers of at least 1")
        check_probability(probability=probability, mix_probability=mix_probability)
        self.probability = probability
        self.mix_probability = mix_probability

    @property
    def enabled(self) -> bool:
        """Whether coils can change."""
        return (bool(self.num_coils) and self.probability > 0) or self.mix_probability > 0

    def draw(self, item: Mapping[Hashable, Any], generator: torch.Generator) -> CoilDraws:
        """Draw number of coils, mixing and seed."""
        redraws, which, mixes = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
        seed = int(torch.randint(2**62, (), generator=generator))
        mixed = int(mixes < self.mix_probability)
        if not self.num_coils or redraws >= self.probability:
            return CoilDraws(len(item["kspace"]), 0, mixed, seed)
        return CoilDraws(self.num_coils[int(which * len(self.num_coils))], 1, mixed, seed)

    def apply(self, item: Mapping[Hashable, Any], draws: CoilDraws) -> dict[Hashable, Any]:
        """Weight by new maps, and mix."""
        kspace = item["kspace"]
        generator = torch.Generator().manual_seed(draws.coils_seed)
        if draws.coils_redrawn:
            size = [int(length) for length in item["output_size"]]
            maps = _maps(draws.coils, size, kspace.shape[-2:], generator).to(kspace.device)
            kspace = fft2c(combine_coils(kspace) * maps)
        if draws.coils_mixed:
            gaussian = torch.randn(len(kspace), len(kspace), generator=generator, dtype=torch.complex128)
            unitary, triangle = torch.linalg.qr(gaussian)
            unitary = unitary * triangle.diagonal().sgn()  # without it the phases of QR are not uniform
            kspace = compress_coils(kspace, unitary.to(kspace.device))
        return {**item, "kspace": kspace}


def combine_coils(kspace: torch.Tensor) -> torch.Tensor:
    """Combine coils whose maps are not known into one complex image.

    Its magnitude is the root sum of squares, its phase that of the virtual coil with the most energy (Buehrer et al.
    2007, doi:10.1002/mrm.21237), which keeps what all coils share: the background phase. Where that coil is blind, as
    arrays are at some distance from their middle, the phase has steps that a true combination would not have.

    Args:
        kspace: fully sampled, complex, ``(coil, H, W)``.

    Returns:
        Complex image ``(1, H, W)``; zero for k-space that is zero everywhere.
    """
    if not bool((kspace != 0).any()):
        return torch.zeros_like(kspace[:1])
    virtual = ifft2c(compress_coils(kspace, svd_compression(kspace, 1).matrix))
    return torch.polar(rss(ifft2c(kspace)), virtual.angle())


def _smooth_maps(num_coils: int, size: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    """Simulated maps ``(coil, H, W)``, those of large matrices interpolated (bicubic)."""
    coarse = [min(length, _MAP_SIZE) for length in size]
    maps = simulate_coil_maps(num_coils, coarse, generator)
    if coarse == list(size):
        return maps
    # pixel n of N lies at 2 n / N - 1 half fields of view, in whatever size
    axes = [torch.arange(n, dtype=torch.float32) * (few / n) for n, few in zip(size, coarse, strict=True)]
    y, x = (2 * axis / max(few - 1, 1) - 1 for axis, few in zip(axes, coarse, strict=True))
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None]
    parts = torch.cat([maps.real, maps.imag])[None]
    real, imag = F.grid_sample(parts, grid, "bicubic", "border", align_corners=True)[0].chunk(2)
    return torch.complex(real, imag)


def _maps(
    num_coils: int, field_of_view: Sequence[int], shape: Sequence[int], generator: torch.Generator
) -> torch.Tensor:
    """Normalized maps ``(coil, H, W)`` of an array round the field of view; beyond it they go on as at its edge."""
    size = [min(inner, outer) for inner, outer in zip(field_of_view, shape, strict=True)]
    maps = normalize_maps(_smooth_maps(num_coils, size, generator))
    top, left = ((outer - inner) // 2 for inner, outer in zip(size, shape, strict=True))
    rows = (torch.arange(shape[0]) - top).clamp(0, size[0] - 1)
    columns = (torch.arange(shape[1]) - left).clamp(0, size[1] - 1)
    return maps[:, rows][:, :, columns]
