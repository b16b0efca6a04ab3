"""What all undersampling masks share: their settings, their seeds, and what a drawn mask says of itself."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["ColumnMask", "SampledMask", "SamplingMask", "check_budget", "seed_from_name", "seed_words"]


class SampledMask(NamedTuple):
    """A mask and what it amounts to.

    Attributes:
        mask: bool, shape ``(1, 1, W)`` for whole columns or ``(1, H, W)``; True where sampled.
        acceleration: the nominal acceleration.
        center_fraction: the nominal fraction of calibration lines.
        num_calibration_lines: number of calibration columns placed in the center.
        effective_acceleration: number of samples of the mask divided by the number of those that are True.
        kind: the name of the pattern; empty for masks that have none.
    """

    mask: torch.Tensor
    acceleration: int
    center_fraction: float
    num_calibration_lines: int
    effective_acceleration: float
    kind: str = ""


class SamplingMask(ABC):
    """Base of all masks: pairs of center fraction and acceleration, of which a call takes or draws one.

    Args:
        center_fractions: fraction of the lines that are calibration lines, each in [0, 1).
        accelerations: nominal acceleration for each of them, integers of at least 1.

    Attributes:
        kind: the name of the pattern, as `create_mask` takes it.

    Raises:
        ValueError: if the two are empty, differ in length or hold impossible values.
    """

    kind: ClassVar[str]

    def __init__(self, center_fractions: Sequence[float], accelerations: Sequence[int]) -> None:
        self.pairs = _check_pairs(center_fractions, accelerations)

    def __repr__(self) -> str:
        fractions, accelerations = zip(*self.pairs, strict=True)
        settings = {"center_fractions": list(fractions), "accelerations": list(accelerations), **self._options()}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in settings.items())})"

    def __call__(
        self, shape: int | Sequence[int], *, seed: int | Sequence[int], acceleration: int | None = None
    ) -> SampledMask:
        """Draw a mask.

        Args:
            shape: ``(H, W)`` of k-space with W the phase-encoding axis; masks of columns take the number W too.
            seed: a non-negative integer of any size, or integers below 2**32 (see `seed_from_name`). The same seed
                gives the same mask everywhere.
            acceleration: use the pair with this acceleration (drawing as a mask of that pair alone does). None draws
                one of all pairs from the same random stream.

        Returns:
            The mask with its nominal and effective acceleration.

        Raises:
            ValueError: for an unusable shape or seed, an unknown acceleration, or if the calibration lines alone use
                up the samples that the acceleration allows, where the pattern needs a rest to spread.
        """
        size = _check_shape(shape)
        pairs = self._pairs_of(acceleration)
        # fastMRI's masks are defined by numpy's legacy generator, whose streams never change
        rng = np.random.RandomState(seed_words(seed))
        fraction, factor = pairs[rng.randint(len(pairs))]
        sampled, num_low = self._draw(rng, size, fraction, factor)
        count = int(sampled.sum())
        effective = sampled.size / count if count else float("inf")
        return SampledMask(torch.from_numpy(sampled)[None], factor, fraction, num_low, effective, self.kind)

    @abstractmethod
    def _draw(
        self, rng: np.random.RandomState, size: tuple[int | None, int], fraction: float, acceleration: int
    ) -> tuple[npt.NDArray[np.bool_], int]:
        """Draw the samples (bool, ``(1, W)`` or ``(H, W)``) and say how many calibration columns there are."""

    def _options(self) -> dict[str, object]:
        """Further settings, as the constructor takes them."""
        return {}

    def _pairs_of(self, acceleration: int | None) -> list[tuple[float, int]]:
        if acceleration is None:
            return self.pairs
        pairs = [pair for pair in self.pairs if pair[1] == acceleration]
        if not pairs:
            known = sorted({pair[1] for pair in self.pairs})
            raise ValueError(f"this mask has no acceleration {acceleration}; choose one of {known} or add it.")
        return pairs


class ColumnMask(SamplingMask):
    """Base of the masks of whole columns: calibration lines in the center, and a pattern over all columns.

    Args:
        center_fractions: fraction of the columns that are calibration lines, each in [0, 1).
        accelerations: nominal acceleration for each of them, integers of at least 1.
    """

    def _draw(
        self, rng: np.random.RandomState, size: tuple[int | None, int], fraction: float, acceleration: int
    ) -> tuple[npt.NDArray[np.bool_], int]:
        width = size[1]
        num_low = self._num_calibration_lines(width, fraction)
        sampled = self._pattern(rng, width, num_low, acceleration)
        start = (width - num_low + 1) // 2
        sampled[start : start + num_low] = True
        return sampled[None], num_low

    def _num_calibration_lines(self, width: int, fraction: float) -> int:
        return round(width * fraction)

    @abstractmethod
    def _pattern(
        self, rng: np.random.RandomState, width: int, num_low: int, acceleration: int
    ) -> npt.NDArray[np.bool_]:
        """Draw the columns outside the calibration region (bool, shape ``(width,)``)."""


def seed_from_name(file_name: str) -> tuple[int, ...]:
    """Seed a mask by a file's name, as fastMRI does for validation and test.

    Args:
        file_name: name of the file without its folder, with its extension: ``"file1000001.h5"``.

    Returns:
        The code points of the name.
    """
    return tuple(map(ord, file_name))


def check_budget(width: int, num_low: int, acceleration: int, allowed: float) -> None:
    """Refuse calibration lines that leave nothing of the columns that an acceleration allows.

    Args:
        width: number of columns.
        num_low: number of calibration lines.
        acceleration: nominal acceleration.
        allowed: ``width / acceleration``, rounded where the pattern needs a whole number.

    Raises:
        ValueError: if ``num_low`` is not below ``allowed``.
    """
    if num_low >= allowed:
        raise ValueError(
            f"{num_low} calibration lines leave no other line to sample: acceleration {acceleration} of {width} "
            f"columns allows {allowed:g} lines in all; lower the center fraction or the acceleration."
        )


def _check_shape(shape: int | Sequence[int]) -> tuple[int | None, int]:
    """Height (None if only a width was given) and width."""
    sizes = [operator.index(size) for size in (shape if isinstance(shape, Sequence) else [shape])]
    if len(sizes) not in (1, 2) or min(sizes) < 1:
        raise ValueError(f"a mask needs (H, W) or a width of at least 1 column, got {shape!r}.")
    return (None if len(sizes) == 1 else sizes[0]), sizes[-1]


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


def seed_words(seed: int | Sequence[int]) -> int | list[int]:
    """Turn a seed into what numpy's `RandomState` takes.

    Args:
        seed: a non-negative integer of any size, or integers below 2**32.

    Returns:
        An integer below 2**32 as it is, a larger one as words of 32 bits, a sequence as a list.

    Raises:
        ValueError: for negative numbers, or a sequence that is empty or holds larger ones.
    """
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
