"""Names and sizes of the networks in weights that the authors' own code of DIRCN wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import torch

__all__ = ["ResXUNetSizes", "find_sizes", "rename"]

# Parts of the authors' ResXUNet and what they are here.
_PARTS = {
    "input.0": "stem.conv",
    "input.1": "stem.norm",
    "inc": "encoder.0",
    **{f"down{level}_basic": f"encoder.{level}" for level in (1, 2, 3)},
    "down4_bottle": "encoder.4",
    **{f"down{level}.down": f"downsample.{level - 1}.conv" for level in (1, 2, 3, 4)},
    **{f"down{level}.norm": f"downsample.{level - 1}.norm" for level in (1, 2, 3, 4)},
    **{f"up{level}.up": f"upsample.{4 - level}.conv" for level in (4, 3, 2, 1)},
    **{f"up{level}.norm": f"upsample.{4 - level}.norm" for level in (4, 3, 2, 1)},
    **{f"up{level}_channel.0": f"merge.{3 - level}.conv" for level in (3, 2, 1)},
    **{f"up{level}_channel.1": f"merge.{3 - level}.norm" for level in (3, 2, 1)},
    **{f"up{level}_basic": f"decoder.{3 - level}" for level in (3, 2, 1)},
    "out_channel.0": "merge.3.conv",
    "out_channel.1": "merge.3.norm",
    "out_1": "decoder.3.0",
    "final_bottle.0": "decoder.3.1",  # before the sums came, it was a list of one block
    "final_bottle": "decoder.3.1",
    "outc": "head",
}
_LAYERS = {".se.layer_1.": ".se.fc.0.", ".se.layer_2.": ".se.fc.2."}
_NETWORK = re.compile(r"(?:(sens_net)|(?:i_)?(cascades\.\d+)\.(?:i_)?model)\.model\.(?:model\.)?(.*)")
_WEIGHT = re.compile(r"(?:i_)?(cascades\.\d+)\.(dc|cat)_weight")
_WEIGHT_NAMES = {"dc": "data_consistency_weight", "cat": "aggregation_weight"}


class ResXUNetSizes(NamedTuple):
    """Sizes of a `ResXUNet`, as far as weights tell them.

    Attributes:
        images: complex images that it takes.
        channels: width at full resolution.
        groups: groups at full resolution.
        se_ratio: of squeeze-and-excitation; 0 if there is none.
        interconnections: whether it takes the features of another one.
    """

    images: int
    channels: int
    groups: int
    se_ratio: float
    interconnections: bool


def rename(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Bring weights under the names that they have in `DIRCN`; unknown names stay.

    Args:
        state_dict: weights under the authors' names (``sens_net.model.model...``, ``i_cascades.0.i_model.model...``).

    Returns:
        The weights; 1x1 convolutions of squeeze-and-excitation as linear maps.
    """
    renamed: dict[str, torch.Tensor] = {}
    for name, value in state_dict.items():
        ours = _renamed(name)
        renamed[ours] = value.flatten(1) if re.search(r"\.se\.fc\.\d\.weight$", ours) else value
    return renamed


def find_sizes(weights: Mapping[str, torch.Tensor], prefix: str) -> ResXUNetSizes:
    """Infer the sizes of one of the networks from the shapes of its weights.

    Args:
        weights: what `rename` returned.
        prefix: of the names of the network, as ``cascades.0.refinement.unet``.

    Raises:
        ValueError: if weights that tell the sizes are missing.
    """

    def shape(name: str) -> torch.Size:
        if f"{prefix}.{name}" not in weights:
            raise ValueError(f"these are no weights of DIRCN: there is no {prefix}.{name} among {len(weights)} keys.")
        return weights[f"{prefix}.{name}"].shape

    channels, inputs = shape("stem.conv.weight")[:2]
    groups = channels // shape("encoder.0.conv2.weight")[1]
    squeezed = weights.get(f"{prefix}.encoder.4.0.se.fc.0.weight")
    return ResXUNetSizes(
        images=inputs // 2,
        channels=channels,
        groups=groups,
        se_ratio=0.0 if squeezed is None else _ratio(*squeezed.shape),
        interconnections=shape("merge.3.conv.weight")[1] == 3 * channels,
    )


def _renamed(name: str) -> str:
    weight = _WEIGHT.fullmatch(name)
    if weight is not None:
        return f"{weight[1]}.{_WEIGHT_NAMES[weight[2]]}"
    network = _NETWORK.fullmatch(name)
    if network is None:
        return name
    sensitivity, cascade, layer = network.groups()
    for theirs, ours in _LAYERS.items():
        layer = layer.replace(theirs, ours)
    for theirs, ours in _PARTS.items():
        if layer.startswith(f"{theirs}."):
            prefix = "sensitivity_network" if sensitivity else cascade
            return f"{prefix}.refinement.unet.{ours}{layer.removeprefix(theirs)}"
    return name


def _ratio(reduced: int, channels: int) -> float:
    """A ratio of squeeze-and-excitation with this inner width, at the bottleneck and so at all levels above it.

    Widths of the levels differ by powers of two; rounding down twice is the same as rounding down once.
    """
    ratios = (1 / 8, 1 / 16, reduced / channels, (reduced + 0.5) / channels)
    return next(ratio for ratio in ratios if int(ratio * channels) == reduced)
