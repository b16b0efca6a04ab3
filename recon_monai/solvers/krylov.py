"""Least squares and Tikhonov regularization by conjugate gradients.

Own code, since sigpy's solvers take NumPy arrays, one problem at a time: these are batched, run on any device and are
differentiable. Tests hold them to the dense solution and to sigpy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import torch

from recon_monai.physics import GradientOperator, IdentityOperator, LinearOperator
from recon_monai.solvers.solution import Solution, Step, check_number, energy, run, spread

__all__ = [
    "TikhonovTarget",
    "conjugate_gradient",
    "conjugate_gradient_steps",
    "image_axes",
    "least_squares",
    "tikhonov",
    "tikhonov_regularizer",
]

TikhonovTarget = Literal["image", "gradient"]


def conjugate_gradient(
    operator: LinearOperator,
    data: torch.Tensor,
    *,
    weight: float = 0.0,
    regularizer: LinearOperator | None = None,
    reference: torch.Tensor | None = None,
    start: torch.Tensor | None = None,
    iterations: int = 30,
    tolerance: float = 0.0,
) -> Solution:
    """Minimize ``1/2 |A x - y|^2 + weight/2 |L (x - reference)|^2`` by conjugate gradients.

    In the form for least squares, which carries residuals instead of products (Hestenes and Stiefel 1952, section 10;
    Björck, "Numerical Methods for Least Squares Problems", 1996, section 7.4), so that the objective costs nothing and
    stays exact near 0. It falls with every iteration, also at the end of the precision: the step is that of a line
    search, and the direction that of Polak and Ribiere, which is the same in exact arithmetic and starts anew once
    rounding has spoiled it.

    Args:
        operator: ``A``.
        data: ``y``, shape ``(..., *range_shape)``.
        weight: of the regularization, at least 0.
        regularizer: ``L``; None is the identity.
        reference: shape ``(..., *domain_shape)``; None is zero.
        start: first iterate, shape ``(..., *domain_shape)``; None is zero.
        iterations: largest number of iterations.
        tolerance: see `run`.

    Returns:
        The solution.

    Raises:
        ValueError: if a setting is out of range or a shape does not fit.
    """
    steps = conjugate_gradient_steps(
        operator, data, weight=weight, regularizer=regularizer, reference=reference, start=start
    )
    return run(steps, iterations, tolerance)


def conjugate_gradient_steps(
    operator: LinearOperator,
    data: torch.Tensor,
    *,
    weight: float = 0.0,
    regularizer: LinearOperator | None = None,
    reference: torch.Tensor | None = None,
    start: torch.Tensor | None = None,
) -> Iterator[Step]:
    """The iterates of `conjugate_gradient`, without end.

    Args:
        operator: see `conjugate_gradient`.
        data: see `conjugate_gradient`.
        weight: see `conjugate_gradient`.
        regularizer: see `conjugate_gradient`.
        reference: see `conjugate_gradient`.
        start: see `conjugate_gradient`.

    Yields:
        The start, then each iterate.

    Raises:
        ValueError: see `conjugate_gradient`.
    """
    check_number("weight", weight)
    lift = IdentityOperator(operator.domain_shape) if regularizer is None else regularizer
    axes, data_axes, lift_axes = (len(s) for s in (operator.domain_shape, operator.range_shape, lift.range_shape))
    image = torch.zeros_like(operator.adjoint(data)) if start is None else start
    residual = data if start is None else data - operator(image)
    excess = lift(image if reference is None else image - reference)
    descent = operator.adjoint(residual) - weight * lift.adjoint(excess)
    direction = descent
    while True:
        yield Step(image, 0.5 * (energy(residual, data_axes) + weight * energy(excess, lift_axes)))
        acquired, lifted = operator(direction), lift(direction)
        curvature = energy(acquired, data_axes) + weight * energy(lifted, lift_axes)
        length = _ratio(_inner(direction, descent, axes), curvature)
        image = image + spread(length, axes) * direction
        residual = residual - spread(length, data_axes) * acquired
        excess = excess + spread(length, lift_axes) * lifted
        before, descent = descent, operator.adjoint(residual) - weight * lift.adjoint(excess)
        share = _ratio(_inner(descent, descent - before, axes), energy(before, axes)).clamp(min=0)
        direction = descent + spread(share, axes) * direction


def least_squares(
    operator: LinearOperator,
    data: torch.Tensor,
    *,
    start: torch.Tensor | None = None,
    iterations: int = 30,
    tolerance: float = 0.0,
) -> Solution:
    """Minimize ``1/2 |A x - y|^2``; from zero, the solution of least norm.

    With `SenseOperator` this is CG-SENSE without a weight (Pruessmann et al. 2001), where the number of iterations is
    what regularizes.

    Args:
        operator: ``A``.
        data: ``y``, shape ``(..., *range_shape)``.
        start: first iterate; None is zero.
        iterations: largest number of iterations.
        tolerance: see `run`.

    Returns:
        The solution.

    Raises:
        ValueError: if a setting is out of range or a shape does not fit.

    Examples:
        >>> import torch
        >>> from recon_monai.physics import SenseOperator, normalize_maps
        >>> from recon_monai.solvers import least_squares
        >>> maps = normalize_maps(torch.randn(4, 16, 16, dtype=torch.complex64))
        >>> operator = SenseOperator(maps, mask=torch.arange(16) % 2 == 0)
        >>> x = torch.randn(1, 16, 16, dtype=torch.complex64)
        >>> found = least_squares(operator, operator.forward(x), iterations=50).image
        >>> torch.allclose(found, x, atol=1e-2)  # four coils make up for half of the samples
        True
    """
    return conjugate_gradient(operator, data, start=start, iterations=iterations, tolerance=tolerance)


def tikhonov(
    operator: LinearOperator,
    data: torch.Tensor,
    weight: float,
    *,
    on: TikhonovTarget = "image",
    start: torch.Tensor | None = None,
    iterations: int = 30,
    tolerance: float = 0.0,
) -> Solution:
    """Minimize ``1/2 |A x - y|^2 + weight/2 |x|^2``, or with the differences of neighbors in place of ``x``.

    The closed form is ``(A^H A + weight L^H L)^-1 A^H y`` with ``L`` the identity or the gradient.

    Args:
        operator: ``A``.
        data: ``y``, shape ``(..., *range_shape)``.
        weight: at least 0.
        on: ``"image"`` (with `SenseOperator`: CG-SENSE) or ``"gradient"`` (`GradientOperator` over all axes longer
            than one sample), which favors smooth images in place of dark ones.
        start: first iterate; None is zero.
        iterations: largest number of iterations.
        tolerance: see `run`.

    Returns:
        The solution.

    Raises:
        ValueError: if a setting is out of range or a shape does not fit.

    Examples:
        >>> import torch
        >>> from recon_monai.physics import SenseOperator, normalize_maps
        >>> from recon_monai.solvers import tikhonov
        >>> maps = normalize_maps(torch.randn(4, 16, 16, dtype=torch.complex64))
        >>> operator = SenseOperator(maps, mask=torch.arange(16) % 2 == 0)
        >>> x = torch.randn(1, 16, 16, dtype=torch.complex64)
        >>> found = tikhonov(operator, operator.forward(x), weight=0.1, iterations=50).image
        >>> gradient = operator.adjoint(operator.forward(found) - operator.forward(x)) + 0.1 * found
        >>> float(gradient.abs().max()) < 1e-4
        True
    """
    lift = tikhonov_regularizer(on, operator.domain_shape)
    return conjugate_gradient(
        operator, data, weight=weight, regularizer=lift, start=start, iterations=iterations, tolerance=tolerance
    )


def tikhonov_regularizer(on: TikhonovTarget, shape: tuple[int, ...]) -> LinearOperator:
    """The operator ``L`` of `tikhonov`.

    Args:
        on: ``"image"`` or ``"gradient"``.
        shape: of the image, without the batch.

    Returns:
        The operator.

    Raises:
        ValueError: if ``on`` is neither.
    """
    if on not in get_args(TikhonovTarget):
        raise ValueError(f"on is {on!r}, expected one of {get_args(TikhonovTarget)}.")
    return IdentityOperator(shape) if on == "image" else GradientOperator(shape, image_axes(shape))


def image_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes longer than one sample, counted from the end.

    Args:
        shape: of an image, without the batch.

    Returns:
        The axes in their order.

    Raises:
        ValueError: if there is none.
    """
    axes = tuple(axis for axis in range(-len(shape), 0) if shape[axis] > 1)
    if not axes:
        raise ValueError(f"an image of shape {shape} has no axis longer than one sample, expected one at least.")
    return axes


def _inner(a: torch.Tensor, b: torch.Tensor, axes: int) -> torch.Tensor:
    """Real part of the inner product over the last dimensions."""
    product = (a.conj() * b).real if a.is_complex() else a * b
    return product.sum(dim=tuple(range(-axes, 0)))


def _ratio(over: torch.Tensor, under: torch.Tensor) -> torch.Tensor:
    """Quotient, 0 where nothing is left to be done."""
    usable = under > 0
    return torch.where(usable, over / torch.where(usable, under, torch.ones_like(under)), torch.zeros_like(over))
