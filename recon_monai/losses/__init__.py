"""Training losses."""

from __future__ import annotations

from recon_monai.losses.distillation import AttentionDistillationLoss, DistillationLoss, DistillationTerms
from recon_monai.losses.focal import FocalSSIMLoss
from recon_monai.losses.reconstruction import ReconstructionLoss
from recon_monai.losses.self_supervised import HeldOutLoss
from recon_monai.losses.ssim import SSIMLoss

__all__ = [
    "AttentionDistillationLoss",
    "DistillationLoss",
    "DistillationTerms",
    "FocalSSIMLoss",
    "HeldOutLoss",
    "ReconstructionLoss",
    "SSIMLoss",
]
