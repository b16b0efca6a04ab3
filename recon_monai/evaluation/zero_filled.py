"""The zero-filled reconstruction: what the samples alone show."""

from __future__ import annotations

import torch

from recon_monai.physics import ifft2c, rss

__all__ = ["zero_filled"]


def zero_filled(kspace: torch.Tensor) -> torch.Tensor:
    """Root sum of squares of the zero-filled coil images.

    Args:
        kspace: complex centered k-space, zero where not sampled, shape ``(B, coil, H, W)`` or ``(coil, H, W)``.

    Returns:
        Real magnitude image, shape ``(B, 1, H, W)`` or ``(1, H, W)``.
    """
    return rss(ifft2c(kspace))
