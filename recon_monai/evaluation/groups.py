"""Groups of files that are averaged: by anatomy, acceleration and contrast, and such groups together."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["ALL_ANATOMIES", "ALL_CONTRASTS", "Group", "group_words", "with_pooled"]

Group = tuple[str, str, str]
"""Anatomy, acceleration (or recipe of low resolution) and contrast; empty where unknown."""

ALL_ANATOMIES = "all anatomies"
ALL_CONTRASTS = "all contrasts"


def with_pooled(groups: Iterable[Group]) -> dict[Group, list[Group]]:
    """Groups, then those that hold several of them, since a group of one or two subjects says little.

    Only files of one acceleration are put together; of one kind of data is the caller's business.

    Args:
        groups: of files, in any order.

    Returns:
        The groups that each one consists of: single ones of themselves, those of an anatomy with several contrasts, and
        those of all anatomies. In natural order ("4x" before "16x"), sums after their parts.
    """
    single = sorted(set(groups), key=_order)
    found: dict[Group, list[Group]] = {}
    for group in single:
        anatomy, acceleration, _ = group
        found[group] = [group]
        alike = [one for one in single if one[:2] == (anatomy, acceleration)]
        if len(alike) > 1 and group == alike[-1]:
            found[anatomy, acceleration, ALL_CONTRASTS] = alike
    for acceleration in dict.fromkeys(group[1] for group in single):
        alike = [group for group in single if group[1] == acceleration]
        if len({group[0] for group in alike}) > 1:
            found[ALL_ANATOMIES, acceleration, ALL_CONTRASTS] = alike
    return found


def group_words(group: Group) -> str:
    """A group in words."""
    return " · ".join(word for word in group if word)


def _order(group: Group) -> list[tuple[float, str]]:
    return [_natural(word) for word in group]


def _natural(word: str) -> tuple[float, str]:
    try:
        return float(word.removesuffix("x")), word
    except ValueError:
        return float("inf"), word
