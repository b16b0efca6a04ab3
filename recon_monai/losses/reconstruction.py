"""The loss reconstruction networks are trained with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recon_monai.losses.ssim import SSIMLoss, check_data_range, error_map
from recon_monai.metrics.ssim_map import Window

__all__ = ["ReconstructionLoss"]


class ReconstructionLoss(nn.Module):
    """``SSIM loss + alpha * mean(|prediction - target| / data_range)``.

    SSIM alone is blind to a constant offset in bright regions; the L1 term is not. Dividing it by the data range makes
    alpha independent of the scale of the file. Computed outside autocast, in float32 (float64 stays float64).

    ``ReconstructionLoss(1000, ssim_weight=0.9, relative=False)`` is ``0.9 * SSIM loss + 0.1 * 1e4 * L1``, for files
    of one scale, with values about 1e-4. ``ReconstructionLoss(window="gaussian")`` is Gaussian SSIM + L1, 1 to 1.

    Args:
        alpha: weight of the L1 term, 0 or more.
        ssim_weight: weight of the SSIM loss, 0 or more.
        relative: divide the L1 term by the data range.
        window: of SSIM, ``"uniform"`` or ``"gaussian"``, see `SSIMLoss`.

    Raises:
        ValueError: if a weight is negative, or for another window.

    Examples:
        >>> import torch
        >>> from recon_monai.losses import ReconstructionLoss, SSIMLoss
        >>> prediction, target, data_range = torch.rand(2, 1, 32, 32), torch.rand(2, 1, 32, 32), torch.ones(2)
        >>> loss = ReconstructionLoss(alpha=2.0)(prediction, target, data_range)
        >>> by_hand = SSIMLoss()(prediction, target, data_range) + 2 * (prediction - target).abs().mean()
        >>> torch.allclose(loss, by_hand)
        True
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        ssim_weight: float = 1.0,
        relative: bool = True,
        window: Window = "uniform",
    ) -> None:
        super().__init__()
        if alpha < 0 or ssim_weight < 0:
            raise ValueError(f"alpha and ssim_weight must not be negative, got {alpha} and {ssim_weight}")
        self.alpha = alpha
        self.ssim_weight = ssim_weight
        self.relative = relative
        self.ssim_loss = SSIMLoss(window)

    def forward(self, prediction: Tensor, target: Tensor, data_range: Tensor) -> Tensor:
        """Mean over batch and pixels.

        Args:
            prediction: real ``(B, 1, H, W)``.
            target: real, same shape.
            data_range: ``(B,)``, positive: the maximum of each sample's volume.

        Returns:
            A scalar.

        Raises:
            ValueError: if shapes differ, an image is smaller than 7 pixels, or a data range is not positive and finite.
            TypeError: if an image is complex.
        """
        check_data_range(data_range, len(prediction))
        similarity = self.ssim_loss(prediction, target, data_range)
        with torch.autocast(prediction.device.type, enabled=False):
            difference = error_map(prediction, target, data_range if self.relative else None, similarity.dtype)
            return self.ssim_weight * similarity + self.alpha * difference.abs().mean()

    def extra_repr(self) -> str:
        """The weights, for printing."""
        return f"alpha={self.alpha}, ssim_weight={self.ssim_weight}, relative={self.relative}"
