"""Loading weights: our own with a check that they fit, and published ones under their original names."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import nn

from recon_monai.networks import original_mdcsrn
from recon_monai.networks.architecture import RecordedModule, decode_record, encode_record
from recon_monai.networks.blocks import NormResXUNet, NormUNet, SensitivityNetwork
from recon_monai.networks.files import read_torch_file
from recon_monai.networks.nets import DIRCN, MDCSRN, UniversalVarNet, VarNet
from recon_monai.networks.nets.dircn import Aggregation, DataConsistency
from recon_monai.networks.original_dircn import ResXUNetSizes, find_sizes, rename

__all__ = [
    "adopt_anatomies",
    "dircn_from_original",
    "load_shared_weights",
    "load_weights",
    "mdcsrn_from_e6040",
    "varnet_from_fastmri",
    "weights_fit",
]

NetworkT = TypeVar("NetworkT", bound=nn.Module)

# Patterns of fastMRI's names and what they become here, applied one after the other.
_FASTMRI_NAMES = [
    (r"^sens_net\.norm_unet\.", "sensitivity_network.refinement."),
    (r"^(cascades\.\d+)\.model\.", r"\1.refinement."),
    (r"^(cascades\.\d+)\.dc_weight$", r"\1.data_consistency_weight"),
    (r"\.unet\.down_sample_layers\.", ".unet.encoder."),
    (r"\.unet\.up_transpose_conv\.(\d+)\.layers\.0\.", r".unet.upsample.\1.conv."),
    (r"\.unet\.up_conv\.\d+\.1\.", ".unet.head."),
    (r"\.unet\.up_conv\.(\d+)\.(0\.)?layers\.", r".unet.decoder.\1.layers."),
    (r"\.layers\.0\.", ".conv1."),
    (r"\.layers\.4\.", ".conv2."),
]


def load_weights(network: NetworkT, source: str | os.PathLike[str] | Mapping[str, torch.Tensor]) -> NetworkT:
    """Load weights into a network, all of them or none.

    Args:
        network: takes the weights, in place.
        source: a state dict, or a file that `torch.save` wrote one to (alone, or as ``network`` of a checkpoint).

    Returns:
        The network.

    Raises:
        ValueError: if the weights do not fit: the recorded sizes differ, a key is missing, has another shape or is
            unknown (the message names the file, the sizes and the first key with both shapes); or the file is damaged.
        FileNotFoundError: if there is no such file.
    """
    origin, weights = _read(source)
    differences = [found for found in (_different_sizes(network, weights), _different_key(network, weights)) if found]
    if differences:
        raise ValueError(
            f"{origin} does not fit this {type(network).__name__}: {'; '.join(differences)}. Build the network with "
            "the sizes of the weights, or give the weights of this network."
        )
    network.load_state_dict(weights)
    return network


def weights_fit(network: nn.Module, weights: Mapping[str, torch.Tensor]) -> bool:
    """Whether `load_weights` would take a state dict: its names, its shapes and the sizes it records.

    Args:
        network: stays as it is.
        weights: the state dict.
    """
    return _different_sizes(network, weights) is None and _different_key(network, weights) is None


def load_shared_weights(network: NetworkT, source: str | os.PathLike[str] | Mapping[str, torch.Tensor]) -> NetworkT:
    """Start a network from weights of a smaller one, or one that knows anatomies from weights that do not.

    Weights of a `VarNet` are what all anatomies of a `UniversalVarNet` of its sizes share; the network computes what
    that one did, for every anatomy, until it is trained further. Weights of a `UniversalVarNet` give theirs to the
    anatomies that both know. Weights of a `DIRCN` of fewer cascades are what it grows from, see `DIRCN.grow`.

    Args:
        network: takes the weights, in place.
        source: as for `load_weights`.

    Returns:
        The network.

    Raises:
        ValueError: as `load_weights`.
        FileNotFoundError: if there is no such file.
    """
    if isinstance(network, DIRCN):
        return cast(NetworkT, _load_into_grown(network, source))
    if not isinstance(network, UniversalVarNet):
        return load_weights(network, source)
    _, weights = _read(source)
    if any(key.startswith("classifier.") for key in weights):
        names = network.anatomies
        load_weights(adopt_anatomies(network, weights), weights)
        network.set_anatomies(names)
        return network
    own = network.state_dict()
    special = {
        key: value
        for key, value in own.items()
        if key.startswith("classifier.") or re.search(r"\.(gamma|beta)\.\d+$", key) or key == "_extra_state"
    }
    if "_extra_state" in weights:  # sizes are still compared
        record = {**decode_record(weights["_extra_state"]), "anatomies": list(network.anatomies)}
        weights = {**weights, "_extra_state": encode_record(record)}
    return load_weights(network, {**special, **weights})


def adopt_anatomies(network: NetworkT, source: str | os.PathLike[str] | Mapping[str, torch.Tensor]) -> NetworkT:
    """Give a network the anatomies that weights know, before these are loaded into it.

    Args:
        network: a `UniversalVarNet`, changed in place; any other network stays as it is.
        source: as for `load_weights`.

    Returns:
        The network.

    Raises:
        ValueError: if the source is no state dict.
        FileNotFoundError: if there is no such file.
    """
    if isinstance(network, UniversalVarNet):
        _, weights = _read(source)
        record = decode_record(weights["_extra_state"]) if "_extra_state" in weights else {}
        names = record.get("anatomies")
        if names and tuple(names) != network.anatomies:
            network.set_anatomies(names)
    return network


def _load_into_grown(network: DIRCN, source: str | os.PathLike[str] | Mapping[str, torch.Tensor]) -> DIRCN:
    _, weights = _read(source)
    old = len({key.split(".")[1] for key in weights if key.startswith("cascades.")})
    if not 1 <= old < len(network.cascades):
        return load_weights(network, source)
    new = tuple(f"cascades.{index}." for index in range(old, len(network.cascades)))
    added = {key: value for key, value in network.state_dict().items() if key.startswith(new)}
    if "_extra_state" in weights:  # the rest of it is still compared
        record = {**decode_record(weights["_extra_state"]), "num_cascades": len(network.cascades)}
        added["_extra_state"] = encode_record(record)
    load_weights(network, {**weights, **added})
    network.start_as_copies(old)
    return network


def _read(source: str | os.PathLike[str] | Mapping[str, torch.Tensor]) -> tuple[str, dict[str, torch.Tensor]]:
    """Where weights come from, in words, and the weights."""
    weights: Any
    if isinstance(source, Mapping):
        origin, weights = "the state dict", dict(source)
    else:
        origin = str(Path(source))
        weights = read_torch_file(origin)
        if isinstance(weights, dict) and isinstance(weights.get("network"), dict):
            weights = weights["network"]  # a training checkpoint, with optimizer and schedule beside the network
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        content = list(weights) if isinstance(weights, dict) else type(weights).__name__
        raise ValueError(
            f"{origin} is no state dict of tensors but holds {content}; give the network's own entry of a checkpoint, "
            "for example load_weights(network, checkpoint['network'])."
        )
    return origin, weights


def _different_sizes(network: nn.Module, weights: Mapping[str, torch.Tensor]) -> str | None:
    for name, module in network.named_modules():
        key = f"{name}._extra_state" if name else "_extra_state"
        if isinstance(module, RecordedModule) and key in weights:
            difference = module.difference(decode_record(weights[key]))
            if difference is not None:
                return f"{difference} ({key})"
    return None


def _different_key(network: nn.Module, weights: Mapping[str, torch.Tensor]) -> str | None:
    expected = network.state_dict()
    for key, value in expected.items():
        if key not in weights:
            return f"key {key} of shape {tuple(value.shape)} is missing in the weights"
        if weights[key].shape != value.shape and not key.endswith("_extra_state"):
            return (
                f"the first differing key is {key}, of shape {tuple(weights[key].shape)} in the weights and "
                f"{tuple(value.shape)} in the network"
            )
    unknown = next((key for key in weights if key not in expected), None)
    return f"key {unknown} of the weights is unknown to the network" if unknown else None


def varnet_from_fastmri(state_dict: Mapping[str, torch.Tensor]) -> VarNet:
    """Make the network that weights of fastMRI's ``VarNet`` belong to.

    Args:
        state_dict: weights under fastMRI's names (``sens_net.norm_unet.unet...``, ``cascades.0.model.unet...``); of a
            Lightning checkpoint's ``state_dict`` the entries ``varnet...`` are used.

    Returns:
        The network in the dtype of the weights, its sizes inferred from their shapes.

    Raises:
        ValueError: if weights are missing, or unknown to fastMRI's VarNet; the message names the first by its name
            here.
    """
    if any(key.startswith("varnet.") for key in state_dict):
        state_dict = {key.removeprefix("varnet."): v for key, v in state_dict.items() if key.startswith("varnet.")}
    weights = {key: value for key, value in state_dict.items() if not key.endswith(".zero")}  # a constant, not a weight
    cascades = {key.split(".")[1] for key in weights if key.startswith("cascades.")}
    sensitivity_channels, sensitivity_pools = _fastmri_unet_sizes(weights, "sens_net.norm_unet.unet")
    channels, pools = _fastmri_unet_sizes(weights, "cascades.0.model.unet")
    network = VarNet(
        len(cascades),
        refinement=partial(NormUNet, channels, pools),
        sensitivity_network=SensitivityNetwork(sensitivity_channels, sensitivity_pools),
    ).to(next(iter(weights.values())).dtype)
    bottleneck = {"sensitivity_network": sensitivity_pools, "cascades": pools}
    renamed = {_from_fastmri_name(key, bottleneck): value for key, value in weights.items()}
    records = {key: value for key, value in network.state_dict().items() if key.endswith("_extra_state")}
    return load_weights(network, {**renamed, **records})


def _fastmri_unet_sizes(weights: Mapping[str, torch.Tensor], prefix: str) -> tuple[int, int]:
    """Width and number of poolings of one of fastMRI's U-Nets."""
    first = f"{prefix}.down_sample_layers.0.layers.0.weight"
    if first not in weights:
        raise ValueError(f"these are no weights of fastMRI's VarNet: there is no {first} among {len(weights)} keys.")
    pattern = re.compile(rf"{re.escape(prefix)}\.down_sample_layers\.(\d+)\.")
    return weights[first].shape[0], len({found[1] for found in map(pattern.match, weights) if found})


