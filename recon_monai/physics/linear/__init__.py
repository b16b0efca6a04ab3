"""Linear operators with their adjoints: what an inverse problem ``y = A x + n`` is made of."""

from __future__ import annotations

from recon_monai.physics.linear.base import AdjointOperator, LinearOperator, ProductOperator
from recon_monai.physics.linear.blur import BlurOperator, gaussian_kernel
from recon_monai.physics.linear.downsampling import BlockDownsampling, KspaceTruncation, SliceProfileOperator
from recon_monai.physics.linear.gradient import GradientOperator
from recon_monai.physics.linear.norm import spectral_norm
from recon_monai.physics.linear.pointwise import IdentityOperator, MaskOperator
from recon_monai.physics.linear.sense import SenseOperator

__all__ = [
    "AdjointOperator",
    "BlockDownsampling",
    "BlurOperator",
    "GradientOperator",
    "IdentityOperator",
    "KspaceTruncation",
    "LinearOperator",
    "MaskOperator",
    "ProductOperator",
    "SenseOperator",
    "SliceProfileOperator",
    "gaussian_kernel",
    "spectral_norm",
]
