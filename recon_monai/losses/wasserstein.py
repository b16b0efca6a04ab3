"""The Wasserstein loss of a critic, with its gradient penalty, and what a trainer asks of adversarial losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

__all__ = ["AdversarialLoss", "CriticTerms", "WassersteinGPLoss", "full_scores", "gradient_penalty", "scores_of"]

_INSIDE_ROOT = 1e-12  # so that the root has a gradient at 0

Critic = Callable[[Tensor], Tensor]


class CriticTerms(NamedTuple):
    """A critic's loss and what it is made of; scalars.

    Attributes:
        total: what the critic minimizes; with Wasserstein losses ``-wasserstein + weight * penalty``.
        wasserstein: mean score of real samples minus that of fakes: the estimate of the distance; None for losses that
            estimate none.
        penalty: without its weight; None if it was left out.
        real_score: mean score of real samples.
        fake_score: mean score of fakes.
        generator_loss: what the generator would minimize with these scores; without gradient.
    """

    total: Tensor
    wasserstein: Tensor | None
    penalty: Tensor | None
    real_score: Tensor
    fake_score: Tensor
    generator_loss: Tensor


class AdversarialLoss(Protocol):
    """A pair of losses of critic and generator, as `WGANTrainer` takes it.

    Attributes:
        weight: of the gradient penalty in the critic's loss.
    """

    weight: float

    def critic_loss(
        self,
        critic: Critic,
        real: Tensor,
        fake: Tensor,
        *,
        generator: torch.Generator | None = None,
        epsilon: Tensor | None = None,
        penalty_scale: float = 1.0,
    ) -> CriticTerms:
        """The loss of a step of the critic, see `WassersteinGPLoss.critic_loss`."""
        ...

    def generator_loss(self, scores: Tensor) -> Tensor:
        """What the generator minimizes, of the scores ``(B,)`` of what it made."""
        ...


def gradient_penalty(
    critic: Critic,
    real: Tensor,
    fake: Tensor,
    *,
    generator: torch.Generator | None = None,
    epsilon: Tensor | None = None,
) -> Tensor:
    """Mean of ``(|gradient of the critic| - 1)^2`` between real samples and fakes.

    Gulrajani et al. 2017 (arXiv:1704.00028, section 4): each sample at ``epsilon * real + (1 - epsilon) * fake`` with
    one random number between 0 and 1, and the 2-norm over all of the sample's voxels. The critic is called outside
    autocast, and everything is in float32 (float64 stays float64): the penalty is a small difference of norms. It can
    be differentiated by the critic's parameters; real samples and fakes get no gradient.

    Args:
        critic: returns scores ``(B,)``; the score of a sample must depend on this sample alone (no batch
            normalization).
        real: shape ``(B, ...)``.
        fake: same shape.
        generator: draws the numbers, on the CPU.
        epsilon: the numbers themselves, shape ``(B,)``, in place of `generator`.

    Returns:
        A scalar, without a weight.

    Raises:
        ValueError: if shapes differ, or there is not exactly one of `generator` and `epsilon`: nothing is drawn from
            the global generator.

    Examples:
        >>> import torch
        >>> from recon_monai.losses import gradient_penalty
        >>> real, fake = torch.rand(2, 1, 4, 4, 4), torch.rand(2, 1, 4, 4, 4)
        >>> critic = lambda volume: volume.flatten(1).sum(dim=1)  # a gradient of norm 8 everywhere
        >>> float(gradient_penalty(critic, real, fake, epsilon=torch.tensor([0.2, 0.7])))
        49.0
    """
    if real.shape != fake.shape:
        raise ValueError(
            f"real samples of shape {tuple(real.shape)} and fakes of shape {tuple(fake.shape)} cannot be mixed; give "
            "pairs of one size"
        )
    if (generator is None) == (epsilon is None):
        raise ValueError("the gradient penalty needs either a generator or epsilon; give torch.Generator(), seeded")
    if epsilon is None:
        epsilon = torch.rand(len(real), generator=generator)
    if epsilon.shape != (len(real),):
        raise ValueError(f"epsilon has shape {tuple(epsilon.shape)}, expected one number per sample, ({len(real)},)")
    further = torch.is_grad_enabled()
    with torch.enable_grad(), torch.autocast(real.device.type, enabled=False):
        real, fake = full_scores(real.detach()), full_scores(fake.detach())
        share = epsilon.to(real).reshape(-1, *[1] * (real.ndim - 1))
        between = (share * real + (1 - share) * fake).requires_grad_()
        [gradient] = torch.autograd.grad(scores_of(critic, between).sum(), between, create_graph=further)
        norm = (gradient.flatten(1).square().sum(1) + _INSIDE_ROOT).sqrt()
        return (norm - 1).square().mean()


class WassersteinGPLoss:
    """The two losses of a WGAN with gradient penalty (Arjovsky et al. 2017, arXiv:1701.07875; Gulrajani et al. 2017,
    arXiv:1704.00028).

    The critic minimizes ``mean D(fake) - mean D(real) + weight * penalty``, the generator ``-mean D(fake)``: it is to
    raise the scores of what it makes. Under autocast the critic scores in half precision, but for the penalty; the
    rest is in float32 (float64 stays float64). MONAI has no Wasserstein loss and no penalty.

    Args:
        weight: of the penalty, 0 or more.

    Raises:
        ValueError: if the weight is negative.

    Examples:
        >>> import torch
        >>> from recon_monai.losses import WassersteinGPLoss
        >>> critic = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 1), torch.nn.Flatten(0))
        >>> real, fake = torch.rand(2, 1, 4, 4, 4), torch.rand(2, 1, 4, 4, 4)
        >>> loss = WassersteinGPLoss(weight=10.0)
        >>> terms = loss.critic_loss(critic, real, fake, generator=torch.Generator().manual_seed(0))
        >>> torch.allclose(terms.total, 10 * terms.penalty - terms.wasserstein)
        True
        >>> torch.allclose(loss.generator_loss(critic(fake)), -critic(fake).mean())
        True
    """  # noqa: D205

    def __init__(self, weight: float = 10.0) -> None:
        if not weight >= 0:
            raise ValueError(f"the weight of the gradient penalty must not be negative, got {weight}")
        self.weight = weight

    def critic_loss(
        self,
        critic: Critic,
        real: Tensor,
        fake: Tensor,
        *,
        generator: torch.Generator | None = None,
        epsilon: Tensor | None = None,
        penalty_scale: float = 1.0,
    ) -> CriticTerms:
        """The loss of a step of the critic, for one ``terms.total.backward()``.

        Args:
            critic: as for `gradient_penalty`.
            real: shape ``(B, ...)``.
            fake: same shape; gets no gradient.
            generator: as for `gradient_penalty`.
            epsilon: as for `gradient_penalty`.
            penalty_scale: times the weight; 0 leaves the penalty out, and nothing is to be drawn. With the penalty in
                every k-th step only, k (Karras et al. 2020, arXiv:1912.04958, section 3.1).

        Returns:
            The loss and its terms.

        Raises:
            ValueError: as `gradient_penalty`.
        """
        penalty = None
        if penalty_scale:
            penalty = gradient_penalty(critic, real, fake, generator=generator, epsilon=epsilon)
        scores = scores_of(critic, torch.cat([real.detach(), fake.detach().to(real.dtype)]))
        real_score, fake_score = (part.mean() for part in scores.split(len(real)))
        wasserstein = real_score - fake_score
        total = -wasserstein
        if penalty is not None:
            total = total + penalty_scale * self.weight * penalty
        return CriticTerms(total, wasserstein, penalty, real_score, fake_score, -fake_score.detach())

    def generator_loss(self, scores: Tensor) -> Tensor:
        """Minus the mean score.

        Args:
            scores: the critic's, of what the generator made, shape ``(B,)``.

        Returns:
            A scalar.
        """
        return -full_scores(scores).mean()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(weight={self.weight})"


def scores_of(critic: Critic, samples: Tensor) -> Tensor:
    """The critic's scores.

    Args:
        critic: returns one for each sample.
        samples: shape ``(B, ...)``.

    Returns:
        Shape ``(B,)``, in at least float32.

    Raises:
        ValueError: if it returns anything else.
    """
    scores = critic(samples)
    if scores.shape != (len(samples),):
        raise ValueError(
            f"the critic returned shape {tuple(scores.shape)} for {len(samples)} samples, expected one score for each, "
            f"({len(samples)},)"
        )
    return full_scores(scores)


def full_scores(values: Tensor) -> Tensor:
    """The values in at least float32, as a plain tensor."""
    return values.as_subclass(Tensor).to(torch.promote_types(values.dtype, torch.float32))
