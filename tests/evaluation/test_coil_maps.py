from __future__ import annotations

import numpy as np
import pytest
import torch

from recon_monai.evaluation import calibration_maps, espirit_maps
from recon_monai.physics import (
    keyed_generator,
    normalize_maps,
    rss,
    simulate_coil_maps,
    simulate_kspace,
)

SIZE = (48, 40)


def test_espirit_maps_explain_the_coil_images(acquire, head) -> None:
    kspace, mask, _ = acquire(noise_std=0.0)
    generator = keyed_generator("baseline", 0)
    truth = normalize_maps(simulate_coil_maps(6, SIZE, generator))
    maps = espirit_maps(kspace, mask)
    assert maps.shape == kspace.shape
    assert maps.dtype == kspace.dtype
    torch.testing.assert_close(rss(maps), torch.ones(1, *SIZE), rtol=0, atol=1e-4)
    overlap = (maps * truth.conj()).sum(dim=0).abs()  # 1 where they agree up to a phase
    assert overlap[head(*SIZE) > 0].mean() > 0.995
    cropped = rss(espirit_maps(kspace, mask, crop=0.95))
    assert (cropped == 0).any()
    assert cropped[0, 24, 20] == pytest.approx(1, abs=1e-4)


def test_calibration_maps_are_apodized_low_resolution_images() -> None:
    generator = keyed_generator("calibration maps")
    kspace = torch.randn(3, 8, 12, dtype=torch.complex128, generator=generator)
    mask = torch.zeros(1, 1, 12, dtype=torch.bool)
    mask[..., [1, 4, 5, 6, 7, 10]] = True
    window = np.zeros(12)
    window[4:8] = np.hanning(6)[1:-1]
    shifted = np.fft.ifftshift(kspace.numpy() * window, axes=(-2, -1))
    images = np.fft.fftshift(np.fft.ifft2(shifted, norm="ortho"), axes=(-2, -1))
    expected = images / np.sqrt((np.abs(images) ** 2).sum(0, keepdims=True))
    np.testing.assert_allclose(calibration_maps(kspace * mask, mask).numpy(), expected, atol=1e-12)
    torch.testing.assert_close(calibration_maps(1e-8 * kspace * mask), calibration_maps(kspace * mask, mask))


def test_calibration_maps_of_a_box_are_those_of_its_low_resolution_images() -> None:
    """Smooth coil maps of a smooth object come back from a box of calibration samples; the object's edge does not."""
    generator = keyed_generator("baseline", 3)
    maps = simulate_coil_maps(4, SIZE, generator)
    y, x = torch.linspace(-1, 1, SIZE[0])[:, None], torch.linspace(-1, 1, SIZE[1])
    smooth = torch.exp(-4 * (x**2 + y**2))
    mask = torch.zeros(1, *SIZE, dtype=torch.bool)
    mask[:, 17:32, 13:28] = True
    found = calibration_maps(simulate_kspace(smooth, maps, generator=generator), mask)
    inside = smooth > 0.3
    error = (found - normalize_maps(maps)).abs()[:, inside]
    assert float(error.max()) < 0.05
