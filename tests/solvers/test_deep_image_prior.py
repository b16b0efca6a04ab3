"""Deep image prior: its limits, its end, and what it gains."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from recon_monai.physics import IdentityOperator, MaskOperator, SenseOperator, keyed_generator, normalize_maps
from recon_monai.solvers import DeepImagePrior, DeepImagePriorSolution, deep_image_prior, held_out_samples
from recon_monai.solvers.deep_image_prior import PriorNetwork


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=keyed_generator("prior", seed), dtype=dtype)


def phantom(size: int = 32) -> torch.Tensor:
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, size, dtype=torch.float64),) * 2, indexing="ij")
    return ((x / 0.7) ** 2 + (y / 0.9) ** 2 < 1).double()[None, None] - 0.5 * ((x**2 + y**2) < 0.15).double()


class Linear(nn.Module):
    """An image as a combination of fixed ones."""

    def __init__(self, basis: torch.Tensor) -> None:
        super().__init__()
        self.basis = basis
        self.weights = nn.Parameter(torch.zeros(len(basis), dtype=basis.dtype))

    def forward(self) -> torch.Tensor:
        return (self.weights @ self.basis.flatten(1)).reshape(1, *self.basis.shape[1:])


def test_a_linear_network_gives_least_squares_on_its_range() -> None:
    basis, data = noise(4, 1, 8, 8, seed=1), noise(1, 1, 8, 8, seed=2)
    mask = torch.ones(8, 8)
    mask[2:4] = 0
    operator = MaskOperator(mask, (1, 8, 8))
    found = deep_image_prior(operator, data * mask, Linear(basis), iterations=600, learning_rate=0.02)
    matrix = operator.forward(basis).flatten(1).T
    expected = torch.linalg.lstsq(matrix, (data * mask).flatten()[:, None]).solution[:, 0]
    torch.testing.assert_close(found.image.flatten(), expected @ basis.flatten(1), rtol=1e-4, atol=1e-4)
    assert found.best == found.iterations == 600
    assert float(found.objective[-1]) == pytest.approx(
        0.5 * float((operator.forward(found.image) - data * mask).square().sum()), rel=1e-9
    )
    assert not found.held_out.any()


def test_it_denoises_and_stops_by_what_was_held_out() -> None:
    """Closer to the truth than the data are, and than it is itself after fitting on."""
    truth = phantom()
    data = truth + 0.25 * noise(1, 1, 32, 32, seed=3)
    operator = IdentityOperator((1, 32, 32))
    held_out = held_out_samples(data, 0.15)

    def fit(held_out: torch.Tensor | None, iterations: int) -> DeepImagePriorSolution:
        network = PriorNetwork(32, 32, complex_image=False, channels=8, pools=2, noise_channels=4).double()
        options = {"iterations": iterations, "patience": 30, "learning_rate": 0.02}
        return deep_image_prior(operator, data, network, held_out=held_out, **options)

    found = fit(held_out, 400)
    assert found.iterations == found.best + 30 < 400
    assert len(found.objective) == len(found.held_out) == found.iterations + 1
    assert int(found.held_out.argmin()) == found.best
    squares = (found.image - data).square()[0, 0] / 2
    assert float(found.held_out[found.best]) == pytest.approx(float((squares * held_out).sum()), rel=1e-9)
    assert float(found.objective[found.best]) == pytest.approx(float((squares * ~held_out).sum()), rel=1e-9)
    error = float((found.image - truth).norm())
    assert error < 0.85 * float((data - truth).norm())
    assert error < 0.95 * float((fit(None, 200).image - truth).norm()), "fitted on, it takes up the noise"


def test_held_out_samples_are_places_that_were_measured_outside_the_middle() -> None:
    data = noise(1, 3, 32, 32, dtype=torch.complex128)
    data[..., ::3] = 0
    chosen = held_out_samples(data, 0.25, seed=4)
    assert chosen.shape == (32, 32)
    assert not chosen[:, ::3].any()
    assert not chosen[14:19, 14:19].any()
    assert float(chosen.sum() / (data[0, 0] != 0).sum()) == pytest.approx(0.25, abs=0.05)
    assert torch.equal(chosen, held_out_samples(data, 0.25, seed=4))
    assert not torch.equal(chosen, held_out_samples(data, 0.25, seed=5))
    assert not held_out_samples(data, 0.0).any()


def undersampled() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """K-space, mask and truth of a phantom seen by smooth coils."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, 32),) * 2, indexing="ij")
    places = [(1.2, 0.0), (-0.8, 1.0), (-0.8, -1.0)]
    maps = torch.stack([torch.polar(torch.exp(-((x - a) ** 2 + (y - b) ** 2)), a * x + b * y) for a, b in places])
    mask = torch.zeros(1, 1, 1, 32)
    mask[..., ::3] = mask[..., 12:20] = 1
    truth = phantom().float()
    operator = SenseOperator(normalize_maps(maps)[None], mask)
    return operator.forward(truth.to(torch.complex64)), mask, truth


