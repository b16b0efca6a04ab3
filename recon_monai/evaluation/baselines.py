"""Reconstructions without learning, to compare networks with: zero-filled RSS and CG-SENSE.

`CGSense` estimates coil maps from the calibration lines, by ESPIRiT (Uecker et al. 2014, sigpy's) or as
low-resolution coil images (McKenzie et al. 2002), and runs conjugate gradients on the Tikhonov-regularized SENSE
problem (Pruessmann et al. 2001). With few calibration lines ESPIRiT is not always the better one, so tuning tries both.

sigpy's solver was chosen over the same one on this package's `SenseOperator`, though that is faster, because it shares
no code with the networks that it is compared with.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import torch

from recon_monai.metrics import nmse
from recon_monai.optional import require
from recon_monai.physics import calibration_mask, center_crop_or_pad, ifft2c, infer_mask, normalize_maps, rss

__all__ = [
    "CGSense",
    "CGSenseSetting",
    "CGSenseTuning",
    "MapMethod",
    "calibration_maps",
    "espirit_maps",
    "tune_cg_sense",
    "zero_filled",
]

MapMethod = Literal["espirit", "calibration"]

_EXTRA = "baselines"
_MAX_CALIBRATION_WIDTH = 24  # sigpy's default; wider regions cost memory (an SVD) and bring little
_KERNEL_WIDTH = 6
_WEIGHTS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
_ITERATIONS = (5, 10, 20, 40)

_logger = logging.getLogger(__name__)


def zero_filled(kspace: torch.Tensor) -> torch.Tensor:
    """Root sum of squares of the zero-filled coil images.

    Args:
        kspace: complex centered k-space, zero where not sampled, shape ``(B, coil, H, W)`` or ``(coil, H, W)``.

    Returns:
        Real magnitude image, shape ``(B, 1, H, W)`` or ``(1, H, W)``.
    """
    return rss(ifft2c(kspace))


def espirit_maps(kspace: torch.Tensor, mask: torch.Tensor | None = None, *, crop: float = 0.0) -> torch.Tensor:
    """Coil sensitivity maps of one slice by sigpy's ESPIRiT (`sigpy.mri.app.EspiritCalib`).

    The calibration region is the largest square centered on DC inside `calibration_mask` of the mask, at most 24
    lines wide; the kernel has 6 lines, or as many as there are. Coils without any signal get a map of zeros.

    Args:
        kspace: complex centered k-space, shape ``(coil, H, W)``; its scale does not matter.
        mask: sampling mask, shape ``(1, 1, W)`` or ``(1, H, W)``; None infers it from the zeros of k-space.
        crop: maps are 0 where ESPIRiT's eigenvalue is not above this number. sigpy's own default of 0.95 removes
            much of the object, or all of it, when there are few calibration lines, therefore 0 (keep all) here.

    Returns:
        Maps of the shape and dtype of k-space, with unit root sum of squares or 0. One coil: a map of ones.

    Raises:
        ImportError: if sigpy is missing (the message holds the pip line).
        CalibrationError: if the center of k-space was not sampled.
        ValueError: if k-space is not one finite slice.
    """
    scale = _check_slice(kspace)
    mask = infer_mask(kspace) if mask is None else mask
    alive = kspace.abs().amax(dim=(-2, -1)) > 0
    maps = torch.zeros_like(kspace)
    if len(kspace) == 1 or scale == 0:
        return torch.ones_like(maps) if len(kspace) == 1 else maps
    width = _calibration_width(mask, kspace.shape[-2])
    app = require("sigpy.mri.app", extra=_EXTRA)
    calibration = app.EspiritCalib(
        _to_numpy(kspace[alive] / scale),
        calib_width=width,
        kernel_width=min(_KERNEL_WIDTH, width),
        crop=crop,
        show_pbar=False,
    )
    with np.errstate(invalid="ignore", divide="ignore"):  # where the first map is 0, sigpy's phase reference is 0/0
        found = calibration.run()
    maps[alive] = torch.from_numpy(np.nan_to_num(np.ascontiguousarray(found))).to(maps)
    return maps


def calibration_maps(kspace: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Coil sensitivity maps of one slice as normalized low-resolution coil images (McKenzie et al. 2002).

    The calibration lines are apodized by a Hann window over the columns (and rows, if the mask is 2-D), which keeps
    the ringing of the truncation out of the maps.

    Args:
        kspace: complex centered k-space, shape ``(coil, H, W)``; its scale does not matter.
        mask: sampling mask, shape ``(1, 1, W)`` or ``(1, H, W)``; None infers it from the zeros of k-space.

    Returns:
        Maps of the shape and dtype of k-space, with unit root sum of squares where there is signal, else 0.

    Raises:
        CalibrationError: if the center of k-space was not sampled.
        ValueError: if k-space is not one finite slice.
    """
    _check_slice(kspace)
    region = calibration_mask(infer_mask(kspace) if mask is None else mask)
    box = region.reshape(-1, region.shape[-1])
    window = _hann_over(box.any(dim=0), kspace)
    if not bool(box.all(dim=0).any()):  # a box of some rows; columns are complete
        window = window * _hann_over(box.any(dim=1), kspace)[:, None]
    return normalize_maps(ifft2c(kspace * region * window))


