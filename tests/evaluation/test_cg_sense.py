from __future__ import annotations

import numpy as np
import pytest
import torch

from recon_monai.evaluation import CGSense, espirit_maps, zero_filled
from recon_monai.physics import (
    CalibrationError,
    PoissonMask,
    SenseOperator,
    ifft2c,
    keyed_generator,
    normalize_maps,
    rss,
    simulate_coil_maps,
    simulate_kspace,
    simulate_phase,
)

SIZE = (48, 40)


def nmse(image: torch.Tensor, target: torch.Tensor) -> float:
    return float((image - target).square().sum() / target.square().sum())


def dense_sense(kspace: torch.Tensor, maps: torch.Tensor, mask: torch.Tensor, weight: float) -> np.ndarray:
    """Minimizer of |M F S x - y|^2 + weight |x|^2 from the written-out matrix."""
    height, width = maps.shape[1:]
    matrices = []
    for number in (height, width):
        place = np.arange(number) - number // 2
        matrices.append(np.exp(-2j * np.pi * place[:, None] * place / number) / np.sqrt(number))
    fourier = np.kron(matrices[0], matrices[1])
    sampled = np.broadcast_to(mask.numpy().reshape(-1, width), (height, width)).flatten()
    rows = [(fourier * one.flatten())[sampled] for one in maps.numpy()]
    data = [one.flatten()[sampled] for one in kspace.numpy()]
    system = np.concatenate([*rows, np.sqrt(weight) * np.eye(height * width)])
    right = np.concatenate([*data, np.zeros(height * width)])
    return np.linalg.lstsq(system, right, rcond=None)[0].reshape(height, width)


@pytest.mark.parametrize("weight", [0.003, 0.3])
@pytest.mark.parametrize("rows", [1, 7])
def test_cg_sense_against_a_dense_least_squares_solution(weight: float, rows: int) -> None:
    generator = keyed_generator("dense", rows)
    maps = normalize_maps(torch.randn(3, 7, 6, dtype=torch.complex128, generator=generator))
    mask = torch.rand(1, rows, 6, generator=generator) < 0.5
    kspace = torch.randn(3, 7, 6, dtype=torch.complex128, generator=generator) * mask
    image = CGSense(weight, 200, maps)(kspace, mask)
    assert image.shape == (1, 7, 6)
    np.testing.assert_allclose(image[0].numpy(), np.abs(dense_sense(kspace, maps, mask, weight)), atol=1e-8)


def test_one_step_is_the_steepest_descent_from_zero() -> None:
    generator = keyed_generator("step")
    maps = normalize_maps(torch.randn(3, 6, 8, dtype=torch.complex128, generator=generator))
    mask = torch.rand(1, 1, 8, generator=generator) < 0.5
    kspace = torch.randn(3, 6, 8, dtype=torch.complex128, generator=generator) * mask
    operator = SenseOperator(maps, mask)
    right = operator.adjoint(kspace)
    curvature = torch.vdot(right.flatten(), (operator.normal(right) + 0.1 * right).flatten()).real
    step = right.abs().square().sum() / curvature
    torch.testing.assert_close(CGSense(0.1, 1, maps)(kspace, mask), (step * right).abs())


@pytest.mark.parametrize("size", [(48, 40), (47, 41), (30, 64)])
def test_cg_sense_beats_zero_filling_in_the_scale_of_rss(acquire, head, size: tuple[int, int]) -> None:
    kspace, mask, target = acquire(size=size)
    image = CGSense(0.003, 15)(kspace, mask)
    assert image.dtype == torch.float32
    assert image.shape == (1, *size)
    assert nmse(image, target) < 0.4 * nmse(zero_filled(kspace), target)
    inside = head(*size) > 0
    assert (image[0, inside].mean() / target[0, inside].mean()).item() == pytest.approx(1, abs=0.02)


def test_a_full_mask_gives_the_rss_image(acquire) -> None:
    kspace, _, target = acquire(noise_std=0.0)
    maps = normalize_maps(simulate_coil_maps(6, SIZE, keyed_generator("baseline", 0)))
    full = SenseOperator(maps)((target + 0j).to(torch.complex64))
    assert kspace.shape == full.shape
    image = CGSense(0.0, 10)(full)  # the mask is inferred
    torch.testing.assert_close(image, target, rtol=0, atol=0.02)
    torch.testing.assert_close(CGSense(0.0, 10, maps)(full), target, rtol=0, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-8, 1e-4, 1e6])
def test_the_scale_of_the_data_does_not_matter(acquire, scale: float) -> None:
    kspace, mask, _ = acquire()
    expected = CGSense(0.01, 10)(kspace, mask)
    torch.testing.assert_close(CGSense(0.01, 10)(kspace * scale, mask) / scale, expected, rtol=1e-3, atol=1e-3)


