"""Optimizers and rates for long trainings of convolutions."""

from __future__ import annotations

import math
from typing import Any

from torch import nn
from torch.optim import Optimizer

__all__ = ["CosineRate", "muon"]


class CosineRate:
    """Share of the learning rate that is left after some epochs, half a cosine from 1 down to a last share.

    For ``torch.optim.lr_scheduler.LambdaLR``. PyTorch's ``CosineAnnealingLR`` ends at one rate for all groups of
    parameters, and so would raise those that begin below it; this one keeps their ratio.

    Args:
        epochs: after which the last share is reached, and kept.
        last: that share, from 0 to 1.

    Raises:
        ValueError: if there are no epochs, or the share lies outside.
    """

    def __init__(self, epochs: int, last: float = 0.0) -> None:
        if epochs < 1 or not 0 <= last <= 1:
            raise ValueError(f"a rate over {epochs} epochs down to {last}: expected at least one, and a share 0 to 1")
        self.epochs = epochs
        self.last = last

    def __call__(self, epoch: int) -> float:
        """The share after `epoch` epochs."""
        done = min(epoch / self.epochs, 1.0)
        return self.last + (1 - self.last) * 0.5 * (1 + math.cos(math.pi * done))


def muon(
    network: nn.Module, lr: float = 0.005, *, head: str = "head", adam_rate: float = 0.2, head_rate: float = 0.006
) -> Optimizer:
    """Muon for the convolutions of a network, Adam for its other parameters and for its last layer.

    Muon (Jordan 2024, "Muon: An optimizer for hidden layers in neural networks") makes the update of each weight, seen
    as a matrix, orthogonal, so that weak directions of the gradient count as much as strong ones. It comes from
    ``pytorch_optimizer``; that of PyTorch takes matrices only, no convolutions. No weights decay.

    The last layer of a residual network makes what is small beside its input: at the rate of the others, one step of
    Adam would change the output by more than all there is to learn. So its rate is a small share.

    Args:
        network: its parameters with a gradient are trained.
        lr: rate of Muon; shares of it are the others.
        head: name of the last layer, or, with an "s", of a list of such.
        adam_rate: share of `lr` for parameters with one axis (norms).
        head_rate: share of `lr` for the last layer.

    Returns:
        ``pytorch_optimizer.Muon`` with three groups.

    Raises:
        ValueError: if the network has no layer of that name, or no convolutions besides.
    """
    from pytorch_optimizer import Muon  # takes a second to import

    last = (head, f"{head}s")
    groups: dict[str, list[nn.Parameter]] = {"convolutions": [], "others": [], "head": []}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            kind = "head" if name.split(".")[0] in last else "others" if parameter.ndim < 2 else "convolutions"
            groups[kind].append(parameter)
    if not (groups["head"] and groups["convolutions"]):
        raise ValueError(
            f"{type(network).__name__} has no convolutions and a layer named {head!r} after them to be trained; its "
            f"layers are {', '.join(name for name, _ in network.named_children())}"
        )
    rates = {"others": lr * adam_rate, "head": lr * head_rate}
    adam: dict[str, Any] = {"use_muon": False, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}
    return Muon(
        [
            {"params": groups["convolutions"], "use_muon": True, "lr": lr, "weight_decay": 0.0},
            *({"params": groups[kind], "lr": rate, **adam} for kind, rate in rates.items() if groups[kind]),
        ]
    )
