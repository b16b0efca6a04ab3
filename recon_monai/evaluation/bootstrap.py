"""How certain a mean gain over subjects is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["FEWEST_SUBJECTS", "PairedGain", "paired_gain"]

FEWEST_SUBJECTS = 6
"""With fewer, no interval can be one of 95 %: that all of 5 differ in the same way has a chance of 1 in 16."""

_AT_ONCE = 10**6  # numbers drawn at a time


class PairedGain(NamedTuple):
    """The mean of differences between two methods over the same subjects.

    Attributes:
        mean: of the differences; NaN without any.
        low: lower end of its bootstrap interval; NaN for fewer than two subjects.
        high: upper end.
        subjects: how many differences are defined.
    """

    mean: float
    low: float
    high: float
    subjects: int

    @property
    def is_certain(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.low > 0


def paired_gain(
    values: Sequence[float],
    baseline: Sequence[float],
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> PairedGain:
    """Mean of ``values - baseline`` over subjects, with its percentile bootstrap interval.

    Subjects are drawn with replacement, each with both of its values (Efron and Tibshirani, "An Introduction to the
    Bootstrap", 1993, sections 6 and 13.3), so that differences between subjects do not count.

    Args:
        values: one per subject.
        baseline: of the same subjects, in the same order; pairs whose difference is not finite are left out.
        confidence: of the interval, between 0 and 1.
        resamples: how often subjects are drawn.
        seed: of the draws.

    Returns:
        Mean and interval.

    Raises:
        ValueError: if the numbers of subjects differ, or a setting is out of range.
    """
    if len(values) != len(baseline):
        raise ValueError(f"{len(values)} values and {len(baseline)} of the baseline, expected one pair per subject")
    if not 0 < confidence < 1 or resamples < 1:
        raise ValueError(
            f"confidence is {confidence} and resamples {resamples}, expected a confidence between 0 and 1 and at least "
            "one resample"
        )
    with np.errstate(invalid="ignore"):  # infinity minus infinity is left out below
        gains = np.asarray(values, np.float64) - np.asarray(baseline, np.float64)
    gains = gains[np.isfinite(gains)]
    count = len(gains)
    if count < 2:
        return PairedGain(float(gains[0]) if count else math.nan, math.nan, math.nan, count)
    rng = np.random.default_rng(seed)
    chunk = max(1, _AT_ONCE // count)
    means = [
        gains[rng.integers(0, count, (min(chunk, resamples - start), count))].mean(axis=1)
        for start in range(0, resamples, chunk)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - confidence) / 2, (1 + confidence) / 2])
    return PairedGain(float(gains.mean()), float(low), float(high), count)
