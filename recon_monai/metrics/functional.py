"""Image quality of a reconstructed volume, by fastMRI's conventions (Zbontar et al. 2018, arXiv:1811.08839, section 5).

Every function takes one volume ``(slices, H, W)`` and returns a Python float, computed in float64 (float32 where the
device has no float64). The data range is the maximum of the target volume unless given. Undefined values are NaN, never
a number that looks like a result: a target that is zero everywhere has no NMSE, and a data range of 0 no SSIM or PSNR.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from recon_monai.metrics.ssim_map import SSIM_WINDOW, ssim_map

__all__ = ["Volume", "nmse", "nrmse", "psnr", "ssim", "ssim_per_slice"]

Volume = np.ndarray | Tensor
_SLICES_AT_ONCE = 8  # bounds the memory of the SSIM maps of large volumes


def ssim(*, prediction: Volume, target: Volume, data_range: float | None = None, spatial_dims: int = 2) -> float:
    """Structural similarity: uniform window 7, sample covariance, data range = volume maximum.

    Args:
        prediction: real ``(slices, H, W)``.
        target: real, same shape.
        data_range: intensity range; None takes the maximum of the target volume.
        spatial_dims: 2 for the mean over slices of the 2-D SSIM (fastMRI), 3 for a window of 7x7x7 over the volume.

    Returns:
        The mean of the SSIM map; NaN if the data range is 0.

    Raises:
        ValueError: if the shapes differ or are not 3-D, an image is smaller than 7 pixels (with ``spatial_dims=3`` also
            fewer than 7 slices), or the data range is negative.
        TypeError: if a volume is complex.

    Examples:
        >>> import numpy as np
        >>> from recon_monai.metrics import nmse, psnr, ssim
        >>> target = np.random.default_rng(0).random((3, 32, 32))
        >>> ssim(prediction=target, target=target)
        1.0
        >>> round(psnr(prediction=target + 0.1, target=target, data_range=1.0), 6)
        20.0
        >>> round(nmse(prediction=0.9 * target, target=target), 6)
        0.01
    """
    if spatial_dims == 2:
        return float(np.mean(ssim_per_slice(prediction=prediction, target=target, data_range=data_range)))
    predicted, wanted = checked_volumes(prediction, target)
    scale = wanted.new_tensor(resolve_data_range(wanted, data_range))
    return _ssim_in_slabs(predicted, wanted, scale, spatial_dims)


def _ssim_in_slabs(predicted: Tensor, wanted: Tensor, scale: Tensor, spatial_dims: int) -> float:
    """Mean of the 3-D SSIM map, made of slabs that overlap by a window less one, which is the map of the whole."""
    positions = max(len(wanted) - SSIM_WINDOW + 1, 1)  # fewer slices than the window are for `ssim_map` to refuse
    total, count = 0.0, 0
    for start in range(0, positions, _SLICES_AT_ONCE):
        slab = slice(start, min(start + _SLICES_AT_ONCE, positions) + SSIM_WINDOW - 1)
        part = ssim_map(predicted[slab][None, None], wanted[slab][None, None], scale, spatial_dims=spatial_dims)
        total, count = total + float(part.sum()), count + part.numel()
    return total / count


def ssim_per_slice(*, prediction: Volume, target: Volume, data_range: float | None = None) -> np.ndarray:
    """The 2-D SSIM of every slice, data range = volume maximum; its mean is ``ssim``.

    Args:
        prediction: real ``(slices, H, W)``.
        target: real, same shape.
        data_range: intensity range; None takes the maximum of the target volume.

    Returns:
        float64 ``(slices,)``; NaN if the data range is 0.

    Raises:
        ValueError: as ``ssim``.
        TypeError: as ``ssim``.
    """
    predicted, wanted = checked_volumes(prediction, target)
    scale = wanted.new_tensor(resolve_data_range(wanted, data_range))
    parts = [
        ssim_map(some[:, None], others[:, None], scale).mean(dim=(1, 2, 3))
        for some, others in zip(predicted.split(_SLICES_AT_ONCE), wanted.split(_SLICES_AT_ONCE), strict=True)
    ]
    return torch.cat(parts).cpu().numpy().astype(np.float64)


def psnr(*, prediction: Volume, target: Volume, data_range: float | None = None) -> float:
    """Peak signal-to-noise ratio in dB over the whole volume, peak = volume maximum.

    Args:
        prediction: real ``(slices, H, W)``.
        target: real, same shape.
        data_range: the peak; None takes the maximum of the target volume.

    Returns:
        ``10 log10(data_range^2 / MSE)``; infinity for identical volumes, NaN if the data range is 0.

    Raises:
        ValueError: if the shapes differ or are not 3-D, or the data range is negative.
        TypeError: if a volume is complex.
    """
    predicted, wanted = checked_volumes(prediction, target)
    peak = resolve_data_range(wanted, data_range)
    # divided by the peak before squaring, so that float32 does not underflow on images of scale 1e-4 and less
    error = float(((predicted - wanted) / peak).square().mean()) if peak else math.nan
    return math.inf if error == 0 else -10 * math.log10(error)


def nmse(*, prediction: Volume, target: Volume, data_range: float | None = None) -> float:
    """Normalized mean squared error over the whole volume, ``|prediction - target|^2 / |target|^2``.

    Args:
        prediction: real ``(slices, H, W)``.
        target: real, same shape.
        data_range: not used (NMSE has no scale); accepted so that all metrics can be called alike.

    Returns:
        The ratio; NaN if the target is zero everywhere.

    Raises:
        ValueError: if the shapes differ or are not 3-D.
        TypeError: if a volume is complex.
    """
    predicted, wanted = checked_volumes(prediction, target)
    norm = float(torch.linalg.vector_norm(wanted))
    return (float(torch.linalg.vector_norm(predicted - wanted)) / norm) ** 2 if norm else math.nan


def nrmse(*, prediction: Volume, target: Volume, data_range: float | None = None) -> float:
    """Normalized root mean squared error over the whole volume: the square root of ``nmse``.

    Args:
        prediction: real ``(slices, H, W)``.
        target: real, same shape.
        data_range: not used, as in ``nmse``.

    Returns:
        ``|prediction - target| / |target|``; NaN if the target is zero everywhere.

    Raises:
        ValueError: if the shapes differ or are not 3-D.
        TypeError: if a volume is complex.
    """
    return math.sqrt(nmse(prediction=prediction, target=target))


def checked_volumes(prediction: Volume, target: Volume) -> tuple[Tensor, Tensor]:
    """Both volumes as plain real tensors of one precision on the prediction's device, after checking their shapes.

    Args:
        prediction: ``(slices, H, W)``.
        target: same shape.

    Returns:
        float64 tensors (float32 on devices without float64).

    Raises:
        ValueError: if the shapes differ or are not 3-D.
        TypeError: if a volume is complex.
    """
    predicted, wanted = _plain(prediction), _plain(target)
    if predicted.shape != wanted.shape:
        raise ValueError(
            f"prediction {tuple(predicted.shape)} and target {tuple(wanted.shape)} differ in shape; "
            "crop or pad the prediction to the size of the target first"
        )
    if wanted.ndim != 3 or wanted.numel() == 0:
        raise ValueError(f"expected a volume (slices, H, W), got {tuple(wanted.shape)}; one slice is image[None]")
    if predicted.is_complex() or wanted.is_complex():
        raise TypeError("these metrics are defined for real images and got a complex one; pass magnitudes")
    dtype = torch.float32 if predicted.device.type == "mps" else torch.float64
    return predicted.to(dtype), wanted.to(device=predicted.device, dtype=dtype)


def resolve_data_range(target: Tensor, data_range: float | None) -> float:
    """The data range given, or the maximum of the target volume.

    Args:
        target: the target volume.
        data_range: a value to use instead of the maximum.

    Returns:
        A number that is 0 or more (NaN if the target holds NaN).

    Raises:
        ValueError: if it is negative.
    """
    value = float(target.max()) if data_range is None else float(data_range)
    if value < 0:
        where = "the maximum of the target" if data_range is None else "data_range"
        raise ValueError(f"{where} is {value}, and the data range must not be negative; pass magnitude images")
    return value


def _plain(volume: Volume) -> Tensor:
    """A plain tensor without gradient history (MONAI's MetaTensor carries bookkeeping that slows arithmetic)."""
    if isinstance(volume, np.ndarray):
        volume = np.require(
            volume, requirements=["C", "W"]
        )  # torch warns of read-only arrays, refuses negative strides
    tensor = torch.as_tensor(volume)
    if hasattr(tensor, "as_tensor"):
        tensor = tensor.as_tensor()
    return tensor.detach()
