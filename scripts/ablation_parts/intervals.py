"""How certain a difference between two trainings is that were repeated with several seeds and tested on subjects."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ablation_parts.results import Row

__all__ = ["PairedDifference", "paired_difference"]

CONFIDENCE = 0.95
_RESAMPLES = 10_000


class PairedDifference(NamedTuple):
    """One variant minus another.

    Attributes:
        mean: over seeds and subjects.
        low: lower end of its interval; NaN for a single subject.
        high: upper end.
        seeds: that both have.
        subjects: that both were tested on.
        higher: pairs of a seed and a subject for which the first has the larger value.
    """

    mean: float
    low: float
    high: float
    seeds: int
    subjects: int
    higher: int

    @property
    def sign(self) -> int | None:
        """1 or -1 if the whole interval lies to one side of zero, else 0; None without an interval."""
        if math.isnan(self.low):
            return None
        return int(self.low > 0) - int(self.high < 0)


def paired_difference(
    rows: Sequence[Row], variant: str, base: str, metric: str, *, resamples: int = _RESAMPLES, seed: int = 0
) -> PairedDifference | None:
    """Compare two variants at equal seeds and subjects, with a 95 % interval.

    The interval is that of a percentile bootstrap which draws seeds and subjects with replacement, independently of
    each other (Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1, 2007, which errs on the side of wide
    intervals): both another training and other subjects could have been. With one seed, subjects alone are drawn, and
    the interval says nothing of other trainings.

    Args:
        rows: test volumes of all variants: ``variant``, ``seed`` (None: one result for all seeds), ``subject``, and the
            metric; several volumes of a subject count by their mean.
        variant: the first.
        base: what is subtracted.
        metric: which; undefined values are left out with what they would be compared with.
        resamples: draws.
        seed: of the draws.

    Returns:
        The difference; None if they have no seed or subject in common.
    """
    ours, theirs = (_by_seed_and_subject(rows, name, metric) for name in (variant, base))
    seeds = _common(_seeds(ours), _seeds(theirs))
    subjects = sorted({subject for _, subject in ours} & {subject for _, subject in theirs})
    table = np.array(
        [[_value(ours, one, subject) - _value(theirs, one, subject) for subject in subjects] for one in seeds]
    ).reshape(len(seeds), len(subjects))
    table = table[:, np.isfinite(table).all(axis=0)]
    count, others = table.shape
    if not count or not others:
        return None
    low = high = math.nan
    if others > 1:
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(count, [1 / count] * count, resamples) / count
        means = ((drawn @ table) * rng.multinomial(others, [1 / others] * others, resamples)).sum(axis=1) / others
        low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]).tolist()
    return PairedDifference(float(table.mean()), low, high, count, others, int((table > 0).sum()))


def _by_seed_and_subject(rows: Iterable[Row], variant: str, metric: str) -> dict[tuple[int | None, str], float]:
    values: dict[tuple[int | None, str], list[float]] = {}
    for row in rows:
        if row["variant"] == variant:
            values.setdefault((row["seed"], row["subject"]), []).append(row[metric])
    return {key: math.fsum(found) / len(found) for key, found in values.items()}


def _seeds(values: Iterable[tuple[int | None, str]]) -> list[int | None]:
    return list(dict.fromkeys(seed for seed, _ in values))


def _common(ours: Sequence[int | None], theirs: Sequence[int | None]) -> list[int | None]:
    """Seeds of both, where one result for all seeds has every one."""
    if None in ours or None in theirs:
        return list(theirs if None in ours else ours)
    return [seed for seed in ours if seed in theirs]


def _value(values: dict[tuple[int | None, str], float], seed: int | None, subject: str) -> float:
    found = values.get((seed, subject), values.get((None, subject)))
    return math.nan if found is None else found
