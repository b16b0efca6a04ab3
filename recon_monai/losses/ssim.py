"""One minus the structural similarity, as a training loss, and what losses made of it share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recon_monai.metrics.ssim_map import Window, check_window, ssim_map

__all__ = ["SSIMLoss", "check_data_range", "error_map"]


class SSIMLoss(nn.Module):
    """``1 - SSIM``, with one data range per sample (the maximum of its volume), over windows wholly in the image.

    With the uniform window of 7 pixels and sample covariance this is the loss of the end-to-end VarNet (Sriram et al.
    2020, arXiv:2004.06688, section 3), equal to fastMRI's value. The Gaussian window of 7 pixels (standard deviation
    1.5, population covariance) weighs near pixels more.

    It is computed outside autocast, in float32 or, for float64 images, in float64; scaling images and data range
    together does not change it. MONAI's ``SSIMLoss`` has no sample covariance, and under autocast computes variances in
    half precision.

    Args:
        window: ``"uniform"`` or ``"gaussian"``.

    Raises:
        ValueError: for another window.

    Examples:
        >>> import torch
        >>> from recon_monai.losses import SSIMLoss
        >>> target = torch.rand(2, 1, 32, 32)
        >>> data_range = target.flatten(1).amax(dim=1)  # in training: the maximum of the sample's volume
        >>> float(SSIMLoss()(target, target, data_range).abs()) < 1e-6
        True
        >>> bool(SSIMLoss()(0.5 * target, target, data_range) > 0.1)
        True
    """

    def __init__(self, window: Window = "uniform") -> None:
        super().__init__()
        check_window(window)
        self.window: Window = window

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
        return 1 - ssim_map(prediction, target, data_range, window=self.window).mean()

    def extra_repr(self) -> str:
        """The window, for printing."""
        return f"window={self.window!r}"


def error_map(prediction: Tensor, target: Tensor, data_range: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Difference of two images, in shares of the data range.

    Args:
        prediction: real ``(B, 1, H, W)``.
        target: real, same shape.
        data_range: ``(B,)``; None leaves the difference in the values of the images.
        dtype: of the result, and what it is computed in.

    Returns:
        ``(B, 1, H, W)``, signed.
    """
    difference = prediction.to(dtype) - target.to(dtype)
    if data_range is None:
        return difference
    return difference / data_range.to(device=prediction.device, dtype=dtype).reshape(-1, 1, 1, 1)


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
