"""The noise of a measured acquisition, from the edge of its k-space.

Assumptions, none of which can be checked on one scan alone: the noise is complex Gaussian with mean 0, independent
from sample to sample and equally strong everywhere in k-space; and at the highest frequencies that were measured there
is little else. A filter of k-space (most finished images went through one) makes the estimate too low, signal at the
edge (a low resolution, a high signal) too high, and averages that differ from line to line neither here nor there. A
measured noise scan is better: give its covariance (`recon_monai.physics.noise_covariance`) where there is one.
"""

from __future__ import annotations

import logging
import math
from typing import NamedTuple

import torch
from torch import Tensor

from recon_monai.physics import noise_covariance

__all__ = ["NoiseEstimate", "estimate_noise", "measured_samples"]

_SHARE = 0.02
_PER_COIL = 20  # samples; the standard error of a variance is then a fifth of it
_SIGNIFICANT = 4.0  # standard errors
_NOTABLE = 1.15

logger = logging.getLogger(__name__)


class NoiseEstimate(NamedTuple):
    """Noise of the coils and how it was found.

    Attributes:
        covariance: ``E[n n^H]``, complex128 ``(coil, coil)``; the diagonal holds the variances of real and imaginary
            part together. Rows of coils without any samples are 0.
        samples: how many samples of each coil it was estimated from.
        trend: power of the inner half of these samples over that of the outer half, coils weighted equally: 1 for
            noise alone, above where signal reaches the edge; NaN for fewer than four samples.
    """

    covariance: Tensor
    samples: int
    trend: float


def measured_samples(kspace: Tensor, mask: Tensor) -> Tensor:
    """Where one slice was measured: inside the mask, and not zero in all coils.

    Rows that were filled with zeros (partial Fourier, a longer matrix) are in a mask of columns, but hold no noise. An
    empty slice counts as measured all over the mask.

    Args:
        kspace: complex, ``(coil, H, W)``.
        mask: ``(1, 1, W)`` or ``(1, H, W)``.

    Returns:
        bool ``(H, W)``.

    Raises:
        ValueError: if that is no slice with its mask.
    """
    if kspace.ndim != 3 or not kspace.is_complex():
        raise ValueError(f"expected one complex slice (coil, H, W), got {kspace.dtype} of shape {tuple(kspace.shape)}")
    height, width = kspace.shape[-2:]
    if tuple(mask.shape) not in ((1, 1, width), (1, height, width)):
        raise ValueError(
            f"the mask has shape {tuple(mask.shape)}, expected (1, 1, {width}) or (1, {height}, {width}) for k-space "
            f"{tuple(kspace.shape)}"
        )
    inside = (mask != 0).expand(1, height, width)[0].to(kspace.device)
    filled = inside & (kspace != 0).any(dim=0)
    return filled if bool(filled.any()) else inside


def estimate_noise(kspace: Tensor, mask: Tensor, *, share: float = _SHARE) -> NoiseEstimate:
    """Estimate the noise covariance of the coils from the outermost measured samples of one slice.

    These are the corners first: samples are taken by their distance from the center, in units of the matrix.

    Args:
        kspace: complex centered k-space, zero where not sampled, shape ``(coil, H, W)``.
        mask: sampling mask, shape ``(1, 1, W)`` or ``(1, H, W)``.
        share: of the measured samples that count as edge, above 0 and at most 1; more are taken where these are fewer
            than 20 for each coil.

    Returns:
        The estimate. What speaks against it is logged as a warning, once: a trend clearly above 1.

    Raises:
        ValueError: if there are too few samples or no signal at all, or the share is out of range.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}, expected above 0 and at most 1")
    measured = measured_samples(kspace, mask)
    alive = kspace.abs().amax(dim=(-2, -1)) > 0
    if not bool(alive.any()):
        raise ValueError("k-space is 0 everywhere and says nothing of the noise; give a covariance")
    distance = _distance(measured)
    fewest = _PER_COIL * int(alive.sum())
    count = max(math.ceil(share * len(distance)), fewest)
    if count > len(distance):
        raise ValueError(
            f"{len(distance)} measured samples are too few for the noise of {int(alive.sum())} coils, which takes "
            f"{fewest}; give a covariance"
        )
    order = distance.argsort(descending=True, stable=True)[:count]
    edge = kspace[:, measured][:, order].to(torch.complex128)
    covariance = noise_covariance(edge)
    trend = _trend(edge[alive])
    if trend > max(_NOTABLE, 1 + _SIGNIFICANT * 2 / math.sqrt(count * int(alive.sum()))):
        logger.warning(
            "the outermost %d samples of k-space still fall with the frequency (inner half %.2f times as strong as the "
            "outer one): signal reaches the edge, and the noise estimated there is too high; give a covariance",
            count,
            trend,
        )
    return NoiseEstimate(covariance, count, trend)


def _distance(measured: Tensor) -> Tensor:
    """Distance of each measured sample from the center of k-space; 1 is the end of an axis."""
    rows, columns = torch.nonzero(measured, as_tuple=True)
    height, width = measured.shape
    down, across = ((index - size // 2) / (size / 2) for index, size in ((rows, height), (columns, width)))
    return torch.hypot(down.to(torch.float64), across.to(torch.float64))


def _trend(edge: Tensor) -> float:
    """Power of the inner half over that of the outer one, of samples from outside to inside."""
    half = edge.shape[1] // 2
    power = edge.abs().square()
    power = (power / power.mean(dim=1, keepdim=True)).mean(dim=0)
    return float(power[half:].mean() / power[:half].mean()) if half >= 2 else math.nan
