"""The part of an error that the measured samples say nothing of: its projection on the null space of the acquisition.

Of ``A = M F S`` an image is the sum of a part in the row space, which the samples fix, and one in the null space, which
they do not see at all. An error in the row space contradicts (or misreads) what was measured; one in the null space is
what the method filled in, by its prior, and got wrong (Bhadra et al. 2021, "On hallucinations in tomographic image
reconstruction", IEEE TMI 40(11), 3249-3260). It says where a method had to guess, not that it invented a structure:
a zero-filled image has such errors, too, mostly detail that is missing.

With one coil the null space is what the mask leaves out. With several it is next to empty, although the samples are far
too few in any practical sense: smooth maps make almost every direction visible, some by a factor of a thousand more
weakly than others. What is measured that weakly is lost in noise; so ``weight`` counts directions by how they were
measured, see `null_space_error`.
"""

from __future__ import annotations

import logging
import math
from typing import NamedTuple

import torch
from torch import Tensor

from recon_monai.evaluation.consistency import with_phase
from recon_monai.physics import SenseOperator, fft2c, ifft2c

__all__ = ["NullSpaceError", "null_space_error", "null_space_part"]

logger = logging.getLogger(__name__)


class NullSpaceError(NamedTuple):
    """An error in the null space.

    Attributes:
        part: complex image of it, ``(..., 1, H, W)``.
        share: of the energy of the whole error; NaN if there is no error.
        ratio: norm of the part over that of the target; NaN if the target is 0.
        remainder: what conjugate gradients left of the right-hand side, relative, at most ``tolerance`` if they
            converged; 0 for the closed form.
    """

    part: Tensor
    share: float
    ratio: float
    remainder: float

    @property
    def image(self) -> Tensor:
        """Magnitude of the part."""
        return self.part.abs()


