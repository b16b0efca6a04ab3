"""What the strategies of super-resolution have in common: a correction of an interpolated volume."""

from __future__ import annotations

from abc import abstractmethod
from typing import get_args

import torch
import torch.nn.functional as F
from torch import nn

from recon_monai.networks.architecture import RecordedModule
from recon_monai.networks.blocks.volume_conv import VolumeConv
from recon_monai.networks.blocks.voxel_shuffle import Factor, pad_to_multiple
from recon_monai.networks.inputs import as_volume
from recon_monai.networks.nets.mdcsrn import VolumeCheckpointing
from recon_monai.networks.precision import full_precision, small_map_precision

__all__ = ["ResidualBlock3d", "SuperResolutionStrategy", "apply_head", "conv3", "zero_conv"]


class SuperResolutionStrategy(RecordedModule):
    """A network that takes a volume on the high-resolution grid and adds to it what the low resolution lacks.

    It starts as the identity, that is, as the interpolation that brought the volume to its grid: subclasses begin with
    a correction of 0. Sizes that the coarsest grid does not divide are continued by their last voxels, and the rest
    cut off again. Under autocast, the image and its correction stay in the precision of the weights.

    Args:
        multiple: of the coarsest grid's voxels.
        checkpointing: as of `MDCSRN`.

    Raises:
        ValueError: for an unknown kind of checkpointing.
    """

    def __init__(self, multiple: Factor, checkpointing: VolumeCheckpointing) -> None:
        super().__init__()
        if checkpointing not in get_args(VolumeCheckpointing):
            raise ValueError(f"unknown checkpointing {checkpointing!r}; use one of {get_args(VolumeCheckpointing)}.")
        self.multiple = multiple
        self.checkpointing = checkpointing

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Sharpen volumes.

        Args:
            image: low resolution on the high-resolution grid, real ``(B, 1, D, H, W)``, scaled to a maximum of about 1.

        Returns:
            High resolution, in the scale of the input, same shape; a new tensor.

        Raises:
            ValueError: for any other shape or type.
        """
        image = as_volume(image)
        padded = pad_to_multiple(image, self.multiple)
        first, second, third = self.multiple
        with small_map_precision(padded[:, :, ::first, ::second, ::third]):
            made = self.correction(padded)
        depth, height, width = image.shape[2:]
        with full_precision(image):
            return image + made[:, :, :depth, :height, :width]

    @abstractmethod
    def correction(self, image: torch.Tensor) -> torch.Tensor:
        """What is added to the volume.

        Args:
            image: real ``(B, 1, D, H, W)``, sizes that ``multiple`` divides.

        Returns:
            The same shape, in the precision of the weights.
        """


class ResidualBlock3d(nn.Module):
    """Convolution, ReLU, convolution, added to the input, without normalization (Lim et al. 2017, arXiv:1707.02921,
    "EDSR", section 3.1): it would take the mean and contrast of each window away.

    Args:
        channels: of input and result.
    """  # noqa: D205

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv3(channels, channels)
        self.conv2 = conv3(channels, channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Refine features.

        Args:
            features: shape ``(B, channels, D, H, W)``.

        Returns:
            Same shape.
        """
        return features + self.conv2(F.relu(self.conv1(features), inplace=True))


def conv3(in_channels: int, out_channels: int) -> nn.Conv3d:
    """A 3x3x3 convolution of unchanged size."""
    conv = VolumeConv(in_channels, out_channels, bias=True)
    nn.init.kaiming_normal_(conv.weight)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv


def zero_conv(in_channels: int, out_channels: int) -> nn.Conv3d:
    """The same with weights of 0, the last one of a correction."""
    conv = conv3(in_channels, out_channels)
    nn.init.zeros_(conv.weight)
    return conv


def apply_head(head: nn.Conv3d, features: torch.Tensor) -> torch.Tensor:
    """The last convolution, in the precision of its weights: bfloat16 has eight bits of intensity.

    Args:
        head: the convolution.
        features: what it takes.

    Returns:
        What it makes.
    """
    with full_precision(features):
        return head(features.to(head.weight.dtype))
