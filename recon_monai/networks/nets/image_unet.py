"""A plain U-Net on the zero-filled image, which knows nothing of the acquisition."""

from __future__ import annotations

import torch

from recon_monai.networks.architecture import RecordedModule
from recon_monai.networks.blocks.standardization import crop, pad, padding_to, restore, standardize
from recon_monai.networks.blocks.unet import UNet
from recon_monai.networks.inputs import as_complex_kspace, as_sampling_mask
from recon_monai.networks.precision import full_precision
from recon_monai.physics import ifft2c, rss

__all__ = ["ImageUNet"]


class ImageUNet(RecordedModule):
    """Root sum of squares of the zero-filled coil images, then a U-Net: fastMRI's baseline (Zbontar et al. 2018).

    arXiv:1811.08839, section 5.2, with `UNet`. The image is brought to mean 0 and standard deviation 1 for the network,
    and the network's output back (theirs also clamps it to 6 standard deviations). Neither coil maps nor the mask are
    used, and nothing keeps the measured data.

    Scaling the input scales the output. An empty slice gives zeros.

    Args:
        channels: width at full resolution; theirs is 32 and more.
        pools: number of poolings.
        residual: the network's output is added to the zero-filled image (Jin et al. 2017, arXiv:1611.03679) instead of
            standing for the image.
        normalization: name for `make_normalization`.
        negative_slope: slope of the leaky ReLU below zero.
        channels_last: memory format inside the U-Net.
    """

    def __init__(
        self,
        channels: int = 18,
        pools: int = 4,
        *,
        residual: bool = True,
        normalization: str = "instance",
        negative_slope: float = 0.2,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        self.architecture = {"residual": residual}
        self.residual = residual
        self.multiple = max(16, 2**pools)
        self.unet = UNet(
            1,
            1,
            channels,
            pools,
            normalization=normalization,
            negative_slope=negative_slope,
            channels_last=channels_last,
        )

    def forward(self, kspace: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Reconstruct magnitude images.

        Args:
            kspace: centered k-space, complex ``(B, coil, H, W)`` or real ``(B, coil, H, W, 2)``; samples outside the
                mask are not used.
            mask: sampling mask of any dtype, shape ``(W,)``, ``(1, 1, W)``, ``(B, 1, 1, W)`` or ``(B, 1, H, W)``;
                None: k-space is zero where it was not sampled.

        Returns:
            Real, shape ``(B, 1, H, W)``: the magnitude of what the U-Net computes.

        Raises:
            ValueError: if shapes do not fit.
        """
        kspace = as_complex_kspace(kspace)
        with full_precision(kspace):
            if mask is not None:
                kspace = torch.where(as_sampling_mask(mask, kspace), kspace, torch.zeros_like(kspace))
            normalized, statistics = standardize(rss(ifft2c(kspace)))
            padding = padding_to(self.multiple, *kspace.shape[-2:])
            padded = pad(normalized, padding)
        refined = self.unet(padded)
        with full_precision(kspace):
            found = crop(refined, padding).to(normalized.dtype)
            # a magnitude by abs, since a rectifier would have no gradient where an untrained network is negative
            return restore(normalized + found if self.residual else found, statistics).abs()
