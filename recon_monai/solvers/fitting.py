"""Small trainings of what solvers plug in: a denoiser, and a generator of images."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import chain

import torch
from torch import nn

from recon_monai.physics import keyed_generator
from recon_monai.solvers.solution import check_number

__all__ = ["fit_denoiser", "fit_generator", "fit_losses"]


def fit_denoiser(
    network: nn.Module,
    images: torch.Tensor,
    *,
    noise: tuple[float, float] = (0.01, 0.1),
    steps: int = 500,
    batch_size: int = 4,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> list[float]:
    """Train a denoiser on complex white noise of random levels, by the mean squared error.

    Images and noise are turned by one random phase per image, so that the network does not learn that of the training
    images by heart.

    Args:
        network: maps complex images ``(B, 1, H, W)`` to the same; trained in place, and left in evaluation mode.
        images: training images, real or complex, shape ``(N, 1, H, W)``, each of a maximum of about 1.
        noise: lowest and highest standard deviation of real and imaginary part; drawn log-uniformly for each image.
        steps: number of updates (Adam).
        batch_size: images of an update, drawn with replacement.
        learning_rate: of Adam, falling to zero by a cosine.
        seed: of all draws.

    Returns:
        The loss of each update.

    Raises:
        ValueError: if there are no images, or a setting is out of range.
    """
    _check(images, steps, batch_size, learning_rate)
    low, high = noise
    if not 0 < low <= high < math.inf:
        raise ValueError(f"noise is {noise}, expected a lowest and a highest standard deviation above 0.")
    random = keyed_generator("fit_denoiser", seed)
    clean = images.to(images.dtype if images.is_complex() else images.dtype.to_complex())
    real = clean.real.dtype

    def losses() -> Iterable[torch.Tensor]:
        while True:
            chosen = clean[torch.randint(len(clean), (batch_size,), generator=random).to(clean.device)]
            share, turn = torch.rand(2, batch_size, 1, 1, 1, generator=random, dtype=real)
            level = (low * (high / low) ** share).to(clean.device)
            target = chosen * torch.polar(torch.ones_like(turn), 2 * math.pi * turn).to(clean)
            parts = torch.randn(*chosen.shape, 2, generator=random, dtype=real).to(clean.device)
            found = network(target + level * torch.view_as_complex(parts))
            yield torch.view_as_real(found - target).square().mean()

    return fit_losses(network, network.parameters(), losses(), steps, learning_rate)


def fit_generator(
    generator: nn.Module,
    images: torch.Tensor,
    latents: torch.Tensor,
    *,
    weight: float = 1e-3,
    steps: int = 500,
    batch_size: int = 4,
    learning_rate: float = 1e-2,
    seed: int = 0,
) -> tuple[torch.Tensor, list[float]]:
    """Train a generator together with a latent for each image (GLO, Bojanowski et al. 2018, ICML, arXiv:1707.05776).

    Without a critic or an encoder: ``min over G and z of sum |G(z_i) - x_i|^2 + weight |z_i|^2``. A small training
    set gives a manifold of few images; what lies outside of it cannot be found by a search on it.

    Args:
        generator: maps latents ``(B, *latent_shape)`` to images ``(B, 1, H, W)``; trained in place, and left in
            evaluation mode.
        images: training images of the generator's dtype, shape ``(N, 1, H, W)``, each of a maximum of about 1.
        latents: to begin with, one for each image, shape ``(N, *latent_shape)``; standard normal, for example.
        weight: of the latents' squared mean.
        steps: number of updates (Adam).
        batch_size: images of an update, drawn with replacement.
        learning_rate: of Adam, falling to zero by a cosine.
        seed: of the draws.

    Returns:
        The latents found, and the loss of each update.

    Raises:
        ValueError: if there are no images, not as many latents, or a setting is out of range.
    """
    _check(images, steps, batch_size, learning_rate)
    check_number("weight", weight)
    if len(latents) != len(images):
        raise ValueError(f"{len(images)} images and {len(latents)} latents were given, expected one for each image.")
    random = keyed_generator("fit_generator", seed)
    codes = nn.Parameter(latents.detach().clone())

    def losses() -> Iterable[torch.Tensor]:
        while True:
            chosen = torch.randint(len(images), (batch_size,), generator=random).to(images.device)
            difference = generator(codes[chosen]) - images[chosen]
            squares = torch.view_as_real(difference).square() if difference.is_complex() else difference.square()
            yield squares.mean() + weight * codes[chosen].square().mean()

    course = fit_losses(generator, chain(generator.parameters(), [codes]), losses(), steps, learning_rate)
    return codes.detach(), course


def _check(images: torch.Tensor, steps: int, batch_size: int, learning_rate: float) -> None:
    if images.ndim != 4 or not len(images):
        raise ValueError(f"expected training images (N, 1, H, W), got shape {tuple(images.shape)}.")
    if not (steps >= 1 and batch_size >= 1 and learning_rate > 0):
        raise ValueError(
            f"steps {steps}, batch_size {batch_size} and learning_rate {learning_rate} must be at least 1, 1 and above "
            "0."
        )


def fit_losses(
    network: nn.Module,
    parameters: Iterable[nn.Parameter],
    losses: Iterable[torch.Tensor],
    steps: int,
    learning_rate: float,
) -> list[float]:
    """Lower losses that are computed when they are asked for, by Adam, whose rate falls to zero by a cosine.

    Args:
        network: in training mode meanwhile, then in evaluation mode.
        parameters: what is trained.
        losses: at least one for each step, with gradients.
        steps: number of updates.
        learning_rate: at the beginning.

    Returns:
        The loss of each update.

    Raises:
        ValueError: if the training diverged.
    """
    optimizer = torch.optim.Adam(parameters, lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    network.train()
    course = []
    with torch.enable_grad():
        for _, loss in zip(range(steps), losses, strict=False):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            course.append(float(loss.detach()))
    network.eval()
    if not math.isfinite(course[-1]):
        raise ValueError(f"the training diverged (loss {course[-1]}); lower the learning rate.")
    return course
