"""Networks and their building blocks."""

from __future__ import annotations

from recon_monai.networks.blocks import NormUNet, SensitivityNetwork, UNet, make_normalization
from recon_monai.networks.files import read_torch_file
from recon_monai.networks.nets import Reconstruction, VarNet, VarNetCascade
from recon_monai.networks.weights import load_weights, varnet_from_fastmri

__all__ = [
    "NormUNet",
    "Reconstruction",
    "SensitivityNetwork",
    "UNet",
    "VarNet",
    "VarNetCascade",
    "load_weights",
    "make_normalization",
    "read_torch_file",
    "varnet_from_fastmri",
]
