"""Building blocks of the networks."""

from __future__ import annotations

from recon_monai.networks.blocks.aspin import ASPIN
from recon_monai.networks.blocks.dense_block import DenseBlock, DenseUnit, VolumeNorm
from recon_monai.networks.blocks.fused import normalize_and_activate
from recon_monai.networks.blocks.normalization import AffineInstanceNorm, InstanceNorm, make_normalization
from recon_monai.networks.blocks.res_xunet import NormResXUNet, ResXUNet
from recon_monai.networks.blocks.residual import BottleneckBlock, ResidualBlock
from recon_monai.networks.blocks.running_statistics import keep_running_statistics
from recon_monai.networks.blocks.sensitivity import SensitivityNetwork
from recon_monai.networks.blocks.squeeze_excitation import SqueezeExcitation
from recon_monai.networks.blocks.unet import AspinPlacement, ConvBlock, NormUNet, UNet, UpsampleBlock
from recon_monai.networks.blocks.volume_conv import VolumeConv
from recon_monai.networks.blocks.voxel_shuffle import coarse_samples, merge_phases, refine_linearly, split_phases

__all__ = [
    "ASPIN",
    "AffineInstanceNorm",
    "AspinPlacement",
    "BottleneckBlock",
    "ConvBlock",
    "DenseBlock",
    "DenseUnit",
    "InstanceNorm",
    "NormResXUNet",
    "NormUNet",
    "ResXUNet",
    "ResidualBlock",
    "SensitivityNetwork",
    "SqueezeExcitation",
    "UNet",
    "UpsampleBlock",
    "VolumeConv",
    "VolumeNorm",
    "coarse_samples",
    "keep_running_statistics",
    "make_normalization",
    "merge_phases",
    "normalize_and_activate",
    "refine_linearly",
    "split_phases",
]
