"""Signal of the tissues under the weightings of the built-in set."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

__all__ = ["BRAIN_ACQUISITIONS", "BRAIN_TISSUES", "KNEE_ACQUISITIONS", "KNEE_TISSUES", "draw_contrast"]

BRAIN_TISSUES = (
    "white", "gray", "fluid", "lesion", "bone", "marrow", "fat", "muscle", "skin", "eye", "vessel", "air",
)  # fmt: skip
KNEE_TISSUES = (
    "bone", "marrow", "red_marrow", "edema", "cartilage", "meniscus", "ligament", "fluid", "muscle", "fat", "skin",
    "vessel",
)  # fmt: skip

# Relative signal of typical spin-echo protocols, brightest main tissue near 1; order as BRAIN_TISSUES.
_BRAIN: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "AXFLAIR": (0.50, 0.69, 0.06, 1.08, 0.05, 0.42, 0.85, 0.36, 0.48, 0.10, 0.07, 0.02),
        "AXT2": (0.42, 0.58, 1.05, 0.80, 0.05, 0.36, 0.70, 0.26, 0.42, 1.15, 0.06, 0.02),
        "AXT1": (0.90, 0.62, 0.22, 0.56, 0.06, 0.62, 1.15, 0.50, 0.62, 0.20, 0.12, 0.02),
        "AXPD": (0.66, 0.84, 0.95, 1.02, 0.07, 0.45, 0.80, 0.55, 0.60, 0.95, 0.10, 0.02),
    }
)
# Proton density without and with fat suppression; order as KNEE_TISSUES.
_KNEE: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "CORPD_FBK": (0.05, 0.80, 0.60, 0.50, 0.66, 0.10, 0.14, 0.86, 0.42, 1.00, 0.50, 0.14),
        "CORPDFS_FBK": (0.04, 0.18, 0.28, 0.62, 0.66, 0.10, 0.14, 1.05, 0.40, 0.16, 0.34, 0.80),
    }
)

BRAIN_ACQUISITIONS = tuple(_BRAIN)
KNEE_ACQUISITIONS = tuple(_KNEE)

_STEADY = ("white", "gray", "lesion", "cartilage", "muscle")


def draw_contrast(acquisition: str, rng: np.random.Generator) -> dict[str, float]:
    """Draw the signal of every tissue around the typical one.

    Args:
        acquisition: one of `BRAIN_ACQUISITIONS` or `KNEE_ACQUISITIONS`.
        rng: source of randomness.

    Returns:
        Signal by tissue name; the tissues one looks at first (white and gray matter, lesions, cartilage, muscle) vary
        by about 4 %, the rest by about 10 %.

    Raises:
        ValueError: if the acquisition is unknown.
    """
    tissues, table = (BRAIN_TISSUES, _BRAIN) if acquisition in _BRAIN else (KNEE_TISSUES, _KNEE)
    if acquisition not in table:
        known = ", ".join(BRAIN_ACQUISITIONS + KNEE_ACQUISITIONS)
        raise ValueError(f"unknown acquisition {acquisition!r}; choose one of {known}")
    spread = [0.04 if tissue in _STEADY else 0.10 for tissue in tissues]
    factors = np.exp(rng.normal(0.0, 1.0, len(tissues)) * spread)
    return {t: float(s * f) for t, s, f in zip(tissues, table[acquisition], factors, strict=True)}
