"""Slices for the tests of the baselines."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from recon_monai.physics import (
    EquispacedMask,
    ifft2c,
    keyed_generator,
    rss,
    simulate_coil_maps,
    simulate_kspace,
    simulate_phase,
)


def head(height: int, width: int) -> torch.Tensor:
    y, x = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)
    return ((x / 0.7) ** 2 + (y / 0.8) ** 2 < 1).float() * (1 + 0.5 * ((x - 0.2) ** 2 + y**2 < 0.1))


def acquire(seed: int = 0, noise_std: float = 0.01, coils: int = 6, size: tuple[int, int] = (48, 40)):
    """Undersampled k-space, mask (1, 1, W) and the RSS of the fully sampled data (1, H, W)."""
    generator = keyed_generator("baseline", seed)
    maps = simulate_coil_maps(coils, size, generator)
    phase = simulate_phase(size, generator)
    full = simulate_kspace(head(*size), maps, phase=phase, noise_std=noise_std, generator=generator)
    mask = EquispacedMask([0.3], [3])(size[1], seed=seed).mask
    return full * mask, mask, rss(ifft2c(full))


@pytest.fixture(name="head")
def head_fixture() -> Callable[[int, int], torch.Tensor]:
    """``head``, for test modules."""
    return head


@pytest.fixture(name="acquire")
def acquire_fixture() -> Callable[..., tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """``acquire``, for test modules."""
    return acquire
