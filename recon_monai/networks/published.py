"""Files of published weights: what they hold, read without running any code of theirs, and the sizes they imply."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from recon_monai.networks.blocks import ResXUNet, UNet
from recon_monai.networks.files import read_torch_file
from recon_monai.networks.nets import DIRCN, MDCSRN, VarNet

__all__ = ["network_overlay", "read_state_dict"]


def read_state_dict(path: str | Path) -> dict[str, torch.Tensor]:
    """Read the weights of a file by PyTorch or Lightning.

    Only tensors and plain Python values are read (``weights_only=True``): a pickle can run any code.

    Args:
        path: a file that holds a state dict, alone or as ``state_dict`` of a Lightning checkpoint.

    Returns:
        The weights by their names.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file holds other objects, or no weights, or weights that are not finite numbers.
    """
    content = read_torch_file(path)
    weights = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(weights, dict) or not weights or not all(isinstance(v, torch.Tensor) for v in weights.values()):
        found = sorted(map(str, content))[:10] if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{path}: holds {found}, expected a state dict or a Lightning checkpoint with 'state_dict'")
    unnamed = next((name for name in weights if not isinstance(name, str)), None)
    if unnamed is not None:
        raise ValueError(f"{path}: holds tensors under {unnamed!r}, expected a state dict with names")
    for name, value in weights.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ValueError(f"{path}: {name} holds NaN or infinity, expected finite numbers; download the file again")
    return weights


def network_overlay(network: VarNet | DIRCN | MDCSRN) -> dict[str, Any]:
    """The sizes of a network as entries of a configuration file, to lay over those of the bundle.

    Args:
        network: an `MDCSRN`, or one with the parts that its bundle builds it of: `SensitivityNetwork`, with `NormUNet`
            (of a `VarNet`) or `NormResXUNet` (of a `DIRCN`) in it and in the cascades.

    Returns:
        Value by id below ``network_def``.

    Raises:
        ValueError: if the network has other parts.
    """
    overlay = {f"network_def::{name}": value for name, value in network.architecture.items()}
    if isinstance(network, MDCSRN):
        return overlay
    if isinstance(network, DIRCN):
        kind: type[UNet] | type[ResXUNet] = ResXUNet
        sizes: tuple[str, ...] = ("channels", "groups", "se_ratio")
        parts = {"refinement": "refinement", "sensitivity_network": "sensitivity_network::refinement"}
    else:
        kind, sizes = UNet, ("channels", "pools")
        parts = {"refinement": "refinement", "sensitivity_network": "sensitivity_network"}
    for part, identifier in parts.items():
        name = "cascades.0.refinement.unet" if part == "refinement" else "sensitivity_network.refinement.unet"
        unet = network.get_submodule(name)
        if not isinstance(unet, kind):
            raise ValueError(
                f"{name} is {type(unet).__name__}, expected {kind.__name__}; only its sizes have ids in the bundle"
            )
        overlay |= {f"network_def::{identifier}::{size}": unet.architecture[size] for size in sizes}
    return overlay
