"""Coil sensitivity maps from the calibration lines alone, without training or a solver, for whole batches."""

from __future__ import annotations

import torch

from recon_monai.physics.calibration import CalibrationRule, calibration_mask
from recon_monai.physics.coils import normalize_maps
from recon_monai.physics.fourier import ifft2c

__all__ = ["low_resolution_maps"]


def low_resolution_maps(
    kspace: torch.Tensor, mask: torch.Tensor, calibration: CalibrationRule = "fastmri"
) -> torch.Tensor:
    """Estimate coil maps as normalized low-resolution coil images (McKenzie et al. 2002).

    The calibration lines are apodized by a Hann window over the columns (and over the rows, where only a box of rows is
    sampled), which keeps the ringing of the truncation out of the maps. The maps hold the phase of the low-resolution
    image, so that combining coil images by them takes this phase out: a phase common to all coils cancels.

    Args:
        kspace: complex centered k-space, shape ``(B, coil, H, W)``; samples outside the mask are not used.
        mask: sampling mask, shape ``(B, 1, 1, W)`` or ``(B, 1, H, W)`` where B may be 1; masks may differ within the
            batch.
        calibration: rule that finds the calibration lines, see `recon_monai.physics.calibration_mask`.

    Returns:
        Complex maps of the shape and dtype of k-space, with unit root sum of squares where there is signal, else 0.

    Raises:
        CalibrationError: if the center of k-space was not sampled.
    """
    lines = calibration_mask(mask, calibration)
    real = kspace.real.dtype
    columns = lines.any(dim=-2, keepdim=True)
    rows = lines.any(dim=-1, keepdim=True)
    complete = rows.all(dim=-2, keepdim=True)
    over_rows = torch.where(complete, torch.ones((), dtype=real, device=kspace.device), _hann(rows, -2, real))
    window = _hann(columns, -1, real) * over_rows
    return normalize_maps(ifft2c(torch.where(lines, kspace, torch.zeros_like(kspace)) * window))


def _hann(lines: torch.Tensor, dim: int, dtype: torch.dtype) -> torch.Tensor:
    """Hann window over contiguous lines (bool) of a dimension, without zeros at its ends, and 0 elsewhere."""
    counted = lines.to(torch.int64)  # ONNX sums no booleans
    position = counted.cumsum(dim=dim).to(dtype)
    count = counted.sum(dim=dim, keepdim=True)
    return torch.where(lines, torch.sin(torch.pi * position / (count + 1)).square(), torch.zeros_like(position))
