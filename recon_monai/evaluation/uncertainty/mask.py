"""Spread of a reconstruction under the choice of samples: subsets of the lines that were measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from recon_monai.evaluation.uncertainty.noise import Reconstruction
from recon_monai.evaluation.uncertainty.noise_level import measured_samples
from recon_monai.evaluation.uncertainty.replicas import Spread, spread_of
from recon_monai.physics import calibration_mask, keyed_generator

__all__ = ["Correction", "LineDraws", "line_draws", "mask_bootstrap", "subsample_mask"]

Correction = Literal["none", "jackknife"]


class LineDraws(NamedTuple):
    """What subsets of a mask are made of.

    Attributes:
        fixed: calibration region, bool, in the shape of the mask; part of every subset.
        free: the other measured lines, bool, in the shape of the mask.
        by_column: whether lines are whole columns of the mask, or single samples (2-D patterns).
        lines: how many lines are free.
        kept: how many of these a subset keeps.
    """

    fixed: Tensor
    free: Tensor
    by_column: bool
    lines: int
    kept: int

    @property
    def jackknife_factor(self) -> float:
        """By what the standard deviation over subsets is multiplied for the delete-d jackknife."""
        return math.sqrt(self.kept / (self.lines - self.kept))


def line_draws(mask: Tensor, keep: float) -> LineDraws:
    """Split a mask into what every subset keeps and what it draws from.

    Args:
        mask: sampling mask, shape ``(1, 1, W)`` or ``(1, H, W)``. Where all columns with samples have the same rows,
            whole columns are drawn, else single samples.
        keep: share of the lines outside the calibration region that a subset keeps, above 0 and below 1; rounded to
            lines, at least one of which is kept and one left out.

    Returns:
        The parts.

    Raises:
        CalibrationError: if the center of k-space was not sampled.
        ValueError: if the share is out of range, or there are fewer than two lines to draw from.
    """
    if not 0 < keep < 1:
        raise ValueError(f"keep is {keep}, expected a share above 0 and below 1, such as 0.8")
    sampled = mask != 0
    columns = sampled.any(dim=-2, keepdim=True)
    by_column = bool((sampled == (sampled.any(dim=-1, keepdim=True) & columns)).all())
    fixed = sampled & calibration_mask(columns) if by_column else calibration_mask(sampled)
    free = sampled & ~fixed
    count = int((free.any(dim=-2) if by_column else free).sum())
    if count < 2:
        raise ValueError(
            f"the mask has {count} lines outside its calibration region, expected at least 2 to draw subsets from"
        )
    return LineDraws(fixed, free, by_column, count, min(max(round(keep * count), 1), count - 1))


def subsample_mask(draws: LineDraws, generator: torch.Generator) -> Tensor:
    """Draw a subset of a mask, each of its size equally likely.

    Args:
        draws: what `line_draws` made of the mask.
        generator: source of the draw.

    Returns:
        bool, in the shape of the mask.
    """
    lines = draws.free.any(dim=-2).flatten() if draws.by_column else draws.free.flatten()
    places = torch.nonzero(lines)[:, 0]
    chosen = torch.zeros_like(lines)
    chosen[places[torch.randperm(len(places), generator=generator)[: draws.kept].to(places.device)]] = True
    return draws.fixed | (draws.free & chosen if draws.by_column else chosen.reshape(draws.free.shape))


@torch.no_grad()
def mask_bootstrap(
    net: Reconstruction,
    kspace: Tensor,
    mask: Tensor,
    *,
    keep: float = 0.8,
    correction: Correction = "none",
    replicas: int = 32,
    key: Sequence[str | int] = (0,),
    batch_size: int = 1,
    time_limit: float | None = None,
    progress: bool = False,
) -> Spread:
    """Reconstruct one acquisition from subsets of its lines.

    Each subset keeps the calibration region and ``keep`` of the other lines, drawn without replacement. It has fewer
    samples than were measured, and another pattern (a regular one gets gaps), so its images are worse ones: their mean
    is not the reconstruction of all lines, and their spread is that of a subset. There is a known correction, of the
    delete-d jackknife (Shao and Wu 1989, Ann. Statist. 17, 1176-1197): times ``sqrt(kept / left_out)`` the spread is
    the standard error of a mean over all lines. It is proved for samples of one population and smooth statistics of
    them; lines of k-space, each of which measures something else, are no such sample. So it is not applied unless
    asked for, and without it the spread answers a plain question: how much does the image depend on which ``keep`` of
    these lines were measured. Noise is the measured one in all subsets.

    Args:
        net: the reconstruction.
        kspace: complex centered k-space, zero where not sampled, shape ``(coil, H, W)``.
        mask: sampling mask, shape ``(1, 1, W)`` or ``(1, H, W)``.
        keep: see `line_draws`.
        correction: ``"none"`` or ``"jackknife"``.
        replicas: how many subsets, at least 2.
        key: of the random draws, such as ``(seed, file, slice)``; each replica has draws of its own.
        batch_size: replicas reconstructed at once; changes nothing but time and memory.
        time_limit: in seconds, see `spread_of`.
        progress: whether to show a bar.

    Returns:
        Mean (of the subsets, never corrected) and spread, each in the shape of one image of the network,
        ``(1, H, W)``.

    Raises:
        CalibrationError: if the center of k-space was not sampled.
        ValueError: if k-space and mask do not fit, there is nothing to draw, a setting is out of range, or an image is
            not finite.
    """
    if correction not in get_args(Correction):
        raise ValueError(f"correction is {correction!r}, expected one of {get_args(Correction)}")
    measured_samples(kspace, mask)  # which checks both
    draws = line_draws(mask, keep)

    def images(numbers: range) -> Tensor:
        masks = torch.stack([subsample_mask(draws, keyed_generator("mask_bootstrap", *key, n)) for n in numbers])
        return net(kspace * masks.to(kspace.device), masks.to(mask.dtype))

    found = spread_of(
        images,
        replicas=replicas,
        batch_size=batch_size,
        time_limit=time_limit,
        progress=progress,
        description="mask bootstrap",
    )
    return found if correction == "none" else found._replace(std=found.std * draws.jackknife_factor)
