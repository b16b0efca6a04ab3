"""Settings of the classical methods as `recon-monai tune` wrote them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from recon_monai.data import atomic_path

__all__ = ["SHIPPED_TUNING", "best_weight", "tuned_settings"]

_logger = logging.getLogger(__name__)

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


def best_weight(path: Path, key: str, weights: Sequence[float], error: Callable[[float], float]) -> float:
    """The weight of the lowest error on validation data, kept in a file with the error of each.

    Args:
        path: the file; what it holds is taken if it was made with the same key.
        key: of what the choice depends on.
        weights: to try, rising.
        error: of a weight.

    Returns:
        The weight. A best one at an end of those tried is logged as a warning.
    """
    kept = json.loads(path.read_text()) if path.is_file() else {}
    if kept.get("key") == key:
        return float(kept["weight"])
    errors = {weight: error(weight) for weight in weights}
    best = min(errors, key=errors.__getitem__)
    table = {str(weight): value for weight, value in errors.items()}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({"key": key, "weight": best, "mean_squared_error": table}, indent=2) + "\n")
    if best in (weights[0], weights[-1]):
        _logger.warning("%s: the best of %s lies at an end", path.stem, ", ".join(f"{weight:g}" for weight in weights))
    return best
