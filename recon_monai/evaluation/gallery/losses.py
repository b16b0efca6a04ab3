"""Losses of super-resolution: one network, trained on by each of them as by the second stage of the bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

import torch
from torch import nn

from recon_monai.evaluation.gallery.volumes import VolumeBench, VolumeProblem, as_slices, plain
from recon_monai.evaluation.gallery.workshop import Trained, keep
from recon_monai.losses import AdversarialLoss, GANLoss, ImageLoss, PerceptualLoss, WassersteinGPLoss
from recon_monai.networks import MDCSRNCritic, load_weights
from recon_monai.physics import keyed_generator, keyed_seed

__all__ = ["LOSSES", "LossBench", "LossKind", "loss_label"]

STRATEGY = "pixel_shuffle"
_FEATURES = ("stem", "blocks.0", "blocks.1")
_HUBER_DELTA = 0.05
_CRITIC_WIDTH = 8


@dataclass(frozen=True)
class LossKind:
    """An entry of `LOSSES`.

    Args:
        label: in words.
        weights: of the parts of an `ImageLoss`.
        adversarial: makes the losses of critic and generator; None trains without a critic.
        share: weight of the generator's adversarial loss.
    """

    label: str
    weights: Mapping[str, float] = field(default_factory=lambda: {"l1": 1.0})
    adversarial: Callable[[], AdversarialLoss] | None = None
    share: float = 0.01


LOSSES: Mapping[str, LossKind] = MappingProxyType(
    {
        "loss_l1": LossKind("L1"),
        "loss_l2": LossKind("L2", {"l2": 10.0}),
        "loss_huber": LossKind("Huber", {"huber": 10.0}),
        "loss_total_variation": LossKind("L1 + total variation", {"l1": 1.0, "total_variation": 0.3}),
        "loss_perceptual": LossKind("L1 + perceptual", {"l1": 0.1, "perceptual": 1.0}),
        "loss_saturating": LossKind("L1 + saturating GAN", adversarial=partial(GANLoss, "saturating", 10.0)),
        "loss_non_saturating": LossKind(
            "L1 + non-saturating GAN", adversarial=partial(GANLoss, "non_saturating", 10.0)
        ),
        "loss_wasserstein": LossKind("L1 + Wasserstein GAN", adversarial=WassersteinGPLoss),
    }
)
"""Name to loss; weights are set by hand so that what a loss does can be seen, they are not tuned."""


def loss_label(name: str) -> str:
    """A loss in words."""
    return LOSSES[name].label


class LossBench:
    """Trains the pixel-shuffle network on by each loss.

    Args:
        volumes: gives the network that all begin with, and patches.
    """

    def __init__(self, volumes: VolumeBench) -> None:
        self.volumes = volumes

    def make(self, name: str, problem: VolumeProblem) -> tuple[Callable[[], torch.Tensor], str, str]:
        """What computes the volume ``(W, D, H)``, what a reader has to know of it, and the key of the result.

        Args:
            name: a key of `LOSSES`.
            problem: the volume.
        """
        trained = self.network(name)

        @torch.no_grad()
        def sharpen() -> torch.Tensor:
            return as_slices(trained.network(plain(problem.item["image"])[None])[0])

        return sharpen, trained.note, trained.key

    def network(self, name: str) -> Trained:
        """The network after some more steps by a loss.

        Args:
            name: a key of `LOSSES`.
        """
        kind, settings = LOSSES[name], self.volumes.settings
        begun = self.volumes.network(STRATEGY)
        made_with = {
            "begun": begun.key,
            "weights": dict(kind.weights),
            "adversarial": repr(kind.adversarial()) if kind.adversarial else None,
            "share": kind.share if kind.adversarial else None,
        }

        def make() -> nn.Module:
            network = self.volumes.untrained(STRATEGY)
            return load_weights(network, self.volumes.folder / f"{STRATEGY}.pt")

        path = self.volumes.folder / f"{name}.pt"
        train, steps = partial(self._train, name), settings.steps["losses"]
        return keep(path, made_with, steps, settings.seed, make, train, trained="trained on for")

    def _train(self, name: str, network: nn.Module, steps: int) -> None:
        """Adam on patches; with a critic, one step of it before each of the network's."""
        kind, seed = LOSSES[name], self.volumes.settings.seed
        perceptual = PerceptualLoss(network, _FEATURES) if "perceptual" in kind.weights else None
        image_loss = ImageLoss(kind.weights, delta=_HUBER_DELTA, perceptual=perceptual)
        opponent = _Opponent(kind.adversarial(), name, seed) if kind.adversarial else None
        optimizer = torch.optim.Adam(network.parameters(), lr=5e-4)
        network.train()
        for image, target in self.volumes.patches("losses", steps):  # the same for all losses
            made = network(image)
            loss = image_loss(made, target)
            if opponent is not None:
                opponent.learn(target, made.detach())
                loss = loss + kind.share * opponent.loss(made)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        network.eval()


class _Opponent:
    """A small critic that learns along."""

    def __init__(self, losses: AdversarialLoss, name: str, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):  # layers take no generator of their own
            torch.manual_seed(keyed_seed("gallery", "critic", seed))
            self.critic = MDCSRNCritic(width=_CRITIC_WIDTH)
        self.losses = losses
        self.optimizer = torch.optim.Adam(self.critic.parameters(), lr=5e-4, betas=(0.5, 0.9))
        self.random = keyed_generator("gallery", name, seed)

    def learn(self, real: torch.Tensor, fake: torch.Tensor) -> None:
        """One step of the critic."""
        terms = self.losses.critic_loss(self.critic, real, fake, generator=self.random)
        self.optimizer.zero_grad()
        terms.total.backward()
        self.optimizer.step()

    def loss(self, made: torch.Tensor) -> torch.Tensor:
        """What the generator is to lower besides."""
        return self.losses.generator_loss(self.critic(made))
