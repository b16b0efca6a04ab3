"""Noise from the edge of k-space against noise that is known."""

from __future__ import annotations

import logging

import pytest
import torch

from recon_monai.evaluation.uncertainty import estimate_noise
from recon_monai.evaluation.uncertainty.noise_level import measured_samples
from recon_monai.physics import (
    EquispacedMask,
    correlated_noise,
    keyed_generator,
    simulate_coil_maps,
    simulate_kspace,
    simulate_noise_covariance,
)

COILS, SIZE, STD = 4, (96, 80), 0.02


def smooth_object(height: int, width: int) -> torch.Tensor:
    """A Gaussian, whose spectrum is one: nothing of it reaches the edge of k-space."""
    y, x = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)
    return torch.exp(-((x / 0.4) ** 2) - (y / 0.5) ** 2)


def scan(std: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = keyed_generator("level", seed)
    maps = simulate_coil_maps(COILS, SIZE, generator)
    covariance = simulate_noise_covariance(COILS, generator)
    kspace = simulate_kspace(smooth_object(*SIZE), maps, noise_std=std, covariance=covariance, generator=generator)
    mask = EquispacedMask([0.1], [3])(SIZE[1], seed=seed).mask
    return kspace * mask, mask, covariance * 2 * std**2


@pytest.mark.parametrize(("seed", "share"), [(0, 0.1), (1, 0.1), (2, 0.3), (3, 0.02)])
def test_the_covariance_of_known_noise_is_found(seed: int, share: float, caplog: pytest.LogCaptureFixture) -> None:
    kspace, mask, truth = scan(STD, seed)
    with caplog.at_level(logging.WARNING):
        found = estimate_noise(kspace, mask, share=share)
    assert found.samples == pytest.approx(max(share * SIZE[0] * int(mask.sum()), 20 * COILS), abs=1)
    # an element's variance is the product of the two variances over the number of samples
    error = (found.covariance - truth).abs().square().sum().sqrt()
    assert error < 1.7 * truth.diagonal().real.sum() / found.samples**0.5
    assert found.trend == pytest.approx(1, abs=0.3)
    assert not caplog.records


def test_it_scales_with_the_data_and_leaves_out_rows_of_zeros() -> None:
    kspace, mask, _ = scan(STD)
    one = estimate_noise(kspace, mask, share=0.1).covariance
    torch.testing.assert_close(estimate_noise(1e-5 * kspace, mask, share=0.1).covariance, 1e-10 * one)
    padded = torch.zeros(COILS, SIZE[0] + 20, SIZE[1], dtype=kspace.dtype)
    padded[:, 10:-10] = kspace
    assert estimate_noise(padded, mask, share=0.1).covariance.diagonal().real.sum() == pytest.approx(
        float(one.diagonal().real.sum()), rel=0.15
    )


def test_signal_at_the_edge_is_said(caplog: pytest.LogCaptureFixture) -> None:
    kspace, mask, truth = scan(1e-6)
    kspace = kspace[:, 36:60, 30:50]
    with caplog.at_level(logging.WARNING):
        found = estimate_noise(kspace, mask[..., 30:50], share=0.3)
    assert found.trend > 1.5
    assert "signal reaches the edge" in caplog.text
    assert float(found.covariance.diagonal().real.sum()) > 10 * float(truth.diagonal().real.sum())


def test_dead_coils_have_no_noise() -> None:
    kspace, mask, _ = scan(STD)
    kspace[1] = 0
    covariance = estimate_noise(kspace, mask).covariance
    assert bool((covariance[1] == 0).all()) and bool((covariance[:, 1] == 0).all())
    assert float(covariance[0, 0].real) > 0


def test_measured_samples_are_those_of_any_coil() -> None:
    kspace, mask, _ = scan(STD)
    kspace[:, :7] = 0
    kspace[1] = 0
    measured = measured_samples(kspace, mask)
    assert not bool(measured[:7].any()) and torch.equal(measured[8], mask[0, 0])
    assert torch.equal(measured_samples(torch.zeros_like(kspace), mask)[0], mask[0, 0])


def test_what_says_nothing_is_refused() -> None:
    kspace, mask, _ = scan(STD)
    with pytest.raises(ValueError, match="says nothing of the noise; give a covariance"):
        estimate_noise(torch.zeros_like(kspace), mask)
    with pytest.raises(ValueError, match="too few for the noise of 4 coils, which takes 80"):
        estimate_noise(kspace[:, :2, 30:50], mask[..., 30:50])
    with pytest.raises(ValueError, match="share is 0"):
        estimate_noise(kspace, mask, share=0)
    with pytest.raises(ValueError, match=r"the mask has shape \(1, 1, 80\), expected \(1, 1, 70\)"):
        estimate_noise(kspace[..., :70], mask)
    with pytest.raises(ValueError, match="expected one complex slice"):
        estimate_noise(kspace[None], mask)
    noise = correlated_noise((2, 30, 30), torch.eye(2), keyed_generator("only"))
    assert estimate_noise(noise, torch.ones(1, 1, 30), share=0.3).covariance[0, 0].real == pytest.approx(1, abs=0.25)
