"""Values of the command line, which fire has read as Python literals where it could."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["joined", "numbers_of", "voxel_size_of", "words_of"]


def joined(values: Sequence[float]) -> str:
    """Numbers as one word, separated by commas."""
    return ",".join(f"{value:g}" for value in values)


def numbers_of(name: str, value: float | Sequence[float], example: str) -> list[float]:
    """Numbers separated by commas; fire gives a single one as itself."""
    words = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    try:
        numbers = [float(word) for word in words]
    except (TypeError, ValueError):
        numbers = []
    if not numbers or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{name} is {value!r}, expected numbers separated by commas, for example {example}")
    return numbers


def words_of(value: str | Sequence[str]) -> list[str]:
    """Words separated by commas; fire has already split some of them."""
    parts = value.split(",") if isinstance(value, str) else value
    return [str(part).strip() for part in parts]


def voxel_size_of(value: Sequence[float] | None) -> tuple[float, float, float]:
    """Three lengths in mm (row, column, slice), separated by commas; NaN each where none are given."""
    if value is None:
        return math.nan, math.nan, math.nan
    try:
        sizes = [float(size) for size in value] if isinstance(value, Sequence) and not isinstance(value, str) else []
    except (TypeError, ValueError):
        sizes = []
    if len(sizes) != 3 or not all(size > 0 or math.isnan(size) for size in sizes):
        raise ValueError(f"voxel_size is {value!r}, expected three lengths in mm (row, column, slice): 1.4,1.4,8")
    return sizes[0], sizes[1], sizes[2]
