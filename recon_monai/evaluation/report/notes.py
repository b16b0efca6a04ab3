"""Where a learned method does worse than a classical one: said, not hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recon_monai.evaluation.bootstrap import FEWEST_SUBJECTS
from recon_monai.evaluation.groups import group_words
from recon_monai.evaluation.report.cases import Case, groups_of
from recon_monai.evaluation.report.measures import Measure, formatted, formatted_difference
from recon_monai.evaluation.report.paired import Beaten, beaten_by
from recon_monai.evaluation.report.reading import Difference, Method

__all__ = ["Note", "notes_of"]


@dataclass(frozen=True)
class Note:
    """A learned method that a classical one beats in one group.

    Attributes:
        method: the learned method.
        text: by what, how much and against which, on the same files.
    """

    method: str
    text: str


def notes_of(
    cases: Sequence[Case], methods: Sequence[Method], measures: Sequence[Measure], differences: Sequence[Difference]
) -> list[Note]:
    """Every learned method that the best classical one beats, per group and measure of quality.

    Only files that both methods did are averaged. Intervals are the comparison's own.

    Args:
        cases: of one kind of data.
        methods: all.
        measures: all; those that are no quality are passed over.
        differences: of that kind of data.

    Returns:
        Notes in the order of methods.
    """
    return [
        Note(method.name, _words(group_words(group), measure, method, beaten, differences))
        for method in methods
        for group, members in groups_of(cases).items()
        for measure in measures
        if (beaten := beaten_by(members, method, methods, measure)) is not None
    ]


def _words(group: str, measure: Measure, method: Method, beaten: Beaten, differences: Sequence[Difference]) -> str:
    base = beaten.base
    kind = "interpolation" if base.kind == "interpolation" else "classical"
    tuned = f"tuned on {base.tuned_on}" if base.tuned_on else "not tuned"
    words = (
        f"{group}: {measure.label} {formatted(beaten.own, measure)}, {base.name} ({kind}, {tuned}) has "
        f"{formatted(beaten.other, measure)} on the same {beaten.files} file{'s' if beaten.files != 1 else ''}"
    )
    interval = _interval(group, measure, method, base, differences)
    return f"{words}; {interval}" if interval else words


def _interval(group: str, measure: Measure, method: Method, base: Method, differences: Sequence[Difference]) -> str:
    for entry in differences:
        if entry.metric != measure.key or _plain(entry.group) != _plain(group) or entry.low is None:
            continue
        if (entry.method, entry.base) == (method.name, base.name) and entry.high is not None:
            low, high = entry.low, entry.high
        elif (entry.method, entry.base) == (base.name, method.name) and entry.high is not None:
            low, high = -entry.high, -entry.low
        else:
            continue
        ends = f"{formatted_difference(low, measure)} to {formatted_difference(high, measure)}"
        sure = "the interval excludes 0" if low * high > 0 else "the interval includes 0, so that it may be chance"
        if entry.subjects < FEWEST_SUBJECTS:
            sure = f"of {entry.subjects} subjects, too few to exclude chance"
        return f"paired difference {ends}, {sure}"
    return ""


def _plain(group: str) -> str:
    """A group without what separates its words, since comparisons write them in one line of their own style."""
    return "".join(character for character in group.casefold() if character.isalnum())
