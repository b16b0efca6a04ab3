"""Search on the manifold of a generator's images: ``min_z |y - A G(z)|`` (Bora et al. 2017).

"Compressed Sensing using Generative Models", ICML, arXiv:1703.03208.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch

from recon_monai.physics import LinearOperator, keyed_generator
from recon_monai.solvers.coil_maps import MapMethod
from recon_monai.solvers.limited import LimitedReconstruction
from recon_monai.solvers.solution import Solution, Step, check_number, run
from recon_monai.solvers.time_limit import check_time_limit, within

__all__ = ["Generator", "ManifoldSearch", "ManifoldSolution", "manifold_search"]

Generator = Callable[[torch.Tensor], torch.Tensor]
"""``generator(latent)``, latents ``(1, ...)`` to an image ``(1, *domain_shape)``, differentiable."""

_HISTORY = 20
_EVALUATIONS = 25

_logger = logging.getLogger(__name__)


class ManifoldSolution(NamedTuple):
    """Outcome of `manifold_search`; the first three entries are those of `Solution`.

    Attributes:
        image: the generator's image, times its scale where that is free, shape ``(1, *domain_shape)``.
        objective: at the start and after each iteration of the start that won, shape ``(iterations + 1,)``.
        iterations: number of iterations from that start.
        latent: ``z``, shape ``(1, ...)``.
        finals: last objective from each start that was tried, in their order.
    """

    image: torch.Tensor
    objective: torch.Tensor
    iterations: int
    latent: torch.Tensor
    finals: list[float]


def manifold_search(
    operator: LinearOperator,
    data: torch.Tensor,
    generator: Generator,
    starts: torch.Tensor,
    *,
    weight: float = 0.0,
    free_scale: bool = False,
    iterations: int = 100,
    tolerance: float = 0.0,
    time_limit: float | None = None,
) -> ManifoldSolution:
    """Minimize ``1/2 |A G(z) - y|^2 + weight/2 |z|^2`` over the latent ``z``, from several starts in turn.

    By L-BFGS with a line search (Nocedal and Wright 2006, algorithm 7.5 and section 3.5), so that the objective falls
    with every iteration. The problem is not convex: what is found depends on the start, and the best of them is
    returned. No image outside the generator's range can be found, whatever the data say (Bora et al. 2017, theorem 1.1:
    the representation error); with a linear generator it is least squares on its range.

    Args:
        operator: ``A``.
        data: ``y`` of one problem, shape ``(1, *range_shape)``.
        generator: see `Generator`; its own parameters stay as they are. A real image is made complex where the data
            are.
        starts: latents to begin with, shape ``(starts, ...)``.
        weight: of the latent's squared length: the negative log of a standard normal prior, in units of the noise's
            variance.
        free_scale: multiply the generator's image by the number that fits the data best, found in closed form, so that
            the image is known up to its scale.
        iterations: largest number of iterations from each start.
        tolerance: stop where the image changes by at most this share of its length.
        time_limit: seconds for all starts together; the iteration in which they end is completed, and starts that
            remain are left out. None: no limit.

    Returns:
        The solution from the best start.

    Raises:
        ValueError: if a setting is out of range, there is no start, or data are not of one problem.
    """
    check_number("weight", weight)
    check_time_limit(time_limit)
    if not len(starts):
        raise ValueError("the search got no start; give at least one latent.")
    if data.ndim != len(operator.range_shape) + 1 or len(data) != 1:
        raise ValueError(
            f"expected data of one problem, shape (1, {', '.join(map(str, operator.range_shape))}), got "
            f"{tuple(data.shape)}; search for the entries of a batch one by one."
        )
    began = time.monotonic()
    found: list[tuple[Solution, torch.Tensor]] = []
    for number, start in enumerate(starts):
        remaining = None if time_limit is None else time_limit - (time.monotonic() - began)
        if found and remaining is not None and remaining <= 0:
            _logger.info("%d of %d starts are left out by the time limit", len(starts) - number, len(starts))
            break
        latent = start[None].detach().clone().requires_grad_()
        steps = _search(partial(_evaluate, operator, data, generator, weight, free_scale), latent, data)
        found.append((run(within(steps, remaining), iterations, tolerance), latent.detach()))
    finals = [float(solution.objective[-1]) for solution, _ in found]
    solution, latent = found[min(range(len(found)), key=finals.__getitem__)]
    return ManifoldSolution(*solution, latent, finals)


class ManifoldSearch(LimitedReconstruction):
    """Reconstruction of k-space by search on a generator's manifold, see `manifold_search`.

    Args:
        generator: maps latents ``(1, *latent_shape)`` to images ``(1, 1, H, W)``, real or complex, of the size of
            k-space; for example MONAI's ``Generator``, see `fit_generator`. In evaluation mode.
        latent_shape: of a latent without the batch.
        weight: see `manifold_search`, for data scaled to a maximum of the zero-filled image of 1.
        iterations: from each start.
        restarts: number of starts: zero, the mean of the prior, and standard normal ones.
        time_limit: seconds for one slice.
        seed: of the starts.
        maps: see `LimitedReconstruction`.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(
        self,
        generator: Generator,
        latent_shape: Sequence[int],
        weight: float = 0.0,
        iterations: int = 100,
        restarts: int = 3,
        time_limit: float | None = 60.0,
        seed: int = 0,
        maps: MapMethod | torch.Tensor = "calibration",
    ) -> None:
        super().__init__(weight, iterations, maps, time_limit)
        if restarts < 1:
            raise ValueError(f"restarts is {restarts}, expected at least 1.")
        self.generator = generator
        self.latent_shape = tuple(latent_shape)
        self.restarts = restarts
        self.seed = seed

    def solve(self, operator: LinearOperator, data: torch.Tensor, iterations: int | None = None) -> Solution:
        """Solve one inverse problem, see `LimitedReconstruction.solve`."""
        random = keyed_generator("manifold_search", self.seed)
        starts = torch.randn(self.restarts, *self.latent_shape, generator=random, dtype=data.real.dtype)
        starts[0] = 0
        found = manifold_search(
            operator,
            data,
            self.generator,
            starts.to(data.device),
            weight=self.weight,
            free_scale=True,
            iterations=iterations or self.iterations,
            tolerance=1e-5,
            time_limit=self.time_limit,
        )
        return Solution(found.image, found.objective, found.iterations)


