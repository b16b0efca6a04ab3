"""Plug-and-play against closed forms: a linear denoiser that is a proximal map makes it Tikhonov regularization."""

from __future__ import annotations

import logging
import time

import pytest
import torch
from torch.nn.functional import pad

from recon_monai.physics import LinearOperator, MaskOperator, SenseOperator, fft2c, keyed_generator, normalize_maps
from recon_monai.solvers import PlugAndPlay, plug_and_play

SIZE = 6


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=keyed_generator("plug_and_play", seed), dtype=torch.complex128)


def sense() -> SenseOperator:
    maps = normalize_maps(noise(1, 3, SIZE, SIZE, seed=1))
    return SenseOperator(maps, torch.tensor([1, 0, 1, 1, 0, 1]).reshape(1, 1, 1, SIZE))


def dense(operator: LinearOperator) -> torch.Tensor:
    """Matrix of the operator."""
    basis = torch.eye(SIZE * SIZE, dtype=torch.complex128).reshape(-1, 1, SIZE, SIZE)
    return operator.forward(basis).flatten(1).T


def laplacian() -> torch.Tensor:
    """Eigenvalues of the periodic Laplacian, at centered frequencies."""
    angles = 2 * torch.pi * (torch.arange(SIZE, dtype=torch.float64) - SIZE // 2) / SIZE
    eigenvalues = 2 - 2 * angles.cos()
    return eigenvalues[:, None] + eigenvalues


@pytest.mark.parametrize("accelerated", [False, True])
@pytest.mark.parametrize("on", ["image", "gradient"])
def test_a_linear_proximal_denoiser_gives_tikhonov(on: str, accelerated: bool) -> None:
    """D = (1 + step weight L)^-1 is the proximal map of weight/2 <x, L x>."""
    operator, step, weight = sense(), 0.9, 0.3
    data = operator.forward(noise(1, 1, SIZE, SIZE, seed=2)) + 0.1 * noise(1, 3, SIZE, SIZE, seed=3)
    values = torch.ones(SIZE, SIZE, dtype=torch.float64) if on == "image" else laplacian()

    def denoiser(image: torch.Tensor) -> torch.Tensor:
        spectrum = fft2c(image) / (1 + step * weight * values)
        dims = (-2, -1)
        return torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(spectrum, dims), norm="ortho"), dims)

    found = plug_and_play(
        operator, data, denoiser, step=step, iterations=3000, accelerated=accelerated, tolerance=1e-12
    )
    matrix = dense(operator)
    fourier = fft2c(torch.eye(SIZE * SIZE, dtype=torch.complex128).reshape(-1, 1, SIZE, SIZE)).flatten(1).T
    penalty = fourier.conj().T @ (values.flatten()[:, None] * fourier)
    expected = torch.linalg.solve(matrix.conj().T @ matrix + weight * penalty, matrix.conj().T @ data.flatten())
    torch.testing.assert_close(found.image.flatten(), expected, rtol=1e-8, atol=1e-9)


def test_strength_averages_with_the_identity() -> None:
    """With D = 0 and strength s, the fixed point of x = (1 - s)(x - t A^H (A x - y)) has a closed form."""
    operator, step, strength = sense(), 0.8, 0.25
    data = noise(1, 3, SIZE, SIZE, seed=4)
    found = plug_and_play(operator, data, torch.zeros_like, strength=strength, step=step, iterations=400)
    matrix, kept = dense(operator), 1 - strength
    system = strength * torch.eye(SIZE * SIZE, dtype=torch.float64) + kept * step * (matrix.conj().T @ matrix)
    expected = torch.linalg.solve(system, kept * step * (matrix.conj().T @ data.flatten()))
    torch.testing.assert_close(found.image.flatten(), expected, rtol=1e-9, atol=1e-10)
    # without denoising: least squares, whose data term falls monotonically
    plain = plug_and_play(operator, data, torch.zeros_like, strength=0, iterations=200).objective
    assert bool((plain.diff(dim=0) <= 1e-12).all())


def test_a_contraction_converges_linearly_to_one_fixed_point() -> None:
    """Not linear: soft thresholding, then half of it; from two starts, at the rate of the contraction."""
    operator = sense()
    data = operator.forward(noise(1, 1, SIZE, SIZE, seed=5))

    def denoiser(image: torch.Tensor) -> torch.Tensor:
        magnitude = image.abs()
        return 0.5 * image * (1 - 0.1 / magnitude.clamp(min=0.1))

    ends = [
        plug_and_play(operator, data, denoiser, step=1.0, start=start, iterations=40).image
        for start in (None, 10 * noise(1, 1, SIZE, SIZE, seed=6))
    ]
    torch.testing.assert_close(*ends, rtol=1e-9, atol=1e-10)
    gap = ends[0] - denoiser(ends[0] - operator.adjoint(operator.forward(ends[0]) - data))
    assert float(gap.abs().max()) < 1e-10
    before, after = (
        plug_and_play(operator, data, denoiser, step=1.0, iterations=count).image - ends[0] for count in (8, 9)
    )
    assert float(after.norm()) <= 0.5 * float(before.norm()) * (1 + 1e-9)


