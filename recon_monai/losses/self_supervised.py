"""The loss of self-supervised training: how well measured samples are predicted."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["HeldOutLoss"]


class HeldOutLoss(nn.Module):
    """``|u - v|_2 / |u|_2 + |u - v|_1 / |u|_1`` of measured samples u and predicted ones v, in all coils.

    Normalized L1 and L2 distance of k-space (Yaman et al. 2020, doi:10.1002/mrm.28378, equation 9): independent of the
    scale of the file, and with the L1 part not of its center alone. Computed outside autocast, in the precision of
    k-space. A sample of the batch that holds no signal in the mask counts 0.
    """

    def forward(self, prediction: Tensor, measured: Tensor, mask: Tensor) -> Tensor:
        """Mean over the batch.

        Args:
            prediction: complex k-space of the coils, ``(B, coil, H, W)``.
            measured: complex, same shape; used inside the mask only.
            mask: bool ``(B, 1, 1, W)`` or ``(B, 1, H, W)``: the samples that count.

        Returns:
            A scalar.

        Raises:
            ValueError: if shapes differ, or k-space is not complex.
        """
        if prediction.shape != measured.shape or not (prediction.is_complex() and measured.is_complex()):
            raise ValueError(
                f"prediction is {prediction.dtype} of shape {tuple(prediction.shape)} and measured k-space "
                f"{measured.dtype} of shape {tuple(measured.shape)}, expected complex (B, coil, H, W) of one shape"
            )
        with torch.autocast(prediction.device.type, enabled=False):
            true = torch.where(mask, measured, 0)
            # real numbers: the magnitude of a complex zero has no derivative
            error = torch.view_as_real(torch.where(mask, prediction - true, 0)).flatten(1, -2)
            true = torch.view_as_real(true).flatten(1, -2)
            return (_ratio(error, true, 2) + _ratio(error, true, 1)).mean()


def _ratio(error: Tensor, true: Tensor, order: int) -> Tensor:
    """Ratio of the norms of ``(B, N, 2)``, 0 where there is no signal."""

    def norm(values: Tensor) -> Tensor:
        if order == 2:
            return torch.linalg.vector_norm(values, dim=(1, 2))
        return torch.linalg.vector_norm(values, dim=2).sum(dim=1)

    signal = norm(true)
    present = signal > 0
    return torch.where(present, norm(error) / torch.where(present, signal, torch.ones_like(signal)), 0)
