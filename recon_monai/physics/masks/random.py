"""Masks of columns that are drawn one by one, with equal or with Gaussian density."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from recon_monai.physics.masks.base import ColumnMask, check_budget

__all__ = ["GaussianMask", "RandomMask"]


class RandomMask(ColumnMask):
    """Columns sampled independently with equal probability, such that the expected count is ``width / acceleration``.

    Bit-identical with fastMRI's random mask (Zbontar et al. 2018, arXiv:1811.08839).

    Args:
        center_fractions: fraction of the columns that are calibration lines, each in [0, 1).
        accelerations: nominal acceleration for each of them, integers of at least 1.
    """

    kind: ClassVar[str] = "random"

    def _pattern(
        self, rng: np.random.RandomState, width: int, num_low: int, acceleration: int
    ) -> npt.NDArray[np.bool_]:
        check_budget(width, num_low, acceleration, width / acceleration)
        probability = (width / acceleration - num_low) / (width - num_low)
        return rng.uniform(size=width) < probability


class GaussianMask(ColumnMask):
    """Columns drawn without replacement with Gaussian density, exactly ``round(width / acceleration)`` in all.

    The definition is that of the recurrent inference machines (Lønning et al. 2019, Medical Image Analysis 53) for
    whole columns: with k-space reaching from -1 to 1, the density ``exp(-x^2 / (2 s^2))`` has a full width at half
    maximum of 0.7. Calibration lines count as drawn.

    Args:
        center_fractions: fraction of the columns that are calibration lines, each in [0, 1).
        accelerations: nominal acceleration for each of them, integers of at least 1.
        fwhm: full width at half maximum of the density, where k-space reaches from -1 to 1; at least 0.1.

    Raises:
        ValueError: for impossible settings.
    """

    kind: ClassVar[str] = "gaussian"

    def __init__(self, center_fractions: Sequence[float], accelerations: Sequence[int], fwhm: float = 0.7) -> None:
        super().__init__(center_fractions, accelerations)
        # below 0.1 the density at the edge is zero in double precision
        if not (math.isfinite(fwhm) and fwhm >= 0.1):
            raise ValueError(f"fwhm is {fwhm!r}, expected a finite number of at least 0.1, for example 0.7.")
        self.fwhm = float(fwhm)

    def _options(self) -> dict[str, object]:
        return {"fwhm": self.fwhm}

    def _pattern(
        self, rng: np.random.RandomState, width: int, num_low: int, acceleration: int
    ) -> npt.NDArray[np.bool_]:
        total = round(width / acceleration)
        check_budget(width, num_low, acceleration, total)
        position = (np.arange(width) - width // 2) / (width / 2)
        density = np.exp(-4 * math.log(2) * (position / self.fwhm) ** 2)
        start = (width - num_low + 1) // 2
        density[start : start + num_low] = 0
        drawn = rng.choice(width, size=total - num_low, replace=False, p=density / density.sum())
        sampled = np.zeros(width, dtype=bool)
        sampled[drawn] = True
        return sampled
