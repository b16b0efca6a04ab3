"""Fewer virtual coils that keep most of the signal's energy.

One matrix for all of k-space (from a singular value decomposition: Buehrer et al., MRM 57 (2007), 1131-1139; Huang et
al., MRI 26 (2008), 133-141) or one for each readout position (geometric-decomposition coil compression: Zhang et al.,
MRM 69 (2013), 571-582). Both have orthonormal rows, so that white noise stays white: whiten before, not after.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

__all__ = ["CoilCompression", "compress_coils", "geometric_compression", "svd_compression"]

_READOUT = -2


class CoilCompression(NamedTuple):
    """How physical coils are combined to virtual ones.

    Attributes:
        matrix: complex, orthonormal rows: ``(virtual, coil)`` for all of k-space, or ``(H, virtual, coil)`` for each
            position along the readout of the image.
        kept_energy: share of the energy of k-space that the virtual coils keep, 0 to 1.
    """

    matrix: torch.Tensor
    kept_energy: float


def svd_compression(kspace: torch.Tensor, num_coils: int) -> CoilCompression:
    """Combine the coils by the leading left singular vectors of ``(coil, samples)``.

    Args:
        kspace: complex k-space, shape ``(..., coil, H, W)``; leading dimensions (slices) share the matrix. Samples that
            were not acquired are zero and have no influence.
        num_coils: number of virtual coils, 1 to the number of coils.

    Returns:
        The compression with a complex128 matrix ``(num_coils, coil)``. The kept energy is the sum of the squares of
        the leading singular values over the sum of all.

    Raises:
        ValueError: if the number of virtual coils is out of range or k-space is zero.
    """
    _check(kspace, num_coils)
    products = sum(_products(one.flatten(1)) for one in _slices(kspace))
    values, vectors = torch.linalg.eigh(products)
    matrix, kept = _leading(values, vectors, num_coils)
    return CoilCompression(matrix, float(kept / values.sum()))


def geometric_compression(kspace: torch.Tensor, num_coils: int) -> CoilCompression:
    """Combine the coils at each readout position by its own leading singular vectors, aligned along the readout.

    Coils differ in where along the readout they are sensitive, so fewer virtual ones keep the same energy as with one
    matrix for all. Each position's virtual coils are turned (unitary Procrustes problem) towards those of the position
    before, so that they vary smoothly.

    Args:
        kspace: complex k-space, shape ``(..., coil, H, W)``, in which the readout (H) is fully sampled; leading
            dimensions (slices) share the matrices.
        num_coils: number of virtual coils, 1 to the number of coils.

    Returns:
        The compression with complex128 matrices ``(H, num_coils, coil)``.

    Raises:
        ValueError: if the number of virtual coils is out of range or k-space is zero.
    """
    _check(kspace, num_coils)
    products = sum(_products(_along_readout(torch.fft.ifft, one).transpose(0, 1)) for one in _slices(kspace))
    values, vectors = torch.linalg.eigh(products)
    matrices, kept = _leading(values, vectors, num_coils)
    aligned = [matrices[0]]
    for matrix in matrices[1:]:
        left, _, right = torch.linalg.svd(matrix @ aligned[-1].mH)
        aligned.append((left @ right).mH @ matrix)
    return CoilCompression(torch.stack(aligned), float(kept.sum() / values.sum()))


def compress_coils(kspace: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Combine the coils of k-space.

    Args:
        kspace: complex k-space, shape ``(..., coil, H, W)``.
        matrix: see `CoilCompression`.

    Returns:
        K-space of the virtual coils, shape ``(..., virtual, H, W)``, of the dtype of ``kspace``.

    Raises:
        ValueError: if the matrix is for another number of coils or readout positions.
    """
    geometric = matrix.ndim == 3
    if kspace.ndim < 3 or matrix.shape[-1] != kspace.shape[-3] or (geometric and len(matrix) != kspace.shape[-2]):
        raise ValueError(
            f"k-space {tuple(kspace.shape)} does not fit a matrix {tuple(matrix.shape)}; expected (..., coil, H, W) "
            "and (virtual, coil) or (H, virtual, coil)."
        )
    full = kspace.to(torch.complex128)
    if not geometric:
        return torch.einsum("vc,...chw->...vhw", matrix.to(full.dtype), full).to(kspace.dtype)
    hybrid = torch.einsum("hvc,...chw->...vhw", matrix.to(full.dtype), _along_readout(torch.fft.ifft, full))
    return _along_readout(torch.fft.fft, hybrid).to(kspace.dtype)


def _slices(kspace: torch.Tensor) -> torch.Tensor:
    return kspace.reshape(-1, *kspace.shape[-3:])


def _products(samples: torch.Tensor) -> torch.Tensor:
    """Sums of products of coils, ``(..., coil, coil)``; slice by slice, as double precision of all would not fit."""
    double = samples.to(torch.complex128)
    return double @ double.mH


def _leading(values: torch.Tensor, vectors: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of the ``count`` largest eigenvalues, and the sum of these eigenvalues; eigh sorts in ascending order."""
    rows = vectors[..., -count:].flip(-1).mH
    # an eigenvector's phase is arbitrary: the largest element is made real, so that results do not depend on LAPACK
    largest = rows.gather(-1, rows.abs().argmax(dim=-1, keepdim=True))
    return rows * largest.sgn().conj(), values[..., -count:].sum(dim=-1)


def _along_readout(transform: Callable[..., torch.Tensor], kspace: torch.Tensor) -> torch.Tensor:
    """Centered orthonormal transform along the readout only."""
    shifted = torch.fft.ifftshift(kspace, dim=_READOUT)
    return torch.fft.fftshift(transform(shifted, dim=_READOUT, norm="ortho"), dim=_READOUT)


def _check(kspace: torch.Tensor, num_coils: int) -> None:
    if kspace.ndim < 3 or not kspace.is_complex():
        raise ValueError(f"expected complex k-space (..., coil, H, W), got {kspace.dtype} {tuple(kspace.shape)}.")
    if not 1 <= num_coils <= kspace.shape[-3]:
        raise ValueError(f"cannot compress {kspace.shape[-3]} coils to {num_coils}; choose 1 to {kspace.shape[-3]}.")
    if not bool((kspace != 0).any()):
        raise ValueError("k-space is zero everywhere, so there is nothing to compress by.")
