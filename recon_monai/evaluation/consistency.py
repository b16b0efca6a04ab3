"""What a reconstruction says of the measured samples: the residual in k-space.

Magnitude images have no phase, and k-space of a magnitude image is not that of the object. They are given one,
``phase``: the coil combination of the fully sampled scan, where there is one (the target's), else of a reconstruction.
A magnitude with the phase of the target is the most favorable reading of it: an error of phase, which the network may
well have made, does not count, and what remains is the error of the magnitude.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from recon_monai.physics import fft2c, ifft2c, reduce, rss

__all__ = ["KspaceResidual", "coil_combination", "kspace_residual", "noise_ratio", "with_phase"]


class KspaceResidual(NamedTuple):
    """What measured samples and a reconstruction disagree on.

    Attributes:
        ratio: norm of the residual over that of the measured samples; NaN if these are all 0. Not better the smaller:
            a residual well below `noise_ratio` has the noise reproduced.
        image: magnitude of the coil-combined image of the residual, ``(..., 1, H, W)``; the root sum of squares
            without maps.
    """

    ratio: float
    image: Tensor


def kspace_residual(
    image: Tensor, kspace: Tensor, mask: Tensor, maps: Tensor | None = None, *, phase: Tensor | None = None
) -> KspaceResidual:
    """Acquire a reconstruction again and compare it with the measured samples: ``M F S x - y``.

    Args:
        image: complex coil images ``(..., coil, H, W)`` (as of ``net.reconstruct``; the most exact way), or one image
            ``(..., 1, H, W)``, complex, or a magnitude with ``phase``. The whole field of view that k-space spans, in
            its scale: a network's image before anything is cropped.
        kspace: complex centered measured k-space, ``(..., coil, H, W)``; samples outside the mask are ignored.
        mask: sampling mask, ``(..., 1, 1, W)`` or ``(..., 1, H, W)``.
        maps: complex coil maps with unit root sum of squares, ``(..., coil, H, W)``; needed for one image of many
            coils. What they do not explain of the coil images is part of the residual.
        phase: complex image ``(..., 1, H, W)`` whose phase a magnitude is given.

    Returns:
        Ratio over all slices given, and image of the residual.

    Raises:
        ValueError: if shapes do not fit, a magnitude comes without a phase, or one image without maps.
    """
    if image.shape[-2:] != kspace.shape[-2:]:
        raise ValueError(
            f"the image {tuple(image.shape)} and k-space {tuple(kspace.shape)} differ in size; give the whole field of "
            "view, before it is cropped (output_size None)"
        )
    sampled = mask != 0
    measured = kspace * sampled
    residual = fft2c(_coil_images(image, kspace, maps, phase)) * sampled - measured
    norm = float(torch.linalg.vector_norm(measured))
    ratio = float(torch.linalg.vector_norm(residual)) / norm if norm else math.nan
    back = ifft2c(residual)
    return KspaceResidual(ratio, rss(back) if maps is None else reduce(back, maps).abs())


def noise_ratio(kspace: Tensor, mask: Tensor, covariance: Tensor) -> float:
    """The ratio that the noise of the measured samples alone gives: of the residual of the object without noise.

    Args:
        kspace: complex measured k-space, ``(..., coil, H, W)``.
        mask: sampling mask, ``(..., 1, 1, W)`` or ``(..., 1, H, W)``.
        covariance: of the noise of the coils, ``(coil, coil)``, such as of `estimate_noise`.

    Returns:
        Expected norm of the noise over the norm of the samples; NaN if these are all 0. Samples that are 0 in all coils
        have no noise.

    Raises:
        ValueError: if the numbers of coils differ.
    """
    if len(covariance) != kspace.shape[-3]:
        raise ValueError(f"the covariance has {len(covariance)} coils, expected {kspace.shape[-3]} as k-space")
    measured = kspace * (mask != 0)
    count = int((measured != 0).any(dim=-3).sum())
    norm = float(torch.linalg.vector_norm(measured))
    return math.sqrt(float(covariance.diagonal().real.sum()) * count) / norm if norm else math.nan


def coil_combination(kspace: Tensor, maps: Tensor) -> Tensor:
    """Complex image of k-space by coil maps, ``S^H F^H y``: the target whose phase magnitudes are given.

    Args:
        kspace: complex centered k-space, fully sampled for a target, ``(..., coil, H, W)``.
        maps: complex coil maps with unit root sum of squares, same shape.

    Returns:
        Complex image ``(..., 1, H, W)``. Its magnitude is that of the root sum of squares where the maps explain the
        coil images, and below it elsewhere.
    """
    return reduce(ifft2c(kspace), maps)


def with_phase(magnitude: Tensor, reference: Tensor) -> Tensor:
    """Give a magnitude image the phase of another one.

    Args:
        magnitude: real, ``(..., 1, H, W)``; negative values stay so.
        reference: complex, same shape; phase 0 where it is 0.

    Returns:
        Complex image.

    Raises:
        ValueError: if shapes or kinds do not fit.
    """
    if magnitude.is_complex() or not reference.is_complex() or magnitude.shape != reference.shape:
        raise ValueError(
            f"expected a magnitude and a complex image of one shape, got {magnitude.dtype} {tuple(magnitude.shape)} "
            f"and {reference.dtype} {tuple(reference.shape)}"
        )
    size = reference.abs()
    return magnitude * torch.where(size > 0, reference / torch.where(size > 0, size, 1), 1)


def _coil_images(image: Tensor, kspace: Tensor, maps: Tensor | None, phase: Tensor | None) -> Tensor:
    if not image.is_complex():
        if phase is None:
            raise ValueError(
                "a magnitude image has no phase to acquire it with; give complex coil images (net.reconstruct), or the "
                "phase of the target's coil combination"
            )
        image = with_phase(image, phase)
    if image.shape == kspace.shape and (maps is None or kspace.shape[-3] > 1):
        return image
    if image.shape[-3] != 1 or maps is None or maps.shape != kspace.shape:
        given = None if maps is None else tuple(maps.shape)
        raise ValueError(
            f"image {tuple(image.shape)} and maps {given} do not fit k-space {tuple(kspace.shape)}; give all coil "
            "images, or one image and maps in the shape of k-space"
        )
    return image * maps
