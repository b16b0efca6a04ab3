"""Projections on the null space against the singular vectors of the written-out operator."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import torch

from recon_monai.evaluation import null_space_error, null_space_part
from recon_monai.physics import (
    EquispacedMask,
    SenseOperator,
    fft2c,
    ifft2c,
    keyed_generator,
    normalize_maps,
    simulate_coil_maps,
)

HEIGHT, WIDTH = 6, 8
TIGHT = {"tolerance": 1e-12, "iterations": 500}


def scene(coils: int, rows: int = 1, share: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    """Mask and maps, with few samples, so that there is a null space for two coils, too."""
    generator = keyed_generator("null", coils, rows)
    maps = normalize_maps(torch.randn(coils, HEIGHT, WIDTH, dtype=torch.complex128, generator=generator))
    mask = torch.rand(1, rows, WIDTH, generator=generator) < share
    mask[..., WIDTH // 2] = True
    return mask, maps


def random_image(name: str) -> torch.Tensor:
    return torch.randn(1, HEIGHT, WIDTH, dtype=torch.complex128, generator=keyed_generator(name))


def dense(mask: torch.Tensor, maps: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors of ``A^H A``, from an operator written out without the one of the package."""
    parts = []
    for number in (HEIGHT, WIDTH):
        place = np.arange(number) - number // 2
        parts.append(np.exp(-2j * np.pi * place[:, None] * place / number) / np.sqrt(number))
    fourier = np.kron(*parts)[np.broadcast_to(mask.numpy()[0], (HEIGHT, WIDTH)).flatten()]
    acquired = np.concatenate([fourier * one.flatten() for one in maps.numpy()])
    return np.linalg.eigh(acquired.conj().T @ acquired)


@pytest.mark.parametrize(("coils", "rows"), [(2, 1), (2, HEIGHT), (1, 1), (3, 1)])
@pytest.mark.parametrize("weight", [0.0, 0.05])
def test_it_is_the_projection_on_the_singular_vectors(coils: int, rows: int, weight: float) -> None:
    mask, maps = scene(coils, rows)
    if coils == 1:
        maps = 0.5 * maps * (1 + torch.rand(maps.shape, generator=keyed_generator("gain"), dtype=torch.float64))
    values, vectors = dense(mask, maps)
    filters = np.where(values < 1e-10, 1, weight / (values + weight) if weight else 0)
    image = random_image("any")
    expected = vectors @ (filters * (vectors.conj().T @ image.numpy().ravel()))
    found = null_space_part(image, mask, maps, weight=weight, **TIGHT)
    np.testing.assert_allclose(found.numpy().ravel(), expected, atol=1e-9)
    if coils == 2:
        assert (values < 1e-10).sum() > 5, "or nothing was tested"


@pytest.mark.parametrize("coils", [1, 2])
def test_whole_in_the_null_space_and_zero_in_the_row_space(coils: int) -> None:
    mask, maps = scene(coils)
    values, vectors = dense(mask, maps)
    hidden = vectors[:, values < 1e-10]
    inside = torch.from_numpy((hidden @ hidden.conj().T @ random_image("a").numpy().ravel()).reshape(1, HEIGHT, WIDTH))
    seen = SenseOperator(maps, mask).normal(random_image("b"))
    torch.testing.assert_close(null_space_part(inside, mask, maps, **TIGHT), inside, atol=1e-10, rtol=0)
    assert float(null_space_part(seen, mask, maps, **TIGHT).abs().max()) < 1e-9
    target = random_image("target")
    whole = null_space_error(target + inside, target, mask, maps, **TIGHT)
    assert whole.share == pytest.approx(1) and whole.remainder <= 1e-12
    assert whole.ratio == pytest.approx(float(inside.norm() / target.norm()))
    torch.testing.assert_close(whole.image, inside.abs(), atol=1e-10, rtol=0)
    none = null_space_error(target + seen, target, mask, maps, **TIGHT)
    assert none.share < 1e-18
    mixed = null_space_error(target + inside + seen, target, mask, maps, **TIGHT)
    squares = [float(part.norm()) ** 2 for part in (inside, seen)]
    assert mixed.share == pytest.approx(squares[0] / sum(squares))


@pytest.mark.parametrize("coils", [1, 2])
def test_it_is_idempotent_and_self_adjoint(coils: int) -> None:
    mask, maps = scene(coils)
    one, other = random_image("one"), random_image("other")
    parts = [null_space_part(image, mask, maps, **TIGHT) for image in (one, other)]
    torch.testing.assert_close(null_space_part(parts[0], mask, maps, **TIGHT), parts[0], atol=1e-10, rtol=0)
    left, right = torch.vdot(parts[0].ravel(), other.ravel()), torch.vdot(one.ravel(), parts[1].ravel())
    torch.testing.assert_close(left, right, atol=1e-10, rtol=0)
    assert float(left.abs()) > 0.1
    assert float(SenseOperator(maps, mask)(parts[0]).abs().max()) < 1e-10, "nothing of it was measured"
    weighted = [null_space_part(image, mask, maps, weight=0.1, **TIGHT) for image in (one, other)]
    left, right = torch.vdot(weighted[0].ravel(), other.ravel()), torch.vdot(one.ravel(), weighted[1].ravel())
    torch.testing.assert_close(left, right, atol=1e-10, rtol=0)
    assert float(weighted[0].norm()) > float(parts[0].norm()), "what is measured weakly counts, too"


