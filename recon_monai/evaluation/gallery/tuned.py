"""Settings of the classical methods as `recon-monai tune` wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["SHIPPED_TUNING", "tuned_settings"]

SHIPPED_TUNING = Path(__file__).with_name("tuning")
"""Files of `recon-monai tune` on the validation part of the built-in set, one for each method."""


def tuned_settings(method: str, acceleration: int, folder: str | Path | None = None) -> dict[str, Any]:
    """Coil maps, weight and iterations of a method.

    Args:
        method: a name of ``CLASSICAL_METHODS``.
        acceleration: nominal acceleration.
        folder: with files ``METHOD.json`` of `recon-monai tune`; None takes those of the built-in set.

    Returns:
        Arguments of ``classical_method``.

    Raises:
        FileNotFoundError: if the method was not tuned.
        ValueError: if it was not tuned for this acceleration.
    """
    path = (SHIPPED_TUNING if folder is None else Path(folder)) / f"{method}.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file; make it with recon-monai tune {method}")
    found = json.loads(path.read_text()).get(method, {})
    if str(acceleration) not in found:
        raise ValueError(f"{path} has settings for {sorted(found)}, expected {acceleration}; tune for it as well")
    return dict(found[str(acceleration)])
