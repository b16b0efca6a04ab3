from __future__ import annotations

import pytest
import torch

from recon_monai.physics import fit_coil_maps, keyed_generator, normalize_maps, rss, simulate_coil_maps, simulate_phase


def disc(height: int, width: int, radius: float) -> torch.Tensor:
    y, x = (((torch.arange(n) - n // 2) / (n / 2)) for n in (height, width))
    return y[:, None] ** 2 + x**2 < radius**2


def phantom(maps: torch.Tensor, inside: torch.Tensor, noise: float = 0.0) -> torch.Tensor:
    """Images of a homogeneous disc, with the phase of the main field and of the transmitter."""
    generator = keyed_generator("phantom")
    phase = simulate_phase(inside.shape, generator, max_phase=6.0)
    clean = maps * torch.polar(inside.float(), phase)
    return clean + noise * torch.randn(maps.shape, generator=generator, dtype=torch.complex64)


def unexplained(maps: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Part of the true maps that is no multiple of the found ones; their common phase does not matter."""
    overlap = (maps.conj() * truth).sum(dim=0).abs()
    return (1 - overlap.square()).clamp(min=0).sqrt()


def test_maps_of_a_homogeneous_phantom_are_found_inside_and_near_it() -> None:
    truth = normalize_maps(simulate_coil_maps(8, (64, 48), keyed_generator("maps")))
    inside = disc(64, 48, 0.7)
    fit = fit_coil_maps(phantom(truth, inside), inside)
    maps = fit.sample((64, 48))
    assert maps.dtype == torch.complex64
    torch.testing.assert_close(rss(maps), torch.ones(1, 64, 48))
    error = unexplained(maps, truth)
    assert error[inside].max() < 0.03
    assert error[disc(64, 48, 0.85)].max() < 0.15
    assert fit.residual < 0.01


def test_noise_is_smoothed() -> None:
    truth = normalize_maps(simulate_coil_maps(8, (64, 48), keyed_generator("maps")))
    inside = disc(64, 48, 0.7)
    noisy = phantom(truth, inside, noise=0.05)
    fit = fit_coil_maps(noisy, inside)
    # complex noise of standard deviation 0.05 in each of 8 coils, of which magnitude and phase of one are fitted freely
    assert fit.residual == pytest.approx(0.05 * (8 - 1) ** 0.5, rel=0.1)
    raw = unexplained(normalize_maps(noisy), truth)[inside].square().mean().sqrt()
    smooth = unexplained(fit.sample((64, 48)), truth)[inside].square().mean().sqrt()
    assert smooth < 0.3 * raw


def test_other_matrices_cover_the_same_field_of_view() -> None:
    maps = simulate_coil_maps(6, (64, 64), keyed_generator("maps"))
    inside = disc(64, 64, 0.7)
    fit = fit_coil_maps(phantom(maps, inside), inside)
    full, half = fit.sample((64, 64)), fit.sample((32, 64))
    # the middle of the field of view is at pixel N // 2 of both
    torch.testing.assert_close(half, full[:, ::2], rtol=1e-5, atol=1e-6)
    odd = fit.sample((63, 64))
    torch.testing.assert_close(odd[:, 31], full[:, 32], rtol=1e-5, atol=1e-6)


def test_one_coil_has_a_map_of_magnitude_one() -> None:
    inside = disc(32, 32, 0.6)
    maps = fit_coil_maps(phantom(torch.ones(1, 32, 32, dtype=torch.complex64), inside), inside).sample((32, 32))
    torch.testing.assert_close(maps.abs(), torch.ones(1, 32, 32))


def test_bad_input() -> None:
    images = torch.ones(2, 8, 8, dtype=torch.complex64)
    with pytest.raises(ValueError, match="same matrix"):
        fit_coil_maps(images, torch.ones(8, 9, dtype=torch.bool))
    with pytest.raises(ValueError, match="no signal inside"):
        fit_coil_maps(images, torch.zeros(8, 8, dtype=torch.bool))
