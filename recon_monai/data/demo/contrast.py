"""Signal of the tissues for the three weightings of the built-in demo set."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

__all__ = ["ACQUISITIONS", "TISSUES", "draw_contrast"]

TISSUES = ("white", "gray", "fluid", "bone", "marrow", "fat", "muscle", "skin", "eye", "vessel", "air")

# Relative signal of typical spin-echo protocols, brightest brain tissue near 1; order as TISSUES.
_SIGNAL: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "AXT1": (0.90, 0.62, 0.22, 0.06, 0.62, 1.15, 0.50, 0.62, 0.20, 0.12, 0.02),
        "AXT2": (0.42, 0.58, 1.05, 0.05, 0.36, 0.70, 0.26, 0.42, 1.15, 0.06, 0.02),
        "AXPD": (0.66, 0.84, 0.95, 0.07, 0.45, 0.80, 0.55, 0.60, 0.95, 0.10, 0.02),
    }
)

ACQUISITIONS = tuple(_SIGNAL)


def draw_contrast(acquisition: str, rng: np.random.Generator) -> dict[str, float]:
    """Draw the signal of every tissue around the typical one.

    Args:
        acquisition: one of `ACQUISITIONS`.
        rng: source of randomness.

    Returns:
        Signal by tissue name; white and gray matter vary by about 4 %, the rest by about 10 %.

    Raises:
        ValueError: if the acquisition is unknown.
    """
    if acquisition not in _SIGNAL:
        raise ValueError(f"unknown acquisition {acquisition!r}; choose one of {', '.join(ACQUISITIONS)}")
    spread = [0.04 if tissue in ("white", "gray") else 0.10 for tissue in TISSUES]
    factors = np.exp(rng.normal(0.0, 1.0, len(TISSUES)) * spread)
    return {t: float(s * f) for t, s, f in zip(TISSUES, _SIGNAL[acquisition], factors, strict=True)}
