"""Building blocks of the networks."""

from __future__ import annotations

from recon_monai.networks.blocks.normalization import InstanceNorm, make_normalization
from recon_monai.networks.blocks.sensitivity import SensitivityNetwork
from recon_monai.networks.blocks.unet import ConvBlock, NormUNet, UNet, UpsampleBlock

__all__ = [
    "ConvBlock",
    "InstanceNorm",
    "NormUNet",
    "SensitivityNetwork",
    "UNet",
    "UpsampleBlock",
    "make_normalization",
]
