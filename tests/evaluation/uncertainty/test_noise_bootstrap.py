"""Pseudo-replicas of linear reconstructions against ``sqrt(diag(R C R^H))`` from written-out matrices."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch

from recon_monai.evaluation import zero_filled
from recon_monai.evaluation.uncertainty import noise_bootstrap
from recon_monai.evaluation.uncertainty.replicas import spread_of
from recon_monai.physics import (
    correlated_noise,
    ifft2c,
    keyed_generator,
    normalize_maps,
    reduce,
    rss,
    simulate_noise_covariance,
)

COILS, HEIGHT, WIDTH = 3, 6, 8


def acquisition(rows: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = keyed_generator("replica", rows)
    maps = normalize_maps(torch.randn(COILS, HEIGHT, WIDTH, dtype=torch.complex128, generator=generator))
    mask = torch.rand(1, rows, WIDTH, generator=generator) < 0.6
    mask[..., WIDTH // 2] = True
    kspace = torch.randn(COILS, HEIGHT, WIDTH, dtype=torch.complex128, generator=generator) * mask
    return kspace, mask, maps, simulate_noise_covariance(COILS, generator)


def fourier_matrix() -> np.ndarray:
    parts = []
    for number in (HEIGHT, WIDTH):
        place = np.arange(number) - number // 2
        parts.append(np.exp(-2j * np.pi * place[:, None] * place / number) / np.sqrt(number))
    return np.kron(*parts)


def encoding(mask: torch.Tensor, maps: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """A of the samples that were measured, coil after coil, and which these are."""
    sampled = np.broadcast_to(mask.numpy()[0], (HEIGHT, WIDTH)).flatten()
    fourier = fourier_matrix()[sampled]
    return np.concatenate([fourier * one.flatten() for one in maps.numpy()]), sampled


def closed_form(matrix: np.ndarray, covariance: torch.Tensor) -> np.ndarray:
    """Standard deviation of each pixel of ``R n``, noise independent from sample to sample."""
    noise = np.kron(covariance.numpy(), np.eye(matrix.shape[1] // COILS))
    return np.sqrt(np.diag(matrix @ noise @ matrix.conj().T).real).reshape(1, HEIGHT, WIDTH)


def assert_spread(found: torch.Tensor, expected: np.ndarray, replicas: int, degrees: int) -> None:
    """Of single pixels within 5 standard errors, and in the mean much closer. Complex numbers have 2 degrees each."""
    ratio = found.numpy() / expected
    error = 1 / math.sqrt(2 * degrees * (replicas - 1))
    assert np.abs(ratio - 1).max() < 5 * error
    assert ratio.mean() == pytest.approx(1, abs=2 * error)


@pytest.mark.parametrize("rows", [1, HEIGHT])
@pytest.mark.parametrize("weight", [0.02, 1.0])
def test_sense_has_the_spread_of_its_matrix(rows: int, weight: float) -> None:
    kspace, mask, maps, covariance = acquisition(rows)
    acquired, sampled = encoding(mask, maps)
    inverse = np.linalg.solve(acquired.conj().T @ acquired + weight * np.eye(HEIGHT * WIDTH), acquired.conj().T)
    unfold = torch.from_numpy(inverse)

    def sense(noisy: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        assert torch.equal(masks, mask.expand(len(noisy), *mask.shape))
        assert bool((noisy * ~masks == 0).all()), "noise where nothing was measured"
        samples = noisy.flatten(-2)[..., torch.from_numpy(sampled.copy())].flatten(1)
        return (samples @ unfold.mT).reshape(-1, 1, HEIGHT, WIDTH)

    replicas = 1500
    found = noise_bootstrap(sense, kspace, mask, covariance=covariance, replicas=replicas, batch_size=500)
    expected = closed_form(inverse, covariance)
    assert found.replicas == replicas and found.std.dtype == torch.float32
    assert_spread(found.std, expected, replicas, degrees=2)
    exact = sense(kspace[None], mask[None])[0]
    assert bool(((found.mean - exact).abs().numpy() < 5 * expected / math.sqrt(replicas)).all())
    real = noise_bootstrap(
        lambda *noisy: sense(*noisy).real, kspace, mask, covariance=covariance, replicas=replicas, batch_size=500
    )
    assert_spread(real.std, expected / math.sqrt(2), replicas, degrees=1)


def test_zero_filling_by_maps_has_the_spread_of_its_matrix() -> None:
    kspace, mask, maps, covariance = acquisition()
    acquired, _ = encoding(mask, maps)
    found = noise_bootstrap(
        lambda noisy, _: reduce(ifft2c(noisy), maps), kspace, mask, covariance=covariance, replicas=1500, batch_size=500
    )
    assert_spread(found.std, closed_form(acquired.conj().T, covariance), 1500, degrees=2)


def test_root_sum_of_squares_far_above_the_noise() -> None:
    """Then it is linear: the real part along the image, half of the variance of ``w^H C w`` per sample measured."""
    kspace, mask, _, covariance = acquisition()
    images = ifft2c(kspace)
    direction = images / rss(images)
    variance = torch.einsum("ihw,ij,jhw->hw", direction.conj(), covariance, direction).real * mask.float().mean()
    small = 1e-8
    found = noise_bootstrap(
        lambda noisy, _: zero_filled(noisy), kspace, mask, covariance=small * covariance, replicas=1500, batch_size=500
    )
    assert_spread(found.std, (small * variance / 2).sqrt()[None].numpy(), 1500, degrees=1)


def test_the_level_is_estimated_where_none_is_given() -> None:
    covariance = 0.3 * simulate_noise_covariance(COILS, keyed_generator("own"))
    mask = torch.ones(1, 1, 80)
    kspace = correlated_noise((COILS, 80, 80), covariance, keyed_generator("scan"))
    found = noise_bootstrap(
        lambda noisy, _: ifft2c(noisy)[:, :1], kspace, mask, replicas=60, batch_size=60, key=("a", 1)
    )
    assert float(found.std.square().mean()) == pytest.approx(float(covariance[0, 0].real), rel=0.25)


def test_draws_are_of_the_key_and_the_number_alone() -> None:
    kspace, mask, maps, covariance = acquisition()

    def spread(key: tuple[str | int, ...], batch_size: int) -> torch.Tensor:
        def image(noisy: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            return reduce(ifft2c(noisy), maps)

        options = {"covariance": covariance, "replicas": 7, "key": key, "batch_size": batch_size}
        return noise_bootstrap(image, kspace, mask, **options).std

    torch.testing.assert_close(spread(("file", 3), 1), spread(("file", 3), 4))
    assert not torch.allclose(spread(("file", 3), 1), spread(("file", 4), 1))


def test_a_coil_without_noise_stays_as_it_is() -> None:
    kspace, mask, _, covariance = acquisition()
    covariance[1] = covariance[:, 1] = 0
    found = noise_bootstrap(lambda noisy, _: noisy[:, 1:2].real, kspace, mask, covariance=covariance, replicas=3)
    assert bool((found.std == 0).all())


def test_the_spread_is_that_of_all_images_however_they_are_batched() -> None:
    images = torch.randn(11, 1, 4, 5, generator=keyed_generator("images")) + 1e4
    for batch_size in (1, 4, 11, 20):
        found = spread_of(lambda n: images[n.start : n.stop], replicas=11, batch_size=batch_size)
        torch.testing.assert_close(found.std, images.double().std(dim=0).float())
        torch.testing.assert_close(found.mean, images.mean(dim=0))


def slow(seconds: float) -> Callable[[range], torch.Tensor]:
    def images(numbers: range) -> torch.Tensor:
        time.sleep(seconds)
        return torch.tensor([float(n) for n in numbers])

    return images


def test_a_time_limit_ends_early_with_two_replicas_at_least(capsys: pytest.CaptureFixture[str]) -> None:
    assert spread_of(slow(0.05), replicas=100, time_limit=0.3).replicas < 10
    assert spread_of(slow(0.01), replicas=100, time_limit=1e-6).replicas == 2
    assert spread_of(slow(0.0), replicas=5, time_limit=60, progress=True, description="here").replicas == 5
    assert "here" in capsys.readouterr().err


def test_what_cannot_be_replicated_is_refused() -> None:
    kspace, mask, _, covariance = acquisition()

    def run(net=lambda noisy, _: zero_filled(noisy), **options) -> None:
        noise_bootstrap(net, kspace, mask, **{"covariance": covariance, "replicas": 2, **options})

    with pytest.raises(ValueError, match="replicas is 1 and batch_size 1"):
        run(replicas=1)
    with pytest.raises(ValueError, match="time_limit is 0"):
        run(time_limit=0)
    with pytest.raises(ValueError, match=r"covariance has shape \(2, 2\), expected \(3, 3\)"):
        run(covariance=torch.eye(2))
    with pytest.raises(ValueError, match="not Hermitian"):
        run(covariance=torch.eye(3) + torch.triu(torch.ones(3, 3), 1))
    with pytest.raises(ValueError, match="negative eigenvalue"):
        run(covariance=-torch.eye(3))
    with pytest.raises(ValueError, match="NaN or infinity"):
        run(net=lambda noisy, _: zero_filled(noisy) / 0)
    with pytest.raises(ValueError, match="expected 1 images"):
        run(net=lambda noisy, _: torch.cat([zero_filled(noisy)] * 2))
