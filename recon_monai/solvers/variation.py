"""Total variation: the sum of the lengths of the gradient, which keeps edges and flattens noise."""

from __future__ import annotations

import math

import torch

from recon_monai.physics import GradientOperator, LinearOperator, rss
from recon_monai.solvers.krylov import image_axes
from recon_monai.solvers.proximal import proximal_gradient
from recon_monai.solvers.solution import Solution, check_number

__all__ = ["TotalVariationProx", "total_variation"]


class TotalVariationProx:
    """Proximal map of ``weight TV``, and ``weight TV`` itself as `penalty`.

    Found by projected gradients on the dual problem with acceleration (FGP; Beck and Teboulle, "Fast Gradient-Based
    Algorithms for Constrained Total Variation Image Denoising and Deblurring Problems", IEEE Transactions on Image
    Processing 2009, section 4). The dual variable is kept from call to call: inside an outer iteration few inner ones
    are then enough. So give every problem an object of its own.

    Args:
        shape: of the image, without the batch; differences (`GradientOperator`) are taken over all axes longer than
            one sample.
        weight: at least 0.
        isotropic: sum the lengths of the gradient vectors (no direction is preferred), else the magnitudes of their
            components (as sigpy does).
        iterations: number of inner iterations in each call.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(self, shape: tuple[int, ...], weight: float, *, isotropic: bool = True, iterations: int = 10) -> None:
        check_number("weight", weight)
        if iterations < 1:
            raise ValueError(f"the number of inner iterations is {iterations}, expected at least 1.")
        self.gradient = GradientOperator(shape, image_axes(shape))
        self.weight = weight
        self.isotropic = isotropic
        self.iterations = iterations
        self._dual: torch.Tensor | None = None

    def __call__(self, point: torch.Tensor, step: torch.Tensor | float = 1.0) -> torch.Tensor:
        """Minimize ``1/2 |x - point|^2 + step weight TV(x)``.

        Args:
            point: real or complex, shape ``(..., *shape)``.
            step: broadcasts with the point.

        Returns:
            Tensor like the point.
        """
        radius = torch.as_tensor(step * self.weight).to(point.real)
        if radius.ndim:  # a dimension for the components
            radius = radius.unsqueeze(-len(self.gradient.range_shape))
        if self._dual is None or self._dual.shape != self.gradient(point).shape:
            self._dual = torch.zeros_like(self.gradient(point))
        dual = ahead = self._dual
        momentum = 1.0
        for _ in range(self.iterations):
            rise = self.gradient(point - self.gradient.adjoint(ahead))
            found = self._project(ahead + rise / (4 * len(self.gradient.axes)), radius)
            following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
            ahead = found + (momentum - 1) / following * (found - dual)
            dual, momentum = found, following
        self._dual = dual
        return point - self.gradient.adjoint(dual)

    def penalty(self, image: torch.Tensor) -> torch.Tensor:
        """``weight TV(image)``.

        Args:
            image: shape ``(..., *shape)``.

        Returns:
            Real, shape ``(...)``.
        """
        axes = tuple(range(-len(self.gradient.domain_shape), 0))
        lengths = self._lengths(self.gradient(image))
        return self.weight * lengths.sum(dim=(axes[0] - 1, *axes))

    def _lengths(self, vectors: torch.Tensor) -> torch.Tensor:
        # for complex vectors `rss` takes a tenth of the time of torch.linalg.vector_norm, and has a gradient at 0
        return rss(vectors, -len(self.gradient.range_shape)) if self.isotropic else vectors.abs()

    def _project(self, dual: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
        """Shorten what is longer than the radius."""
        length = self._lengths(dual)
        outside = length > radius
        return dual * torch.where(outside, radius / torch.where(outside, length, 1.0), torch.ones_like(length))


def total_variation(
    operator: LinearOperator,
    data: torch.Tensor,
    weight: float,
    *,
    isotropic: bool = True,
    step: float | None = None,
    start: torch.Tensor | None = None,
    iterations: int = 100,
    inner_iterations: int = 10,
    tolerance: float = 0.0,
) -> Solution:
    """Minimize ``1/2 |A x - y|^2 + weight TV(x)`` (Rudin, Osher and Fatemi 1992; for MRI Block et al. 2007).

    FISTA with `TotalVariationProx`. Own code, since sigpy's solver (`sigpy.mri.app.TotalVariationRecon`, to which a
    test holds this one) knows SENSE and the anisotropic sum alone, and takes NumPy arrays.

    Args:
        operator: ``A``.
        data: ``y``, shape ``(..., *range_shape)``.
        weight: at least 0.
        isotropic: see `TotalVariationProx`.
        step: at most ``1 / |A|^2``; None finds one.
        start: first iterate; None is zero.
        iterations: largest number of iterations.
        inner_iterations: of the proximal map, for each of them.
        tolerance: see `run`.

    Returns:
        The solution.

    Raises:
        ValueError: if a setting is out of range or a shape does not fit.

    Examples:
        >>> import torch
        >>> from recon_monai.physics import IdentityOperator
        >>> from recon_monai.solvers import total_variation
        >>> step = torch.cat([torch.zeros(1, 16, 8), torch.ones(1, 16, 8)], dim=-1).to(torch.complex64)
        >>> noisy = step + 0.1 * torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> found = total_variation(IdentityOperator((1, 16, 16)), noisy, weight=0.1, iterations=50).image
        >>> bool((found - step).abs().mean() < 0.5 * (noisy - step).abs().mean())
        True
    """
    prox = TotalVariationProx(operator.domain_shape, weight, isotropic=isotropic, iterations=inner_iterations)
    return proximal_gradient(
        operator,
        data,
        prox,
        penalty=prox.penalty,
        step=step,
        start=start,
        iterations=iterations,
        tolerance=tolerance,
    )
