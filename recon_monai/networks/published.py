"""Files of published weights: what they hold, read without running any code of theirs, and the sizes they imply."""

from __future__ import annotations

import pickle
import re
import struct
from pathlib import Path
from typing import Any

import torch

from recon_monai.networks.blocks import UNet
from recon_monai.networks.nets import VarNet

__all__ = ["network_overlay", "read_state_dict"]

# what PyTorch raises for files that are cut off or something else altogether, depending on where it notices
_DAMAGED = (
    pickle.UnpicklingError,
    struct.error,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


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
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file, expected weights written by PyTorch")
    with path.open("rb") as file:
        try:
            content: Any = torch.load(file, map_location="cpu", weights_only=True)
        except _DAMAGED as error:
            raise ValueError(f"{path}: {_reason(error)}") from error
    weights = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(weights, dict) or not weights or not all(isinstance(v, torch.Tensor) for v in weights.values()):
        found = sorted(map(str, content))[:10] if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{path}: holds {found}, expected a state dict or a Lightning checkpoint with 'state_dict'")
    for name, value in weights.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ValueError(f"{path}: {name} holds NaN or infinity, expected finite numbers; download the file again")
    return weights


def _reason(error: Exception) -> str:
    """Why a file was not read, in place of PyTorch's advice to read it without the safeguard."""
    foreign = re.search(r"GLOBAL (\S+)", str(error))
    if foreign is None:
        first = f"{error}.".split(".")[0] or type(error).__name__
        return f"cannot be read as a file of PyTorch ({first}), expected a state dict or checkpoint; download it again"
    return (
        f"holds an object of type {foreign[1]}, expected tensors and plain values; it was not opened, as such a file "
        "can run any code. If you trust it, save its weights alone where that type is installed: "
        "torch.save(checkpoint['state_dict'], 'weights.pt')"
    )


def network_overlay(network: VarNet) -> dict[str, int]:
    """The sizes of a network as entries of a configuration file, to lay over those of the bundle.

    Args:
        network: with `NormUNet` and `SensitivityNetwork` as parts.

    Returns:
        Value by id below ``network_def``.

    Raises:
        ValueError: if the network has other parts.
    """
    overlay = {"network_def::num_cascades": len(network.cascades)}
    for part, name in (
        ("refinement", "cascades.0.refinement.unet"),
        ("sensitivity_network", "sensitivity_network.refinement.unet"),
    ):
        unet = network.get_submodule(name)
        if not isinstance(unet, UNet):
            raise ValueError(f"{name} is {type(unet).__name__}, expected UNet; only its sizes have ids in the bundle")
        overlay |= {f"network_def::{part}::{size}": unet.architecture[size] for size in ("channels", "pools")}
    return overlay
