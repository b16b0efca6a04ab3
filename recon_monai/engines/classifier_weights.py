"""The trained VarNet that an anatomy classifier looks through."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from torch import nn

from recon_monai.engines.command_line import merged_configuration
from recon_monai.networks import VarNet, load_weights

__all__ = ["classifier_varnet"]

_CLASSIFIER = "classifier"
_MISSING = (
    "the VarNet that the classifier looks through has no weights; name those of a trained VarNet by "
    "--classifier_varnet FILE, or those of a classifier by --stage_weights::classifier FILE"
)


def classifier_varnet(network: VarNet, weights: str | os.PathLike[str] | None = None) -> VarNet:
    """Give the VarNet inside an anatomy classifier its weights, or wait for them to come with those of the classifier.

    Args:
        network: takes the weights, in place.
        weights: file of a trained VarNet; None for a network that is loaded as a whole (for evaluation and inference,
            or for a student whose classifier is finished). It refuses to be used until it is.

    Returns:
        The network.

    Raises:
        ValueError: if the weights do not fit, or are not given and the command trains a classifier.
        FileNotFoundError: if there is no such file.
    """
    if weights is None:
        if _trains_classifier(merged_configuration()):
            raise ValueError(_MISSING)
        # not closures, so that copies of the network wait for weights of their own
        network.register_forward_pre_hook(_refuse)
        network.register_load_state_dict_post_hook(_arrived)
        return network
    try:
        return load_weights(network, weights)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"--classifier_varnet: {error}") from error


def _refuse(network: nn.Module, _: Any) -> None:
    if not getattr(network, "weights_arrived", False):
        raise ValueError(_MISSING)


def _arrived(network: nn.Module, _: Any) -> None:
    network.weights_arrived = True  # type: ignore[assignment]


def _trains_classifier(configuration: Mapping[str, Any]) -> bool:
    """Whether a command's configuration trains a classifier, by itself or as one of the stages."""
    if configuration.get("module") == "%network_def::classifier":
        return True
    stages = configuration.get("stages") or []
    names = {stages} if isinstance(stages, str) else set(stages)
    return bool(names & {"all", _CLASSIFIER}) and _CLASSIFIER not in (configuration.get("stage_weights") or {})