def test_inpainting_fills_what_the_mask_hides() -> None:
    """A real image, another operator: with D the mean of neighbors, a hole in a plane is filled exactly."""
    size = 8
    image = torch.ones(1, 1, size, size, dtype=torch.float64)
    mask = torch.ones(size, size)
    mask[3:5, 3:5] = 0
    operator = MaskOperator(mask, (1, size, size))

    def denoiser(x: torch.Tensor) -> torch.Tensor:
        around = pad(x, (1, 1, 1, 1), mode="circular")
        return torch.nn.functional.avg_pool2d(around, 3, stride=1)

    found = plug_and_play(operator, operator.forward(image), denoiser, step=1.0, iterations=400)
    torch.testing.assert_close(found.image, image, rtol=1e-9, atol=1e-9)


def test_batch_equals_one_by_one() -> None:
    maps = normalize_maps(noise(2, 3, SIZE, SIZE, seed=7))
    data = noise(2, 3, SIZE, SIZE, seed=8)
    options = {"strength": 0.7, "iterations": 12}
    together = plug_and_play(SenseOperator(maps), data, lambda x: x / 2, **options)
    for index in range(2):
        part = slice(index, index + 1)
        alone = plug_and_play(SenseOperator(maps[part]), data[part], lambda x: x / 2, **options)
        torch.testing.assert_close(together.image[part], alone.image)
        torch.testing.assert_close(together.objective[:, part], alone.objective)


def test_the_time_limit_ends_it_after_the_iteration(caplog: pytest.LogCaptureFixture) -> None:
    def slow(image: torch.Tensor) -> torch.Tensor:
        time.sleep(0.02)
        return image / 2

    caplog.set_level(logging.INFO)
    operator, data = sense(), noise(1, 3, SIZE, SIZE)
    began = time.monotonic()
    found = plug_and_play(operator, data, slow, step=1.0, iterations=10_000, time_limit=0.1)
    assert 0.1 <= time.monotonic() - began < 2
    assert 1 <= found.iterations <= 5
    assert len(found.objective) == found.iterations + 1
    assert "stopped by the time limit of 0.1 s" in caplog.text
    assert plug_and_play(operator, data, slow, step=1.0, iterations=10_000, time_limit=1e-9).iterations == 1


def test_as_a_reconstruction_it_is_scale_equivariant_and_takes_batches() -> None:
    mask = torch.zeros(1, 1, 1, 16)
    mask[..., ::2] = mask[..., 6:10] = 1
    kspace = noise(2, 3, 16, 16, seed=9) * mask
    method = PlugAndPlay(lambda x: 0.9 * x, weight=0.5, iterations=5, tolerance=0)
    image = method(kspace, mask)
    assert image.shape == (2, 1, 16, 16)
    assert image.dtype == torch.float64
    torch.testing.assert_close(method(kspace[1], mask[0]), image[1])
    torch.testing.assert_close(method(1e-6 * kspace, mask), 1e-6 * image)
    torch.testing.assert_close(method(kspace), image)
    assert not method(torch.zeros_like(kspace[:1]), mask).any()
    assert repr(method) == "PlugAndPlay(weight=0.5, iterations=5, maps='calibration', time_limit=30)"


def test_full_sampling_without_denoising_is_the_rss_image() -> None:
    kspace = noise(3, 16, 16, seed=10)
    image = PlugAndPlay(torch.clone, iterations=60, tolerance=0)(kspace, torch.ones(1, 1, 16))
    dims = (-2, -1)
    coils = torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(kspace, dims), norm="ortho"), dims)
    # maps of the full k-space, apodized, are not exact: the best image that they can express, from below
    assert float(image.norm()) <= float(coils.norm())
    exact = PlugAndPlay(torch.clone, iterations=60, tolerance=0, maps=normalize_maps(coils))
    torch.testing.assert_close(exact(kspace, torch.ones(1, 1, 16))[0], coils.abs().square().sum(0).sqrt())


def test_refuses_what_makes_no_sense() -> None:
    operator, data = sense(), noise(1, 3, SIZE, SIZE)
    with pytest.raises(ValueError, match=r"strength is 1\.5, expected a share"):
        plug_and_play(operator, data, torch.clone, strength=1.5)
    with pytest.raises(ValueError, match="time_limit is 0, expected a positive number of seconds"):
        PlugAndPlay(torch.clone, time_limit=0)
    with pytest.raises(ValueError, match="the denoiser made"):
        plug_and_play(operator, data, lambda x: x[..., 1:])
    with pytest.raises(ValueError, match="not finite"):
        PlugAndPlay(torch.clone)(torch.full((3, 8, 8), torch.nan, dtype=torch.complex64))
    with pytest.raises(ValueError, match="expected one complex slice"):
        PlugAndPlay(torch.clone)(torch.ones(8, 8))
