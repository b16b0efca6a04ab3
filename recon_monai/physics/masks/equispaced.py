"""Masks of columns in equal distances, on both sides alike or offset so that conjugate symmetry fills the gaps."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from recon_monai.physics.masks.base import ColumnMask, check_budget

__all__ = ["EquispacedFractionMask", "EquispacedMask", "MagicFractionMask", "MagicMask"]


class _OffsetMask(ColumnMask):
    """Base of the masks whose only random number is where the pattern begins."""

    def __init__(
        self, center_fractions: Sequence[float], accelerations: Sequence[int], offset: int | None = None
    ) -> None:
        super().__init__(center_fractions, accelerations)
        if offset is not None and (isinstance(offset, bool) or not isinstance(offset, Integral) or offset < 0):
            raise ValueError(f"offset is {offset!r}, expected a whole number of at least 0, or None to draw it.")
        self.offset = None if offset is None else int(offset)

    def _options(self) -> dict[str, object]:
        return {} if self.offset is None else {"offset": self.offset}

    def _first(self, rng: np.random.RandomState, spacing: int, acceleration: int) -> int:
        """The offset: as given, else drawn."""
        if self.offset is None:
            return int(rng.randint(0, high=spacing))
        if self.offset >= spacing:
            raise ValueError(
                f"offset {self.offset} is not below {spacing}, the distance of the columns of this {self.kind} mask "
                f"at acceleration {acceleration}; choose an offset from 0 to {spacing - 1}, or None to draw it."
            )
        return self.offset


class EquispacedMask(_OffsetMask):
    """Every ``acceleration``-th column from an offset on; the calibration lines come on top.

    The effective acceleration is therefore lower than the nominal one. Bit-identical with fastMRI's mask (Muckley et
    al. 2021, arXiv:2012.06318).

    Args:
        center_fractions: fraction of the columns that are calibration lines, each in [0, 1).
        accelerations: nominal acceleration for each of them, integers of at least 1.
        offset: the first column, below every acceleration; None draws it.
    """

    kind: ClassVar[str] = "equispaced"

    def _pattern(
        self, rng: np.random.RandomState, width: int, num_low: int, acceleration: int
    ) -> npt.NDArray[np.bool_]:
        sampled = np.zeros(width, dtype=bool)
        sampled[self._first(rng, acceleration, acceleration) :: acceleration] = True
        return sampled


class EquispacedFractionMask(_OffsetMask):
    """Columns at a constant, in general fractional spacing that keeps the total count near ``width / acceleration``.

    Bit-identical with fastMRI's mask (Muckley et al. 2021, arXiv:2012.06318).

    Args:
        center_fractions: fraction of the columns that are calibration lines, each in [0, 1).
        accelerations: nominal acceleration for each of them, integers of at least 1.
        offset: the first column, below the spacing; None draws it.

    Examples:
        >>> from recon_monai.physics import EquispacedFractionMask, seed_from_name
        >>> mask = EquispacedFractionMask(center_fractions=[0.08, 0.04], accelerations=[4, 8])
        >>> sample = mask((640, 368), seed=seed_from_name("file1000001.h5"), acceleration=4)
        >>> sample.mask.shape, int(sample.mask.sum())
        (torch.Size([1, 1, 368]), 91)
    """

    kind: ClassVar[str] = "equispaced_fraction"

    def _pattern(
        self, rng: np.random.RandomState, width: int, num_low: int, acceleration: int
    ) -> npt.NDArray[np.bool_]:
        check_budget(width, num_low, acceleration, width / acceleration)
        spacing = acceleration * (num_low - width) / (num_low * acceleration - width)
        offset = self._first(rng, round(spacing), acceleration)
        columns = np.around(np.arange(offset, width - 1, spacing)).astype(np.intp)
        sampled = np.zeros(width, dtype=bool)
        sampled[columns] = True
        return sampled


class MagicMask(_OffsetMask):
    """Every ``acceleration``-th column on each side of the center, the sides offset against each other.

    The k-space of a real image is conjugate symmetric, and that of others nearly so. The two sides therefore start
    two lines apart: for accelerations above 2 no sampled column has a sampled mirror image (outside the calibration
    lines), and at acceleration 4 a sample and the mirror images of the others are 2 columns apart (Defazio 2019,
    arXiv:1912.01101). The calibration lines come on top. Bit-identical with fastMRI's mask of this name.

    Args:
        center_fractions: fraction of the columns that are calibration lines, each in [0, 1).
        accelerations: nominal acceleration for each of them, integers of at least 1.
        offset: where the two patterns begin, below every acceleration; None draws it.
    """

    kind: ClassVar[str] = "magic"

    def _pattern(
        self, rng: np.random.RandomState, width: int, num_low: int, acceleration: int
    ) -> npt.NDArray[np.bool_]:
        return self._two_sides(rng, width, acceleration, acceleration)

    def _two_sides(
        self, rng: np.random.RandomState, width: int, spacing: int, acceleration: int
    ) -> npt.NDArray[np.bool_]:
        offset = self._first(rng, spacing, acceleration)
        positive, negative = (offset + 1, offset + 3) if offset % 2 == 0 else (offset + 2, offset)
        center = width // 2
        sampled = np.zeros(width, dtype=bool)
        sampled[center + positive :: spacing] = True
        sampled[: max(center - negative + 1, 0)][::-spacing] = True
        return sampled


class MagicFractionMask(MagicMask):
    """Like `MagicMask`, with a wider spacing that makes up for the calibration lines.

    The spacing is the width over the number of columns that the calibration lines leave, rounded; the total count is
    therefore only near ``width / acceleration``. At least one calibration line is placed. Bit-identical with
    fastMRI's mask of this name; where the calibration lines use up all that the acceleration allows, both fail.

    Args:
        center_fractions: fraction of the columns that are calibration lines, each in [0, 1).
        accelerations: nominal acceleration for each of them, integers of at least 1.
        offset: where the two patterns begin, below the spacing; None draws it.
    """

    kind: ClassVar[str] = "magic_fraction"

    def _num_calibration_lines(self, width: int, fraction: float) -> int:
        return max(super()._num_calibration_lines(width, fraction), 1)

    def _pattern(
        self, rng: np.random.RandomState, width: int, num_low: int, acceleration: int
    ) -> npt.NDArray[np.bool_]:
        total = round(width / acceleration)
        check_budget(width, num_low, acceleration, total)
        return self._two_sides(rng, width, round(width / (total - num_low)), acceleration)
