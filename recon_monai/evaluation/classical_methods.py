"""The reconstructions without training by name, and the grids that they are tuned over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from recon_monai.solvers import (
    CGSense,
    DictionaryLearning,
    L1Wavelet,
    LeastSquares,
    Reconstruction,
    Tikhonov,
    TotalVariation,
)

__all__ = ["CLASSICAL_METHODS", "ClassicalMethod", "TunedMethod", "classical_method"]

TunedMethod = Literal[
    "cg_sense", "dictionary", "l1_wavelet", "least_squares", "tikhonov", "tikhonov_gradient", "total_variation"
]


class ClassicalMethod(NamedTuple):
    """A method and what is tried when it is tuned.

    Attributes:
        make: takes ``weight``, ``iterations`` and ``maps`` by name and gives the reconstruction.
        weights: of the regularization.
        iterations: numbers of them.
    """

    make: Callable[..., Reconstruction]
    weights: Sequence[float]
    iterations: Sequence[int]


_QUADRATIC = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
_SPARSE = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
_KRYLOV = (5, 10, 20, 40)

CLASSICAL_METHODS: Mapping[str, ClassicalMethod] = MappingProxyType(
    {
        "cg_sense": ClassicalMethod(CGSense, _QUADRATIC, _KRYLOV),
        "dictionary": ClassicalMethod(DictionaryLearning, (0.03, 0.1, 0.3, 1.0, 3.0), (2, 4, 8)),
        "l1_wavelet": ClassicalMethod(L1Wavelet, _SPARSE, (5, 10, 20, 40, 80, 160)),
        "least_squares": ClassicalMethod(LeastSquares, (0.0,), (2, 5, 10, 20, 40)),
        "tikhonov": ClassicalMethod(Tikhonov, _QUADRATIC, _KRYLOV),
        "tikhonov_gradient": ClassicalMethod(partial(Tikhonov, on="gradient"), _QUADRATIC, _KRYLOV),
        "total_variation": ClassicalMethod(TotalVariation, (0.0001, *_SPARSE), (10, 20, 40, 80)),
    }
)
"""Name to method. ``tikhonov`` is the problem of ``cg_sense`` by this package's own operator and solver."""


def classical_method(name: str, **settings: Any) -> Reconstruction:
    """Make a reconstruction from its name and the settings that a tuning wrote.

    Args:
        name: one of `CLASSICAL_METHODS`.
        settings: ``weight``, ``iterations``, ``maps`` and what else its class takes.

    Returns:
        The reconstruction.

    Raises:
        ValueError: if the name is unknown or a setting is out of range.
    """
    return find_method(name).make(**settings)


def find_method(name: str) -> ClassicalMethod:
    """Entry of `CLASSICAL_METHODS`; raises `ValueError` for another name."""
    if name not in CLASSICAL_METHODS:
        raise ValueError(f"method is {name!r}, expected one of {sorted(CLASSICAL_METHODS)}")
    return CLASSICAL_METHODS[name]