def _hann_over(lines: torch.Tensor, kspace: torch.Tensor) -> torch.Tensor:
    """Hann window over contiguous lines (bool), without zeros at its ends, and 0 elsewhere."""
    window = torch.zeros(len(lines), dtype=kspace.real.dtype, device=kspace.device)
    hann = torch.hann_window(int(lines.sum()) + 2, periodic=False, dtype=window.dtype, device=window.device)
    window[lines.to(window.device)] = hann[1:-1]
    return window


_MAPS: dict[str, Callable[..., torch.Tensor]] = {"espirit": espirit_maps, "calibration": calibration_maps}


class CGSense:
    """CG-SENSE: the classical parallel-imaging reconstruction of one slice.

    Solves ``min_x |M F S x - y|^2 + weight |x|^2`` by ``iterations`` steps of conjugate gradients from zero
    (`sigpy.mri.app.SenseRecon`). K-space is scaled to a maximum of 1 inside, so neither the weight nor the precision
    depends on the scale of the data. With maps of unit root sum of squares ``|x|`` is in the scale of the RSS image.

    Args:
        weight: Tikhonov weight, at least 0; see `tune_cg_sense`.
        iterations: number of conjugate-gradient steps, at least 1; early stopping regularizes too.
        maps: ``"espirit"`` (`espirit_maps`), ``"calibration"`` (`calibration_maps`), or complex maps of the slice,
            shape ``(coil, H, W)``, with unit root sum of squares.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(
        self,
        weight: float = 0.01,
        iterations: int = 10,
        maps: MapMethod | torch.Tensor = "espirit",
    ) -> None:
        _check_settings([weight], [iterations])
        if isinstance(maps, str):
            _check_methods([maps])
        self.weight = float(weight)
        self.iterations = int(iterations)
        self.maps = maps

    def __repr__(self) -> str:
        maps = self.maps if isinstance(self.maps, str) else "given"
        return f"CGSense(weight={self.weight:g}, iterations={self.iterations}, maps={maps!r})"

    def __call__(self, kspace: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Reconstruct one slice (or each slice of a batch in turn).

        Args:
            kspace: complex centered k-space, zero where not sampled, shape ``(coil, H, W)`` or ``(B, coil, H, W)``.
            mask: sampling mask, shape ``(1, 1, W)`` or ``(1, H, W)``, with ``B`` in front for a batch; None infers
                it from the zeros of k-space.

        Returns:
            Real magnitude image on k-space's device, shape ``(1, H, W)`` or ``(B, 1, H, W)``.

        Raises:
            ImportError: if sigpy is missing (the message holds the pip line).
            CalibrationError: if the center of k-space was not sampled.
            ValueError: if k-space or maps have the wrong shape or hold values that are not finite.
        """
        if kspace.ndim == 4:
            masks = [None] * len(kspace) if mask is None else mask.expand(len(kspace), *mask.shape[-3:])
            return torch.stack([self(one, its_mask) for one, its_mask in zip(kspace, masks, strict=True)])
        _check_slice(kspace)
        mask = infer_mask(kspace) if mask is None else mask
        maps = _MAPS[self.maps](kspace, mask) if isinstance(self.maps, str) else self.maps
        (image,) = _solve(kspace, mask, maps, self.weight, [self.iterations])
        return image


class CGSenseSetting(NamedTuple):
    """One row of the table of `tune_cg_sense`.

    Attributes:
        maps: how the coil maps were estimated.
        weight: Tikhonov weight.
        iterations: number of conjugate-gradient steps.
        nmse: mean over the slices of ``|image - target|^2 / |target|^2``.
    """

    maps: str
    weight: float
    iterations: int
    nmse: float


class CGSenseTuning(NamedTuple):
    """Outcome of `tune_cg_sense`.

    Attributes:
        best: the setting with the lowest mean NMSE (of equal ones, the first of the table).
        table: all settings that were tried, by maps, weight and number of iterations.
        num_slices: number of slices the means are taken over.
    """

    best: CGSenseSetting
    table: list[CGSenseSetting]
    num_slices: int


