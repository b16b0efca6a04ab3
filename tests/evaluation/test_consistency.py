"""Residuals in k-space by written-out Fourier sums, and of what agrees or disagrees by construction."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recon_monai.evaluation import coil_combination, kspace_residual, noise_ratio, with_phase
from recon_monai.physics import (
    correlated_noise,
    fft2c,
    ifft2c,
    keyed_generator,
    normalize_maps,
    rss,
    simulate_noise_covariance,
)

COILS, HEIGHT, WIDTH = 3, 6, 8


def scene(*batch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Complex image, mask and maps; ``(1, H, W)`` or ``(B, 1, H, W)``."""
    generator = keyed_generator("residual", *batch)
    maps = normalize_maps(torch.randn(*batch, COILS, HEIGHT, WIDTH, dtype=torch.complex128, generator=generator))
    image = torch.randn(*batch, 1, HEIGHT, WIDTH, dtype=torch.complex128, generator=generator)
    return image, torch.rand(*batch, 1, 1, WIDTH, generator=generator) < 0.5, maps


def centered_dft(image: np.ndarray) -> np.ndarray:
    matrices = []
    for number in image.shape:
        place = np.arange(number) - number // 2
        matrices.append(np.exp(-2j * np.pi * place[:, None] * place / number) / np.sqrt(number))
    return matrices[0] @ image @ matrices[1].T


def test_against_sums_written_out() -> None:
    image, mask, maps = scene()
    generator = keyed_generator("measured")
    kspace = torch.randn(COILS, HEIGHT, WIDTH, dtype=torch.complex128, generator=generator)
    sampled = np.broadcast_to(mask[0, 0].numpy(), (HEIGHT, WIDTH))
    difference = np.stack([centered_dft((one * image[0]).numpy()) for one in maps]) - kspace.numpy()
    difference = difference * sampled
    found = kspace_residual(image, kspace, mask, maps)
    expected = np.linalg.norm(difference) / np.linalg.norm(kspace.numpy() * sampled)
    assert found.ratio == pytest.approx(expected, rel=1e-12)
    back = [np.conj(centered_dft(np.conj(one))) for one in difference]
    combined = np.abs(sum(np.conj(one) * other for one, other in zip(maps.numpy(), back, strict=True)))
    np.testing.assert_allclose(found.image[0].numpy(), combined, atol=1e-12)
    by_coils = kspace_residual(image * maps, kspace, mask)
    assert by_coils.ratio == pytest.approx(expected, rel=1e-12)
    root = np.sqrt(sum(np.abs(one) ** 2 for one in back))
    np.testing.assert_allclose(by_coils.image[0].numpy(), root, atol=1e-12)


@pytest.mark.parametrize("batch", [(), (2,)])
def test_what_agrees_has_no_residual_whatever_it_is_elsewhere(batch: tuple[int, ...]) -> None:
    image, mask, maps = scene(*batch)
    kspace = fft2c(image * maps)
    assert kspace_residual(image, kspace, mask, maps).ratio < 1e-14
    assert kspace_residual(image.abs(), kspace, mask, maps, phase=3 * image).ratio < 1e-14
    other = image * maps + ifft2c(torch.randn_like(kspace) * ~mask)
    assert kspace_residual(other, kspace, mask, maps).ratio < 1e-14
    scaled = kspace_residual(1.25 * image, kspace, mask, maps)
    assert scaled.ratio == pytest.approx(0.25) and scaled.image.shape == image.shape
    assert kspace_residual(0 * image, kspace, mask, maps).ratio == pytest.approx(1)


def test_the_wrong_phase_is_a_residual() -> None:
    image, mask, maps = scene()
    kspace = fft2c(image * maps)
    turned = kspace_residual(image.abs(), kspace, mask, maps, phase=image * 1j)
    assert turned.ratio == pytest.approx(abs(1j - 1))


def test_one_coil_is_one_image_with_or_without_a_map() -> None:
    image, mask, maps = scene()
    single = maps[:1] / maps[:1].abs()
    kspace = fft2c(image * single)
    assert kspace_residual(image, kspace, mask, single).ratio < 1e-14
    assert kspace_residual(image * single, kspace, mask).ratio < 1e-14


def test_the_ratio_of_noise_alone_is_the_expected_one() -> None:
    """The object itself, of noisy samples: no method that knew it would have less."""
    covariance = 0.01 * simulate_noise_covariance(COILS, keyed_generator("c"))
    size = (60, 64)
    generator = keyed_generator("object")
    truth = torch.randn(COILS, *size, dtype=torch.complex64, generator=generator)
    mask = torch.rand(1, 1, 64, generator=generator) < 0.5
    kspace = (fft2c(truth) + correlated_noise((COILS, *size), covariance, generator)) * mask
    found = kspace_residual(truth, kspace, mask).ratio
    assert noise_ratio(kspace, mask, covariance) == pytest.approx(found, rel=0.03)
    assert math.isnan(noise_ratio(0 * kspace, mask, covariance))
    with pytest.raises(ValueError, match="the covariance has 2 coils, expected 3"):
        noise_ratio(kspace, mask, torch.eye(2))


def test_combination_and_phase() -> None:
    image, _, maps = scene()
    combined = coil_combination(fft2c(image * maps), maps)
    torch.testing.assert_close(combined, image)
    torch.testing.assert_close(combined.abs(), rss(image * maps))
    magnitude = torch.rand(1, HEIGHT, WIDTH, dtype=torch.float64, generator=keyed_generator("m"))
    torch.testing.assert_close(with_phase(magnitude, image), magnitude * image / image.abs())
    torch.testing.assert_close(with_phase(magnitude, 0 * image), magnitude.to(torch.complex128))
    with pytest.raises(ValueError, match="expected a magnitude and a complex image of one shape"):
        with_phase(image, image)


def test_what_does_not_fit_is_refused() -> None:
    image, mask, maps = scene()
    kspace = fft2c(image * maps)
    assert math.isnan(kspace_residual(image, 0 * kspace, mask, maps).ratio)
    with pytest.raises(ValueError, match="a magnitude image has no phase"):
        kspace_residual(image.abs(), kspace, mask, maps)
    with pytest.raises(ValueError, match="differ in size; give the whole field of view"):
        kspace_residual(image[:, 1:], kspace, mask, maps)
    with pytest.raises(ValueError, match="or one image and maps in the shape of k-space"):
        kspace_residual(image, kspace, mask)