def test_as_a_reconstruction_it_beats_zero_filling_and_follows_the_scale() -> None:
    kspace, mask, truth = undersampled()
    method = DeepImagePrior(channels=8, pools=2, iterations=150, patience=150, learning_rate=0.02, time_limit=30)
    state = torch.get_rng_state()
    image = method(kspace, mask)
    assert torch.equal(torch.get_rng_state(), state), "no draw from the global generator"
    dims = (-2, -1)
    coils = torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(kspace, dims), norm="ortho"), dims)
    zero_filled = coils.abs().square().sum(1, keepdim=True).sqrt()
    assert float((image - truth).norm()) < 0.7 * float((zero_filled - truth).norm())
    few = DeepImagePrior(channels=4, pools=2, iterations=3)
    first = few(kspace, mask)
    assert torch.equal(first, few(kspace, mask)), "the same seed, the same image"
    torch.testing.assert_close(few(2.0**-20 * kspace, mask), 2.0**-20 * first, rtol=1e-3, atol=1e-9)
    torch.testing.assert_close(few(kspace.repeat(2, 1, 1, 1), mask)[1:], first)


def test_the_time_limit_ends_it() -> None:
    class Slow(Linear):
        def forward(self) -> torch.Tensor:
            time.sleep(0.02)
            return super().forward()

    data = noise(1, 1, 8, 8)
    began = time.monotonic()
    options = {"iterations": 10_000, "time_limit": 0.1}
    found = deep_image_prior(IdentityOperator((1, 8, 8)), data, Slow(noise(2, 1, 8, 8)), **options)
    assert 0.1 <= time.monotonic() - began < 2
    assert 1 <= found.iterations <= 6
    assert len(found.objective) == found.iterations + 1
    assert float(found.objective[-1]) < float(found.objective[0])


def test_sizes_that_are_no_multiples() -> None:
    network = PriorNetwork(13, 10, channels=2, pools=3)
    assert network().shape == (1, 1, 13, 10)
    assert network().is_complex()
    assert torch.equal(network(), PriorNetwork(13, 10, channels=2, pools=3)())
    assert not torch.equal(network(), PriorNetwork(13, 10, channels=2, pools=3, seed=1)())


def test_refuses_what_makes_no_sense() -> None:
    data = noise(1, 1, 8, 8)
    network = Linear(noise(2, 1, 8, 8))
    with pytest.raises(ValueError, match="all samples are held out"):
        deep_image_prior(IdentityOperator((1, 8, 8)), data, network, held_out=torch.ones(8, 8, dtype=torch.bool))
    with pytest.raises(ValueError, match="patience 0"):
        deep_image_prior(IdentityOperator((1, 8, 8)), data, network, patience=0)
    with pytest.raises(ValueError, match="fraction is 1"):
        held_out_samples(data, 1)
    with pytest.raises(ValueError, match="time_limit is -1"):
        DeepImagePrior(time_limit=-1)
