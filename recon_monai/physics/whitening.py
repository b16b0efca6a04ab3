"""Noise of the receiver coils: its covariance, and k-space in which it is white.

The thermal noise of a coil array is complex Gaussian, correlated between the coils and independent from sample to
sample. Pre-whitening makes it independent between the coils too, with equal variances, which is what a root sum of
squares and least-squares reconstructions assume (Pruessmann et al., MRM 46 (2001), 638-651, appendix A).
"""

from __future__ import annotations

import torch

__all__ = ["noise_covariance", "prewhiten"]


def noise_covariance(samples: torch.Tensor) -> torch.Tensor:
    """Estimate the noise covariance ``E[n n^H]`` of the coils from samples that hold noise only.

    The mean is taken as 0, as thermal noise has none.

    Args:
        samples: complex, coils first: ``(coil, ...)``; k-space or (with the orthonormal transform) coil images.

    Returns:
        Complex128 Hermitian matrix, shape ``(coil, coil)``; its diagonal holds the variances (real and imaginary part
        together).

    Raises:
        ValueError: if the samples are not complex or there are fewer of them than coils.
    """
    if not samples.is_complex() or samples.ndim < 2:
        raise ValueError(f"expected complex samples (coil, ...), got {samples.dtype} of shape {tuple(samples.shape)}.")
    flat = samples.flatten(1).to(torch.complex128)
    num_coils, count = flat.shape
    if count < num_coils:
        raise ValueError(f"{count} samples cannot give the noise covariance of {num_coils} coils; give more samples.")
    covariance = flat @ flat.mH / count
    return (covariance + covariance.mH) / 2


def prewhiten(kspace: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
    """Make the noise of all coils independent and of variance 1: ``L^-1 k`` with ``covariance = L L^H`` (Cholesky).

    Args:
        kspace: complex k-space or coil images, shape ``(..., coil, H, W)``.
        covariance: Hermitian positive definite, shape ``(coil, coil)``.

    Returns:
        Whitened k-space of the same shape and dtype, in units of the noise's standard deviation.

    Raises:
        ValueError: if the numbers of coils differ or the matrix is not positive definite.
    """
    if kspace.ndim < 3 or tuple(covariance.shape) != (kspace.shape[-3],) * 2:
        raise ValueError(
            f"k-space {tuple(kspace.shape)} needs coils at the third place from the end and a covariance of as many "
            f"coils, got a covariance {tuple(covariance.shape)}."
        )
    factor, failed = torch.linalg.cholesky_ex(covariance.to(torch.complex128))
    if int(failed):
        raise ValueError(
            f"the noise covariance is not positive definite (at coil {int(failed) - 1}): a coil without noise, or one "
            "that is a combination of others; leave such coils out or give more noise samples."
        )
    flat = kspace.flatten(-2).to(torch.complex128)
    white = torch.linalg.solve_triangular(factor, flat, upper=False)
    return white.to(kspace.dtype).reshape(kspace.shape)
