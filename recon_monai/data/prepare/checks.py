"""Checks of settings that come from the command line, where any word may stand for a number."""

from __future__ import annotations

import math
import numbers
from typing import Any

__all__ = ["check_integer", "check_number"]


def check_integer(name: str, value: Any, minimum: int | None = None) -> None:
    """Reject anything but a whole number.

    Args:
        name: of the setting, for the message.
        value: what was given.
        minimum: the smallest number allowed; None allows all.

    Raises:
        ValueError: if the value is no integer or too small.
    """
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or (minimum is not None and value < minimum):
        bound = "" if minimum is None else f" of at least {minimum}"
        raise ValueError(f"{name} is {value!r}, expected a whole number{bound}, for example --{name} {minimum or 0}")


def check_number(name: str, value: Any, expected: str, *, maximum: float = math.inf) -> None:
    """Reject anything but a finite number between 0 and a maximum.

    Args:
        name: of the setting, for the message.
        value: what was given.
        expected: what should have been given, for the message.
        maximum: the largest number allowed.

    Raises:
        ValueError: if the value is no number, not finite or out of range.
    """
    known = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    if not known or not 0 <= value <= maximum:
        raise ValueError(f"{name} is {value!r}, expected {expected}")
