"""Names of anatomies, as networks know them."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["checked_names"]


def checked_names(names: Sequence[str]) -> tuple[str, ...]:
    """Refuse names that cannot stand for one anatomy each.

    Args:
        names: the names.

    Returns:
        The same as a tuple.

    Raises:
        ValueError: for no, equal or unusable names.
    """
    if isinstance(names, str) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"anatomies is {names!r}, expected a list of names like ['brain', 'knee'].")
    unusable = [name for name in names if not re.fullmatch(r"[\w-]+", name)]
    if unusable or len(set(names)) != len(names):
        raise ValueError(f"anatomies is {list(names)}, expected different words of letters, digits, - and _.")
    return tuple(names)
