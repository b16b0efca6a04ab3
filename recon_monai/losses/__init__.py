"""Training losses."""

from __future__ import annotations

from recon_monai.losses.distillation import AttentionDistillationLoss, DistillationLoss, DistillationTerms
from recon_monai.losses.focal import FocalSSIMLoss
from recon_monai.losses.gan import GANLoss
from recon_monai.losses.image import IMAGE_LOSSES, ImageLoss
from recon_monai.losses.perceptual import PerceptualLoss
from recon_monai.losses.reconstruction import ReconstructionLoss
from recon_monai.losses.self_supervised import HeldOutLoss
from recon_monai.losses.ssim import SSIMLoss
from recon_monai.losses.total_variation import TotalVariationLoss
from recon_monai.losses.wasserstein import AdversarialLoss, CriticTerms, WassersteinGPLoss, gradient_penalty

__all__ = [
    "IMAGE_LOSSES",
    "AdversarialLoss",
    "AttentionDistillationLoss",
    "CriticTerms",
    "DistillationLoss",
    "DistillationTerms",
    "FocalSSIMLoss",
    "GANLoss",
    "HeldOutLoss",
    "ImageLoss",
    "PerceptualLoss",
    "ReconstructionLoss",
    "SSIMLoss",
    "TotalVariationLoss",
    "WassersteinGPLoss",
    "gradient_penalty",
]