def _from_fastmri_name(key: str, bottleneck: Mapping[str, int]) -> str:
    for pattern, replacement in _FASTMRI_NAMES:
        key = re.sub(pattern, replacement, key)
    return key.replace(".unet.conv.", f".unet.encoder.{bottleneck.get(key.split('.')[0])}.")


def dircn_from_original(
    state_dict: Mapping[str, torch.Tensor],
    aggregation: Aggregation | None = None,
    *,
    data_consistency: DataConsistency = "soft",
) -> DIRCN:
    """Make the network that weights of the authors' own code of DIRCN belong to.

    The weight of a sum that this code gives to the first cascade, too, is not used there and left out.

    Args:
        state_dict: weights under the authors' names (``sens_net.model.model...``, ``i_cascades.0.i_model.model...``).
        aggregation: as of `DIRCN`. None: what the weights tell: ``"concat"`` if refinement networks take more than one
            image, ``"sum"`` if cascades have a weight for it, else ``"none"``. ``"normalized_sum"`` takes the weights
            of sums as ``w``, which have to be positive.
        data_consistency: as of `DIRCN`; the weights do not tell.

    Returns:
        The network in the dtype of the weights, its sizes inferred from their shapes.

    Raises:
        ValueError: if weights are missing, unknown to DIRCN, or of another aggregation.
    """
    weights = rename(state_dict)
    count = len({key.split(".")[1] for key in weights if key.startswith("cascades.")})
    first, last, sensitivity = (
        find_sizes(weights, f"{part}.refinement.unet")
        for part in ("cascades.0", f"cascades.{max(0, count - 1)}", "sensitivity_network")
    )
    found = _original_aggregation(weights, last)
    if aggregation not in {None, found, "normalized_sum" if found == "sum" else found} and count > 1:
        raise ValueError(f"these weights belong to aggregation={found!r}, not {aggregation!r}.")
    weights.pop("cascades.0.aggregation_weight", None)
    network = DIRCN(
        count,
        aggregation=aggregation or found,
        interconnections=last.interconnections,
        data_consistency=data_consistency,
        refinement=partial(NormResXUNet, first.channels, first.groups, first.se_ratio),
        sensitivity_network=SensitivityNetwork(
            refinement=NormResXUNet(sensitivity.channels, sensitivity.groups, sensitivity.se_ratio), calibration="run"
        ),
    ).to(next(iter(weights.values())).dtype)
    if aggregation == "normalized_sum":
        weights |= {k: _inverse_softplus(k, v) for k, v in weights.items() if k.endswith(".aggregation_weight")}
    records = {key: value for key, value in network.state_dict().items() if key.endswith("_extra_state")}
    return load_weights(network, {**weights, **records})


