"""Whole networks."""

from __future__ import annotations

from recon_monai.networks.nets.anatomy_classifier import AddedOutput, AnatomyClassifier
from recon_monai.networks.nets.denoising_unet import DenoisingUNet
from recon_monai.networks.nets.dircn import DIRCN, DIRCNCascade
from recon_monai.networks.nets.image_unet import ImageUNet
from recon_monai.networks.nets.kspace_network import KspaceNetwork
from recon_monai.networks.nets.last_unet import last_unet_output
from recon_monai.networks.nets.mdcsrn import MDCSRN
from recon_monai.networks.nets.mdcsrn_critic import MDCSRNCritic
from recon_monai.networks.nets.universal_varnet import UniversalReconstruction, UniversalVarNet
from recon_monai.networks.nets.unrolled import UnrolledGradientDescent
from recon_monai.networks.nets.varnet import Reconstruction, VarNet, VarNetCascade

__all__ = [
    "DIRCN",
    "MDCSRN",
    "AddedOutput",
    "AnatomyClassifier",
    "DIRCNCascade",
    "DenoisingUNet",
    "ImageUNet",
    "KspaceNetwork",
    "MDCSRNCritic",
    "Reconstruction",
    "UniversalReconstruction",
    "UniversalVarNet",
    "UnrolledGradientDescent",
    "VarNet",
    "VarNetCascade",
    "last_unet_output",
]
