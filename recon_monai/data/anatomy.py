"""Which anatomy a file shows: an ordered list of rules, the first that fits wins."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recon_monai.data.fastmri.info import FastMRIInfo

__all__ = [
    "DEFAULT_ANATOMY_RULES",
    "UNKNOWN",
    "AnatomyRule",
    "anatomies_of",
    "find_anatomy",
    "only_anatomy",
    "parse_anatomy_rules",
]

UNKNOWN = "unknown"

_PLACES = ("anatomy", "acquisition", "body_part", "protocol", "file", "folder")


@dataclass(frozen=True)
class AnatomyRule:
    """If a pattern is found in one text about a file, the file shows this anatomy.

    Args:
        look_at: ``"anatomy"`` or ``"acquisition"`` (attributes of the file), ``"body_part"`` or ``"protocol"`` (of the
            ISMRMRD header), ``"file"`` (its name) or ``"folder"`` (its whole path, with ``/``).
        pattern: regular expression, searched for anywhere in the text, in upper or lower case; ``^knee_`` is a prefix.
        anatomy: what the file then shows; None takes the words that the pattern matched, its first group if it has one.

    Raises:
        ValueError: if the place is unknown, the pattern is no regular expression, or the anatomy is no word.
    """

    look_at: str
    pattern: str
    anatomy: str | None = None
    _regex: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.look_at not in _PLACES:
            raise ValueError(f"an anatomy rule looks at {self.look_at!r}, expected one of {list(_PLACES)}")
        if self.anatomy is not None and (not isinstance(self.anatomy, str) or not self.anatomy):
            raise ValueError(f"an anatomy rule gives the anatomy {self.anatomy!r}, expected a word, for example 'knee'")
        try:
            object.__setattr__(self, "_regex", re.compile(self.pattern, re.IGNORECASE))
        except (re.error, TypeError) as error:
            raise ValueError(
                f"the pattern {self.pattern!r} of an anatomy rule is no regular expression ({error}), "
                "expected for example '^knee_'"
            ) from error

    def find(self, info: FastMRIInfo) -> str | None:
        """The anatomy of a file by this rule alone; None if it does not fit."""
        match = self._regex.search(_text(info, self.look_at))
        if match is None:
            return None
        return self.anatomy or match.group(1 if self._regex.groups else 0) or None


DEFAULT_ANATOMY_RULES = (
    AnatomyRule("anatomy", ".+"),
    # fastMRI: axial scans are brains (AXT2, ...), coronal ones knees (CORPD_FBK, ...)
    AnatomyRule("acquisition", "^AX", "brain"),
    AnatomyRule("acquisition", "^COR", "knee"),
    AnatomyRule("body_part", r"\b(head|brain)\b", "brain"),
    AnatomyRule("body_part", r"\bknee\b", "knee"),
    # names of the paired layout
    AnatomyRule("file", "^brain_(acc|test)", "brain"),
    AnatomyRule("file", "^knee_(acc|test)", "knee"),
)
"""What a file says itself; its acquisition; its header; its name in the paired layout."""


def parse_anatomy_rules(rules: Sequence[AnatomyRule | Mapping[str, Any]]) -> tuple[AnatomyRule, ...]:
    """Rules from plain JSON.

    Args:
        rules: like ``[{"look_at": "file", "pattern": "^knee_", "anatomy": "knee"}]``.

    Returns:
        The rules.

    Raises:
        ValueError: if they are no list of such entries.
    """
    if isinstance(rules, str | Mapping) or not isinstance(rules, Sequence):
        raise ValueError(
            f"anatomy_rules is {rules!r}, expected a list like "
            '[{"look_at": "file", "pattern": "^knee_", "anatomy": "knee"}]'
        )
    parsed = []
    for number, rule in enumerate(rules):
        if isinstance(rule, AnatomyRule):
            parsed.append(rule)
            continue
        keys = set(rule) if isinstance(rule, Mapping) else set()
        if not {"look_at", "pattern"} <= keys <= {"look_at", "pattern", "anatomy"}:
            raise ValueError(
                f"anatomy rule {number} is {rule!r}, expected the keys look_at, pattern and, optionally, anatomy"
            )
        parsed.append(AnatomyRule(**rule))
    return tuple(parsed)


def find_anatomy(info: FastMRIInfo, rules: Sequence[AnatomyRule] = ()) -> str:
    """Anatomy of a file.

    Args:
        info: its headers.
        rules: tried in this order, before the default ones.

    Returns:
        That of the first rule that fits; ``"unknown"`` if none does.
    """
    found = (rule.find(info) for rule in (*rules, *DEFAULT_ANATOMY_RULES))
    return next((anatomy for anatomy in found if anatomy), UNKNOWN)


def anatomies_of(dataset: Any) -> list[str]:
    """Names of the anatomies in a data set.

    Args:
        dataset: with a list ``data`` of entries that hold ``file`` and ``anatomy``, as of ``FastMRISliceDataset``.

    Returns:
        The names, sorted.

    Raises:
        ValueError: if the anatomy of a file is unknown.
    """
    unknown = sorted({entry["file"] for entry in dataset.data if entry["anatomy"] == UNKNOWN})
    if unknown:
        raise ValueError(
            f"the anatomy of {len(unknown)} files is unknown, such as {unknown[0]}; name it by --anatomy_rules, or "
            "leave such files out by --filters::anatomy"
        )
    return sorted({entry["anatomy"] for entry in dataset.data})


def only_anatomy(filters: Mapping[str, Any], anatomy: str | None, option: str = "--teacher_of") -> dict[str, Any]:
    """Filters that leave the files of one anatomy.

    Args:
        filters: other conditions, see ``FileFilter``.
        anatomy: its name; ``"all"`` leaves all of them.
        option: by which the user names it, for messages.

    Returns:
        All conditions.

    Raises:
        ValueError: if no name is given.
    """
    if not anatomy:
        raise ValueError(f"this run takes the files of one anatomy; say of which, for example {option} brain")
    return dict(filters) if anatomy == "all" else {**filters, "anatomy": anatomy}


def _text(info: FastMRIInfo, place: str) -> str:
    texts = {
        "anatomy": info.stated_anatomy,
        "acquisition": info.acquisition,
        "body_part": info.header.body_part,
        "protocol": info.header.protocol,
        "file": info.path.name,
        "folder": info.path.absolute().parent.as_posix(),
    }
    return texts[place] or ""
