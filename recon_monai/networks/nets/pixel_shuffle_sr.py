"""Post-upsampling super-resolution: all convolutions on the coarse grid, then a pixel shuffle in three dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from recon_monai.networks.blocks.voxel_shuffle import CoarseSampling, coarse_samples, merge_phases, three_factors
from recon_monai.networks.nets.mdcsrn import VolumeCheckpointing, run_block
from recon_monai.networks.nets.super_resolution_strategy import (
    ResidualBlock3d,
    SuperResolutionStrategy,
    apply_head,
    conv3,
    zero_conv,
)

__all__ = ["PixelShuffleSR", "stem_channels"]


class PixelShuffleSR(SuperResolutionStrategy):
    """Post-upsampling: residual blocks on the coarse samples, and one shuffle to the fine grid at the end.

    Shi et al. 2016 (arXiv:1609.05158, ESPCN) in three dimensions, with the residual blocks of EDSR. With factor 2
    convolutions see an eighth of the voxels that those of a network on the fine grid do. The coarse samples are taken
    out of the interpolated volume by `coarse_samples`. The defaults have 401,384 parameters.

    Args:
        factor: of the coarse grid, one number or one for each axis.
        channels: of all blocks.
        blocks: number of residual blocks.
        sampling: ``"all"``: each voxel of the volume is a channel on the coarse grid, so that axes which lost nothing
            lose nothing here; ``"first"``: the coarse samples alone, the published form, for the one low resolution
            that is `factor` times coarser.
        checkpointing: as of `MDCSRN`, for each block.

    Raises:
        ValueError: if a size is below 1, or for an unknown option.
    """

    def __init__(
        self,
        factor: int | Sequence[int] = 2,
        channels: int = 32,
        blocks: int = 7,
        *,
        sampling: CoarseSampling = "all",
        checkpointing: VolumeCheckpointing = "none",
    ) -> None:
        own_factor = three_factors(factor)
        super().__init__(own_factor, checkpointing)
        if min(channels, blocks) < 1:
            raise ValueError(f"sizes of PixelShuffleSR must be at least 1, got channels={channels}, blocks={blocks}.")
        self.architecture = {
            "strategy": "pixel_shuffle",
            "factor": list(own_factor),
            "channels": channels,
            "blocks": blocks,
            "sampling": sampling,
        }
        self.factor = own_factor
        self.sampling: CoarseSampling = sampling
        self.stem = conv3(stem_channels(own_factor, sampling), channels)
        self.blocks = nn.ModuleList(ResidualBlock3d(channels) for _ in range(blocks))
        self.head = zero_conv(channels, math.prod(own_factor))

    def correction(self, image: torch.Tensor) -> torch.Tensor:
        """What is added to the volume, see `SuperResolutionStrategy.correction`."""
        samples = coarse_samples(image, self.factor, self.sampling)
        features = shallow = run_block(self.stem, samples, checkpointing="none")
        for block in self.blocks:
            features = run_block(block, features, checkpointing=self.checkpointing)
        return merge_phases(apply_head(self.head, features + shallow), self.factor)


def stem_channels(factor: Sequence[int], sampling: CoarseSampling) -> int:
    """Channels of the coarse samples of a volume of one channel.

    Args:
        factor: of each axis.
        sampling: as of `coarse_samples`.

    Returns:
        Their number.

    Raises:
        ValueError: for an unknown sampling.
    """
    known = {"all": math.prod(factor), "first": 1}
    if sampling not in known:
        raise ValueError(f"unknown sampling {sampling!r} of coarse samples; use one of {tuple(known)}.")
    return known[sampling]
