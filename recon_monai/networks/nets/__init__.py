"""Whole networks."""

from __future__ import annotations

from recon_monai.networks.nets.anatomy_classifier import AddedOutput, AnatomyClassifier
from recon_monai.networks.nets.back_projection_sr import BackProjectionSR
from recon_monai.networks.nets.denoising_unet import DenoisingUNet
from recon_monai.networks.nets.dircn import DIRCN, DIRCNCascade
from recon_monai.networks.nets.image_unet import ImageUNet
from recon_monai.networks.nets.kspace_network import KspaceNetwork
from recon_monai.networks.nets.last_unet import last_unet_output
from recon_monai.networks.nets.mdcsrn import MDCSRN
from recon_monai.networks.nets.mdcsrn_critic import MDCSRNCritic
from recon_monai.networks.nets.pixel_shuffle_sr import PixelShuffleSR
from recon_monai.networks.nets.progressive_sr import ProgressiveSR
from recon_monai.networks.nets.reconstruction import Reconstruction, ReconstructionNetwork
from recon_monai.networks.nets.residual_unet_sr import ResidualUNetSR
from recon_monai.networks.nets.super_resolution_strategy import SuperResolutionStrategy
from recon_monai.networks.nets.universal_varnet import UniversalReconstruction, UniversalVarNet
from recon_monai.networks.nets.unrolled import UnrolledGradientDescent
from recon_monai.networks.nets.varnet import VarNet, VarNetCascade

__all__ = [
    "DIRCN",
    "MDCSRN",
    "AddedOutput",
    "AnatomyClassifier",
    "BackProjectionSR",
    "DIRCNCascade",
    "DenoisingUNet",
    "ImageUNet",
    "KspaceNetwork",
    "MDCSRNCritic",
    "PixelShuffleSR",
    "ProgressiveSR",
    "Reconstruction",
    "ReconstructionNetwork",
    "ResidualUNetSR",
    "SuperResolutionStrategy",
    "UniversalReconstruction",
    "UniversalVarNet",
    "UnrolledGradientDescent",
    "VarNet",
    "VarNetCascade",
    "last_unet_output",
]
