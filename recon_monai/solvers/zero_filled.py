"""The zero-filled reconstruction: what the samples alone show."""

from __future__ import annotations

import torch

from recon_monai.networks.inputs import as_complex_kspace, as_sampling_mask
from recon_monai.physics import ifft2c, rss

__all__ = ["ZeroFilled", "zero_filled"]


def zero_filled(kspace: torch.Tensor) -> torch.Tensor:
    """Root sum of squares of the zero-filled coil images.

    Args:
        kspace: complex centered k-space, zero where not sampled, shape ``(B, coil, H, W)`` or ``(coil, H, W)``.

    Returns:
        Real magnitude image, shape ``(B, 1, H, W)`` or ``(1, H, W)``.
    """
    return rss(ifft2c(kspace))


class ZeroFilled:
    """`zero_filled`, called as the networks are. It has no settings."""

    def __repr__(self) -> str:
        return "ZeroFilled()"

    def __call__(self, kspace: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Reconstruct a batch or one slice.

        Args:
            kspace: complex centered k-space, shape ``(coil, H, W)`` or ``(B, coil, H, W)``, or real
                ``(B, coil, H, W, 2)``.
            mask: sampling mask, shape ``(1, 1, W)`` or ``(1, H, W)``, with ``B`` in front for a batch; samples outside
                it count as zero. None takes k-space as it is.

        Returns:
            Real magnitude image, shape ``(1, H, W)`` or ``(B, 1, H, W)``.

        Raises:
            ValueError: if k-space or mask have the wrong shape.
        """
        if kspace.ndim == 3:
            return self(kspace[None], mask)[0]
        kspace = as_complex_kspace(kspace)
        return zero_filled(kspace if mask is None else kspace * as_sampling_mask(mask, kspace))
