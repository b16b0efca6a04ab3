"""Rows put together: a case is one acquisition with what all methods made of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from recon_monai.evaluation.report.reading import DATA_KINDS, Row

__all__ = ["SECTION_TITLES", "Case", "cases_of", "group_words", "groups_of"]

SECTION_TITLES = {
    "simulated": "Simulated k-space",
    "raw": "Measured (raw) k-space",
    "volume": "Volumes (super-resolution)",
}


@dataclass
class Case:
    """One file at one acceleration.

    Attributes:
        first: its first row, for what all rows share.
        rows: by method.
    """

    first: Row
    rows: dict[str, Row] = field(default_factory=dict)

    @property
    def images(self) -> str | None:
        """The image file, which all rows share."""
        return next((row.images for row in self.rows.values() if row.images is not None), None)


def cases_of(rows: Iterable[Row]) -> list[Case]:
    """One case per kind of data, file and acceleration, simulated before raw before volumes."""
    cases: dict[tuple[str, str, str], Case] = {}
    for row in rows:
        case = cases.setdefault((row.data, row.file, row.acceleration), Case(row))
        case.rows[row.method] = row
    return sorted(cases.values(), key=lambda case: DATA_KINDS.index(case.first.data))


def groups_of(cases: Iterable[Case]) -> dict[tuple[str, str, str], list[Case]]:
    """Cases by anatomy, acceleration and contrast, in natural order ("4x" before "16x")."""
    groups: dict[tuple[str, str, str], list[Case]] = {}
    for case in cases:
        groups.setdefault(case.first.group, []).append(case)
    return dict(sorted(groups.items(), key=lambda item: [_natural(word) for word in item[0]]))


def group_words(group: tuple[str, str, str]) -> str:
    """A group in words."""
    return " · ".join(word for word in group if word)


def _natural(word: str) -> tuple[float, str]:
    try:
        return float(word.removesuffix("x")), word
    except ValueError:
        return float("inf"), word
