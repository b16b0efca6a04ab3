"""Super-resolution by going up and down between the grids, with the error of each way fed back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from recon_monai.networks.blocks.voxel_shuffle import CoarseSampling, Factor, coarse_samples, three_factors
from recon_monai.networks.nets.mdcsrn import VolumeCheckpointing, run_block
from recon_monai.networks.nets.pixel_shuffle_sr import stem_channels
from recon_monai.networks.nets.super_resolution_strategy import (
    SuperResolutionStrategy,
    apply_head,
    conv3,
    zero_conv,
)

__all__ = ["BackProjectionSR", "DownProjection", "UpProjection"]


class UpProjection(nn.Module):
    """Up; down again; what that lost, up, added (Haris et al. 2018, arXiv:1803.02735, section 3.1, equations 1 to 5).

    Args:
        channels: of both grids.
        factor: between the grids.
    """

    def __init__(self, channels: int, factor: Factor) -> None:
        super().__init__()
        self.up = _Scaling(channels, factor, upward=True)
        self.down = _Scaling(channels, factor, upward=False)
        self.up_error = _Scaling(channels, factor, upward=True)

    def forward(self, coarse: torch.Tensor) -> torch.Tensor:
        """Go up.

        Args:
            coarse: shape ``(B, channels, d, h, w)``.

        Returns:
            Features of the fine grid.
        """
        fine = self.up(coarse)
        return fine + self.up_error(self.down(fine) - coarse)


class DownProjection(nn.Module):
    """Down; up again; what that lost, down, added (section 3.2, equations 6 to 10).

    Args:
        channels: of both grids.
        factor: between the grids.
    """

    def __init__(self, channels: int, factor: Factor) -> None:
        super().__init__()
        self.down = _Scaling(channels, factor, upward=False)
        self.up = _Scaling(channels, factor, upward=True)
        self.down_error = _Scaling(channels, factor, upward=False)

    def forward(self, fine: torch.Tensor) -> torch.Tensor:
        """Go down.

        Args:
            fine: shape ``(B, channels, D, H, W)``, sizes that the factors divide.

        Returns:
            Features of the coarse grid.
        """
        coarse = self.down(fine)
        return coarse + self.down_error(self.up(coarse) - fine)


class BackProjectionSR(SuperResolutionStrategy):
    """Iterative up- and downsampling with error feedback: the deep back-projection network in three dimensions.

    Haris et al. 2018 (arXiv:1803.02735, DBPN, without dense connections): an up-projection, then pairs of down- and
    up-projections, and one convolution of all features of the fine grid. Kernels are four voxels wider than the
    factor, as published. The coarse samples are those of `PixelShuffleSR`. The defaults have 384,954 parameters.

    Args:
        factor: of the coarse grid, one number or one for each axis.
        channels: of both grids.
        iterations: number of up-projections.
        sampling: as of `PixelShuffleSR`.
        checkpointing: as of `MDCSRN`, for each projection.

    Raises:
        ValueError: if a size is below 1, or for an unknown option.
    """

    def __init__(
        self,
        factor: int | Sequence[int] = 2,
        channels: int = 14,
        iterations: int = 2,
        *,
        sampling: CoarseSampling = "all",
        checkpointing: VolumeCheckpointing = "none",
    ) -> None:
        own_factor = three_factors(factor)
        super().__init__(own_factor, checkpointing)
        if min(channels, iterations) < 1:
            raise ValueError(
                f"sizes of BackProjectionSR must be at least 1, got channels={channels}, iterations={iterations}."
            )
        self.architecture = {
            "strategy": "back_projection",
            "factor": list(own_factor),
            "channels": channels,
            "iterations": iterations,
            "sampling": sampling,
        }
        self.factor = own_factor
        self.sampling: CoarseSampling = sampling
        self.stem = conv3(stem_channels(own_factor, sampling), channels)
        self.ups = nn.ModuleList(UpProjection(channels, own_factor) for _ in range(iterations))
        self.downs = nn.ModuleList(DownProjection(channels, own_factor) for _ in range(iterations - 1))
        self.head = zero_conv(channels * iterations, 1)

    def correction(self, image: torch.Tensor) -> torch.Tensor:
        """What is added to the volume, see `SuperResolutionStrategy.correction`."""
        samples = coarse_samples(image, self.factor, self.sampling)
        coarse = torch.relu(run_block(self.stem, samples, checkpointing="none"))
        fine = [run_block(self.ups[0], coarse, checkpointing=self.checkpointing)]
        for down, up in zip(self.downs, self.ups[1:], strict=True):
            coarse = run_block(down, fine[-1], checkpointing=self.checkpointing)
            fine.append(run_block(up, coarse, checkpointing=self.checkpointing))
        return apply_head(self.head, torch.cat(fine, dim=1))


class _Scaling(nn.Sequential):
    """A transposed or strided convolution, and PReLU."""

    def __init__(self, channels: int, factor: Factor, *, upward: bool) -> None:
        kind = nn.ConvTranspose3d if upward else nn.Conv3d
        conv = kind(channels, channels, [one + 4 for one in factor], stride=factor, padding=2)  # type: ignore[arg-type]
        # of the products that an upward kernel makes, each fine voxel is the sum of one in factor
        seen = math.prod(conv.kernel_size) / (math.prod(factor) if upward else 1)
        nn.init.normal_(conv.weight, std=math.sqrt(2 / (channels * seen)))
        super().__init__(conv, nn.PReLU())
