"""Noise of volumes against noise that is known, and its spread through linear interpolation by a matrix."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recon_monai.evaluation.uncertainty import estimate_volume_noise, volume_noise_bootstrap
from recon_monai.physics import keyed_generator


def volume(std: float, shape: tuple[int, int, int] = (24, 25, 26)) -> torch.Tensor:
    """Boxes with edges and a slope, and noise."""
    places = [torch.linspace(-1, 1, size) for size in shape]
    z, y, x = torch.meshgrid(*places, indexing="ij")
    tissue = 1 + 0.5 * (x > 0.1) + (y.abs() < 0.4) * (z.abs() < 0.3) + 0.2 * z
    return 5 * tissue + std * torch.randn(shape, generator=keyed_generator("volume", round(1000 * std)))


@pytest.mark.parametrize("std", [0.05, 0.3, 1.0])
def test_known_noise_is_found(std: float) -> None:
    assert estimate_volume_noise(volume(std)) == pytest.approx(std, rel=0.06)


def test_background_of_zeros_and_a_foreground_are_left_out_or_taken() -> None:
    noisy = volume(0.3)
    inside = torch.zeros(noisy.shape, dtype=torch.bool)
    inside[:, 5:20, 5:20] = True
    cut = torch.where(inside, noisy, 0)
    assert estimate_volume_noise(cut) == pytest.approx(0.3, rel=0.1)
    assert estimate_volume_noise(noisy, inside) == estimate_volume_noise(cut)
    assert estimate_volume_noise(8 * noisy, inside) == 8 * estimate_volume_noise(noisy, inside)


def test_the_detail_is_that_of_a_haar_transform() -> None:
    pywt = pytest.importorskip("pywt")
    noisy = volume(0.4, (24, 26, 28))
    detail = np.abs(pywt.dwtn(noisy.double().numpy(), "haar")["ddd"]).ravel()
    lower_median = np.sort(detail)[(len(detail) - 1) // 2]
    assert estimate_volume_noise(noisy) == pytest.approx(lower_median / 0.6744897501960817, rel=1e-9)


def test_the_spread_of_linear_interpolation_is_that_of_its_weights() -> None:
    low, std, replicas = volume(0.1, (4, 5, 6)), 0.7, 1500
    weights = np.zeros((11, 6))
    for row in range(11):
        weights[row, row // 2] += 0.5
        weights[row, (row + 1) // 2] += 0.5

    def resolve(one: torch.Tensor) -> torch.Tensor:
        return one @ torch.from_numpy(weights.T).float()

    found = volume_noise_bootstrap(resolve, low, noise_std=std, replicas=replicas)
    expected = std * np.sqrt(np.square(weights).sum(axis=1))
    assert found.std.shape == (4, 5, 11) and found.replicas == replicas
    ratio = found.std.numpy() / expected
    assert np.abs(ratio - 1).max() < 5 / math.sqrt(2 * replicas)
    torch.testing.assert_close(found.mean, resolve(low), atol=5 * std / math.sqrt(replicas), rtol=0)


def test_the_level_is_estimated_where_none_is_given() -> None:
    found = volume_noise_bootstrap(lambda one: one, volume(0.3), replicas=20, key=("file",))
    assert float(found.std.square().mean()) == pytest.approx(0.09, rel=0.15)


def test_what_is_no_volume_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a finite real volume"):
        estimate_volume_noise(torch.zeros(3, 4))
    with pytest.raises(ValueError, match="expected a finite real volume"):
        volume_noise_bootstrap(lambda one: one, torch.full((3, 4, 5), math.nan))
    with pytest.raises(ValueError, match="0 blocks of 2 x 2 x 2"):
        estimate_volume_noise(torch.zeros(8, 8, 8))
    with pytest.raises(ValueError, match="noise_std is -1"):
        volume_noise_bootstrap(lambda one: one, volume(0.3), noise_std=-1)
    with pytest.raises(ValueError, match="the foreground has shape"):
        estimate_volume_noise(volume(0.3), torch.ones(2, 2, 2))
