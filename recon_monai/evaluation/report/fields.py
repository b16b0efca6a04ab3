"""Entries of a JSON object by name, checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["ReportError", "choice", "number", "objects", "optional_text", "text"]


class ReportError(ValueError):
    """A folder of which no report can be made; the message says why and what to do."""


def objects(content: dict[str, Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a list, each with words for where it stands.

    Raises:
        ReportError: if it is no list of objects.
    """
    entries = content.get(name)
    if not isinstance(entries, list):
        raise ReportError(f"{name} is {_shown(entries)}, expected a list of objects")
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise ReportError(f"{name}[{index}] is {_shown(entry)}, expected an object")
        yield f"{name}[{index}]", entry


def text(entry: dict[str, Any], name: str, where: str) -> str:
    """A text that is not empty.

    Raises:
        ReportError: if it is something else.
    """
    value = entry.get(name)
    if not isinstance(value, str) or not value:
        raise ReportError(f"{name} of {where} is {_shown(value)}, expected text")
    return value


def optional_text(entry: dict[str, Any], name: str, where: str) -> str | None:
    """A text, or None for null or nothing.

    Raises:
        ReportError: if it is something else.
    """
    value = entry.get(name)
    if value is not None and not isinstance(value, str):
        raise ReportError(f"{name} of {where} is {_shown(value)}, expected text or null")
    return value or None


def choice(entry: dict[str, Any], name: str, where: str, allowed: Sequence[str]) -> str:
    """One of the allowed texts.

    Raises:
        ReportError: if it is something else.
    """
    value = entry.get(name)
    if not isinstance(value, str) or value not in allowed:
        raise ReportError(f"{name} of {where} is {_shown(value)}, expected one of {', '.join(allowed)}")
    return value


def number(entry: dict[str, Any], name: str, where: str) -> float | None:
    """A number, or None for null or nothing.

    Raises:
        ReportError: if it is something else.
    """
    value = entry.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ReportError(f"{name} of {where} is {_shown(value)}, expected a number or null")
    return float(value)


def _shown(value: object) -> str:
    words = repr(value)
    return "missing" if value is None else words if len(words) <= 60 else f"{words[:60]}..."