@pytest.mark.parametrize("weight", [0.0, 0.2])
def test_one_coil_is_the_samples_that_are_missing(weight: float) -> None:
    mask, maps = scene(1)
    image = random_image("single")
    kept = torch.where(mask, weight / (1 + weight), 1.0)
    expected = ifft2c(fft2c(image * maps) * kept) / maps
    closed = null_space_error(image, 0 * image, mask, maps, weight=weight)
    torch.testing.assert_close(closed.part, expected)
    assert closed.remainder == 0
    # two equal coils are one, but go by conjugate gradients
    twice = torch.cat([maps, maps]) / math.sqrt(2)
    torch.testing.assert_close(null_space_part(image, mask, twice, weight=weight), expected, atol=1e-6, rtol=0)


def test_slices_of_a_batch_are_by_themselves() -> None:
    scenes = [scene(2), scene(3)]
    maps = torch.stack([torch.cat([scenes[0][1], torch.zeros(1, HEIGHT, WIDTH)]), scenes[1][1]])
    mask = torch.stack([one for one, _ in scenes])
    images = torch.stack([random_image("one"), 1e3 * random_image("other")])
    together = null_space_part(images, mask, maps, **TIGHT)
    for image, one, own, part in zip(images, mask, maps, together, strict=True):
        torch.testing.assert_close(part, null_space_part(image, one, own, **TIGHT), atol=1e-8, rtol=1e-9)
    images[0] = 0
    assert bool((null_space_part(images, mask, maps, **TIGHT)[0] == 0).all())


def test_magnitudes_are_read_with_the_phase_of_the_target() -> None:
    mask, maps = scene(2)
    target = random_image("target")
    prediction = target.abs() * 1.1
    error = 0.1 * target
    expected = null_space_part(error, mask, maps, **TIGHT)
    of_complex = null_space_error(prediction, target, mask, maps, **TIGHT)
    torch.testing.assert_close(of_complex.part, expected, atol=1e-9, rtol=0)
    of_both = null_space_error(prediction, target.abs(), mask, maps, phase=5 * target, **TIGHT)
    torch.testing.assert_close(of_both.part, expected, atol=1e-9, rtol=0)
    right = null_space_error(target.abs(), target, mask, maps)
    assert right.ratio < 1e-14
    with pytest.raises(ValueError, match="magnitude images have no phase"):
        null_space_error(prediction, target.abs(), mask, maps)


def test_pixels_without_maps_are_not_measured() -> None:
    mask, maps = scene(2)
    maps[:, 1, 2] = 0
    image = random_image("hole")
    torch.testing.assert_close(null_space_part(image, mask, maps, **TIGHT)[0, 1, 2], image[0, 1, 2])


def test_real_coils_hardly_have_a_null_space_but_a_wide_range_of_weak_directions(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Why there is a weight: the exact part of smooth maps depends on how long one goes on."""
    size = (32, 32)
    maps = normalize_maps(simulate_coil_maps(8, size, keyed_generator("coils"))).to(torch.complex64)
    mask = EquispacedMask([0.1], [4])(size[1], seed=1).mask
    image = torch.randn(1, *size, dtype=torch.complex64, generator=keyed_generator("image"))
    with caplog.at_level(logging.WARNING):
        early = null_space_error(image, 0 * image, mask, maps, iterations=5)
    assert "the null space was found to" in caplog.text and early.remainder > 1e-5
    late = null_space_error(image, 0 * image, mask, maps, iterations=200, tolerance=1e-4)
    assert late.share < 0.7 * early.share
    weighted = null_space_error(image, 0 * image, mask, maps, weight=0.01)
    assert weighted.remainder <= 1e-5
    again = null_space_error(image, 0 * image, mask, maps, weight=0.01, iterations=1000, tolerance=1e-6)
    assert weighted.share == pytest.approx(again.share, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -1.0}, "weight is -1"),
        ({"tolerance": 0.0}, "tolerance 0"),
        ({"iterations": 0}, "iterations 0"),
        ({"target": torch.zeros(1, 3, 3, dtype=torch.complex128)}, "differ in shape"),
        ({"mask": torch.ones(WIDTH)}, "do not fit"),
        ({"maps": torch.ones(2, 3, 3, dtype=torch.complex128)}, "do not fit"),
        ({"maps": torch.ones(2, HEIGHT, WIDTH)}, "complex maps"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, object], message: str) -> None:
    mask, maps = scene(2)
    image = random_image("x")
    with pytest.raises(ValueError, match=message):
        null_space_error(**{"prediction": image, "target": image, "mask": mask, "maps": maps, **options})
