"""Spread of a super-resolved volume under the noise of its input. There is no mask to draw: nothing else is varied."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from recon_monai.evaluation.uncertainty.replicas import Spread, spread_of
from recon_monai.physics import keyed_generator

__all__ = ["estimate_volume_noise", "volume_noise_bootstrap"]

_MEDIAN_OF_NORMAL = 0.6744897501960817  # of the magnitude of a standard normal number
_FEWEST = 100


def estimate_volume_noise(volume: Tensor, foreground: Tensor | None = None) -> float:
    """Standard deviation of the noise of a volume, from its finest diagonal detail.

    The median magnitude of the Haar coefficients that are differences along all three axes, over that of a standard
    normal number (Donoho and Johnstone 1994, Biometrika 81, 425-455): edges and texture are few among these, and the
    median hardly sees them. Noise is taken as white, Gaussian and the same everywhere. Volumes that were interpolated,
    filtered or denoised have less of it at the highest frequencies, and the estimate is then too low; and where a
    magnitude image is air, its noise has two thirds of the spread that it has in tissue.

    Args:
        volume: real, ``(D, H, W)``, on the grid it was measured on.
        foreground: bool of the same shape: voxels to use; None for those that are not 0.

    Returns:
        The standard deviation, in the units of the volume.

    Raises:
        ValueError: if that is no finite real volume, or too little of it is foreground.
    """
    _check_volume(volume)
    inside = volume != 0 if foreground is None else foreground.to(volume.device)
    if inside.shape != volume.shape:
        raise ValueError(f"the foreground has shape {tuple(inside.shape)}, expected {tuple(volume.shape)}")
    detail, whole = volume.to(torch.float64), inside
    for axis in range(3):
        pairs = detail.shape[axis] // 2
        detail, whole = (one.narrow(axis, 0, 2 * pairs).unflatten(axis, (pairs, 2)) for one in (detail, whole))
        detail = (detail.select(axis + 1, 1) - detail.select(axis + 1, 0)) / math.sqrt(2)
        whole = whole.all(dim=axis + 1)
    found = detail[whole].abs()
    if len(found) < _FEWEST:
        raise ValueError(
            f"{len(found)} blocks of 2 x 2 x 2 voxels lie in the foreground, expected at least {_FEWEST} to estimate "
            "noise from; give noise_std"
        )
    return float(found.median()) / _MEDIAN_OF_NORMAL


@torch.no_grad()
def volume_noise_bootstrap(
    resolve: Callable[[Tensor], Tensor],
    volume: Tensor,
    *,
    noise_std: float | None = None,
    replicas: int = 16,
    key: Sequence[str | int] = (0,),
    time_limit: float | None = None,
    progress: bool = False,
) -> Spread:
    """Super-resolve a volume again and again, each time with more noise like its own.

    Noise is white and Gaussian, which that of a magnitude image is in tissue, not in air. The input has noise already,
    so a network is looked at with twice the noise power. Detail that a network adds in the same way to every replica
    does not spread, right or wrong.

    Args:
        resolve: makes the volume ``(d, h, w)`` of one ``(D, H, W)``, such as ``lambda low: resolver.resolve(low, grid,
            fine)[0]`` with a `SuperResolver`.
        volume: real, ``(D, H, W)``.
        noise_std: standard deviation of the noise, in the units of the volume; None: `estimate_volume_noise`.
        replicas: how many, at least 2.
        key: of the random draws, such as ``(seed, file)``; each replica has draws of its own.
        time_limit: in seconds, see `spread_of`.
        progress: whether to show a bar.

    Returns:
        Mean and spread, in the shape of the super-resolved volume.

    Raises:
        ValueError: if that is no finite real volume, its noise cannot be estimated, a setting is out of range, or a
            result is not finite.
    """
    _check_volume(volume)
    std = estimate_volume_noise(volume) if noise_std is None else float(noise_std)
    if not (math.isfinite(std) and std >= 0):
        raise ValueError(f"noise_std is {noise_std}, expected a number of at least 0")

    def images(numbers: range) -> Tensor:
        return torch.stack([resolve(volume + std * _white(volume, (*key, number))) for number in numbers])

    return spread_of(images, replicas=replicas, time_limit=time_limit, progress=progress, description="noise bootstrap")


def _white(volume: Tensor, key: Sequence[str | int]) -> Tensor:
    generator = keyed_generator("volume_noise_bootstrap", *key)
    return torch.randn(volume.shape, generator=generator, dtype=torch.float32).to(volume)


def _check_volume(volume: Tensor) -> None:
    if volume.ndim != 3 or not volume.is_floating_point() or not bool(torch.isfinite(volume).all()):
        raise ValueError(
            f"expected a finite real volume (D, H, W), got {volume.dtype} of shape {tuple(volume.shape)}, or one with "
            "NaN or infinity"
        )
