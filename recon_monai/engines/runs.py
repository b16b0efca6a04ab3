"""Which weights a run starts from."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import torch
from torch import nn

__all__ = ["FINISHED", "find_weights"]

FINISHED = "finished.json"
"""Written into a run's folder when its last epoch is done."""

logger = logging.getLogger(__name__)


def _same_architecture(weights: Path, network: nn.Module) -> bool:
    """Whether names and shapes of a state dict, and the sizes in its extra state, are those of the network."""
    found = torch.load(weights, map_location="cpu", weights_only=True)
    expected = network.state_dict()
    return found.keys() == expected.keys() and all(
        found[key].shape == expected[key].shape
        and (not key.endswith("_extra_state") or torch.equal(found[key].cpu(), expected[key].cpu()))
        for key in expected
    )


def find_weights(bundle_root: str, network: nn.Module, ckpt: str | None = None) -> str:
    """Choose the weights to evaluate, and log which.

    In this order: ``ckpt``; the best weights (``model.pt``) of the newest finished training run below
    ``<bundle_root>/eval`` whose architecture is the network's; the weights the bundle ships, ``models/model.pt``.

    Args:
        bundle_root: the bundle's folder.
        network: the network they are for.
        ckpt: a file the user names.

    Returns:
        The path of the weights.

    Raises:
        FileNotFoundError: if ``ckpt`` does not exist, or there is none of the three.
    """
    if ckpt:
        if not Path(ckpt).is_file():
            raise FileNotFoundError(f"--ckpt {ckpt}: there is no such file")
        logger.info("weights: %s, as given by --ckpt", ckpt)
        return str(ckpt)
    root = Path(bundle_root)
    finished = sorted((root / "eval").glob(f"*/{FINISHED}"), key=lambda file: file.stat().st_mtime, reverse=True)
    for marker in finished:
        weights = marker.parent / "model.pt"
        if weights.is_file() and _same_architecture(weights, network):
            epochs = json.loads(marker.read_text()).get("epochs")
            logger.info("weights: %s, of the newest finished run of this architecture (%s epochs)", weights, epochs)
            return str(weights)
    shipped = root / "models" / "model.pt"
    if shipped.is_file():
        logger.info("weights: %s, as shipped with the bundle", shipped)
        return str(shipped)
    raise FileNotFoundError(
        f"no weights: {root / 'eval'} holds no finished run of this architecture ({len(finished)} of another), "
        f"and there is no {shipped}; run the training first, or name a file with --ckpt"
    )
