"""Networks and their building blocks."""

from __future__ import annotations

from recon_monai.networks.blocks import (
    ASPIN,
    BottleneckBlock,
    DenseBlock,
    NormResXUNet,
    NormUNet,
    ResidualBlock,
    ResXUNet,
    SensitivityNetwork,
    SqueezeExcitation,
    UNet,
    keep_running_statistics,
    make_normalization,
)
from recon_monai.networks.features import FeatureTap
from recon_monai.networks.files import read_torch_file
from recon_monai.networks.nets import (
    DIRCN,
    MDCSRN,
    AddedOutput,
    AnatomyClassifier,
    DIRCNCascade,
    MDCSRNCritic,
    Reconstruction,
    UniversalReconstruction,
    UniversalVarNet,
    VarNet,
    VarNetCascade,
    last_unet_output,
)
from recon_monai.networks.weights import (
    adopt_anatomies,
    dircn_from_original,
    load_shared_weights,
    load_weights,
    mdcsrn_from_e6040,
    varnet_from_fastmri,
    weights_fit,
)

__all__ = [
    "ASPIN",
    "DIRCN",
    "MDCSRN",
    "AddedOutput",
    "AnatomyClassifier",
    "BottleneckBlock",
    "DIRCNCascade",
    "DenseBlock",
    "FeatureTap",
    "MDCSRNCritic",
    "NormResXUNet",
    "NormUNet",
    "Reconstruction",
    "ResXUNet",
    "ResidualBlock",
    "SensitivityNetwork",
    "SqueezeExcitation",
    "UNet",
    "UniversalReconstruction",
    "UniversalVarNet",
    "VarNet",
    "VarNetCascade",
    "adopt_anatomies",
    "dircn_from_original",
    "keep_running_statistics",
    "last_unet_output",
    "load_shared_weights",
    "load_weights",
    "make_normalization",
    "mdcsrn_from_e6040",
    "read_torch_file",
    "varnet_from_fastmri",
    "weights_fit",
]
