"""What a table says of a method."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["MethodKind", "MethodRecord"]

MethodKind = Literal["bundle", "checkpoint", "classical", "interpolation"]


@dataclass(frozen=True)
class MethodRecord:
    """An entry of ``methods`` in ``comparison.json``.

    Attributes:
        name: short and unique.
        kind: bundle, checkpoint, classical or interpolation.
        detail: what it is, in words.
        weights: file and fingerprint; None without.
        tuned_on: data that its settings were chosen on; None if they were not tuned.
        key: hash of what its results depend on, besides data and masks.
    """

    name: str
    kind: MethodKind
    detail: str
    weights: str | None
    tuned_on: str | None
    key: str

    def to_json(self) -> dict[str, Any]:
        """As written."""
        return asdict(self)
