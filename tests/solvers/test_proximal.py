"""ISTA and FISTA: monotone objective, and the minimum that scikit-learn finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso

from recon_monai.physics import BlurOperator, LinearOperator, MaskOperator, keyed_generator
from recon_monai.solvers import ProximalGradient, proximal_gradient, soft_threshold

WEIGHT = 0.3


class Dense(LinearOperator):
    """A matrix."""

    def __init__(self, matrix: torch.Tensor) -> None:
        super().__init__(matrix.shape[1:], matrix.shape[:1])
        self.matrix = matrix

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.matrix.mT

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return y @ self.matrix.conj()


def lasso(axes: int = 1, weight: float = WEIGHT) -> dict:
    return {
        "prox": lambda point, step: soft_threshold(point, weight * step),
        "penalty": lambda x: weight * x.abs().sum(dim=tuple(range(-axes, 0))),
    }


def random(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=keyed_generator("proximal", *shape))


@pytest.mark.parametrize("backtracking", [False, True])
@pytest.mark.parametrize("accelerated", [False, True])
def test_the_minimum_is_that_of_scikit_learn(backtracking: bool, accelerated: bool) -> None:
    matrix, data = random(12, 20), random(12)
    theirs = Lasso(WEIGHT / 12, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(matrix.numpy(), data.numpy())
    found = proximal_gradient(
        Dense(matrix), data, **lasso(), backtracking=backtracking, accelerated=accelerated, iterations=3000
    )
    np.testing.assert_allclose(found.image, theirs.coef_, atol=1e-5)
    assert 0 < (found.image != 0).sum() < 20
    objective = 0.5 * ((matrix.numpy() @ theirs.coef_ - data.numpy()) ** 2).sum() + WEIGHT * np.abs(theirs.coef_).sum()
    assert found.objective[-1].item() == pytest.approx(objective, rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128, torch.float32])
@pytest.mark.parametrize("backtracking", [False, True])
def test_the_objective_of_ista_falls_with_every_iteration(backtracking: bool, dtype: torch.dtype) -> None:
    operator, data = Dense(random(12, 20, dtype=dtype)), random(4, 12, dtype=dtype)
    found = proximal_gradient(operator, data, **lasso(), backtracking=backtracking, accelerated=False, iterations=200)
    assert found.objective.shape == (201, 4)
    rounding = 1e-6 if dtype == torch.float32 else 1e-13
    assert (found.objective.diff(dim=0) <= rounding * found.objective[0]).all()
    assert (found.objective[-1] < 0.7 * found.objective[0]).all()
    residual = operator(found.image) - data
    direct = 0.5 * residual.abs().square().sum(dim=-1) + WEIGHT * found.image.abs().sum(dim=-1)
    torch.testing.assert_close(found.objective[-1], direct, rtol=1e-5, atol=1e-5)


def test_acceleration_comes_closer_in_the_same_time() -> None:
    image = random(1, 16, 16).clamp(min=1.0) - 1
    operator = BlurOperator.gaussian(1.0, image.shape)
    plain, fast = (
        proximal_gradient(operator, operator(image), **lasso(3, 0.01), accelerated=accelerated, iterations=60, step=1.0)
        for accelerated in (False, True)
    )
    best = proximal_gradient(operator, operator(image), **lasso(3, 0.01), iterations=3000, step=1.0).objective[-1]
    assert fast.objective[-1] - best < 0.3 * (plain.objective[-1] - best)


@pytest.mark.parametrize("backtracking", [False, True])
def test_entries_of_a_batch_have_steps_of_their_own(backtracking: bool) -> None:
    scale = torch.tensor([1.0, 30.0], dtype=torch.float64)[:, None, None, None]

    class Scaled(LinearOperator):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * scale

        adjoint = forward

    data = random(2, 1, 8, 8)
    both = proximal_gradient(
        Scaled((1, 8, 8), (1, 8, 8)), data, **lasso(3), accelerated=False, backtracking=backtracking, iterations=40
    )
    torch.testing.assert_close(both.image[0], soft_threshold(data[0], WEIGHT), rtol=0, atol=1e-6)
    torch.testing.assert_close(both.image[1], soft_threshold(data[1] / 30, WEIGHT / 900), rtol=0, atol=1e-6)


def test_a_step_that_is_far_too_long_is_shortened() -> None:
    operator, data = Dense(10 * random(12, 20)), random(12)
    found = proximal_gradient(
        operator, data, **lasso(), step=100.0, backtracking=True, accelerated=False, iterations=50
    )
    assert torch.isfinite(found.objective).all()
    assert (found.objective.diff() <= 1e-12).all()


def test_soft_threshold_is_the_minimizer_on_a_grid() -> None:
    grid = torch.linspace(-3, 3, 6001, dtype=torch.float64)
    for point in (-1.4, 0.2, 0.7, 2.0):
        best = grid[(0.5 * (grid - point) ** 2 + 0.5 * grid.abs()).argmin()]
        assert soft_threshold(torch.tensor(point, dtype=torch.float64), 0.5).item() == pytest.approx(
            float(best), abs=1e-3
        )
    phases = torch.polar(torch.tensor([2.0, 0.4, 0.0]), torch.tensor([0.3, 2.0, 0.0]))
    expected = torch.polar(torch.tensor([1.5, 0.0, 0.0]), torch.tensor([0.3, 0.0, 0.0]))
    torch.testing.assert_close(soft_threshold(phases, 0.5), expected)


def test_the_zero_operator_and_gradients() -> None:
    nothing = MaskOperator(torch.zeros(3, 3))
    assert torch.equal(proximal_gradient(nothing, torch.ones(3, 3), **lasso(2)).image, torch.zeros(3, 3))
    operator, data = Dense(random(5, 4)), random(5).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda y: proximal_gradient(operator, y, **lasso(), step=0.05, iterations=5).image, data
    )
    with pytest.raises(ValueError, match="step is 0, expected a positive number"):
        proximal_gradient(operator, data, **lasso(), step=0)


def test_the_reconstruction_without_a_penalty_is_least_squares(make_problem) -> None:
    problem = make_problem()
    method = ProximalGradient(lambda _: lambda point, step: point, 0.0, 400, problem.maps)
    image = method(problem.kspace, problem.mask)
    torch.testing.assert_close(image, problem.truth.abs(), rtol=0, atol=1e-3)
    shrunk = ProximalGradient(
        lambda weight: lambda point, step: soft_threshold(point, weight * step), 0.05, 100, problem.maps
    )
    assert (shrunk(problem.kspace, problem.mask) == 0).double().mean() > 0.2
