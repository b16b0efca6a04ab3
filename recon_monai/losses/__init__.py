"""Training losses."""

from __future__ import annotations

from recon_monai.losses.distillation import AttentionDistillationLoss, DistillationLoss, DistillationTerms
from recon_monai.losses.focal import FocalSSIMLoss
from recon_monai.losses.reconstruction import ReconstructionLoss
from recon_monai.losses.self_supervised import HeldOutLoss
from recon_monai.losses.ssim import SSIMLoss
from recon_monai.losses.wasserstein import CriticTerms, WassersteinGPLoss, gradient_penalty

__all__ = [
    "AttentionDistillationLoss",
    "CriticTerms",
    "DistillationLoss",
    "DistillationTerms",
    "FocalSSIMLoss",
    "HeldOutLoss",
    "ReconstructionLoss",
    "SSIMLoss",
    "WassersteinGPLoss",
    "gradient_penalty",
]