def test_a_single_coil_has_a_map_of_ones(acquire) -> None:
    kspace, mask, _ = acquire(coils=1)
    assert torch.equal(espirit_maps(kspace, mask), torch.ones_like(kspace))
    # With a map of ones the regularized solution is the zero-filled image, shrunk.
    torch.testing.assert_close(CGSense(0.25, 10)(kspace, mask), zero_filled(kspace) / 1.25, rtol=0, atol=1e-5)


def test_a_dead_coil_changes_nothing(acquire) -> None:
    kspace, mask, _ = acquire()
    for place in (0, 3):
        with_dead = torch.cat([kspace[:place], torch.zeros_like(kspace[:1]), kspace[place:]])
        assert (espirit_maps(with_dead, mask)[place] == 0).all()
        expected = CGSense(0.01, 10)(kspace, mask)
        torch.testing.assert_close(CGSense(0.01, 10)(with_dead, mask), expected, rtol=0, atol=1e-4)


def test_an_empty_slice_gives_an_empty_image(acquire) -> None:
    _, mask, _ = acquire()
    empty = torch.zeros(6, *SIZE, dtype=torch.complex64)
    assert torch.equal(CGSense()(empty, mask), torch.zeros(1, *SIZE))
    assert torch.equal(CGSense()(empty), torch.zeros(1, *SIZE))


def test_few_calibration_lines_and_2d_masks_work(head) -> None:
    full = simulate_kspace(head(*SIZE), simulate_coil_maps(6, SIZE, keyed_generator(1)))
    row = torch.zeros(1, 1, SIZE[1], dtype=torch.bool)
    row[..., 19:22] = row[..., ::2] = True
    box = torch.rand(1, *SIZE, generator=keyed_generator(2)) < 0.6
    box[..., 16:32, 13:28] = True
    for mask in (row, box):
        image = CGSense(0.01, 10)(full * mask, mask)
        torch.testing.assert_close(image, CGSense(0.01, 10)(full * mask))
        assert nmse(image, rss(ifft2c(full))) < nmse(zero_filled(full * mask), rss(ifft2c(full)))


@pytest.mark.parametrize("maps", ["espirit", "calibration"])
def test_2d_masks_are_reconstructed_better_than_zero_filled(acquire, head, maps: str) -> None:
    target = acquire()[2]
    generator = keyed_generator("baseline", 0)
    coils = simulate_coil_maps(6, SIZE, generator)
    phase = simulate_phase(SIZE, generator)
    full = simulate_kspace(head(*SIZE), coils, phase=phase, noise_std=0.01, generator=generator)
    mask = PoissonMask([0.3], [3])(SIZE, seed=0).mask
    kspace = full * mask
    image = CGSense(maps=maps)(kspace, mask)
    assert image.shape == (1, *SIZE)
    assert nmse(image, target) < 0.3 * nmse(zero_filled(kspace), target)


def test_a_batch_is_reconstructed_slice_by_slice(acquire) -> None:
    items = [acquire(seed) for seed in (0, 1)]
    kspace, mask = torch.stack([item[0] for item in items]), torch.stack([item[1] for item in items])
    method = CGSense(0.01, 5)
    together = method(kspace, mask)
    assert together.shape == (2, 1, *SIZE)
    for image, item in zip(together, items, strict=True):
        assert torch.equal(image, method(item[0], item[1]))
    torch.testing.assert_close(method(kspace), together)
    torch.testing.assert_close(method(kspace[:1].expand(2, -1, -1, -1), mask[:1])[1], together[0])


def test_unusable_input_is_refused(acquire) -> None:
    kspace, mask, _ = acquire()
    with pytest.raises(CalibrationError, match="column 20 of 40"):
        hole = mask.clone()
        hole[..., 20] = False
        CGSense()(kspace * hole, hole)
    with pytest.raises(ValueError, match="not finite"):
        CGSense()(kspace * float("nan"), mask)
    with pytest.raises(ValueError, match="one complex slice"):
        CGSense()(kspace.real, mask)
    with pytest.raises(ValueError, match=r"maps \(2, 48, 40\)"):
        CGSense(maps=torch.ones(2, *SIZE, dtype=torch.complex64))(kspace, mask)
    with pytest.raises(ValueError, match=r"unknown maps \['walsh'\]"):
        CGSense(maps="walsh")
    with pytest.raises(ValueError, match="at least 0, got"):
        CGSense(weight=-1.0)
    with pytest.raises(ValueError, match="at least 1, got"):
        CGSense(iterations=0)


def test_repr_names_the_setting() -> None:
    assert repr(CGSense(0.01, 20)) == "CGSense(weight=0.01, iterations=20, maps='espirit')"