def _original_aggregation(weights: Mapping[str, torch.Tensor], last: ResXUNetSizes) -> Aggregation:
    if last.images > 1:
        return "concat"
    return "sum" if any(key.endswith(".aggregation_weight") for key in weights) else "none"


def _inverse_softplus(name: str, weight: torch.Tensor) -> torch.Tensor:
    if not bool((weight > 0).all()):
        raise ValueError(f"{name} is {weight.tolist()}, expected positive weights for a normalized sum; use 'sum'.")
    return weight + torch.log(-torch.expm1(-weight))


def mdcsrn_from_e6040(state_dict: Mapping[str, torch.Tensor]) -> MDCSRN:
    """Make the network that weights of a published mDCSRN generator (the code of the course E6040) belong to.

    Args:
        state_dict: weights under the original names (``conv0``, ``block0.denselayer1.norm``, ``comp0``, ``recon``), of
            ``DataParallel`` too.

    Returns:
        The network in the dtype of the weights, with batch normalization, its sizes inferred from their shapes.

    Raises:
        ValueError: if weights are missing, or unknown to mDCSRN; the message names the first by its name here.
    """
    weights = original_mdcsrn.rename(state_dict)
    network = MDCSRN(*original_mdcsrn.find_sizes(weights))
    network = network.to(weights["levels.0.block.units.0.conv.weight"].dtype)
    # counts of batches are younger than batch normalization, and the record is ours
    added = ("_extra_state", "num_batches_tracked")
    own = {key: value for key, value in network.state_dict().items() if key.endswith(added)}
    return load_weights(network, {**own, **weights})
