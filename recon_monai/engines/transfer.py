"""Where a training starts from, and which parts of the network it trains."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from recon_monai.networks import DIRCN, load_shared_weights

__all__ = ["prepare_transfer"]

logger = logging.getLogger(__name__)


def prepare_transfer(network: DIRCN, pretrained: str | None = None, frozen: Sequence[str] = ()) -> DIRCN:
    """Start a network from given weights, and freeze what is not to be trained. Make the optimizer after this.

    Weights of fewer cascades are those of the first cascades; the others start as copies of the last of these, and the
    given ones are old from then on (see ``DIRCN.grow``). What is trained is logged.

    Args:
        network: changed in place.
        pretrained: file of the weights; None leaves the network as it is.
        frozen: parts as of ``DIRCN.freeze``; none: everything is trained.

    Returns:
        The network.

    Raises:
        ValueError: if parts are to be frozen that were never trained, weights do not fit, or as of ``DIRCN.freeze``.
        FileNotFoundError: if there is no such file.
    """
    parts = [frozen] if isinstance(frozen, str) else list(frozen)
    if parts and not pretrained:
        raise ValueError(f"{' and '.join(parts)} would be frozen untrained; give trained weights by --pretrained FILE")
    if pretrained:
        if not Path(pretrained).is_file():
            raise FileNotFoundError(f"--pretrained {pretrained}: there is no such file")
        load_shared_weights(network, pretrained)
        logger.info("starting from %s, %s", pretrained, _cascades(network))
    if "old_cascades" in parts and not network.num_old_cascades:
        count = len(network.cascades)
        raise ValueError(
            f"{pretrained} has {count} cascades and so has the network, so that none is new; give "
            f"--network_def::num_cascades {count + 1} or more (--grown_cascades in a run of stages)"
        )
    if parts:
        network.freeze(parts)
        logger.info(
            "frozen: %s; %d of %d parameters are trained",
            " and ".join(parts),
            _count(network, trained=True),
            _count(network),
        )
    return network


def check_growth(num_cascades: int, grown_cascades: int) -> None:
    """Check that stages that grow a network add something, before the first of them is trained.

    Args:
        num_cascades: of the first stage.
        grown_cascades: of the later ones.

    Raises:
        ValueError: if it does not grow.
    """
    if grown_cascades <= num_cascades:
        raise ValueError(
            f"--grown_cascades {grown_cascades} is not more than the {num_cascades} cascades that the first stage has "
            f"(--network_def::num_cascades); give {num_cascades + 1} or more, or leave it out for one more"
        )


def _cascades(network: DIRCN) -> str:
    count, old = len(network.cascades), network.num_old_cascades
    return f"{old} cascades, and {count - old} new as copies of the last" if old else f"{count} cascades"


def _count(network: nn.Module, trained: bool = False) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad or not trained)
