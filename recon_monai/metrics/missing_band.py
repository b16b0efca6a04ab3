"""How much of the detail that a low resolution lacks a super-resolved volume has, and whether it is the right one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from recon_monai.metrics.functional import Volume, checked_volumes

__all__ = ["MissingBand", "missing_band"]

_MAIN_LOBE = 2  # of a Hann window's spectrum, in samples to either side


class MissingBand(NamedTuple):
    """What a volume holds beyond the resolution of its input.

    Attributes:
        energy: over that of the target: 0 for a volume that only interpolates, below 1 for one still blurred, above 1
            for one with more detail, or noise, than there is. NaN where the target has none.
        agreement: correlation with the target there, -1 to 1: 1 for detail that is the target's, 0 for invented one.
            NaN where either has none.
    """

    energy: float
    agreement: float


def missing_band(
    *, prediction: Volume, target: Volume, factor: Sequence[float], taper: bool = True, margin: int | None = None
) -> MissingBand:
    """Compare two volumes at the spatial frequencies that a low resolution lacks.

    These lie above ``1 / factor`` of the Nyquist frequency along an axis that was coarser, at least. Energy says how
    sharp a volume is, and correlation whether to believe it: noise and invented detail raise the first and not the
    second. The latter is the Fourier shell correlation (Harauz and van Heel, "Exact filters for general geometry three
    dimensional reconstruction", Optik 73, 1986; van Heel and Schatz, J. Struct. Biol. 151, 2005) with this band for a
    shell.

    Args:
        prediction: real ``(D, H, W)``.
        target: same shape and scale.
        factor: how many times coarser the low resolution was along each axis; 1 or below: not at all.
        taper: multiply both by a Hann window first, so that opposite faces that do not fit do not count as detail.
            Without it, for volumes that are periodic.
        margin: samples of the spectrum next to the lower end that are left out, into which the window smears what lies
            below; None: 2 with the taper, 0 without.

    Returns:
        Energy and agreement.

    Raises:
        ValueError: if shapes differ or are not 3-D, no axis was coarser, or nothing of the spectrum is left.
        TypeError: if a volume is complex.
    """
    predicted, wanted = checked_volumes(prediction, target)
    if len(factor) != 3 or not all(math.isfinite(one) and one > 0 for one in factor) or max(factor) <= 1:
        raise ValueError(f"factor is {list(factor)}, expected three numbers, at least one of them above 1")
    skipped = margin if margin is not None else _MAIN_LOBE if taper else 0
    band = torch.zeros(predicted.shape, dtype=torch.bool, device=predicted.device)
    for axis, (size, coarser) in enumerate(zip(predicted.shape, factor, strict=True)):
        shape = [-1 if place == axis else 1 for place in range(3)]
        if coarser > 1:
            sample = (torch.fft.fftfreq(size, device=predicted.device) * size).abs().round()
            band |= (sample > size / (2 * coarser) + skipped).reshape(shape)
        if taper:
            window = torch.hann_window(size, periodic=True, dtype=predicted.dtype, device=predicted.device)
            predicted, wanted = (volume * window.reshape(shape) for volume in (predicted, wanted))
    if not bool(band.any()):
        raise ValueError(
            f"volumes of {tuple(band.shape)} have no sample of the spectrum beyond a resolution {list(factor)} times "
            "coarser; give larger ones, or another factor"
        )
    found, sought = (torch.view_as_real(torch.fft.fftn(volume)[band]).double() for volume in (predicted, wanted))
    ours, theirs = float(found.square().sum()), float(sought.square().sum())
    both = math.sqrt(ours * theirs)
    return MissingBand(
        ours / theirs if theirs else math.nan, float((found * sought).sum()) / both if both else math.nan
    )
