"""Seeded 1-D undersampling masks, bit-identical with those of the fastMRI challenge.

The three patterns and their random draws follow fastMRI (Zbontar et al. 2018, arXiv:1811.08839, and Muckley et al.
2021, arXiv:2012.06318 for the equispaced ones): a mask seeded by a file's name here samples the same columns as
there, so that results compare. This is why NumPy's legacy `RandomState` is used.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

__all__ = [
    "EquispacedFractionMask",
    "EquispacedMask",
    "MaskKind",
    "RandomMask",
    "SampledMask",
    "SamplingMask",
    "create_mask",
    "seed_from_name",
]

MaskKind = Literal["random", "equispaced", "equispaced_fraction"]


class SampledMask(NamedTuple):
    """A mask and what it amounts to.

    Attributes:
        mask: bool, shape ``(1, 1, W)``; True where the column is sampled.
        acceleration: the nominal acceleration.
        center_fraction: the nominal fraction of calibration lines.
        num_calibration_lines: number of calibration lines placed in the center.
        effective_acceleration: width divided by the number of sampled columns.
    """

    mask: torch.Tensor
    acceleration: int
    center_fraction: float
    num_calibration_lines: int
    effective_acceleration: float


class SamplingMask(ABC):
    """Base of the 1-D masks: calibration lines in the center, and a pattern over all columns.

    Args:
        center_fractions: fraction of the columns that are calibration lines, each in [0, 1).
        accelerations: nominal acceleration for each of them, integers of at least 1.

    Raises:
        ValueError: if the two are empty, differ in length or hold impossible values.
    """

    def __init__(self, center_fractions: Sequence[float], accelerations: Sequence[int]) -> None:
        self.pairs = _check_pairs(center_fractions, accelerations)

    def __repr__(self) -> str:
        fractions, accelerations = zip(*self.pairs, strict=True)
        return f"{type(self).__name__}(center_fractions={list(fractions)}, accelerations={list(accelerations)})"

    def __call__(self, width: int, *, seed: int | Sequence[int], acceleration: int | None = None) -> SampledMask:
        """Draw a mask.

        Args:
            width: number of phase-encoding columns.
            seed: a non-negative integer of any size, or integers below 2**32 (see `seed_from_name`). The same seed
                gives the same mask everywhere.
            acceleration: use the pair with this acceleration (drawing as a mask of that pair alone does). None draws
                one of all pairs from the same random stream.

        Returns:
            The mask with its nominal and effective acceleration.

        Raises:
            ValueError: for an unknown acceleration, an unusable seed, or if the calibration lines alone use up the
                sampling budget of ``width / acceleration`` columns, where the pattern needs a rest to spread.
        """
        width = operator.index(width)
        if width < 1:
            raise ValueError(f"width must be at least 1 column, got {width}.")
        pairs = self._pairs_of(acceleration)
        rng = np.random.RandomState(_seed_words(seed))
        fraction, factor = pairs[rng.randint(len(pairs))]
        num_low = round(width * fraction)
        sampled = self._pattern(rng, width, num_low, factor)
        start = (width - num_low + 1) // 2
        sampled[start : start + num_low] = True
        mask = torch.from_numpy(sampled)[None, None]
        count = int(sampled.sum())
        return SampledMask(mask, factor, fraction, num_low, width / count if count else float("inf"))

    @abstractmethod
    def _pattern(
        self, rng: np.random.RandomState, width: int, num_low: int, acceleration: int
    ) -> npt.NDArray[np.bool_]:
        """Draw the columns outside the calibration region (bool, shape ``(width,)``)."""

    def _pairs_of(self, acceleration: int | None) -> list[tuple[float, int]]:
        if acceleration is None:
            return self.pairs
        pairs = [pair for pair in self.pairs if pair[1] == acceleration]
        if not pairs:
            known = sorted({pair[1] for pair in self.pairs})
            raise ValueError(f"this mask has no acceleration {acceleration}; choose one of {known} or add it.")
        return pairs


class RandomMask(SamplingMask):
    """Columns sampled independently with equal probability, such that the expected count is ``width / acceleration``.

    Args:
        center_fractions: fraction of the columns that are calibration lines, each in [0, 1).
        accelerations: nominal acceleration for each of them, integers of at least 1.
    """

    def _pattern(
        self, rng: np.random.RandomState, width: int, num_low: int, acceleration: int
    ) -> npt.NDArray[np.bool_]:
        _check_budget(width, num_low, acceleration)
        probability = (width / acceleration - num_low) / (width - num_low)
        return rng.uniform(size=width) < probability


class EquispacedMask(SamplingMask):
    """Every ``acceleration``-th column from a random offset on; the calibration lines come on top.

    The effective acceleration is therefore lower than the nominal one.

    Args:
        center_fractions: fraction of the columns that are calibration lines, each in [0, 1).
        accelerations: nominal acceleration for each of them, integers of at least 1.
    """

    def _pattern(
        self, rng: np.random.RandomState, width: int, num_low: int, acceleration: int
    ) -> npt.NDArray[np.bool_]:
        offset = rng.randint(0, high=acceleration)
        sampled = np.zeros(width, dtype=bool)
        sampled[offset::acceleration] = True
        return sampled


class EquispacedFractionMask(SamplingMask):
    """Columns at a constant, in general fractional spacing that keeps the total count near ``width / acceleration``.

    Args:
        center_fractions: fraction of the columns that are calibration lines, each in [0, 1).
        accelerations: nominal acceleration for each of them, integers of at least 1.
    """

    def _pattern(
        self, rng: np.random.RandomState, width: int, num_low: int, acceleration: int
    ) -> npt.NDArray[np.bool_]:
        _check_budget(width, num_low, acceleration)
        spacing = acceleration * (num_low - width) / (num_low * acceleration - width)
        offset = rng.randint(0, high=round(spacing))
        columns = np.around(np.arange(offset, width - 1, spacing)).astype(np.intp)
        sampled = np.zeros(width, dtype=bool)
        sampled[columns] = True
        return sampled


_KINDS: dict[str, type[SamplingMask]] = {
    "random": RandomMask,
    "equispaced": EquispacedMask,
    "equispaced_fraction": EquispacedFractionMask,
}


def create_mask(kind: MaskKind, center_fractions: Sequence[float], accelerations: Sequence[int]) -> SamplingMask:
    """Make a mask by the name of its pattern.

    Args:
        kind: ``"random"``, ``"equispaced"`` or ``"equispaced_fraction"``.
        center_fractions: fraction of the columns that are calibration lines, each in [0, 1).
        accelerations: nominal acceleration for each of them, integers of at least 1.

    Returns:
        The mask, called as ``mask(width, seed=...)``.

    Raises:
        ValueError: for an unknown kind or impossible settings.
    """
    if kind not in _KINDS:
        raise ValueError(f"unknown kind of mask {kind!r}; use one of {sorted(_KINDS)}.")
    return _KINDS[kind](center_fractions, accelerations)


def seed_from_name(file_name: str) -> tuple[int, ...]:
    """Seed a mask by a file's name, as fastMRI does for validation and test.

    Args:
        file_name: name of the file without its folder, with its extension: ``"file1000001.h5"``.

    Returns:
        The code points of the name.
    """
    return tuple(map(ord, file_name))


def _check_pairs(center_fractions: Sequence[float], accelerations: Sequence[int]) -> list[tuple[float, int]]:
    if len(center_fractions) != len(accelerations) or len(accelerations) == 0:
        raise ValueError(
            "a mask needs one center fraction for each acceleration, at least one; got "
            f"center_fractions={list(center_fractions)} and accelerations={list(accelerations)}."
        )
    pairs = [(float(fraction), int(factor)) for fraction, factor in zip(center_fractions, accelerations, strict=True)]
    for (fraction, factor), given in zip(pairs, accelerations, strict=True):
        if factor != given or factor < 1 or not 0 <= fraction < 1:
            raise ValueError(
                f"impossible pair of center fraction {fraction} and acceleration {given}; the fraction must be in "
                "[0, 1) and the acceleration an integer of at least 1."
            )
    return pairs


def _check_budget(width: int, num_low: int, acceleration: int) -> None:
    if num_low * acceleration >= width:
        raise ValueError(
            f"{num_low} calibration lines leave no other line to sample: acceleration {acceleration} of {width} "
            f"columns allows {width / acceleration:g} lines in all; lower the center fraction or the acceleration."
        )


def _seed_words(seed: int | Sequence[int]) -> int | list[int]:
    """What `RandomState` takes: an integer below 2**32 as it is, a larger one as words of 32 bits."""
    if isinstance(seed, Sequence):
        words = [operator.index(word) for word in seed]
        if not words or min(words) < 0 or max(words) >= 2**32:
            raise ValueError(f"a seed sequence needs integers from 0 to 2**32 - 1, at least one; got {words}.")
        return words
    number = operator.index(seed)
    if number < 0:
        raise ValueError(f"a seed must not be negative, got {number}.")
    if number < 2**32:
        return number
    return [number >> shift & 0xFFFFFFFF for shift in range(0, number.bit_length(), 32)]
