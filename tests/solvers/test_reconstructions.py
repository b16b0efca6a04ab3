"""What all reconstructions have in common: the call of the networks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from recon_monai.physics import CalibrationError, keyed_generator
from recon_monai.solvers import (
    CGSense,
    DictionaryLearning,
    L1Wavelet,
    LeastSquares,
    ProximalGradient,
    Reconstruction,
    Tikhonov,
    TotalVariation,
    TotalVariationProx,
    ZeroFilled,
    zero_filled,
)

METHODS: dict[str, Callable[[torch.Tensor | str], Reconstruction]] = {
    "least squares": lambda maps: LeastSquares(6, maps),
    "cg_sense": lambda maps: CGSense(0.002, 8, maps),
    "tikhonov": lambda maps: Tikhonov(0.002, 8, maps),
    "tikhonov_gradient": lambda maps: Tikhonov(0.005, 8, maps, "gradient"),
    "total variation": lambda maps: TotalVariation(0.002, 30, maps),
    "l1_wavelet": lambda maps: L1Wavelet(maps, 0.002, 30),
    "proximal gradient": lambda maps: ProximalGradient(
        lambda weight: TotalVariationProx((1, 32, 32), weight, isotropic=False), 0.002, 30, maps
    ),
    "dictionary": lambda maps: DictionaryLearning(0.2, 2, maps, patch=4, atoms=16, sparsity=3),
}
EACH = pytest.mark.parametrize("make", METHODS.values(), ids=METHODS.keys())


def nmse(image: torch.Tensor, target: torch.Tensor) -> float:
    return float((image - target).square().sum() / target.square().sum())


@EACH
@pytest.mark.parametrize("maps", ["espirit", "calibration", "given"])
def test_better_than_zero_filled_in_the_scale_of_the_data(make_problem, make, maps: str) -> None:
    problem = make_problem(noise=0.01, dtype=torch.complex64)
    method = make(problem.maps if maps == "given" else maps)
    image = method(problem.kspace, problem.mask)
    assert (image.shape, image.dtype) == ((1, 32, 32), torch.float32)
    truth = problem.truth.abs()
    assert nmse(image, truth) < 0.5 * nmse(zero_filled(problem.kspace), truth)
    large = method(1e4 * problem.kspace, problem.mask) / 1e4
    torch.testing.assert_close(large, image, rtol=0, atol=2e-3)


@EACH
def test_batches_inferred_masks_and_real_input(make_problem, make) -> None:
    items = [make_problem(noise=0.01, dtype=torch.complex64, seed=seed) for seed in (0, 1)]
    kspace, mask = torch.stack([item.kspace for item in items]), torch.stack([item.mask for item in items])
    method = make("calibration")
    together = method(kspace, mask)
    assert together.shape == (2, 1, 32, 32)
    for image, item in zip(together, items, strict=True):
        torch.testing.assert_close(method(item.kspace, item.mask), image)
    torch.testing.assert_close(method(kspace), together)
    torch.testing.assert_close(method(torch.view_as_real(kspace), mask[:1]), together)
    noise = torch.randn(kspace.shape, dtype=kspace.dtype, generator=keyed_generator("outside"))
    torch.testing.assert_close(method(kspace + noise * ~mask, mask), together)  # samples outside are ignored


@EACH
def test_images_of_several_iterations_are_those_of_each_number(make_problem, make) -> None:
    problem = make_problem(noise=0.01)
    method = make(problem.maps)
    images = list(method.images(problem.kspace, problem.mask, problem.maps, [1, 2, 4]))
    for number, image in zip((1, 2, 4), images, strict=True):
        method.iterations = number
        torch.testing.assert_close(method(problem.kspace, problem.mask), image)
    assert (images[0] - images[2]).abs().max() > 1e-4


@EACH
def test_empty_and_unusable_k_space(make_problem, make) -> None:
    problem = make_problem()
    for maps in ("espirit", "calibration"):
        assert torch.equal(make(maps)(torch.zeros(2, 8, 32, 32) + 0j), torch.zeros(2, 1, 32, 32))
    hole = problem.mask.clone()
    hole[..., 16] = False
    with pytest.raises(CalibrationError, match="column 16 of 32"):
        make("calibration")(problem.kspace * hole, hole)
    with pytest.raises(ValueError, match="not finite"):
        make("calibration")(problem.kspace * float("nan"), problem.mask)
    with pytest.raises(ValueError, match="not finite"):
        make(problem.maps)(problem.kspace[None] * float("nan"), problem.mask)
    with pytest.raises(ValueError, match="does not fit k-space"):
        make(problem.maps)(problem.kspace, problem.mask[..., :9])
    with pytest.raises(ValueError, match="must have the shape of k-space"):
        make(problem.maps[:3])(problem.kspace, problem.mask)


def test_zero_filled_in_the_call_of_the_networks(make_problem) -> None:
    problem = make_problem()
    expected = zero_filled(problem.kspace)
    method = ZeroFilled()
    assert torch.equal(method(problem.kspace), expected)
    assert torch.equal(method(problem.kspace[None])[0], expected)
    full = problem.operator.mask.new_ones(1, 1, 32)
    assert torch.equal(method(problem.kspace, full), expected)
    everything = make_problem(full=True)
    torch.testing.assert_close(method(everything.kspace, problem.mask), expected)
    torch.testing.assert_close(method(everything.kspace), problem.truth.abs(), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (ZeroFilled(), "ZeroFilled()"),
        (LeastSquares(7), "LeastSquares(weight=0, iterations=7, maps='espirit')"),
        (Tikhonov(0.1, 7, "calibration", "gradient"),
         "Tikhonov(weight=0.1, iterations=7, maps='calibration', on='gradient')"),
        (TotalVariation(0.1, 7), "TotalVariation(weight=0.1, iterations=7, maps='espirit', isotropic=True)"),
        (DictionaryLearning(0.1, 2, torch.zeros(1)),
         "DictionaryLearning(weight=0.1, iterations=2, maps='given', patch=6, stride=2, atoms=48, sparsity=4, seed=0)"),
    ],
)  # fmt: skip
def test_repr_names_the_settings(method: object, expected: str) -> None:
    assert repr(method) == expected


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 0, got"):
        TotalVariation(-1.0)
    with pytest.raises(ValueError, match="at least 1, got"):
        Tikhonov(iterations=0)
    with pytest.raises(ValueError, match="unknown maps"):
        LeastSquares(maps="walsh")
    with pytest.raises(ValueError, match="expected 0: least squares has none"):
        LeastSquares(weight=0.1)
    with pytest.raises(ValueError, match="on is 'edges'"):
        Tikhonov(on="edges")
