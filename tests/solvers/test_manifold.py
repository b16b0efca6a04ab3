"""Search on a generator's manifold: linear generators have a closed form."""

from __future__ import annotations

import time

import pytest
import torch
from monai.networks.nets import Generator

from recon_monai.physics import IdentityOperator, SenseOperator, keyed_generator, normalize_maps
from recon_monai.solvers import ManifoldSearch, fit_generator, manifold_search

SIZE = 6


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=keyed_generator("manifold", seed), dtype=dtype)


def sense() -> SenseOperator:
    maps = normalize_maps(noise(1, 2, SIZE, SIZE, seed=1, dtype=torch.complex128))
    return SenseOperator(maps, torch.tensor([1, 0, 1, 1, 0, 1]).reshape(1, 1, 1, SIZE))


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_a_linear_generator_gives_least_squares_on_its_range(weight: float) -> None:
    """z = (B^H B + weight)^-1 B^H y with B = A G, real since z is."""
    operator, basis = sense(), noise(5, SIZE * SIZE, seed=2)
    data = noise(1, 2, SIZE, SIZE, seed=3, dtype=torch.complex128)

    def generator(latent: torch.Tensor) -> torch.Tensor:
        return (latent @ basis).reshape(-1, 1, SIZE, SIZE)

    found = manifold_search(operator, data, generator, noise(1, 5, seed=4), weight=weight, iterations=100)
    columns = operator.forward(basis.reshape(-1, 1, SIZE, SIZE).to(torch.complex128)).flatten(1).T
    matrix = torch.cat([columns.real, columns.imag])
    right = torch.cat([data.flatten().real, data.flatten().imag])
    expected = torch.linalg.solve(matrix.T @ matrix + weight * torch.eye(5), matrix.T @ right)
    torch.testing.assert_close(found.latent[0], expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.image, generator(expected[None]).to(torch.complex128), rtol=1e-5, atol=1e-6)
    lowest = 0.5 * (matrix @ expected - right).square().sum() + 0.5 * weight * expected.square().sum()
    torch.testing.assert_close(found.objective[-1], lowest, rtol=1e-9, atol=0)


def decoder(latent: torch.Tensor) -> torch.Tensor:
    """Discs of some place and width: a manifold that is not linear."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, 16, dtype=latent.dtype),) * 2, indexing="ij")
    place = latent.tanh()[:, :, None, None]
    radius = (y - place[:, 0]).square() + (x - place[:, 1]).square()
    return torch.exp(-radius / (0.2 + 0.1 * place[:, 2]))[:, None]


def test_an_image_on_the_manifold_is_found_and_the_objective_falls() -> None:
    operator = IdentityOperator((1, 16, 16))
    truth = decoder(torch.tensor([[0.4, -0.3, 0.6]], dtype=torch.float64))
    found = manifold_search(operator, truth, decoder, noise(3, 3, seed=5), iterations=60)
    torch.testing.assert_close(found.image, truth, rtol=0, atol=1e-3)
    assert bool((found.objective.diff() <= 1e-12).all())
    assert len(found.objective) == found.iterations + 1
    assert float(found.objective[-1]) == min(found.finals)
    assert len(found.finals) == 3


def test_nothing_outside_the_range_is_found() -> None:
    """Whatever the data, the image is the generator's; what is left is the distance to the manifold."""
    data = noise(1, 1, 16, 16, seed=6)
    found = manifold_search(IdentityOperator((1, 16, 16)), data, decoder, noise(2, 3, seed=7), iterations=30)
    torch.testing.assert_close(found.image, decoder(found.latent))
    assert float(found.objective[-1]) == pytest.approx(0.5 * float((found.image - data).square().sum()))


def test_a_free_scale_is_that_of_the_data() -> None:
    operator = IdentityOperator((1, 16, 16))
    truth = 7.0 * decoder(torch.tensor([[0.2, -0.3, 0.6]], dtype=torch.float64))
    start = torch.zeros(1, 3, dtype=torch.float64)
    found = manifold_search(operator, truth, decoder, start, free_scale=True, iterations=60)
    torch.testing.assert_close(found.image, truth, rtol=0, atol=1e-2)
    again = manifold_search(operator, 1e-4 * truth, decoder, start, free_scale=True, iterations=60)
    torch.testing.assert_close(again.image, 1e-4 * found.image, rtol=1e-6, atol=1e-9)


def test_the_time_limit_holds_for_all_starts_together() -> None:
    def slow(latent: torch.Tensor) -> torch.Tensor:
        time.sleep(0.01)
        return decoder(latent)

    data = noise(1, 1, 16, 16)
    began = time.monotonic()
    options = {"iterations": 10_000, "time_limit": 0.15}
    found = manifold_search(IdentityOperator((1, 16, 16)), data, slow, noise(50, 3), **options)
    assert 0.15 <= time.monotonic() - began < 3
    assert found.iterations >= 1
    assert len(found.finals) < 50


def test_a_trained_generator_reconstructs_an_image_of_its_kind() -> None:
    """MONAI's generator, trained on discs, searched by undersampled k-space."""
    images = decoder(noise(24, 3, seed=8)).float()
    torch.manual_seed(0)
    generator = Generator(latent_shape=3, start_shape=(8, 4, 4), channels=(8, 1), strides=(2, 2), num_res_units=0)
    latents, course = fit_generator(generator, images, noise(24, 3, seed=9).float(), steps=120, batch_size=8)
    assert course[-1] < 0.5 * course[0]
    assert not generator.training
    assert latents.shape == (24, 3)

    before = [parameter.clone() for parameter in generator.parameters()]
    with torch.no_grad():
        truth = generator(latents[:1]).clamp(min=0)
    mask = torch.zeros(1, 1, 1, 16)
    mask[..., ::2] = mask[..., 5:11] = 1
    maps = normalize_maps(noise(1, 3, 16, 16, seed=10, dtype=torch.complex64))
    kspace = SenseOperator(maps, mask).forward(truth.to(torch.complex64))
    method = ManifoldSearch(generator, (3,), iterations=25, restarts=2, time_limit=20, maps=maps[0])
    image = method(kspace, mask)
    assert image.shape == (1, 1, 16, 16)
    zero_filled = SenseOperator(maps, mask).adjoint(kspace).abs()
    assert float((image - truth).norm()) < 0.7 * float((zero_filled - truth).norm())
    torch.testing.assert_close(method(1e-5 * kspace, mask), 1e-5 * image, rtol=1e-2, atol=1e-7)
    assert all(torch.equal(now, then) for now, then in zip(generator.parameters(), before, strict=True))


def test_refuses_what_makes_no_sense() -> None:
    operator = IdentityOperator((1, 16, 16))
    with pytest.raises(ValueError, match="expected data of one problem"):
        manifold_search(operator, noise(2, 1, 16, 16), decoder, noise(1, 3))
    with pytest.raises(ValueError, match="the search got no start"):
        manifold_search(operator, noise(1, 1, 16, 16), decoder, noise(0, 3))
    with pytest.raises(ValueError, match="weight is -1"):
        manifold_search(operator, noise(1, 1, 16, 16), decoder, noise(1, 3), weight=-1)
    with pytest.raises(ValueError, match="restarts is 0"):
        ManifoldSearch(decoder, (3,), restarts=0)
    with pytest.raises(ValueError, match="expected one for each image"):
        fit_generator(torch.nn.Linear(3, 3), noise(2, 1, 16, 16), noise(3, 3))
