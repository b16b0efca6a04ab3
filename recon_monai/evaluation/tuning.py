"""Choice of the iterative baselines' settings on validation slices."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recon_monai.evaluation.classical_methods import CLASSICAL_METHODS, TunedMethod, find_method
from recon_monai.metrics import nmse
from recon_monai.physics import center_crop_or_pad, infer_mask
from recon_monai.solvers import L1Wavelet
from recon_monai.solvers.base import Reconstruction, check_settings
from recon_monai.solvers.coil_maps import MAPS, MapMethod, check_methods

__all__ = ["BaselineSetting", "BaselineTuning", "tune", "tune_cg_sense", "tune_l1_wavelet", "tune_settings"]

_CG, _L1 = CLASSICAL_METHODS["cg_sense"], CLASSICAL_METHODS["l1_wavelet"]
_MAPS: tuple[MapMethod, ...] = ("espirit", "calibration")
_STILL_FALLING = 0.99  # of the error with fewer iterations: not converged at the end of the grid

_logger = logging.getLogger(__name__)


class BaselineSetting(NamedTuple):
    """One row of the table of a tuning.

    Attributes:
        maps: how the coil maps were estimated.
        weight: weight of the regularization.
        iterations: number of iterations.
        nmse: mean over the slices of ``|image - target|^2 / |target|^2``.
    """

    maps: str
    weight: float
    iterations: int
    nmse: float


class BaselineTuning(NamedTuple):
    """Outcome of `tune`, `tune_cg_sense` or `tune_l1_wavelet`.

    Attributes:
        best: the setting with the lowest mean NMSE (of equal ones, the first of the table).
        table: all settings that were tried, by maps, weight and number of iterations.
        num_slices: number of slices the means are taken over.
    """

    best: BaselineSetting
    table: list[BaselineSetting]
    num_slices: int


def tune(
    method: TunedMethod,
    slices: Iterable[Mapping[str, Any]],
    weights: Sequence[float] | None = None,
    iterations: Sequence[int] | None = None,
    maps: Sequence[MapMethod] = _MAPS,
) -> BaselineTuning:
    """Choose maps, weight and number of iterations of a method by the mean NMSE over validation slices.

    Args:
        method: a name of `CLASSICAL_METHODS`.
        slices: items as for `tune_cg_sense`; validation slices, never those of the test set.
        weights: of the regularization, to try; None takes the method's grid.
        iterations: numbers of iterations to try; None takes the method's grid.
        maps: ways of estimating the coil maps to try.

    Returns:
        The best setting and the table of all. A best one at an end of the grid is logged as a warning.

    Raises:
        ImportError: if a library that the method needs is missing (the message holds the pip line).
        ValueError: if the method is unknown, there is no slice, a target is zero everywhere, or a setting is out of
            range.
    """
    chosen = find_method(method)
    weights = chosen.weights if weights is None else weights
    iterations = chosen.iterations if iterations is None else iterations
    check_settings(weights, iterations)
    methods = {weight: chosen.make(weight=weight) for weight in sorted(set(weights))}
    return tune_settings(methods, slices, iterations, maps)


def tune_cg_sense(
    slices: Iterable[Mapping[str, Any]],
    weights: Sequence[float] = _CG.weights,
    iterations: Sequence[int] = _CG.iterations,
    maps: Sequence[MapMethod] = _MAPS,
) -> BaselineTuning:
    """Choose maps, weight and number of iterations of `CGSense` by the mean NMSE over validation slices.

    Give validation slices, never those of the test set. Slices are taken one at a time; maps are computed once for
    each, and one run of the solver for each weight yields all numbers of iterations.

    Args:
        slices: items with ``kspace`` (undersampled, complex ``(coil, H, W)``), ``target`` (real ``(1, h, w)``, to
            which the center of the image is cropped) and, if known, ``mask``; ``file`` and ``slice`` name an item in
            errors.
        weights: Tikhonov weights to try.
        iterations: numbers of iterations to try.
        maps: ways of estimating the coil maps to try.

    Returns:
        The best setting and the table of all. A best one at an end of the grid is logged as a warning.

    Raises:
        ImportError: if sigpy is missing (the message holds the pip line).
        ValueError: if there is no slice, a target is zero everywhere, or a setting is out of range.
    """
    return tune("cg_sense", slices, weights, iterations, maps)


def tune_l1_wavelet(
    slices: Iterable[Mapping[str, Any]],
    weights: Sequence[float] = _L1.weights,
    iterations: Sequence[int] = _L1.iterations,
    maps: Sequence[MapMethod] = _MAPS,
    wavelet: str = "db4",
) -> BaselineTuning:
    """Choose maps, weight and number of iterations of `L1Wavelet` by the mean NMSE over validation slices.

    Args:
        slices: items as for `tune_cg_sense`.
        weights: weights of the L1 norm to try.
        iterations: numbers of iterations to try.
        maps: ways of estimating the coil maps to try.
        wavelet: name of an orthogonal wavelet of PyWavelets.

    Returns:
        The best setting and the table of all. A best one at an end of the grid is logged as a warning.

    Raises:
        ImportError: if sigpy is missing (the message holds the pip line).
        ValueError: if there is no slice, a target is zero everywhere, or a setting is out of range.
    """
    check_settings(weights, iterations)
    methods = {weight: L1Wavelet(weight=weight, wavelet=wavelet) for weight in sorted(set(weights))}
    return tune_settings(methods, slices, iterations, maps)


def tune_settings(
    methods: Mapping[float, Reconstruction],
    slices: Iterable[Mapping[str, Any]],
    iterations: Sequence[int],
    maps: Sequence[MapMethod],
) -> BaselineTuning:
    """Try all maps and numbers of iterations with each of some reconstructions.

    Args:
        methods: reconstructions by increasing weight.
        slices: items as for `tune_cg_sense`.
        iterations: numbers of iterations to try.
        maps: ways of estimating the coil maps to try.

    Returns:
        The best setting and the table of all. A best one at an end of the grid is logged as a warning.

    Raises:
        ValueError: if there is no slice, or a target is zero everywhere.
    """
    iterations = sorted(set(iterations))
    check_methods(maps)
    sums = np.zeros((len(maps), len(methods), len(iterations)))
    count = 0
    for count, item in enumerate(slices, start=1):  # noqa: B007 - the count is the number of slices
        sums += [_slice_errors(item, name, list(methods.values()), iterations) for name in maps]
    if count == 0:
        raise ValueError("the tuning got no slices; give at least one item with kspace and target.")
    table = [
        BaselineSetting(name, weight, number, float(sums[layer, row, column] / count))
        for layer, name in enumerate(maps)
        for row, weight in enumerate(methods)
        for column, number in enumerate(iterations)
    ]
    best = min(table, key=lambda setting: setting.nmse)
    _warn_of_ends(best, table, list(methods), iterations)
    return BaselineTuning(best, table, count)


def _slice_errors(
    item: Mapping[str, Any], maps: MapMethod, methods: Sequence[Reconstruction], iterations: Sequence[int]
) -> npt.NDArray[np.float64]:
    """NMSE of one slice for each method (rows) and number of iterations (columns)."""
    kspace, target = item["kspace"], item["target"]
    name = f"{item.get('file', 'unnamed file')}, slice {item.get('slice', '?')}"
    if not bool((target != 0).any()):
        raise ValueError(f"the target of {name} is zero everywhere, so it has no NMSE; leave that slice out.")
    mask = item.get("mask")
    mask = infer_mask(kspace) if mask is None else mask
    estimated = MAPS[maps](kspace, mask)
    errors = np.empty((len(methods), len(iterations)))
    for row, method in enumerate(methods):
        for column, image in enumerate(method.images(kspace, mask, estimated, iterations)):
            prediction = center_crop_or_pad(image, target.shape[-2:])
            errors[row, column] = nmse(prediction=prediction, target=target)
    return errors


def _warn_of_ends(
    best: BaselineSetting, table: Sequence[BaselineSetting], weights: Sequence[float], iterations: Sequence[int]
) -> None:
    """Log a warning where a better setting may lie outside of the grid."""
    if len(weights) > 1 and best.weight in (weights[0], weights[-1]):
        _logger.warning("the best weight %g lies at the end of the grid %s: consider a wider one", best.weight, weights)
    if len(iterations) > 1 and best.iterations == iterations[-1]:
        (before,) = (row.nmse for row in table if row[:3] == (best.maps, best.weight, iterations[-2]))
        if best.nmse < _STILL_FALLING * before:
            _logger.warning(
                "the error was still falling after %d iterations, the end of the grid %s: consider more of them",
                best.iterations,
                iterations,
            )
