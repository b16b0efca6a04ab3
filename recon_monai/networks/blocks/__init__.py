"""Building blocks of the networks."""

from __future__ import annotations

from recon_monai.networks.blocks.aspin import ASPIN
from recon_monai.networks.blocks.fused import normalize_and_activate
from recon_monai.networks.blocks.normalization import InstanceNorm, make_normalization
from recon_monai.networks.blocks.sensitivity import SensitivityNetwork
from recon_monai.networks.blocks.unet import AspinPlacement, ConvBlock, NormUNet, UNet, UpsampleBlock

__all__ = [
    "ASPIN",
    "AspinPlacement",
    "ConvBlock",
    "InstanceNorm",
    "NormUNet",
    "SensitivityNetwork",
    "UNet",
    "UpsampleBlock",
    "make_normalization",
    "normalize_and_activate",
]
