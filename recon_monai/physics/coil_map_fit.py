"""Smooth coil maps over the whole field of view, fitted to what was measured where there was signal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from recon_monai.physics.coils import normalize_maps, rss

__all__ = ["CoilMapFit", "fit_coil_maps"]

_ORDER = 12  # half periods over the field of view; coils outside the body vary more slowly
_SMOOTHNESS = 1e-6  # weight of the bending energy: a head array's phantom was fitted down to its noise with it


@dataclass(frozen=True)
class CoilMapFit:
    """Coil maps as cosine series, which can be evaluated on any matrix of the same field of view.

    Attributes:
        coefficients: complex128, shape ``(coil, order + 1, order + 1)``.
        residual: root mean square difference between the fitted and the measured maps (of root sum of squares 1)
            where they were measured, weighted by the signal's energy.
    """

    coefficients: torch.Tensor
    residual: float

    def sample(self, shape: Sequence[int]) -> torch.Tensor:
        """Evaluate the maps.

        Args:
            shape: ``(H, W)``; the field of view is that of the measurement, its middle at pixel ``N // 2``.

        Returns:
            Complex64 maps ``(coil, H, W)`` with ``sum_c |S_c|^2 = 1``.
        """
        height, width = shape
        count = self.coefficients.shape[-1]
        rows, columns = (_cosines(size, count).to(torch.complex128) for size in (height, width))
        return normalize_maps(rows @ self.coefficients @ columns.T).to(torch.complex64)


def fit_coil_maps(coil_images: torch.Tensor, object_mask: torch.Tensor) -> CoilMapFit:
    """Fit smooth coil maps to images of a homogeneous object.

    In a homogeneous object the coil images are the maps times one common image; divided by their root sum of squares
    and by the phase of one combination of the coils (matched to the middle of the object) they are the maps up to
    noise. Smoothing and extrapolation follow Pruessmann et al., MRM 42 (1999), 952-962, "Sensitivity assessment", with
    the array's own root sum of squares in place of a body coil: a cosine series is fitted by least squares, each pixel
    weighted by its energy, with a penalty on the bending energy ``|laplacian|^2``.

    Args:
        coil_images: complex, shape ``(coil, H, W)``; or coil maps, which may be zero outside an object.
        object_mask: bool, shape ``(H, W)``: where the images show the object.

    Returns:
        The fit.

    Raises:
        ValueError: if the shapes do not agree or no pixel of the object has signal.
    """
    if coil_images.ndim != 3 or object_mask.shape != coil_images.shape[1:]:
        raise ValueError(
            f"expected coil images (coil, H, W) and a mask (H, W) of the same matrix, got {tuple(coil_images.shape)} "
            f"and {tuple(object_mask.shape)}."
        )
    images = coil_images.to(torch.complex128)
    energy = torch.where(object_mask, rss(images)[0].square(), 0.0)
    if not bool(energy.any()):
        raise ValueError("the coil images have no signal inside the object mask; give a mask that covers the object.")
    weight = energy / energy.sum()
    measured = normalize_maps(images) * _common_phase(images, weight).conj()
    height, width = weight.shape
    rows, columns = _cosines(height, _ORDER + 1), _cosines(width, _ORDER + 1)
    coefficients = _solve(measured, weight, rows, columns)
    fitted = normalize_maps(rows.to(measured.dtype) @ coefficients @ columns.T.to(measured.dtype))
    residual = ((fitted - measured).abs().square().sum(dim=0) * weight).sum().sqrt()
    return CoilMapFit(coefficients, float(residual))


def _common_phase(images: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Phase ``(H, W)`` of the combination of coils that is matched to the object's center of energy."""
    height, width = weight.shape
    y = float((weight.sum(dim=1) * torch.arange(height)).sum())
    x = float((weight.sum(dim=0) * torch.arange(width)).sum())
    distance = (torch.arange(height)[:, None] - y) ** 2 / height**2 + (torch.arange(width) - x) ** 2 / width**2
    near = torch.exp(-distance / (2 * 0.02**2)) * weight
    signal = (images * near.sqrt()).flatten(1)
    _, vectors = torch.linalg.eigh(signal @ signal.mH)
    return torch.einsum("c,chw->hw", vectors[:, -1].conj(), images).sgn()


def _cosines(size: int, count: int) -> torch.Tensor:
    """Cosines of 0, 1, ... half periods over the field of view, shape ``(size, count)``."""
    position = (torch.arange(size, dtype=torch.float64) - size // 2) / size + 0.5
    return torch.cos(math.pi * position[:, None] * torch.arange(count))


def _solve(measured: torch.Tensor, weight: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Weighted least squares for the coefficients, by the normal equations (a few hundred unknowns)."""
    count = rows.shape[1]
    row_pairs = (rows[:, :, None] * rows[:, None]).flatten(1)
    column_pairs = (columns[:, :, None] * columns[:, None]).flatten(1)
    pairs = (row_pairs.T @ weight @ column_pairs).reshape(count, count, count, count)
    normal = pairs.permute(0, 2, 1, 3).reshape(count**2, count**2)
    frequency = torch.arange(count, dtype=torch.float64)
    bending = (frequency[:, None] ** 2 + frequency**2).square().flatten()
    right = rows.T.to(measured.dtype) @ (measured * weight) @ columns.to(measured.dtype)
    # a trace of the identity keeps the equations solvable where the object says nothing about a coefficient
    penalty = _SMOOTHNESS * (bending + 1)
    normal = normal + torch.diag(penalty)
    solved = torch.linalg.solve(normal.to(measured.dtype), right.flatten(1).T)
    return solved.T.reshape(-1, count, count)
