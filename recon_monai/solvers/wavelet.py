"""Orthogonal wavelets as a linear operator, and reconstruction by sparsity in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from recon_monai.optional import require
from recon_monai.physics import LinearOperator
from recon_monai.physics.interpolation import apply_matrix
from recon_monai.solvers.arrays import EXTRA
from recon_monai.solvers.krylov import image_axes
from recon_monai.solvers.proximal import proximal_gradient, soft_threshold
from recon_monai.solvers.solution import Solution, check_number

__all__ = ["WaveletOperator", "check_wavelet", "l1_wavelet"]


class WaveletOperator(LinearOperator):
    """Periodic orthogonal wavelet transform over all axes longer than one sample (PyWavelets' filters).

    The image is zero-padded at its ends to a multiple of ``2 ** levels``; on that grid the transform is unitary, so
    ``W^H W = I`` always, and ``W W^H = I`` where nothing was padded. sigpy's transform keeps the coefficients
    that reach over the border: ``W W^H`` is then not the identity (it is for Haar's and sizes that are powers of two),
    and the soft threshold that sigpy takes for the proximal map not exact.

    Args:
        shape: of the image, without the batch.
        wavelet: name of an orthogonal wavelet of PyWavelets.
        levels: number of decompositions; None takes as many as leave the shortest axis longer than the filter (none
            for images smaller than that, where the transform is the identity).

    Raises:
        ImportError: if PyWavelets, which comes with sigpy, is missing (the message holds the pip line).
        ValueError: if the wavelet is not an orthogonal one, or there are fewer than 0 levels.
    """

    def __init__(self, shape: Sequence[int], wavelet: str = "db4", levels: int | None = None) -> None:
        pywt = require("pywt", extra=EXTRA)
        check_wavelet(wavelet)
        self.axes = image_axes(tuple(shape))
        length = pywt.Wavelet(wavelet).dec_len
        most = min(pywt.dwt_max_level(shape[axis], length) for axis in self.axes)
        self.levels = most if levels is None else levels
        if self.levels < 0:
            raise ValueError(f"levels is {levels}, expected at least 0.")
        padded = list(shape)
        for axis in self.axes:
            padded[axis] = -(-shape[axis] // 2**self.levels) * 2**self.levels
        super().__init__(shape, padded)
        self.wavelet = wavelet
        sizes = {padded[axis] >> level for axis in self.axes for level in range(self.levels)}
        self._matrices = {size: _analysis(size, wavelet) for size in sizes}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Decompose an image.

        Args:
            x: real or complex, shape ``(..., *shape)``.

        Returns:
            Coefficients, shape ``(..., *range_shape)``: along each axis the approximation, then the details from the
            coarsest to the finest.
        """
        self._check_domain(x)
        pads = [p - n for n, p in zip(reversed(self.domain_shape), reversed(self.range_shape), strict=True)]
        x = torch.nn.functional.pad(x, [side for pad in pads for side in (0, pad)])
        for level in range(self.levels):
            x = self._replace(x, level, transposed=False)
        return x

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Compose an image; what falls on the padding is cut off.

        Args:
            y: real or complex, shape ``(..., *range_shape)``.

        Returns:
            Shape ``(..., *shape)``.
        """
        self._check_range(y)
        for level in reversed(range(self.levels)):
            y = self._replace(y, level, transposed=True)
        return _corner(y, self.domain_shape)

    def _replace(self, x: torch.Tensor, level: int, *, transposed: bool) -> torch.Tensor:
        """One level: the block of approximations before it gets its transform."""
        sizes = [
            size >> level if axis in self.axes else size
            for axis, size in zip(range(-len(self.range_shape), 0), self.range_shape, strict=True)
        ]
        part = _corner(x, sizes)
        for axis in self.axes:
            matrix = self._matrices[sizes[axis]]
            part = apply_matrix(part, axis, matrix.mT if transposed else matrix)
        if level == 0:
            return part
        replaced = x.clone()
        _corner(replaced, sizes).copy_(part)
        return replaced


def l1_wavelet(
    operator: LinearOperator,
    data: torch.Tensor,
    weight: float,
    *,
    wavelet: str = "db4",
    levels: int | None = None,
    step: float | None = None,
    accelerated: bool = True,
    iterations: int = 100,
    tolerance: float = 0.0,
) -> Solution:
    """Minimize ``1/2 |A W^H c - y|^2 + weight |c|_1`` over wavelet coefficients ``c`` (Lustig et al. 2007, equation 3).

    Where no axis was padded (see `WaveletOperator`) that is the same as ``weight |W x|_1`` over images. The proximal
    map, a soft threshold, is exact in either case. `L1Wavelet` solves the problem for SENSE with sigpy.

    Args:
        operator: ``A``.
        data: ``y``, shape ``(..., *range_shape)``.
        weight: at least 0.
        wavelet: name of an orthogonal wavelet of PyWavelets.
        levels: see `WaveletOperator`.
        step: at most ``1 / |A|^2``; None finds one.
        accelerated: FISTA instead of ISTA.
        iterations: largest number of iterations, from zero.
        tolerance: see `run`; of the coefficients.

    Returns:
        The solution.

    Raises:
        ImportError: if PyWavelets is missing (the message holds the pip line).
        ValueError: if a setting is out of range or a shape does not fit.
    """
    check_number("weight", weight)
    transform = WaveletOperator(operator.domain_shape, wavelet, levels)
    axes = tuple(range(-len(transform.range_shape), 0))
    found = proximal_gradient(
        operator @ transform.H,
        data,
        lambda point, size: soft_threshold(point, weight * size),
        penalty=lambda coefficients: weight * coefficients.abs().sum(dim=axes),
        step=step,
        accelerated=accelerated,
        iterations=iterations,
        tolerance=tolerance,
    )
    return found._replace(image=transform.adjoint(found.image))


def check_wavelet(wavelet: str) -> None:
    """Raise `ValueError` unless the name is that of an orthogonal wavelet of PyWavelets."""
    pywt = require("pywt", extra=EXTRA)
    if wavelet not in pywt.wavelist(kind="discrete") or not pywt.Wavelet(wavelet).orthogonal:
        raise ValueError(f"wavelet is {wavelet!r}, expected an orthogonal one of PyWavelets, for example 'db4'.")


def _analysis(size: int, wavelet: str) -> torch.Tensor:
    """Orthogonal matrix of one decomposition: approximations, then details."""
    parts = require("pywt", extra=EXTRA).dwt(np.eye(size), wavelet, mode="periodization", axis=0)
    return torch.from_numpy(np.concatenate(parts))


def _corner(x: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """View of the first samples along the last axes."""
    for axis, size in zip(range(-len(sizes), 0), sizes, strict=True):
        x = x.narrow(axis, 0, size)
    return x
