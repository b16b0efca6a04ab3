"""Learned methods against the best classical one, on the files that both did."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from recon_monai.evaluation.report.cases import Case
from recon_monai.evaluation.report.measures import Measure
from recon_monai.evaluation.report.reading import Method

__all__ = ["Beaten", "beaten_by"]


class Beaten(NamedTuple):
    """A learned method that a classical one beats.

    Attributes:
        base: the classical method.
        own: mean of the learned method.
        other: mean of the classical one, over the same files.
        files: how many both did.
    """

    base: Method
    own: float
    other: float
    files: int


def beaten_by(members: Sequence[Case], method: Method, methods: Sequence[Method], measure: Measure) -> Beaten | None:
    """The classical method that is furthest ahead of a learned one.

    Args:
        members: cases of one group.
        method: any; only learned ones can be beaten.
        methods: all; interpolation counts as classical.
        measure: any; only measures of quality decide.

    Returns:
        What beats it, or None.
    """
    if not (method.is_learned and measure.is_quality):
        return None
    found = []
    for base in (base for base in methods if not base.is_learned):
        pairs = [
            (case.rows[method.name].values[measure.key], case.rows[base.name].values[measure.key])
            for case in members
            if all(name in case.rows and measure.key in case.rows[name].values for name in (method.name, base.name))
        ]
        if pairs:
            own, other = (statistics.fmean(values) for values in zip(*pairs, strict=True))
            if measure.better * (other - own) > 0:
                found.append(Beaten(base, own, other, len(pairs)))
    return max(found, default=None, key=lambda beaten: measure.better * (beaten.other - beaten.own))
