"""Estimation of coil sensitivity maps from the calibration lines."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from recon_monai.networks.architecture import RecordedModule
from recon_monai.networks.blocks.data_consistency import normalize
from recon_monai.networks.blocks.unet import NormUNet
from recon_monai.networks.precision import full_precision
from recon_monai.physics import CalibrationRule, calibration_mask, ifft2c, is_recorded

__all__ = ["SensitivityNetwork"]

# On a CPU, more pixels at once outgrow its caches, and fewer leave cores and small feature maps to overhead (measured
# with widths of 4 and 8 at 128x128 to 640x368). With checkpointing a chunk is what memory holds, so it is smaller.
_CPU_CHUNK_PIXELS = 2**19
_CPU_CHECKPOINT_PIXELS = 2**18


class SensitivityNetwork(RecordedModule):
    """Coil sensitivity maps by a U-Net on the images of the calibration lines (Sriram et al. 2020, section 3).

    All coils share one U-Net and are independent of each other up to the final normalization to
    ``sum_c |S_c|^2 = 1``; so they can pass it in chunks, with the same result.

    Args:
        channels: width of the U-Net at full resolution.
        pools: number of poolings.
        refinement: network in place of ``NormUNet(channels, pools, ...)``, from the complex image of a coil
            ``(N, 1, H, W)`` to its map of the same shape.
        calibration: rule that finds the calibration lines, see `recon_monai.physics.calibration_mask`.
        coil_chunk: most coil images that pass the U-Net at once. None: the number that a CPU is fastest with (as many
            as make up 2**19 pixels, with checkpointing 2**18, at least one), all on other devices. Small chunks with
            checkpointing keep the memory of one chunk only.
        normalization: name for `make_normalization`, inside the U-Net.
        negative_slope: slope of the leaky ReLU below zero.
        channels_last: memory format inside the U-Net.
    """

    def __init__(
        self,
        channels: int = 4,
        pools: int = 4,
        *,
        refinement: nn.Module | None = None,
        calibration: CalibrationRule = "fastmri",
        coil_chunk: int | None = None,
        normalization: str = "instance",
        negative_slope: float = 0.2,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        if coil_chunk is not None and coil_chunk < 1:
            raise ValueError(f"coil_chunk must be at least 1, or None, got {coil_chunk}.")
        self.architecture = {"calibration": calibration}
        self.calibration = calibration
        self.coil_chunk = coil_chunk
        self.refinement = refinement or NormUNet(
            channels,
            pools,
            normalization=normalization,
            negative_slope=negative_slope,
            channels_last=channels_last,
        )

    def forward(self, kspace: torch.Tensor, mask: torch.Tensor, *, checkpointing: bool = False) -> torch.Tensor:
        """Estimate coil sensitivity maps.

        Args:
            kspace: complex centered k-space, shape ``(B, coil, H, W)``.
            mask: bool, shape ``(B, 1, 1, W)`` or ``(B, 1, H, W)``; masks may differ within the batch.
            checkpointing: recompute the U-Net in the backward pass instead of keeping its activations.

        Returns:
            Complex maps ``(B, coil, H, W)`` with ``sum_c |S_c|^2 = 1``, or 0 where all coils are 0.

        Raises:
            CalibrationError: if the center of k-space was not sampled.
        """
        lines = calibration_mask(mask, self.calibration)
        lines = lines.expand(*kspace.shape[:2], -1, -1).flatten(0, 1)[:, None]
        coils = kspace.flatten(0, 1)[:, None]
        chunks = 1 if is_recorded() else -(-len(coils) // self._chunk_size(coils, checkpointing))
        maps = torch.cat(
            [
                checkpoint(self._refine, *chunk, use_reentrant=False) if checkpointing else self._refine(*chunk)
                for chunk in zip(coils.tensor_split(chunks), lines.tensor_split(chunks), strict=True)
            ]
        )
        with full_precision(kspace):
            return normalize(maps.reshape(kspace.shape))

    def _refine(self, kspace: torch.Tensor, lines: torch.Tensor) -> torch.Tensor:
        """Map that the U-Net makes of the image of each coil, ``(coils, 1, H, W)`` like the k-space."""
        with full_precision(kspace):
            images = ifft2c(torch.where(lines, kspace, torch.zeros_like(kspace)))
        return self.refinement(images)

    def _chunk_size(self, coils: torch.Tensor, checkpointing: bool) -> int:
        if self.coil_chunk is not None:
            return self.coil_chunk
        if coils.device.type != "cpu":
            return len(coils)
        pixels = _CPU_CHECKPOINT_PIXELS if checkpointing else _CPU_CHUNK_PIXELS
        return max(1, pixels // (coils.shape[-2] * coils.shape[-1]))
