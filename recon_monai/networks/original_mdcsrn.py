"""Names and sizes of mDCSRN in weights that a published implementation (E6040) wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

__all__ = ["MDCSRNSizes", "find_sizes", "rename"]

_NAMES = (
    (re.compile(r"module\.(.*)"), r"\1"),  # of DataParallel
    (re.compile(r"conv0\.(.*)"), r"stem.\1"),
    (re.compile(r"recon\.(.*)"), r"head.\1"),
)
_UNIT = re.compile(r"block(\d+)\.denselayer(\d+)\.(.*)")
_COMPRESSOR = re.compile(r"comp(\d+)\.(.*)")


class MDCSRNSizes(NamedTuple):
    """Sizes of an `MDCSRN`, in the order of its arguments."""

    blocks: int
    units: int
    growth: int
    first_channels: int


def rename(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Bring weights under the names that they have in `MDCSRN`; unknown names stay.

    Args:
        state_dict: weights under the original names (``conv0``, ``block0.denselayer1``, ``comp0``, ``recon``).

    Returns:
        The weights.
    """
    return {_renamed(name): value for name, value in state_dict.items()}


def find_sizes(weights: Mapping[str, torch.Tensor]) -> MDCSRNSizes:
    """Infer the sizes of the network from the names and shapes of its weights.

    Args:
        weights: what `rename` returned.

    Returns:
        The sizes.

    Raises:
        ValueError: if weights that tell the sizes are missing.
    """
    first = "levels.0.block.units.0.conv.weight"
    if first not in weights or weights[first].ndim != 5:
        raise ValueError(f"these are no weights of mDCSRN: there is no {first} of a volume among {len(weights)} keys.")
    growth, first_channels = weights[first].shape[:2]
    found: Any = [re.match(r"levels\.(\d+)\.block\.units\.(\d+)\.", name) for name in weights]
    places = [(int(match[1]), int(match[2])) for match in found if match]
    blocks, units = (max(numbers) + 1 for numbers in zip(*places, strict=True))
    return MDCSRNSizes(blocks, units, growth, first_channels)


def _renamed(name: str) -> str:
    for pattern, replacement in _NAMES:
        name = pattern.sub(replacement, name) if pattern.fullmatch(name) else name
    unit, compressor = _UNIT.fullmatch(name), _COMPRESSOR.fullmatch(name)
    if unit is not None:
        return f"levels.{unit[1]}.block.units.{int(unit[2]) - 1}.{unit[3]}"
    if compressor is not None:
        return f"levels.{int(compressor[1]) + 1}.compressor.{compressor[2]}"
    return name
