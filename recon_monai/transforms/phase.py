"""Augmentation by background phase, which no magnitude target depends on."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import Transform

from recon_monai.physics import fft2c, ifft2c, keyed_generator, simulate_phase
from recon_monai.transforms.schedule import EpochAware
from recon_monai.transforms.undersampling import check_fully_sampled

__all__ = ["RandomPhased"]


class RandomPhased(EpochAware, Transform):
    """Turn the fully sampled coil images by a random smooth phase, the same for all coils.

    Measured images carry the phase of field inhomogeneity, several turns over the field of view at long echo times. It
    spreads the energy of k-space away from its center, so that a network trained on flat phase fails on them. The
    root-sum-of-squares target does not change (up to what moves into zero-padded edges, which count as not sampled).
    Goes before undersampling.

    The phase is a cosine series (``recon_monai.physics.simulate_phase``), its largest value uniform in
    ``[0, max_phase]``; every draw is keyed by (seed, epoch, file, slice).

    Args:
        max_phase: in radians; 0 leaves items as they are.
        order: highest number of half periods over each axis.
        seed: the run's seed.
        key: complex k-space ``(coil, H, W)``, fully sampled.

    Raises:
        ValueError: if ``max_phase`` is negative.
    """

    def __init__(self, max_phase: float, order: int = 2, seed: int = 0, key: str = "kspace") -> None:
        EpochAware.__init__(self)
        if max_phase < 0:
            raise ValueError(f"max_phase must not be negative, got {max_phase}")
        self.max_phase = max_phase
        self.order = order
        self.seed = seed
        self.key = key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a new item with turned k-space.

        Raises:
            ValueError: if k-space was acquired undersampled.
        """
        if self.max_phase == 0:
            return dict(data)
        check_fully_sampled(data)
        kspace = data[self.key]
        generator = keyed_generator("phase", self.seed, self.epoch, data["file"], int(data["slice"]))
        largest = self.max_phase * float(torch.rand((), generator=generator))
        phase = simulate_phase(kspace.shape[-2:], generator, order=self.order, max_phase=largest)
        return {**data, self.key: fft2c(ifft2c(kspace) * torch.polar(torch.ones_like(phase), phase))}
