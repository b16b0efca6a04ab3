"""Random draws keyed by what they are for, so that neither the worker, the rank nor the order matters."""

from __future__ import annotations

import hashlib
import operator

import torch

__all__ = ["keyed_generator", "keyed_seed"]


def keyed_seed(*parts: str | int) -> int:
    """Hash a key into a seed that is the same on every machine and in every process.

    Args:
        parts: for example ``(seed, epoch, file_name, slice_index)``; integers (NumPy's too) and strings.

    Returns:
        Integer of 63 bits: fit for `torch.Generator.manual_seed` and for the masks of this package.

    Raises:
        ValueError: without parts.
        TypeError: if a part is neither a string nor an integer.
    """
    if not parts:
        raise ValueError("keyed_seed needs at least one part, for example keyed_seed(seed, epoch, file_name, slice).")
    digest = hashlib.sha256()
    for part in parts:
        digest.update(_encode(part))
    return int.from_bytes(digest.digest()[:8], "big") >> 1


def keyed_generator(*parts: str | int) -> torch.Generator:
    """Make a CPU generator seeded by `keyed_seed` of the same parts.

    Args:
        parts: as for `keyed_seed`.

    Returns:
        A fresh generator.
    """
    return torch.Generator().manual_seed(keyed_seed(*parts))


def _encode(part: str | int) -> bytes:
    """Kind, length and value, so that ("ab", "c"), ("a", "bc") and (1, "1") all differ."""
    if isinstance(part, str):
        value = part.encode()
        return b"s%d:" % len(value) + value
    try:
        value = b"%d" % operator.index(part)
    except TypeError:
        raise TypeError(f"a key is made of strings and integers, got {part!r} of type {type(part).__name__}.") from None
    return b"i%d:" % len(value) + value
