"""Which of the files and slices that there are a run uses: filters by what headers say, and sampling by hash."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any

from recon_monai.data.fastmri import FastMRIInfo
from recon_monai.physics import keyed_seed

__all__ = ["FileFilter", "is_sampled"]

_WORDS = ("anatomy", "acquisition", "source")


@dataclass(frozen=True)
class FileFilter:
    """Conditions on the headers of a file; all of those that are given must hold.

    Args:
        anatomy: one or several anatomies.
        acquisition: one or several acquisitions; ``*`` stands for anything (``AXT1*``).
        source: ``"measured"``, ``"simulated"``, ``"unknown"``, or several of them.
        coils: the least and the most coils, either None for no limit.
        min_slices: the least slices.
        target: True for files with a target only, False for files without.
        mask: True for files with their own mask only, False for files without.

    Raises:
        ValueError: if a condition is none.
    """

    anatomy: str | Sequence[str] | None = None
    acquisition: str | Sequence[str] | None = None
    source: str | Sequence[str] | None = None
    coils: Sequence[int | None] | None = None
    min_slices: int | None = None
    target: bool | None = None
    mask: bool | None = None

    def __post_init__(self) -> None:
        for name in _WORDS:
            value = getattr(self, name)
            words = [value] if isinstance(value, str) else value
            if words is not None and (not isinstance(words, Sequence) or not words or not all(map(_is_word, words))):
                raise ValueError(f"the filter {name} is {value!r}, expected a word or a list of words")
            object.__setattr__(self, name, None if words is None else tuple(words))
        limits = (None, None) if self.coils is None else self.coils
        if isinstance(limits, str) or not isinstance(limits, Sequence) or len(limits) != 2 or not _in_order(limits):
            raise ValueError(f"the filter coils is {self.coils!r}, expected [least, most], for example [4, 20]")
        if self.min_slices is not None and not _is_count(self.min_slices):
            raise ValueError(f"the filter min_slices is {self.min_slices!r}, expected a whole number of at least 1")
        for name in ("target", "mask"):
            if not isinstance(getattr(self, name), bool | None):
                raise ValueError(f"the filter {name} is {getattr(self, name)!r}, expected true or false")

    @classmethod
    def parse(cls, conditions: Mapping[str, Any] | FileFilter | None) -> FileFilter:
        """Conditions from plain JSON.

        Args:
            conditions: like ``{"anatomy": "knee", "coils": [4, 20]}``; None for no condition.

        Raises:
            ValueError: if a condition is unknown or impossible.
        """
        if isinstance(conditions, FileFilter):
            return conditions
        known = [field.name for field in fields(cls)]
        if not isinstance(conditions, Mapping | None):
            raise ValueError(f'filters is {conditions!r}, expected conditions like {{"anatomy": "knee"}}')
        for name in conditions or {}:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"there is no filter {name!r}, expected some of {known}{hint}")
        return cls(**(conditions or {}))

    def failed(self, info: FastMRIInfo, anatomy: str) -> str | None:
        """The first condition that a file does not fulfill.

        Args:
            info: its headers.
            anatomy: what it shows.

        Returns:
            The condition's name; None if all hold.
        """
        least, most = (None, None) if self.coils is None else self.coils
        words = {"anatomy": anatomy, "acquisition": info.acquisition, "source": info.source}
        fulfilled = {name: _fits(words[name], getattr(self, name)) for name in _WORDS} | {
            "coils": (least is None or info.coils >= least) and (most is None or info.coils <= most),
            "min_slices": self.min_slices is None or info.num_slices >= self.min_slices,
            "target": self.target is None or self.target == (info.target_name is not None),
            "mask": self.mask is None or self.mask == info.has_mask,
        }
        return next((name for name, holds in fulfilled.items() if not holds), None)


def is_sampled(rate: float, *key: str | int) -> bool:
    """Whether something belongs to a random part of all, decided for it alone.

    It depends neither on what else there is nor on the order, and a smaller rate takes a part of what a larger one
    takes.

    Args:
        rate: share to take, in (0, 1].
        key: what it is, for example ``(seed, file name)``.
    """
    return rate >= 1 or keyed_seed("sample", *key) < rate * 2**63


def _fits(word: str, patterns: Sequence[str] | None) -> bool:
    return patterns is None or any(fnmatchcase(word, pattern) for pattern in patterns)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _in_order(limits: Sequence[Any]) -> bool:
    least, most = limits
    if not all(limit is None or _is_count(limit) for limit in limits):
        return False
    return least is None or most is None or least <= most
