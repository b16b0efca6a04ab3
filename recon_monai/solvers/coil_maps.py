"""Coil sensitivity maps for the classical baselines, estimated from the calibration lines of one slice.

By ESPIRiT (Uecker et al. 2014, sigpy's) or as low-resolution coil images (McKenzie et al. 2002). With few calibration
lines ESPIRiT is not always the better one, so tuning tries both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from torch import nn

from recon_monai.optional import require
from recon_monai.physics import calibration_mask, ifft2c, infer_mask, normalize_maps
from recon_monai.solvers.arrays import EXTRA, check_slice, to_numpy

__all__ = ["MAPS", "MapEstimator", "MapMethod", "calibration_maps", "check_methods", "espirit_maps"]

MapMethod = Literal["espirit", "calibration"]

_MAX_CALIBRATION_WIDTH = 24  # sigpy's default; wider regions cost memory (an SVD) and bring little
_KERNEL_WIDTH = 6


def espirit_maps(kspace: torch.Tensor, mask: torch.Tensor | None = None, *, crop: float = 0.0) -> torch.Tensor:
    """Coil sensitivity maps of one slice by sigpy's ESPIRiT (`sigpy.mri.app.EspiritCalib`).

    The calibration region is the largest square centered on DC inside `calibration_mask` of the mask, at most 24
    lines wide; the kernel has 6 lines, or as many as there are. Coils without any signal get a map of zeros.

    Args:
        kspace: complex centered k-space, shape ``(coil, H, W)``; its scale does not matter.
        mask: sampling mask, shape ``(1, 1, W)`` or ``(1, H, W)``; None infers it from the zeros of k-space.
        crop: maps are 0 where ESPIRiT's eigenvalue is not above this number. sigpy's own default of 0.95 removes
            much of the object, or all of it, when there are few calibration lines, therefore 0 (keep all) here.

    Returns:
        Maps of the shape and dtype of k-space, with unit root sum of squares or 0. One coil: a map of ones.

    Raises:
        ImportError: if sigpy is missing (the message holds the pip line).
        CalibrationError: if the center of k-space was not sampled.
        ValueError: if k-space is not one finite slice.
    """
    scale = check_slice(kspace)
    mask = infer_mask(kspace) if mask is None else mask
    alive = kspace.abs().amax(dim=(-2, -1)) > 0
    maps = torch.zeros_like(kspace)
    if len(kspace) == 1 or scale == 0:
        return torch.ones_like(maps) if len(kspace) == 1 else maps
    width = _calibration_width(mask, kspace.shape[-2])
    app = require("sigpy.mri.app", extra=EXTRA)
    calibration = app.EspiritCalib(
        to_numpy(kspace[alive] / scale),
        calib_width=width,
        kernel_width=min(_KERNEL_WIDTH, width),
        crop=crop,
        show_pbar=False,
    )
    with np.errstate(invalid="ignore", divide="ignore"):  # where the first map is 0, sigpy's phase reference is 0/0
        found = calibration.run()
    maps[alive] = torch.from_numpy(np.nan_to_num(np.ascontiguousarray(found))).to(maps)
    return maps


def calibration_maps(kspace: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Coil sensitivity maps of one slice as normalized low-resolution coil images (McKenzie et al. 2002).

    The calibration lines are apodized by a Hann window over the columns (and rows, if the mask is 2-D), which keeps
    the ringing of the truncation out of the maps.

    Args:
        kspace: complex centered k-space, shape ``(coil, H, W)``; its scale does not matter.
        mask: sampling mask, shape ``(1, 1, W)`` or ``(1, H, W)``; None infers it from the zeros of k-space.

    Returns:
        Maps of the shape and dtype of k-space, with unit root sum of squares where there is signal, else 0.

    Raises:
        CalibrationError: if the center of k-space was not sampled.
        ValueError: if k-space is not one finite slice.
    """
    check_slice(kspace)
    region = calibration_mask(infer_mask(kspace) if mask is None else mask)
    box = region.reshape(-1, region.shape[-1])
    window = _hann_over(box.any(dim=0), kspace)
    if not bool(box.all(dim=0).any()):  # a box of some rows; columns are complete
        window = window * _hann_over(box.any(dim=1), kspace)[:, None]
    return normalize_maps(ifft2c(kspace * region * window))


def _hann_over(lines: torch.Tensor, kspace: torch.Tensor) -> torch.Tensor:
    """Hann window over contiguous lines (bool), without zeros at its ends, and 0 elsewhere."""
    window = torch.zeros(len(lines), dtype=kspace.real.dtype, device=kspace.device)
    hann = torch.hann_window(int(lines.sum()) + 2, periodic=False, dtype=window.dtype, device=window.device)
    window[lines.to(window.device)] = hann[1:-1]
    return window


def _calibration_width(mask: torch.Tensor, height: int) -> int:
    """Width of the largest square that is centered as sigpy does it and lies in the calibration region."""
    region = calibration_mask(mask).reshape(-1, mask.shape[-1])
    columns = _centered_length(region.any(dim=0))
    rows = height if len(region) == 1 else _centered_length(region.any(dim=1))
    return min(rows, columns, _MAX_CALIBRATION_WIDTH)


def _centered_length(inside: torch.Tensor) -> int:
    """Longest window ``[N // 2 - n // 2, ... + n)`` within a contiguous region that holds ``N // 2``."""
    center = len(inside) // 2
    places = torch.nonzero(inside)[:, 0]
    before, after = center - int(places[0]), int(places[-1]) + 1 - center
    return min(2 * before + 1, 2 * after)


MAPS: dict[str, Callable[..., torch.Tensor]] = {"espirit": espirit_maps, "calibration": calibration_maps}
"""Name of a method to the function."""


def check_methods(maps: Sequence[str]) -> None:
    """Raise `ValueError` unless there is a name and all are known."""
    unknown = [method for method in maps if method not in get_args(MapMethod)]
    if unknown or not maps:
        raise ValueError(f"unknown maps {unknown}; use {get_args(MapMethod)}, or give a complex tensor (coil, H, W).")


class MapEstimator(nn.Module):
    """Coil maps that need no training, where a network takes a `SensitivityNetwork`.

    Each slice gets the maps that the classical methods take, so that an unrolled network and they solve the same
    problem. No gradients.

    Args:
        maps: ``"espirit"`` (`espirit_maps`) or ``"calibration"`` (`calibration_maps`).

    Raises:
        ValueError: if the name is unknown.
    """

    def __init__(self, maps: MapMethod = "espirit") -> None:
        super().__init__()
        check_methods([maps])
        self.maps = maps

    @torch.no_grad()
    def forward(self, kspace: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Estimate coil sensitivity maps.

        Args:
            kspace: complex centered k-space, shape ``(B, coil, H, W)``.
            mask: bool, shape ``(B, 1, 1, W)`` or ``(B, 1, H, W)``, or with 1 in place of ``B``.

        Returns:
            Maps of the shape and dtype of k-space, see `espirit_maps` and `calibration_maps`.

        Raises:
            ImportError: see `espirit_maps`.
            CalibrationError: if the center of k-space was not sampled.
            ValueError: if k-space is not finite.
        """
        masks = mask.expand(len(kspace), *mask.shape[1:])
        return torch.stack([MAPS[self.maps](one, its) for one, its in zip(kspace, masks, strict=True)])

    def extra_repr(self) -> str:
        """The method, for `repr`."""
        return f"maps={self.maps!r}"
