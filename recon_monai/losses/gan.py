"""The original losses of generative adversarial networks, saturating and not."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from recon_monai.losses.wasserstein import Critic, CriticTerms, full_scores, gradient_penalty, scores_of

__all__ = ["GANLoss", "GeneratorLoss"]

GeneratorLoss = Literal["saturating", "non_saturating"]


class GANLoss:
    """The two losses of a GAN (Goodfellow et al. 2014, arXiv:1406.2661, section 3), in place of `WassersteinGPLoss`.

    The critic's scores are logits of a sample being real. It minimizes the cross-entropy
    ``mean softplus(-D(real)) + mean softplus(D(fake))``. The generator minimizes

    * ``"saturating"``: ``-mean softplus(D(fake))``, the critic's own loss with the other sign (the minimax game). Its
      gradient by a score, ``-sigmoid(D)``, vanishes where the critic is sure that the sample is a fake.
    * ``"non_saturating"``: ``mean softplus(-D(fake))``. Its gradient ``-sigmoid(-D)`` goes to -1 there.

    The gradient penalty of WGANs may be added to the critic's loss, as Fedus et al. 2018 (arXiv:1710.08446) do with the
    non-saturating loss. All is in float32 (float64 stays float64). MONAI's ``PatchAdversarialLoss("bce")`` is the
    non-saturating loss after a sigmoid, without a penalty; it has no saturating one.

    Args:
        generator: ``"saturating"`` or ``"non_saturating"``.
        weight: of the penalty, 0 or more; with 0 it is not computed.

    Raises:
        ValueError: if the loss is unknown or the weight negative.
    """

    def __init__(self, generator: GeneratorLoss = "non_saturating", weight: float = 0.0) -> None:
        if generator not in get_args(GeneratorLoss):
            raise ValueError(f"unknown loss {generator!r} of the generator; use one of {get_args(GeneratorLoss)}")
        if not weight >= 0:
            raise ValueError(f"the weight of the gradient penalty must not be negative, got {weight}")
        self.generator = generator
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
            generator: as for `gradient_penalty`; not needed without a penalty.
            epsilon: as for `gradient_penalty`; not needed without a penalty.
            penalty_scale: times the weight; 0 leaves the penalty out.

        Returns:
            The loss and its terms; ``wasserstein`` is None: the difference of the scores is no distance here.

        Raises:
            ValueError: as `gradient_penalty`.
        """
        penalty = None
        if penalty_scale and self.weight:
            penalty = gradient_penalty(critic, real, fake, generator=generator, epsilon=epsilon)
        scores = scores_of(critic, torch.cat([real.detach(), fake.detach().to(real.dtype)]))
        of_real, of_fake = scores.split(len(real))
        total = F.softplus(-of_real).mean() + F.softplus(of_fake).mean()
        if penalty is not None:
            total = total + penalty_scale * self.weight * penalty
        return CriticTerms(total, None, penalty, of_real.mean(), of_fake.mean(), self.generator_loss(of_fake.detach()))

    def generator_loss(self, scores: Tensor) -> Tensor:
        """What the generator minimizes.

        Args:
            scores: the critic's, of what the generator made, shape ``(B,)``.

        Returns:
            A scalar.
        """
        logits = full_scores(scores)
        return -F.softplus(logits).mean() if self.generator == "saturating" else F.softplus(-logits).mean()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(generator={self.generator!r}, weight={self.weight})"