def _evaluate(
    operator: LinearOperator,
    data: torch.Tensor,
    generator: Generator,
    weight: float,
    free_scale: bool,
    latent: torch.Tensor,
) -> Step:
    """Image and objective of a latent."""
    made = generator(latent)
    image = made.to(data.dtype) if data.is_complex() else made
    acquired = operator.forward(image)
    if free_scale:
        power = acquired.abs().square().sum()
        overlap = (acquired.conj() * data).real.sum()
        scale = torch.where(power > 0, overlap / torch.where(power > 0, power, torch.ones_like(power)), 1.0)
        image, acquired = scale * image, scale * acquired
    squares = torch.view_as_real(acquired - data).square() if data.is_complex() else (acquired - data).square()
    objective = 0.5 * squares.sum()
    return Step(image, objective + 0.5 * weight * latent.square().sum() if weight else objective)


def _search(evaluate: Callable[[torch.Tensor], Step], latent: torch.Tensor, data: torch.Tensor) -> Iterator[Step]:
    """Iterates of L-BFGS; the latent is changed in place."""
    # the optimizer's thresholds are absolute numbers: data are brought to unit length for them
    power = float(data.detach().abs().square().sum()) or 1.0
    optimizer = torch.optim.LBFGS(
        [latent],
        max_iter=1,
        max_eval=_EVALUATIONS,  # the line search's; PyTorch's default goes by max_iter and would not let it search
        history_size=_HISTORY,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> torch.Tensor:
        with torch.enable_grad():
            loss = evaluate(latent).objective / power
            (latent.grad,) = torch.autograd.grad(loss, [latent])
        return loss.detach()

    while True:
        with torch.no_grad():
            step = evaluate(latent)
        yield step
        optimizer.step(closure)
