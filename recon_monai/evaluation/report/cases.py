"""Rows put together: a case is one acquisition with what all methods made of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from recon_monai.evaluation.groups import Group, with_pooled
from recon_monai.evaluation.report.reading import DATA_KINDS, Row

__all__ = ["SECTION_TITLES", "Case", "cases_of", "groups_of"]

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


def groups_of(cases: Iterable[Case], *, pooled: bool = False) -> dict[Group, list[Case]]:
    """Cases by anatomy, acceleration and contrast, in the order of `with_pooled`.

    Args:
        cases: of one kind of data.
        pooled: whether several contrasts and anatomies are also put together.

    Returns:
        Cases of each group.
    """
    members = list(cases)
    groups = with_pooled(case.first.group for case in members)
    return {
        group: [case for case in members if case.first.group in parts]
        for group, parts in groups.items()
        if pooled or parts == [group]
    }
