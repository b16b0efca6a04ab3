"""Progressive super-resolution: from the coarse grid to the fine one in steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from recon_monai.networks.blocks.voxel_shuffle import (
    CoarseSampling,
    Factor,
    coarse_samples,
    merge_phases,
    refine_linearly,
    three_factors,
)
from recon_monai.networks.nets.mdcsrn import VolumeCheckpointing, run_block
from recon_monai.networks.nets.pixel_shuffle_sr import stem_channels
from recon_monai.networks.nets.super_resolution_strategy import (
    ResidualBlock3d,
    SuperResolutionStrategy,
    apply_head,
    conv3,
    zero_conv,
)

__all__ = ["ProgressiveSR"]


class ProgressiveStage(nn.Module):
    """Residual blocks, then features of the next finer grid.

    Args:
        channels: of input and result.
        blocks: number of residual blocks.
        step: how many times finer the next grid is.
    """

    def __init__(self, channels: int, blocks: int, step: Factor) -> None:
        super().__init__()
        self.step = step
        self.blocks = nn.Sequential(*(ResidualBlock3d(channels) for _ in range(blocks)))
        self.expand = conv3(channels, channels * math.prod(step))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Go to the next grid.

        Args:
            features: shape ``(B, channels, d, h, w)``.

        Returns:
            Shape ``(B, channels, d * s0, h * s1, w * s2)``.
        """
        return merge_phases(torch.relu(self.expand(self.blocks(features))), self.step)


class ProgressiveSR(SuperResolutionStrategy):
    """Progressive upsampling: each stage makes features of a finer grid, and a correction of the image on it.

    The pyramid of Lai et al. 2017 (arXiv:1704.03915, LapSRN) in three dimensions: the correction of a level is that of
    the level before, refined linearly, and what the level's own features add. The image of each level is the
    interpolated volume itself, sampled on the level's grid, so that only corrections are carried along. Upsampling is
    by pixel shuffle in place of transposed convolutions, and there is a loss on the last level only. The defaults
    (coarsest grid 4 times coarser, as thick slices are) have 416,618 parameters.

    Args:
        stages: number of steps.
        step: how many times finer each makes the grid, one number or one for each axis.
        channels: of all blocks.
        blocks: residual blocks of a stage.
        sampling: as of `PixelShuffleSR`, on the coarsest grid.
        checkpointing: as of `MDCSRN`, for each stage.

    Raises:
        ValueError: if a size is below 1, or for an unknown option.
    """

    def __init__(
        self,
        stages: int = 2,
        step: int | Sequence[int] = 2,
        channels: int = 24,
        blocks: int = 2,
        *,
        sampling: CoarseSampling = "all",
        checkpointing: VolumeCheckpointing = "none",
    ) -> None:
        own_step = three_factors(step, "step")
        if min(stages, channels, blocks) < 1:
            raise ValueError(
                f"sizes of ProgressiveSR must be at least 1, got stages={stages}, channels={channels}, blocks={blocks}."
            )
        first, second, third = (one**stages for one in own_step)
        super().__init__((first, second, third), checkpointing)
        self.architecture = {
            "strategy": "progressive",
            "stages": stages,
            "step": list(own_step),
            "channels": channels,
            "blocks": blocks,
            "sampling": sampling,
        }
        self.step = own_step
        self.sampling: CoarseSampling = sampling
        self.stem = conv3(stem_channels(self.multiple, sampling), channels)
        self.stages = nn.ModuleList(ProgressiveStage(channels, blocks, own_step) for _ in range(stages))
        self.heads = nn.ModuleList(zero_conv(channels, 1) for _ in range(stages))

    def correction(self, image: torch.Tensor) -> torch.Tensor:
        """What is added to the volume, see `SuperResolutionStrategy.correction`."""
        samples = coarse_samples(image, self.multiple, self.sampling)
        features = run_block(self.stem, samples, checkpointing="none")
        made: torch.Tensor | None = None
        for stage, head in zip(self.stages, self.heads, strict=True):
            features = run_block(stage, features, checkpointing=self.checkpointing)
            assert isinstance(head, nn.Conv3d)
            own = apply_head(head, features)
            made = own if made is None else refine_linearly(made, self.step) + own
        assert made is not None
        return made
