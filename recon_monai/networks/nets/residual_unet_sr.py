"""A plain U-Net as residual after interpolation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.nets import UNet

from recon_monai.networks.nets.mdcsrn import VolumeCheckpointing, run_block
from recon_monai.networks.nets.super_resolution_strategy import (
    SuperResolutionStrategy,
    apply_head,
    zero_conv,
)

__all__ = ["ResidualUNetSR"]


class ResidualUNetSR(SuperResolutionStrategy):
    """Pre-upsampling by a network that knows nothing of resolution: MONAI's ``UNet`` makes what is added to the volume.

    Ronneberger et al. 2015 (arXiv:1505.04597) in three dimensions, the image-to-image network that others are to be
    measured against. Convolutions of stride 2 go down, transposed ones up, leaky ReLU of slope 0.2 between them, and no
    normalization, as in `PixelShuffleSR`. The defaults have 415,857 parameters.

    Args:
        channels: of each level, from the fine grid down; each next level is half as fine.
        checkpointing: as of `MDCSRN`, for the whole U-Net.

    Raises:
        ValueError: if there are fewer than two levels or a size is below 1, or for an unknown option.
    """

    def __init__(
        self, channels: Sequence[int] = (16, 32, 64, 96), *, checkpointing: VolumeCheckpointing = "none"
    ) -> None:
        levels = list(channels)
        multiple = 2 ** (len(levels) - 1)
        super().__init__((multiple, multiple, multiple), checkpointing)
        if len(levels) < 2 or min(levels) < 1:
            raise ValueError(f"channels of ResidualUNetSR must be at least 1 on at least two levels, got {levels}.")
        self.architecture = {"strategy": "residual_unet", "channels": levels}
        self.unet = UNet(
            spatial_dims=3,
            in_channels=1,
            out_channels=levels[0],
            channels=levels,
            strides=[2] * (len(levels) - 1),
            act=("leakyrelu", {"negative_slope": 0.2}),
            adn_ordering="A",
        )
        self.head = zero_conv(levels[0], 1)

    def correction(self, image: torch.Tensor) -> torch.Tensor:
        """What is added to the volume, see `SuperResolutionStrategy.correction`."""
        return apply_head(self.head, run_block(self.unet, image, checkpointing=self.checkpointing))
