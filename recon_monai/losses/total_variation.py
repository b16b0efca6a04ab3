"""Total variation of an image, as a term of a loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["TotalVariationLoss"]


class TotalVariationLoss(nn.Module):
    """Mean total variation per voxel (Rudin, Osher and Fatemi, "Nonlinear total variation based noise removal
    algorithms", Physica D 1992).

    Differences to the next voxel along each axis, 0 behind the last one. MONAI has regularizers of displacement fields
    alone.

    Args:
        isotropic: the Euclidean length of the differences of a voxel, which does not prefer edges along the grid; else
            the sum of their magnitudes. Where nothing changes, the gradient is 0.
    """  # noqa: D205

    def __init__(self, isotropic: bool = True) -> None:
        super().__init__()
        self.isotropic = isotropic

    def forward(self, prediction: Tensor, target: Tensor | None = None) -> Tensor:
        """Measure the prediction alone.

        Args:
            prediction: real, shape ``(B, C, ...)`` with any number of spatial axes.
            target: takes no part; accepted so that this is called as any other loss.

        Returns:
            A scalar, in at least float32.

        Raises:
            ValueError: if there is no spatial axis.
        """
        if prediction.ndim < 3:
            raise ValueError(f"total variation needs images (B, C, ...), got shape {tuple(prediction.shape)}")
        image = prediction.as_subclass(Tensor).to(torch.promote_types(prediction.dtype, torch.float32))
        axes = range(2, image.ndim)
        steps = [F.pad(image.diff(dim=axis), [0, 0] * (image.ndim - 1 - axis) + [0, 1]) for axis in axes]
        if self.isotropic:
            return torch.linalg.vector_norm(torch.stack(steps), dim=0).mean()
        return torch.stack([step.abs().mean() for step in steps]).sum()
