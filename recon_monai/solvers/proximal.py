"""Proximal gradient: ISTA and FISTA for any regularization that has a proximal map.

Own code, since sigpy's takes NumPy arrays and one step for a whole problem: this one is batched with a step for each
entry, runs on any device and is differentiable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch

from recon_monai.physics import LinearOperator, spectral_norm
from recon_monai.solvers.solution import Solution, Step, energy, run, spread

__all__ = ["Penalty", "Prox", "proximal_gradient", "proximal_gradient_steps", "soft_threshold"]

Prox = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""``prox(point, step)``: minimizer of ``1/2 |x - point|^2 + step R(x)``, the step broadcasting with the point."""

Penalty = Callable[[torch.Tensor], torch.Tensor]
"""``R(x)`` for each entry of the batch, shape ``(...)``."""

_MARGIN = 1.02  # power iteration finds the norm from below
_SLACK = 1 + 1e-4  # rounding may not shorten a step that is exact; descent needs no more than a factor below 2


def proximal_gradient(
    operator: LinearOperator,
    data: torch.Tensor,
    prox: Prox,
    *,
    penalty: Penalty | None = None,
    step: float | None = None,
    backtracking: bool = False,
    accelerated: bool = True,
    start: torch.Tensor | None = None,
    iterations: int = 100,
    tolerance: float = 0.0,
) -> Solution:
    """Minimize ``1/2 |A x - y|^2 + R(x)`` by gradient steps on the first term and proximal maps of the second.

    ISTA, and with acceleration FISTA (Beck and Teboulle, "A Fast Iterative Shrinkage-Thresholding Algorithm for Linear
    Inverse Problems", SIAM Journal on Imaging Sciences 2009, sections 3 and 4). With an exact proximal map the
    objective of ISTA falls with every iteration; that of FISTA falls faster, and not always.

    Args:
        operator: ``A``.
        data: ``y``, shape ``(..., *range_shape)``.
        prox: proximal map of ``R``, see `Prox`.
        penalty: ``R``, for the objective; None leaves it out of that.
        step: size of the gradient step, at most ``1 / |A|^2``, or the size to begin with for backtracking. None takes
            ``1 / |A|^2`` from `spectral_norm` with a margin, or begins with 1.
        backtracking: halve the step of an entry until it is short enough (Beck and Teboulle 2009, section 4), which
            needs no norm.
        accelerated: FISTA instead of ISTA.
        start: first iterate, shape ``(..., *domain_shape)``; None is zero.
        iterations: largest number of iterations.
        tolerance: see `run`.

    Returns:
        The solution.

    Raises:
        ValueError: if a setting is out of range or a shape does not fit.
    """
    steps = proximal_gradient_steps(
        operator,
        data,
        prox,
        penalty=penalty,
        step=step,
        backtracking=backtracking,
        accelerated=accelerated,
        start=start,
    )
    return run(steps, iterations, tolerance)


def proximal_gradient_steps(
    operator: LinearOperator,
    data: torch.Tensor,
    prox: Prox,
    *,
    penalty: Penalty | None = None,
    step: float | None = None,
    backtracking: bool = False,
    accelerated: bool = True,
    start: torch.Tensor | None = None,
) -> Iterator[Step]:
    """The iterates of `proximal_gradient`, without end.

    Args:
        operator: see `proximal_gradient`.
        data: see `proximal_gradient`.
        prox: see `proximal_gradient`.
        penalty: see `proximal_gradient`.
        step: see `proximal_gradient`.
        backtracking: see `proximal_gradient`.
        accelerated: see `proximal_gradient`.
        start: see `proximal_gradient`.

    Yields:
        The start, then each iterate.

    Raises:
        ValueError: see `proximal_gradient`.
    """
    axes, data_axes = len(operator.domain_shape), len(operator.range_shape)
    image = torch.zeros_like(operator.adjoint(data)) if start is None else start
    size = _first_step(operator, image, step, backtracking)
    acquired = operator(image)
    point, acquired_point, momentum = image, acquired, 1.0
    while True:
        objective = 0.5 * energy(acquired - data, data_axes)
        yield Step(image, objective if penalty is None else objective + penalty(image))
        gradient = operator.adjoint(acquired_point - data)
        while True:
            found = prox(point - spread(size, axes) * gradient, spread(size, axes))
            change = operator(found - point)
            # f(found) - f(point) - <gradient, found - point> of a quadratic, without its cancellation
            too_long = energy(change, data_axes) * size > _SLACK * energy(found - point, axes)
            if not (backtracking and bool(too_long.any())):
                break
            size = torch.where(too_long, size / 2, size)
        found_acquired = acquired_point + change
        following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        share = (momentum - 1) / following if accelerated else 0.0
        point = found + share * (found - image)
        acquired_point = found_acquired + share * (found_acquired - acquired)
        image, acquired, momentum = found, found_acquired, following


def soft_threshold(x: torch.Tensor, threshold: torch.Tensor | float) -> torch.Tensor:
    """Shrink magnitudes towards zero: the proximal map of ``threshold |x|_1``.

    Args:
        x: real or complex.
        threshold: at least 0, broadcasts with ``x``.

    Returns:
        Tensor like ``x``.
    """
    magnitude = x.abs()
    kept = magnitude > threshold
    shrunk = x * (1 - threshold / torch.where(kept, magnitude, torch.ones_like(magnitude)))
    return torch.where(kept, shrunk, torch.zeros_like(x))


def _first_step(operator: LinearOperator, image: torch.Tensor, step: float | None, backtracking: bool) -> torch.Tensor:
    """Size of the step for each entry of the batch."""
    if step is not None and not (math.isfinite(step) and step > 0):
        raise ValueError(f"step is {step}, expected a positive number, or None to find one.")
    batch = image.shape[: image.ndim - len(operator.domain_shape)]
    ones = torch.ones(batch, dtype=image.real.dtype, device=image.device)
    if step is not None or backtracking:
        return ones if step is None else step * ones
    bound = (_MARGIN * spectral_norm(operator, image.detach())) ** 2
    return torch.where(bound > 0, 1 / torch.where(bound > 0, bound, ones), ones)
