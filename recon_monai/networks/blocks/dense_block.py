"""Densely connected blocks for volumes, with the features of several levels side by side."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import nn

from recon_monai.networks.blocks.normalization import AffineInstanceNorm
from recon_monai.networks.blocks.volume_conv import VolumeConv

__all__ = ["DenseBlock", "DenseUnit", "LevelBlock", "PointwiseConv", "VolumeNorm"]

VolumeNorm = Literal["batch", "instance", "group"]

_MOST_GROUPS = 8


class PointwiseConv(nn.Module):
    """A 1x1x1 convolution without bias of features that lie in several tensors, without joining them first.

    The arithmetic of ``nn.Conv3d(in_channels, out_channels, 1, bias=False)`` on their concatenation, which at full
    resolution would be the largest tensor of the network.

    Args:
        in_channels: channels of all tensors together.
        out_channels: channels of the result.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 1, 1, 1))
        nn.init.kaiming_normal_(self.weight)

    def forward(self, *features: torch.Tensor) -> torch.Tensor:
        """Combine the channels of each voxel.

        Args:
            features: each ``(B, C, D, H, W)``.

        Returns:
            Shape ``(B, out_channels, D, H, W)``.
        """
        weights = self.weight.split([int(part.shape[1]) for part in features], dim=1)
        result = F.conv3d(features[0], weights[0])
        for part, weight in zip(features[1:], weights[1:], strict=True):
            result = result + F.conv3d(part, weight)
        return result

    def extra_repr(self) -> str:
        """Describe the layer in the printed network."""
        return f"{self.weight.shape[1]}, {self.weight.shape[0]}"


class DenseUnit(nn.Module):
    """Normalization, ELU, 3x3x3 convolution without bias.

    Args:
        in_channels: channels of the input.
        growth: channels of the result.
        norm: ``"batch"``; ``"instance"`` (each channel of each sample); ``"group"`` (up to eight groups). All have a
            learned scale and shift for each channel.
    """

    def __init__(self, in_channels: int, growth: int, norm: VolumeNorm) -> None:
        super().__init__()
        self.norm = _make_norm(norm, in_channels)
        self.conv = VolumeConv(in_channels, growth)
        nn.init.kaiming_normal_(self.conv.weight)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Make new features.

        Args:
            features: shape ``(B, in_channels, D, H, W)``.

        Returns:
            Shape ``(B, growth, D, H, W)``.
        """
        # in place: normalization does not need its result for the gradient
        return self.conv(F.elu(self.norm(features), inplace=True))


class DenseBlock(nn.Module):
    """Units that each see the input and what all units before them made (Huang et al. 2017, "Densely Connected
    Convolutional Networks", section 3).

    MONAI's ``ConvDenseBlock`` normalizes after the convolution; here, as in the paper, that comes before it.

    Args:
        in_channels: channels of the input.
        units: number of units.
        growth: channels that each adds.
        norm: as of `DenseUnit`.
    """  # noqa: D205

    def __init__(self, in_channels: int, units: int, growth: int, norm: VolumeNorm) -> None:
        super().__init__()
        self.units = nn.ModuleList(DenseUnit(in_channels + index * growth, growth, norm) for index in range(units))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Add features.

        Args:
            features: shape ``(B, in_channels, D, H, W)``.

        Returns:
            Shape ``(B, in_channels + units * growth, D, H, W)``, the input first.
        """
        for unit in self.units:
            features = torch.cat([features, unit(features)], dim=1)
        return features


class LevelBlock(nn.Module):
    """A dense block on what all blocks before it made, compressed to few channels.

    Args:
        in_channels: channels of all of it together.
        width: channels after compression.
        block: the dense block, which takes `width` channels.
        compress: whether there is a compressor; the first block has none.
    """

    def __init__(self, in_channels: int, width: int, block: DenseBlock, *, compress: bool) -> None:
        super().__init__()
        self.compressor = PointwiseConv(in_channels, width) if compress else None
        self.block = block

    def forward(self, *features: torch.Tensor) -> torch.Tensor:
        """Make the features of the next level.

        Args:
            features: of the levels before, each ``(B, C, D, H, W)``.

        Returns:
            Those of this level.
        """
        return self.block(features[0] if self.compressor is None else self.compressor(*features))


def _make_norm(name: VolumeNorm, channels: int) -> nn.Module:
    if name not in get_args(VolumeNorm):
        raise ValueError(f"unknown normalization {name!r}; use one of {get_args(VolumeNorm)}.")
    if name == "batch":
        return nn.BatchNorm3d(channels)
    if name == "instance":
        return AffineInstanceNorm(channels)
    return nn.GroupNorm(math.gcd(_MOST_GROUPS, channels), channels)
