"""One minus the structural similarity, as a training loss."""

from __future__ import annotations

from torch import Tensor, nn

from recon_monai.metrics.ssim_map import ssim_map

__all__ = ["SSIMLoss", "check_data_range"]


class SSIMLoss(nn.Module):
    """``1 - SSIM``: uniform window 7, sample covariance, one data range per sample (the maximum of its volume).

    The loss of the end-to-end VarNet (Sriram et al. 2020, arXiv:2004.06688, section 3) and equal to fastMRI's value.
    It is computed outside autocast, in float32 or, for float64 images, in float64; scaling images and data range
    together does not change it.
    """

    def forward(self, prediction: Tensor, target: Tensor, data_range: Tensor) -> Tensor:
        """Mean over batch and positions.

        Args:
            prediction: real ``(B, 1, H, W)``.
            target: real, same shape.
            data_range: ``(B,)``, positive.

        Returns:
            A scalar between 0 and 2.

        Raises:
            ValueError: if shapes differ, an image is smaller than 7 pixels, or a data range is not positive and finite.
            TypeError: if an image is complex.
        """
        check_data_range(data_range, len(prediction))
        return 1 - ssim_map(prediction, target, data_range).mean()


def check_data_range(data_range: Tensor, batch_size: int) -> None:
    """Refuse data ranges that would make the loss NaN or wrong.

    Args:
        data_range: ``(B,)``.
        batch_size: B.

    Raises:
        ValueError: if there is not one per sample, or one is not positive and finite.
    """
    if data_range.shape != (batch_size,):
        raise ValueError(f"data_range must be one value per sample ({batch_size},), got {tuple(data_range.shape)}")
    if not bool(((data_range > 0) & data_range.isfinite()).all()):
        raise ValueError(
            f"data_range must be positive and finite, got {data_range.tolist()}; a volume whose maximum is 0 has no "
            "signal to train on, leave its file out"
        )
