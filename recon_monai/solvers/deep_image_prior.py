"""Deep image prior: an untrained network fitted to the data of one image (Ulyanov et al. 2018).

"Deep Image Prior", CVPR, arXiv:1711.10925. What regularizes is the network's structure, which fits images before it
fits noise, and the end of the fit; that is found by samples held out of it, as Yaman et al. 2022 ("Zero-Shot
Self-Supervised Learning for MRI Reconstruction", ICLR) do.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import torch
from torch import nn

from recon_monai.networks import UNet
from recon_monai.networks.blocks.standardization import as_complex, crop, padding_to
from recon_monai.physics import LinearOperator, keyed_generator, keyed_seed
from recon_monai.solvers.coil_maps import MapMethod
from recon_monai.solvers.limited import LimitedReconstruction
from recon_monai.solvers.solution import Solution, Step
from recon_monai.solvers.time_limit import check_time_limit, within

__all__ = ["DeepImagePrior", "DeepImagePriorSolution", "PriorNetwork", "deep_image_prior", "held_out_samples"]

_logger = logging.getLogger(__name__)


class DeepImagePriorSolution(NamedTuple):
    """Outcome of `deep_image_prior`; the first three entries are those of `Solution`.

    Attributes:
        image: of the iteration with the lowest error of what was held out, or the last where nothing was.
        objective: data term of the samples that are fitted, at the start and after each iteration, shape
            ``(iterations + 1,)``.
        iterations: number of iterations that were made.
        held_out: data term of the samples held out, same shape; zeros where nothing was.
        best: iteration whose image this is.
    """

    image: torch.Tensor
    objective: torch.Tensor
    iterations: int
    held_out: torch.Tensor
    best: int


def deep_image_prior(
    operator: LinearOperator,
    data: torch.Tensor,
    network: nn.Module,
    *,
    held_out: torch.Tensor | None = None,
    learning_rate: float = 0.01,
    iterations: int = 1000,
    patience: int = 100,
    time_limit: float | None = None,
) -> DeepImagePriorSolution:
    """Fit a network to data, ``min_theta 1/2 |A f_theta - y|^2``, by Adam, and stop before it fits the noise.

    The network's image is multiplied by the maximum of ``A^H y`` so that the result follows the scale of the data.

    Args:
        operator: ``A``.
        data: ``y`` of one problem, shape ``(1, *range_shape)``.
        network: module that makes an image ``(1, *domain_shape)`` when called without arguments, for example
            `PriorNetwork`; it is changed in place.
        held_out: samples that are kept out of the fit, bool, broadcasts with the data; see `held_out_samples`. None
            keeps none out: then the end is `iterations` or the time limit.
        learning_rate: of Adam.
        iterations: largest number of iterations.
        patience: stop after so many iterations without a lower error of what is held out.
        time_limit: seconds; the iteration in which they end is completed. None: no limit.

    Returns:
        The solution.

    Raises:
        ValueError: if a setting is out of range, or everything is held out.
    """
    check_time_limit(time_limit)
    if not (iterations >= 1 and patience >= 1 and learning_rate > 0 and math.isfinite(learning_rate)):
        raise ValueError(
            f"iterations {iterations}, patience {patience} and learning_rate {learning_rate} must be at least 1, 1 and "
            "above 0."
        )
    fitted = torch.ones((), dtype=torch.bool, device=data.device) if held_out is None else ~held_out.to(data.device)
    if not bool(fitted.any()):
        raise ValueError("all samples are held out, so nothing is left to fit; hold out a part of them.")
    steps = _fit(operator, data, network, fitted, learning_rate)
    course, outside = [], []
    best, image, least = 0, torch.empty(0), math.inf
    for count, step in enumerate(islice(within(steps, time_limit), iterations + 1)):
        inside, error = step.objective.tolist()
        course.append(inside)
        outside.append(error)
        if held_out is None or error < least:
            best, image, least = count, step.image, error
        elif count - best >= patience:
            _logger.info("stopped after %d iterations without a lower held-out error than in iteration %d", count, best)
            break
    objective, errors = (
        torch.tensor(values, dtype=data.real.dtype, device=data.device) for values in (course, outside)
    )
    return DeepImagePriorSolution(image, objective, len(course) - 1, errors, best)


def held_out_samples(data: torch.Tensor, fraction: float, seed: int = 0) -> torch.Tensor:
    """Choose samples to keep out of a fit.

    A sample is a place in the last two dimensions that holds a value other than 0, for all coils or channels at once:
    other coils would tell what one of them hides. Of k-space the eighth of the rows and columns in the middle is never
    chosen, since what is missing there is no finer detail but the image itself.

    Args:
        data: shape ``(..., H, W)``.
        fraction: share of the other samples that is chosen, at least 0 and below 1.
        seed: of the choice.

    Returns:
        Bool, shape ``(H, W)``.

    Raises:
        ValueError: if the fraction is out of range.
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"fraction is {fraction}, expected a share of the samples of at least 0 and below 1.")
    height, width = data.shape[-2:]
    draws = torch.rand(height, width, generator=keyed_generator("held_out_samples", seed)).to(data.device)
    measured = (data != 0).reshape(-1, height, width).any(dim=0)
    middle = torch.zeros_like(measured)
    rows, columns = height // 16, width // 16
    middle[height // 2 - rows : height // 2 + rows + 1, width // 2 - columns : width // 2 + columns + 1] = True
    return measured & ~middle & (draws < fraction)


class PriorNetwork(nn.Module):
    """A U-Net on fixed noise, as a network for `deep_image_prior` of 2-D images.

    Args:
        height: of the image.
        width: of the image.
        complex_image: make complex images of two channels instead of real ones.
        channels: width of the U-Net at full resolution.
        pools: number of poolings.
        noise_channels: channels of its input, which is uniform noise from 0 to 0.1, as theirs.
        seed: of weights and noise.
    """

    noise: torch.Tensor

    def __init__(
        self,
        height: int,
        width: int,
        complex_image: bool = True,
        channels: int = 32,
        pools: int = 3,
        noise_channels: int = 16,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.complex_image = complex_image
        with torch.random.fork_rng(devices=[]):  # layers take no generator of their own
            torch.manual_seed(keyed_seed("deep_image_prior", seed))
            self.unet = UNet(noise_channels, 2 if complex_image else 1, channels, pools)
        self.padding = padding_to(2**pools, height, width)
        left, right, top, bottom = self.padding
        shape = (1, noise_channels, height + top + bottom, width + left + right)
        self.register_buffer("noise", 0.1 * torch.rand(shape, generator=keyed_generator("deep_image_prior", seed)))

    def forward(self) -> torch.Tensor:
        """Make the image, shape ``(1, 1, H, W)``."""
        channels = crop(self.unet(self.noise), self.padding)
        return as_complex(channels) if self.complex_image else channels


class DeepImagePrior(LimitedReconstruction):
    """Deep image prior of k-space, see `deep_image_prior`: a network of its own for each slice, made anew.

    Args:
        channels: width of the `PriorNetwork`.
        pools: its number of poolings.
        held_out_fraction: share of the samples that decides when to stop; see `held_out_samples`. 0: none.
        learning_rate: of Adam.
        iterations: largest number of iterations.
        patience: see `deep_image_prior`.
        time_limit: seconds for one slice.
        seed: of weights, noise and held-out samples.
        network: module to begin with instead, as `deep_image_prior` takes it; it is copied for each slice.
        maps: see `LimitedReconstruction`.

    Raises:
        ValueError: if the time limit is out of range.
    """

    def __init__(
        self,
        channels: int = 32,
        pools: int = 3,
        held_out_fraction: float = 0.05,
        learning_rate: float = 0.01,
        iterations: int = 1000,
        patience: int = 100,
        time_limit: float | None = 60.0,
        seed: int = 0,
        network: nn.Module | None = None,
        maps: MapMethod | torch.Tensor = "calibration",
    ) -> None:
        super().__init__(0.0, iterations, maps, time_limit)
        self.channels = channels
        self.pools = pools
        self.held_out_fraction = held_out_fraction
        self.learning_rate = learning_rate
        self.patience = patience
        self.seed = seed
        self.network = network

    def solve(self, operator: LinearOperator, data: torch.Tensor, iterations: int | None = None) -> Solution:
        """Solve one inverse problem, see `LimitedReconstruction.solve`."""
        found = self.fit(operator, data, iterations)
        return Solution(found.image, found.objective, found.iterations)

    def fit(
        self, operator: LinearOperator, data: torch.Tensor, iterations: int | None = None
    ) -> DeepImagePriorSolution:
        """Solve one inverse problem, and return the course of the held-out error as well.

        Args:
            operator: ``A``, of images ``(1, H, W)``.
            data: ``y``, shape ``(1, *range_shape)``.
            iterations: largest number of iterations; None takes the setting.

        Returns:
            The solution.
        """
        if self.network is None:
            height, width = operator.domain_shape[-2:]
            network: nn.Module = PriorNetwork(
                height, width, data.is_complex(), self.channels, self.pools, seed=self.seed
            )
        else:
            network = copy.deepcopy(self.network)
        return deep_image_prior(
            operator,
            data,
            network.to(data.device, data.real.dtype),
            held_out=held_out_samples(data, self.held_out_fraction, self.seed) if self.held_out_fraction else None,
            learning_rate=self.learning_rate,
            iterations=iterations or self.iterations,
            patience=self.patience,
            time_limit=self.time_limit,
        )


def _fit(
    operator: LinearOperator,
    data: torch.Tensor,
    network: nn.Module,
    fitted: torch.Tensor,
    learning_rate: float,
) -> Iterator[Step]:
    """Iterates of Adam; the objective of a step holds the data terms of what is fitted and of what is not."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=learning_rate)
    scale = float(operator.adjoint(data).abs().max()) or 1.0
    power = float(data.abs().square().sum()) or 1.0
    while True:
        with torch.enable_grad():
            image = scale * network()
            residual = operator.forward(image) - data
            squares = torch.view_as_real(residual).square().sum(dim=-1) if data.is_complex() else residual.square()
            inside = 0.5 * (squares * fitted).sum()
            gradients = torch.autograd.grad(inside / power, parameters, allow_unused=True)
        outside = 0.5 * (squares.detach() * ~fitted).sum()
        yield Step(image.detach(), torch.stack([inside.detach(), outside]))
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
