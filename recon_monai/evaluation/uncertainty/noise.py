"""Spread of a reconstruction under the noise of its acquisition: pseudo multiple replicas."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from recon_monai.evaluation.uncertainty.noise_level import estimate_noise, measured_samples
from recon_monai.evaluation.uncertainty.replicas import Spread, spread_of
from recon_monai.physics import keyed_generator

__all__ = ["Reconstruction", "noise_bootstrap"]

Reconstruction = Callable[[Tensor, Tensor], Tensor]
"""A network or classical method: ``net(kspace, mask)``, ``(B, coil, H, W)`` and its masks to ``(B, 1, H, W)``."""


@torch.no_grad()
def noise_bootstrap(
    net: Reconstruction,
    kspace: Tensor,
    mask: Tensor,
    *,
    covariance: Tensor | None = None,
    replicas: int = 32,
    key: Sequence[str | int] = (0,),
    batch_size: int = 1,
    time_limit: float | None = None,
    progress: bool = False,
) -> Spread:
    """Reconstruct one acquisition again and again, each time with more noise like its own (pseudo-replica method).

    Robson et al. 2008 (MRM 60, 895-907). For a linear reconstruction ``R`` the spread is that of its noise,
    ``sqrt(diag(R C R^H))``, whatever the image. For a network it is the spread at a noise power twice that of the
    measurement, because what was measured has its noise already, and the mean is a little off for the same reason.

    It is the spread by noise alone: what the method makes of the missing samples, the same in every replica, is not in
    it, and neither is any bias. See ``docs/uncertainty.md``.

    Args:
        net: the reconstruction.
        kspace: complex centered k-space, zero where not sampled, shape ``(coil, H, W)``.
        mask: sampling mask, shape ``(1, 1, W)`` or ``(1, H, W)``.
        covariance: noise covariance ``E[n n^H]`` of the coils in the units of k-space, Hermitian and positive
            semi-definite, shape ``(coil, coil)``; a coil without noise has zeros. None: `estimate_noise`.
        replicas: how many acquisitions, at least 2.
        key: of the random draws, such as ``(seed, file, slice)``; each replica has draws of its own.
        batch_size: replicas reconstructed at once; changes nothing but time and memory.
        time_limit: in seconds, see `spread_of`.
        progress: whether to show a bar.

    Returns:
        Mean and spread, each in the shape of one image of the network, ``(1, H, W)``, on its device.

    Raises:
        ValueError: if k-space, mask or covariance do not fit, the noise cannot be estimated, a setting is out of range,
            or an image is not finite.
    """
    if covariance is None:
        covariance = estimate_noise(kspace, mask).covariance
    factor = _factor(covariance, len(kspace)).to(kspace)
    measured = measured_samples(kspace, mask)

    def images(numbers: range) -> Tensor:
        noisy = torch.stack([kspace + measured * _noise(kspace, factor, (*key, number)) for number in numbers])
        return net(noisy, mask.expand(len(numbers), *mask.shape))

    return spread_of(
        images,
        replicas=replicas,
        batch_size=batch_size,
        time_limit=time_limit,
        progress=progress,
        description="noise bootstrap",
    )


def _noise(kspace: Tensor, factor: Tensor, key: Sequence[str | int]) -> Tensor:
    generator = keyed_generator("noise_bootstrap", *key)
    shape = (len(kspace), math.prod(kspace.shape[1:]))
    white = torch.randn(
        shape, generator=generator, dtype=kspace.dtype
    )  # of variance 1, real and imaginary part together
    return (factor @ white.to(kspace.device)).reshape(kspace.shape)


def _factor(covariance: Tensor, num_coils: int) -> Tensor:
    """``F`` with ``F F^H = covariance``; unlike Cholesky's it is there for coils without noise, too."""
    if tuple(covariance.shape) != (num_coils, num_coils):
        raise ValueError(
            f"the covariance has shape {tuple(covariance.shape)}, expected {(num_coils, num_coils)} for k-space of "
            f"{num_coils} coils"
        )
    wide = covariance.to(torch.complex128)
    size = float(wide.abs().max())
    if not math.isfinite(size) or not torch.allclose(wide, wide.mH, rtol=0, atol=1e-6 * size):
        raise ValueError("the covariance is not Hermitian and finite; give E[n n^H] of noise samples")
    values, vectors = torch.linalg.eigh(wide)
    if float(values[0]) < -1e-6 * size:
        raise ValueError(
            f"the covariance has the negative eigenvalue {float(values[0]):.3g}, expected none; give E[n n^H] of noise "
            "samples"
        )
    return vectors * values.clamp(min=0).sqrt()
