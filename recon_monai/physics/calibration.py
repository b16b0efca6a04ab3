"""The calibration region of a sampling mask: the fully sampled lines round the center of k-space."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from recon_monai.physics.recording import is_recorded

__all__ = ["CalibrationError", "CalibrationRule", "calibration_mask", "infer_mask"]

CalibrationRule = Literal["fastmri", "run"]


class CalibrationError(ValueError):
    """The center of k-space was not sampled, so there is nothing to calibrate on."""


def calibration_mask(mask: torch.Tensor, rule: CalibrationRule = "fastmri") -> torch.Tensor:
    """Find the calibration lines of each sampling mask of a batch.

    For masks of whole columns:

    * ``"fastmri"``: with ``left`` and ``right`` contiguous sampled columns before and from column ``W // 2`` on, a
      window of ``n = max(2 * min(left, right), 1)`` columns from ``(W - n + 1) // 2`` on (the rule of the end-to-end
      variational network, Sriram et al. 2020, arXiv:2004.06688). In odd widths that window can reach one column
      past the sampled run; this column holds no data and is left out.
    * ``"run"``: all contiguous sampled columns around ``W // 2``.

    A fully sampled row gives all columns under both rules. A 2-D mask whose rows are all equal is a mask of columns.
    Any other 2-D mask gives the largest fully sampled box, of those with ``(h, w)`` lines from
    ``((H - h + 1) // 2, (W - w + 1) // 2)`` on.

    Args:
        mask: sampling masks, shape ``(W,)`` or ``(..., 1, W)`` (columns) or ``(..., H, W)`` with at least three
            dimensions, for example ``(B, 1, 1, W)``; bool, or numbers of which every non-zero counts as sampled.
        rule: ``"fastmri"`` or ``"run"``.

    Returns:
        Bool mask of the same shape, never empty for any sample, always a part of ``mask``.

    Raises:
        CalibrationError: if the central sample was not acquired; the message names the places in the batch. Not while
            operations are recorded, where values are not known.
        ValueError: for an unknown rule or an ambiguous shape.

    Examples:
        >>> import torch
        >>> from recon_monai.physics import calibration_mask
        >>> columns = torch.tensor([1, 0, 1, 1, 1, 0, 1, 0], dtype=torch.bool)
        >>> calibration_mask(columns.reshape(1, 1, 1, 8), rule="run").flatten().int().tolist()
        [0, 0, 1, 1, 1, 0, 0, 0]
    """
    if rule not in get_args(CalibrationRule):
        raise ValueError(f"unknown calibration rule {rule!r}; use one of {get_args(CalibrationRule)}.")
    if mask.ndim == 0 or mask.ndim == 2:
        raise ValueError(f"a mask of shape {tuple(mask.shape)} is ambiguous; give (W,), (B, 1, 1, W) or (B, 1, H, W).")
    height = 1 if mask.ndim == 1 else mask.shape[-2]
    sampled = (mask != 0).reshape(-1, height, mask.shape[-1])
    if not is_recorded():
        _check_center(sampled)
    if height == 1:
        return _column_region(sampled, rule).reshape(mask.shape)
    of_columns = (sampled == sampled[:, :1]).all(dim=(1, 2))[:, None, None]
    region = (of_columns & _column_region(sampled[:, :1], rule)) | (~of_columns & _largest_box(sampled))
    return region.reshape(mask.shape)


def infer_mask(kspace: torch.Tensor) -> torch.Tensor:
    """Infer the sampling mask from the zeros of masked k-space.

    A sample counts as acquired where any coil is non-zero. The batch gets masks of columns if in every item each
    column is either complete or empty, else masks of single samples, so that all items share one shape. A batch that
    has zero-filled rows (partial or zero-padded readout) therefore gets 2-D masks, which is what was acquired.

    Args:
        kspace: complex, shape ``(B, coil, H, W)`` (or one slice ``(coil, H, W)``), zero where not acquired.

    Returns:
        Bool mask, shape ``(B, 1, 1, W)`` or ``(B, 1, H, W)`` (without ``B`` for one slice).
    """
    sampled = (kspace != 0).any(dim=-3, keepdim=True)
    columns = sampled.any(dim=-2, keepdim=True)
    return columns if bool((sampled == columns).all()) else sampled


def _check_center(sampled: torch.Tensor) -> None:
    missing = ~sampled[:, sampled.shape[1] // 2, sampled.shape[2] // 2]
    if bool(missing.any()):
        height, width = sampled.shape[1:]
        center = f"column {width // 2} of {width}" if height == 1 else f"sample {(height // 2, width // 2)}"
        raise CalibrationError(
            f"the center of k-space ({center}) was not sampled in item(s) {torch.nonzero(missing)[:, 0].tolist()} of "
            "the batch, so coil sensitivities cannot be calibrated; check that k-space and mask are centered (DC in "
            "the middle) and that the mask has calibration lines."
        )


def _column_region(sampled: torch.Tensor, rule: CalibrationRule) -> torch.Tensor:
    """Calibration columns of ``(N, 1, W)`` masks whose central column is sampled."""
    width = sampled.shape[-1]
    center = width // 2
    # up to the first gap on either side
    before = (~sampled[..., :center]).flip(-1).to(torch.int32).cumsum(dim=-1) == 0
    after = (~sampled[..., center:]).to(torch.int32).cumsum(dim=-1) == 0
    if rule == "run":
        return torch.cat([before.flip(-1), after], dim=-1)
    half = torch.minimum(before.sum(-1, keepdim=True), after.sum(-1, keepdim=True))
    count = (2 * half).clamp(min=1)
    start = (width - count + 1) // 2
    column = torch.arange(width, device=sampled.device)
    window = (column >= start) & (column < start + count) & sampled
    return window | sampled.all(dim=-1, keepdim=True)


def _largest_box(sampled: torch.Tensor) -> torch.Tensor:
    """Largest centered fully sampled box of ``(N, H, W)`` masks, by an integral image over all box sizes at once."""
    height, width = sampled.shape[1:]
    integral = torch.nn.functional.pad(sampled.to(torch.int64).cumsum(1).cumsum(2), (1, 0, 1, 0))
    top, bottom = _nested_windows(height, sampled.device)
    left, right = _nested_windows(width, sampled.device)
    strips = integral[:, bottom] - integral[:, top]
    counts = strips[:, :, right] - strips[:, :, left]
    area = (bottom - top)[:, None] * (right - left)
    best = torch.where(counts == area, area, torch.zeros_like(area)).flatten(1).argmax(dim=1)
    rows, columns = best // width, best % width
    in_rows = _inside(top[rows], bottom[rows], height)
    in_columns = _inside(left[columns], right[columns], width)
    return in_rows[:, :, None] & in_columns[:, None, :]


def _nested_windows(size: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Start and end of the centered window of each length 1, ..., size."""
    length = torch.arange(1, size + 1, device=device)
    start = (size - length + 1) // 2
    return start, start + length


def _inside(start: torch.Tensor, end: torch.Tensor, size: int) -> torch.Tensor:
    index = torch.arange(size, device=start.device)
    return (index >= start[:, None]) & (index < end[:, None])
