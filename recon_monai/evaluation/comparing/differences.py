"""Paired differences between methods over the same files, with bootstrap intervals over subjects."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from recon_monai.evaluation.bootstrap import paired_gain
from recon_monai.evaluation.groups import Group, group_words, with_pooled

__all__ = ["COMPARED", "paired_differences"]

COMPARED = ("ssim", "psnr", "nmse", "foreground_ssim")
"""Numbers that say how near a reconstruction is to its reference."""

_RESAMPLES = 2000

Row = Mapping[str, Any]


def paired_differences(rows: Sequence[Row], methods: Sequence[str], *, seed: int = 0) -> list[dict[str, Any]]:
    """Each method minus each one before it, within groups of data, anatomy, acceleration and contrast.

    Groups are those of `with_pooled`, so that subjects of several contrasts and anatomies also count together. A
    subject with several files counts once, by the mean of its differences; files whose subject is not known are
    subjects of their own.

    Args:
        rows: of the comparison.
        methods: names, in order.
        seed: of the bootstrap.

    Returns:
        Entries of ``differences``.
    """
    found = []
    for data in dict.fromkeys(row["data"] for row in rows):
        same = [row for row in rows if row["data"] == data]
        for group, parts in with_pooled(_group_of(row) for row in same).items():
            members = [row for row in same if _group_of(row) in parts]
            for metric in COMPARED:
                values = _values(members, metric)
                for base, method in itertools.combinations(methods, 2):
                    entry = _difference(values, method, base, seed)
                    if entry is not None:
                        found.append({"data": data, "group": group_words(group), "metric": metric, **entry})
    return found


def _group_of(row: Row) -> Group:
    nominal = row["acceleration"]
    acceleration = f"{nominal:g}x" if isinstance(nominal, int | float) else str(nominal or "")
    return row["anatomy"] or "", acceleration, row["contrast"] or ""


def _values(rows: Sequence[Row], metric: str) -> dict[str, dict[tuple[str, str], float]]:
    """By method, the defined values by subject and file."""
    values: dict[str, dict[tuple[str, str], float]] = {}
    for row in rows:
        number = row[metric]
        if number is not None and math.isfinite(number):
            values.setdefault(row["method"], {})[row["subject"] or row["file"], row["file"]] = number
    return values


def _difference(
    values: Mapping[str, Mapping[tuple[str, str], float]], method: str, base: str, seed: int
) -> dict[str, Any] | None:
    ours, theirs = values.get(method, {}), values.get(base, {})
    both = [key for key in ours if key in theirs]
    if not both:
        return None
    subjects: dict[str, list[float]] = {}
    for key in both:
        subjects.setdefault(key[0], []).append(ours[key] - theirs[key])
    means = [math.fsum(gains) / len(gains) for gains in subjects.values()]
    gain = paired_gain(means, [0.0] * len(means), resamples=_RESAMPLES, seed=seed)
    ends = {"mean": gain.mean, "low": gain.low, "high": gain.high}
    known = {name: None if math.isnan(value) else value for name, value in ends.items()}
    return {"method": method, "base": base, **known, "files": len(both), "subjects": len(means)}