def tune_cg_sense(
    slices: Iterable[Mapping[str, Any]],
    weights: Sequence[float] = _WEIGHTS,
    iterations: Sequence[int] = _ITERATIONS,
    maps: Sequence[MapMethod] = ("espirit", "calibration"),
) -> CGSenseTuning:
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
        The best setting and the table of all.

    Raises:
        ImportError: if sigpy is missing (the message holds the pip line).
        ValueError: if there is no slice, a target is zero everywhere, or a setting is out of range.
    """
    weights, iterations = sorted(set(weights)), sorted(set(iterations))
    _check_settings(weights, iterations)
    _check_methods(maps)
    sums = np.zeros((len(maps), len(weights), len(iterations)))
    count = 0
    for count, item in enumerate(slices, start=1):  # noqa: B007 - the count is the number of slices
        sums += [_slice_errors(item, method, weights, iterations) for method in maps]
    if count == 0:
        raise ValueError("tune_cg_sense got no slices; give at least one item with kspace and target.")
    table = [
        CGSenseSetting(method, weight, number, float(sums[layer, row, column] / count))
        for layer, method in enumerate(maps)
        for row, weight in enumerate(weights)
        for column, number in enumerate(iterations)
    ]
    best = min(table, key=lambda setting: setting.nmse)
    if len(weights) > 1 and best.weight in (weights[0], weights[-1]):
        _logger.warning("the best weight %g lies at the end of the grid %s: consider a wider one", best.weight, weights)
    return CGSenseTuning(best, table, count)


def _slice_errors(
    item: Mapping[str, Any], method: MapMethod, weights: Sequence[float], iterations: Sequence[int]
) -> npt.NDArray[np.float64]:
    """NMSE of one slice for each weight (rows) and number of iterations (columns)."""
    kspace, target = item["kspace"], item["target"]
    name = f"{item.get('file', 'unnamed file')}, slice {item.get('slice', '?')}"
    if not bool((target != 0).any()):
        raise ValueError(f"the target of {name} is zero everywhere, so it has no NMSE; leave that slice out.")
    mask = item.get("mask")
    mask = infer_mask(kspace) if mask is None else mask
    maps = _MAPS[method](kspace, mask)
    errors = np.empty((len(weights), len(iterations)))
    for row, weight in enumerate(weights):
        for column, image in enumerate(_solve(kspace, mask, maps, weight, iterations)):
            prediction = center_crop_or_pad(image, target.shape[-2:])
            errors[row, column] = nmse(prediction=prediction, target=target)
    return errors


def _solve(
    kspace: torch.Tensor, mask: torch.Tensor, maps: torch.Tensor, weight: float, iterations: Sequence[int]
) -> Iterator[torch.Tensor]:
    """Yield the magnitude image ``(1, H, W)`` after each of the (increasing) numbers of iterations."""
    if maps.shape != kspace.shape:
        raise ValueError(f"maps {tuple(maps.shape)} must have the shape of k-space {tuple(kspace.shape)}.")
    scale = _check_slice(kspace)
    if scale == 0:
        empty = torch.zeros(1, *kspace.shape[-2:], dtype=kspace.real.dtype, device=kspace.device)
        yield from (empty for _ in iterations)
        return
    app = require("sigpy.mri.app", extra=_EXTRA)
    sampled = (mask != 0).to(kspace.real.dtype).expand(1, *kspace.shape[-2:])[0]
    solver = app.SenseRecon(
        _to_numpy(kspace / scale),
        _to_numpy(maps.to(kspace.dtype)),
        lamda=weight,
        weights=_to_numpy(sampled),
        max_iter=iterations[-1],
        show_pbar=False,
    )
    for number in iterations:
        while solver.alg.iter < number and not solver.alg.done():
            solver.alg.update()
        magnitude = np.abs(solver.alg.x)
        yield torch.from_numpy(magnitude)[None].to(kspace.real) * scale


def _calibration_width(mask: torch.Tensor, height: int) -> int:
    """Width of the largest square that is centered as sigpy does it and lies in the calibration region."""
    region = calibration_mask(mask).reshape(-1, mask.shape[-1])
    columns = _centered_length(region.any(dim=0))
    rows = height if len(region) == 1 else _centered_length(region.any(dim=1))
    return min(rows, columns, _MAX_CALIBRATION_WIDTH)


def _centered_length(inside: torch.Tensor) -> int:
    """Longest window ``[N // 2 - n // 2, ... + n)`` within a contiguous region that holds ``N // 2``."""
    center = len(inside) // 2
    places = torch.nonzero(inside)[:, 0]
    before, after = center - int(places[0]), int(places[-1]) + 1 - center
    return min(2 * before + 1, 2 * after)


def _check_slice(kspace: torch.Tensor) -> float:
    """Check one slice of k-space and return its largest magnitude."""
    if kspace.ndim != 3 or not kspace.is_complex():
        raise ValueError(f"expected one complex slice (coil, H, W), got {kspace.dtype} of shape {tuple(kspace.shape)}.")
    scale = float(kspace.abs().max())
    if not math.isfinite(scale):
        raise ValueError("k-space holds values that are not finite; repair or leave out this slice.")
    return scale


def _check_settings(weights: Sequence[float], iterations: Sequence[int]) -> None:
    if not weights or not iterations:
        raise ValueError("give at least one weight and one number of iterations.")
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
        raise ValueError(f"Tikhonov weights must be finite and at least 0, got {list(weights)}.")
    if not all(number >= 1 and number == int(number) for number in iterations):
        raise ValueError(f"numbers of iterations must be integers of at least 1, got {list(iterations)}.")


def _check_methods(maps: Sequence[str]) -> None:
    unknown = [method for method in maps if method not in get_args(MapMethod)]
    if unknown or not maps:
        raise ValueError(f"unknown maps {unknown}; use {get_args(MapMethod)}, or give a complex tensor (coil, H, W).")


def _to_numpy(tensor: torch.Tensor) -> npt.NDArray[Any]:
    return np.ascontiguousarray(tensor.detach().cpu().resolve_conj().numpy())