def null_space_error(
    prediction: Tensor,
    target: Tensor,
    mask: Tensor,
    maps: Tensor,
    *,
    phase: Tensor | None = None,
    weight: float = 0.0,
    tolerance: float = 1e-5,
    iterations: int = 200,
) -> NullSpaceError:
    """Project the error of a reconstruction on the null space of its acquisition.

    Args:
        prediction: complex ``(..., 1, H, W)``, or a magnitude, which is given the phase of ``phase``, or of the target
            where that is complex. Its error is then one of magnitude along the target's phase.
        target: complex coil combination of the full scan (`coil_combination`), or a magnitude with ``phase``. Same
            shape and scale, the whole field of view.
        mask: sampling mask, ``(..., 1, 1, W)`` or ``(..., 1, H, W)``.
        maps: complex coil maps, ``(..., coil, H, W)``. Where they are 0 nothing is measured: all error is in the null
            space.
        phase: complex image whose phase magnitudes are given.
        weight: see `null_space_part`.
        tolerance: see `null_space_part`.
        iterations: see `null_space_part`.

    Returns:
        The part in the null space, and how much that is.

    Raises:
        ValueError: if shapes do not fit, magnitudes come without a phase, or a setting is out of range.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} differ in shape; give the whole "
            "field of view of both, before anything is cropped"
        )
    reference = target if phase is None and target.is_complex() else phase
    error = _complex(prediction, reference) - _complex(target, reference)
    part, remainder = _project(error, mask, maps, weight, tolerance, iterations)
    inside, whole, size = (float(torch.linalg.vector_norm(one)) for one in (part, error, target))
    return NullSpaceError(
        part, (inside / whole) ** 2 if whole else math.nan, inside / size if size else math.nan, remainder
    )


def null_space_part(
    image: Tensor,
    mask: Tensor,
    maps: Tensor,
    *,
    weight: float = 0.0,
    tolerance: float = 1e-5,
    iterations: int = 200,
) -> Tensor:
    """The part of an image in the null space of ``A = M F S``.

    With ``weight`` 0 this is the orthogonal projection ``x - N^+ N x`` with ``N = A^H A``, by conjugate gradients from
    zero, which stay in the row space and tend to its element of least norm. Directions that are measured more weakly
    than ``tolerance`` are not resolved and stay in the part. One coil of magnitude 1 has the closed form: the samples
    outside the mask.

    With a weight the part is ``weight (N + weight)^-1 x``: directions count wholly that are not measured, half that are
    measured with energy ``weight`` (the eigenvalue of ``N``, 0 to 1 for maps of unit root sum of squares; least squares
    would raise their noise by ``1 / sqrt(weight)``), and hardly that are measured well. This is no projection: applied
    twice it is smaller.

    Args:
        image: complex, ``(..., 1, H, W)``.
        mask: sampling mask, ``(..., 1, 1, W)`` or ``(..., 1, H, W)``.
        maps: complex coil maps, ``(..., coil, H, W)``.
        weight: at least 0.
        tolerance: norm at which the residual of conjugate gradients is small enough, relative to the right-hand side,
            in each slice; the precision is that of the maps.
        iterations: most steps; where they do not reach the tolerance, a warning says what is left.

    Returns:
        Complex image of the same shape.

    Raises:
        ValueError: if shapes do not fit, or a setting is out of range.
    """
    return _project(image, mask, maps, weight, tolerance, iterations)[0]


def _project(
    image: Tensor, mask: Tensor, maps: Tensor, weight: float, tolerance: float, iterations: int
) -> tuple[Tensor, float]:
    _check(image, mask, maps)
    if not (math.isfinite(weight) and weight >= 0 and 0 < tolerance < 1 and iterations >= 1):
        raise ValueError(
            f"weight is {weight}, tolerance {tolerance} and iterations {iterations}, expected at least 0, between 0 "
            "and 1, and at least 1"
        )
    image = image.to(maps.dtype)
    if maps.shape[-3] == 1 and bool((maps.abs() - 1).abs().max() < 1e-5):
        kspace = fft2c(image * maps)
        kept = torch.where(mask != 0, weight / (1 + weight), 1.0).to(kspace.real.dtype)
        return ifft2c(kspace * kept) * maps.conj(), 0.0
    seen, remainder = _conjugate_gradients(SenseOperator(maps, mask), image, weight, tolerance, iterations)
    if remainder > tolerance:
        logger.warning(
            "the null space was found to %.1e only, expected %.1e; raise iterations or weight", remainder, tolerance
        )
    return image - seen, remainder


def _conjugate_gradients(
    operator: SenseOperator, image: Tensor, weight: float, tolerance: float, iterations: int
) -> tuple[Tensor, float]:
    """Solve ``(N + weight) x = N image`` from zero, each slice of a batch by steps of its own."""
    residual = operator.normal(image)
    size = _energy(residual)
    found, direction, energy = torch.zeros_like(residual), residual, size
    for _ in range(iterations):
        active = energy > tolerance**2 * size
        if not bool(active.any()):
            break
        applied = operator.normal(direction) + weight * direction
        curvature = (direction.conj() * applied).real.sum(dim=(-3, -2, -1), keepdim=True)
        step = torch.where(active, energy / torch.where(active, curvature, 1), 0)
        found = found + step * direction
        residual = residual - step * applied
        new = torch.where(active, _energy(residual), energy)
        direction = residual + torch.where(active, new / torch.where(active, energy, 1), 0) * direction
        energy = new
    left = torch.where(size > 0, energy / torch.where(size > 0, size, 1), 0)
    return found, math.sqrt(float(left.max()))


def _energy(image: Tensor) -> Tensor:
    return image.abs().square().sum(dim=(-3, -2, -1), keepdim=True)


def _complex(image: Tensor, reference: Tensor | None) -> Tensor:
    if image.is_complex():
        return image
    if reference is None:
        raise ValueError(
            "magnitude images have no phase, without which it cannot be told what was measured of them; give the "
            "target's coil combination as target or as phase"
        )
    return with_phase(image, reference)


def _check(image: Tensor, mask: Tensor, maps: Tensor) -> None:
    if not (image.is_complex() and maps.is_complex()) or image.ndim != maps.ndim or image.ndim < 3:
        raise ValueError(
            f"expected a complex image (..., 1, H, W) and complex maps (..., coil, H, W), got {image.dtype} "
            f"{tuple(image.shape)} and {maps.dtype} {tuple(maps.shape)}"
        )
    fits = image.shape == (*maps.shape[:-3], 1, *maps.shape[-2:]) and mask.ndim == maps.ndim
    if not fits or mask.shape[-1] != maps.shape[-1] or mask.shape[-3] != 1:
        raise ValueError(
            f"image {tuple(image.shape)}, mask {tuple(mask.shape)} and maps {tuple(maps.shape)} do not fit; expected "
            "(..., 1, H, W), (..., 1, 1 or H, W) and (..., coil, H, W)"
        )
