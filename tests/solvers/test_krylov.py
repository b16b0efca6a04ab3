"""Conjugate gradients against dense closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recon_monai.physics import (
    BlockDownsampling,
    BlurOperator,
    GradientOperator,
    MaskOperator,
    SenseOperator,
    keyed_generator,
    normalize_maps,
)
from recon_monai.solvers import CGSense, Tikhonov, conjugate_gradient, least_squares, tikhonov

SHAPE = (1, 6, 8)


def random(*shape: int, dtype: torch.dtype = torch.complex128) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=keyed_generator("krylov", *shape))


def sense() -> SenseOperator:
    mask = torch.tensor([1, 0, 1, 1, 0, 1, 0, 1])
    return SenseOperator(normalize_maps(random(3, 6, 8)), mask)


OPERATORS = {
    "sense": sense,
    "blur": lambda: BlurOperator.gaussian(0.8, SHAPE),
    "blocks": lambda: BlockDownsampling((2, 2), SHAPE),
    "mask": lambda: MaskOperator(random(6, 8, dtype=torch.float64) > 0, SHAPE),
}


@pytest.mark.parametrize("on", ["image", "gradient"])
@pytest.mark.parametrize("weight", [0.03, 1.0])
@pytest.mark.parametrize("name", OPERATORS)
def test_tikhonov_is_the_closed_form(matrix_of, name: str, weight: float, on: str) -> None:
    operator = OPERATORS[name]()
    data = random(2, *operator.range_shape)
    a = matrix_of(operator)
    penalty = np.eye(48) if on == "image" else matrix_of(GradientOperator(SHAPE))
    normal = a.conj().T @ a + weight * penalty.conj().T @ penalty
    expected = np.linalg.solve(normal, a.conj().T @ data.reshape(2, -1).numpy().T).T.reshape(2, *SHAPE)
    found = tikhonov(operator, data, weight, on=on, iterations=150)
    np.testing.assert_allclose(found.image, expected, atol=1e-9)
    residual = a @ expected.reshape(2, -1).T - data.reshape(2, -1).numpy().T
    lifted = penalty @ expected.reshape(2, -1).T
    objective = 0.5 * (np.abs(residual) ** 2).sum(axis=0) + 0.5 * weight * (np.abs(lifted) ** 2).sum(axis=0)
    np.testing.assert_allclose(found.objective[-1], objective, rtol=1e-9)
    assert found.objective.shape == (151, 2)
    torch.testing.assert_close(found.objective[0], 0.5 * data.abs().square().flatten(1).sum(dim=1))
    assert (found.objective.diff(dim=0) <= 1e-12 * found.objective[0]).all()


def test_real_problems_stay_real(matrix_of) -> None:
    operator = OPERATORS["blur"]()
    data = random(*SHAPE, dtype=torch.float64)
    a = matrix_of(operator, torch.float64)
    expected = np.linalg.solve(a.T @ a + 0.1 * np.eye(48), a.T @ data.numpy().ravel()).reshape(SHAPE)
    found = tikhonov(operator, data, 0.1, iterations=100).image
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("name", ["sense", "blocks", "mask"])
def test_least_squares_from_zero_has_the_least_norm(matrix_of, name: str) -> None:
    operator = OPERATORS[name]()
    data = random(*operator.range_shape)
    expected = np.linalg.pinv(matrix_of(operator)) @ data.numpy().ravel()
    found = least_squares(operator, data, iterations=200).image
    np.testing.assert_allclose(found, expected.reshape(SHAPE), atol=1e-7)


def test_a_reference_draws_the_solution_and_the_start_does_not_matter(matrix_of) -> None:
    operator = OPERATORS["mask"]()
    data, reference, start = operator(random(*SHAPE)), random(1, *SHAPE)[0], random(2, *SHAPE)[0]
    a = matrix_of(operator)
    right = a.conj().T @ data.numpy().ravel() + 0.2 * reference.numpy().ravel()
    expected = np.linalg.solve(a.conj().T @ a + 0.2 * np.eye(48), right).reshape(SHAPE)
    for first in (None, start):
        found = conjugate_gradient(operator, data, weight=0.2, reference=reference, start=first, iterations=60)
        np.testing.assert_allclose(found.image, expected, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_a_noiseless_phantom_is_recovered(make_problem, dtype: torch.dtype) -> None:
    problem = make_problem(dtype=dtype)
    found = least_squares(problem.operator, problem.kspace, iterations=150)
    assert (found.image - problem.truth).abs().max() < 1e-3
    assert 0.3 < problem.mask.double().mean() < 0.8


def test_entries_of_a_batch_do_not_touch_each_other(make_problem) -> None:
    problem = make_problem(noise=0.05)
    data = torch.stack([problem.kspace, 1e-3 * problem.kspace.flip(-2), torch.zeros_like(problem.kspace)])
    together = tikhonov(problem.operator, data, 0.01, on="gradient", iterations=7)
    for index, one in enumerate(data):
        alone = tikhonov(problem.operator, one, 0.01, on="gradient", iterations=7)
        torch.testing.assert_close(together.image[index], alone.image)
        torch.testing.assert_close(together.objective[:, index], alone.objective)
    assert torch.equal(together.image[2], torch.zeros_like(together.image[2]))


def test_the_tolerance_ends_the_iterations(make_problem) -> None:
    problem = make_problem(noise=0.05)
    full = tikhonov(problem.operator, problem.kspace, 0.1, iterations=100)
    short = tikhonov(problem.operator, problem.kspace, 0.1, iterations=100, tolerance=1e-4)
    assert short.iterations < 40
    assert full.iterations == 100
    assert len(short.objective) == short.iterations + 1
    torch.testing.assert_close(short.image, full.image, rtol=0, atol=1e-3)


def test_gradients_are_those_of_the_closed_form(matrix_of) -> None:
    operator = OPERATORS["blur"]()
    data = random(*SHAPE, dtype=torch.float64).requires_grad_()
    image = tikhonov(operator, data, 0.5, iterations=40).image
    a = matrix_of(operator, torch.float64)
    (gradient,) = torch.autograd.grad(image.sum(), data)
    expected = (a @ np.linalg.solve(a.T @ a + 0.5 * np.eye(48), np.ones(48))).reshape(SHAPE)
    np.testing.assert_allclose(gradient, expected, atol=1e-8)


def test_the_reconstruction_agrees_with_sigpy(make_problem) -> None:
    problem = make_problem(noise=0.05)
    theirs = CGSense(0.0, 8, problem.maps)(problem.kspace, problem.mask)
    ours = Tikhonov(0.0, 8, problem.maps)(problem.kspace, problem.mask)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)
    theirs = CGSense(0.02, 60, problem.maps)(problem.kspace, problem.mask)
    torch.testing.assert_close(Tikhonov(0.02, 60, problem.maps)(problem.kspace, problem.mask), theirs)


def test_what_cannot_be_used_is_refused(make_problem) -> None:
    problem = make_problem()
    with pytest.raises(ValueError, match="weight is -1, expected a finite number of at least 0"):
        tikhonov(problem.operator, problem.kspace, -1)
    with pytest.raises(ValueError, match="on is 'edges', expected one of"):
        tikhonov(problem.operator, problem.kspace, 1.0, on="edges")
    with pytest.raises(ValueError, match="iterations is 0, expected"):
        least_squares(problem.operator, problem.kspace, iterations=0)
    with pytest.raises(ValueError, match="tolerance is nan"):
        least_squares(problem.operator, problem.kspace, tolerance=float("nan"))
    with pytest.raises(ValueError, match="no axis longer than one sample"):
        tikhonov(MaskOperator(torch.ones(1, 1)), torch.ones(1, 1), 1.0, on="gradient")
