"""Networks and their building blocks."""

from __future__ import annotations

from recon_monai.networks.blocks import ASPIN, NormUNet, SensitivityNetwork, UNet, make_normalization
from recon_monai.networks.features import FeatureTap
from recon_monai.networks.files import read_torch_file
from recon_monai.networks.nets import (
    AddedOutput,
    AnatomyClassifier,
    Reconstruction,
    UniversalReconstruction,
    UniversalVarNet,
    VarNet,
    VarNetCascade,
    last_unet_output,
)
from recon_monai.networks.weights import (
    adopt_anatomies,
    load_shared_weights,
    load_weights,
    varnet_from_fastmri,
    weights_fit,
)

__all__ = [
    "ASPIN",
    "AddedOutput",
    "AnatomyClassifier",
    "FeatureTap",
    "NormUNet",
    "Reconstruction",
    "SensitivityNetwork",
    "UNet",
    "UniversalReconstruction",
    "UniversalVarNet",
    "VarNet",
    "VarNetCascade",
    "adopt_anatomies",
    "last_unet_output",
    "load_shared_weights",
    "load_weights",
    "make_normalization",
    "read_torch_file",
    "varnet_from_fastmri",
    "weights_fit",
]
