"""The structural similarity map that the loss and the metrics share.

Convention of fastMRI (Zbontar et al. 2018, arXiv:1811.08839, section 5) and of scikit-image's defaults: uniform window
of 7 pixels, sample covariance ``n / (n - 1)``, ``k1 = 0.01``, ``k2 = 0.03``, only windows that lie wholly in the image.
The Gaussian window (Wang et al. 2004), an option of training losses, goes with the population covariance: the factor
``n / (n - 1)`` makes the covariance unbiased for equal weights only.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["SSIM_CONVENTION", "SSIM_WINDOW", "Window", "check_window", "ssim_map"]

Window = Literal["uniform", "gaussian"]

SSIM_WINDOW = 7
SSIM_CONVENTION = (
    "uniform 7x7 window, sample covariance, k1 0.01, k2 0.03, mean over slices, data range = volume maximum"
)
_K1, _K2 = 0.01, 0.03
_SIGMA = 1.5


def ssim_map(
    prediction: Tensor,
    target: Tensor,
    data_range: Tensor,
    *,
    spatial_dims: int = 2,
    window: Window = "uniform",
) -> Tensor:
    """SSIM (Wang et al. 2004, IEEE TIP 13(4), equation 13) at every position where the whole window fits.

    Both images are divided by the data range first, so that intensities of any scale (fastMRI's are about 1e-4) are
    computed at order one. Autocast is switched off: in bfloat16 or float16 the variances would be noise.

    Args:
        prediction: real ``(B, 1, [D,] H, W)``; half precision is computed in float32, float64 stays float64.
        target: real, same shape.
        data_range: ``(B,)`` one value per sample, or one number for all; 0 gives NaN.
        spatial_dims: 2 or 3, the dimensions of the window.
        window: ``"uniform"``, 7 pixels of equal weight and the sample covariance; or ``"gaussian"``, 7 pixels with a
            standard deviation of 1.5 pixels and the population covariance.

    Returns:
        ``(B, 1, [D - 6,] H - 6, W - 6)``, float32 or float64.

    Raises:
        ValueError: if shapes differ, are not ``(B, 1, ...)``, an image is smaller than the window, or the window is
            unknown.
        TypeError: if an image is complex.
    """
    check_window(window)
    _check(prediction, target, data_range, spatial_dims)
    dtype = torch.promote_types(torch.promote_types(prediction.dtype, target.dtype), torch.float32)
    with torch.autocast(prediction.device.type, enabled=False):
        scale = 1 / data_range.to(device=prediction.device, dtype=dtype).reshape(-1, *[1] * (spatial_dims + 1))
        x, y = prediction.to(dtype) * scale, target.to(dtype) * scale
        mean_x, mean_y, mean_squares, mean_product = _local_means(
            torch.cat([x, y, x * x + y * y, x * y], 1), window
        ).split(1, 1)
        n = SSIM_WINDOW**spatial_dims
        unbiased = n / (n - 1) if window == "uniform" else 1.0
        product, squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
        covariance = (mean_product - product) * unbiased
        # the sum of two variances; rounding may leave it just below zero where both images are flat
        variances = ((mean_squares - squares) * unbiased).clamp(min=0)
        c1, c2 = _K1**2, _K2**2
        return (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))


def check_window(window: str) -> None:
    """Refuse a window that there is none of.

    Args:
        window: its name.

    Raises:
        ValueError: if it is neither ``"uniform"`` nor ``"gaussian"``.
    """
    if window not in get_args(Window):
        raise ValueError(f"unknown window {window!r} of SSIM; use one of {get_args(Window)}")


def _local_means(maps: Tensor, window: Window) -> Tensor:
    """Average over the window, one axis after the other (both windows are separable)."""
    return _uniform_means(maps) if window == "uniform" else _gaussian_means(maps)


def _gaussian_means(maps: Tensor) -> Tensor:
    weights = [math.exp(-0.5 * ((k - SSIM_WINDOW // 2) / _SIGMA) ** 2) for k in range(SSIM_WINDOW)]
    for axis in range(2, maps.ndim):
        length = maps.shape[axis] - SSIM_WINDOW + 1
        # shifted sums, as convolutions on GPUs may round to TF32, in which small variances are noise
        total = maps.narrow(axis, 0, length) * (weights[0] / sum(weights))
        for k in range(1, SSIM_WINDOW):
            total = torch.add(total, maps.narrow(axis, k, length), alpha=weights[k] / sum(weights))
        maps = total
    return maps


def _uniform_means(maps: Tensor) -> Tensor:
    pool = functional.avg_pool2d if maps.ndim == 4 else functional.avg_pool3d
    spatial_dims = maps.ndim - 2
    for axis in range(spatial_dims):
        window = [1] * spatial_dims
        window[axis] = SSIM_WINDOW
        maps = pool(maps, window, stride=1)
    return maps


def _check(prediction: Tensor, target: Tensor, data_range: Tensor, spatial_dims: int) -> None:
    if spatial_dims not in (2, 3):
        raise ValueError(f"spatial_dims must be 2 or 3, got {spatial_dims}")
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} differ in shape; "
            "crop or pad the prediction to the size of the target first"
        )
    if prediction.is_complex() or target.is_complex():
        raise TypeError("SSIM is defined for real images and got a complex one; pass magnitudes")
    if prediction.ndim != spatial_dims + 2 or prediction.shape[1] != 1:
        expected = "(B, 1, H, W)" if spatial_dims == 2 else "(B, 1, D, H, W)"
        raise ValueError(f"expected images {expected}, got {tuple(prediction.shape)}")
    if min(prediction.shape[2:]) < SSIM_WINDOW:
        raise ValueError(
            f"SSIM needs at least {SSIM_WINDOW} pixels along each of the last {spatial_dims} dimensions "
            f"(its window), got {tuple(prediction.shape[2:])}"
        )
    if data_range.numel() not in (1, prediction.shape[0]):
        raise ValueError(
            f"data_range needs one value per sample ({prediction.shape[0]}) or a single one, got {data_range.numel()}"
        )
