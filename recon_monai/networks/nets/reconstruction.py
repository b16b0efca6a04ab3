"""What reconstruction networks take and give."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import nn

from recon_monai.networks.architecture import RecordedModule

__all__ = ["Reconstruction", "ReconstructionNetwork"]


class Reconstruction(NamedTuple):
    """What a reconstruction network computes.

    Attributes:
        image: magnitude image, real, shape ``(B, 1, H, W)``.
        coil_images: complex images of the coils, shape ``(B, coil, H, W)``; `image` is their root sum of squares.
        sensitivity_maps: complex coil sensitivity maps, shape ``(B, coil, H, W)``.
    """

    image: torch.Tensor
    coil_images: torch.Tensor
    sensitivity_maps: torch.Tensor


class ReconstructionNetwork(RecordedModule):
    """A network from undersampled k-space of several coils to magnitude images."""

    def forward(self, kspace: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Reconstruct magnitude images.

        Args:
            kspace: as for `reconstruct`.
            mask: as for `reconstruct`.

        Returns:
            Real, shape ``(B, 1, H, W)``.
        """
        return self.reconstruct(kspace, mask).image

    def __prepare_scriptable__(self) -> nn.Module:
        """What ``torch.jit.script`` takes in place of the network; so MONAI's ``ckpt_export`` writes TorchScript."""
        from recon_monai.networks.model_files import as_torchscript

        return as_torchscript(self)

    @abstractmethod
    def reconstruct(self, kspace: torch.Tensor, mask: torch.Tensor | None = None) -> Reconstruction:
        """Reconstruct magnitude images, and return the coil images and maps with them.

        Args:
            kspace: centered k-space, complex ``(B, coil, H, W)`` or real ``(B, coil, H, W, 2)``; samples outside the
                mask are not used.
            mask: sampling mask of any dtype, shape ``(W,)``, ``(1, 1, W)``, ``(B, 1, 1, W)`` or ``(B, 1, H, W)``;
                None infers it from the zeros of k-space.

        Returns:
            The reconstruction, in the scale of the input.

        Raises:
            CalibrationError: if the center of k-space was not sampled.
            ValueError: if shapes do not fit.
        """
