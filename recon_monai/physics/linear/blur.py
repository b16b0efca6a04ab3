"""Blur: the periodic convolution with a kernel."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from recon_monai.physics.linear.base import LinearOperator

__all__ = ["BlurOperator", "gaussian_kernel"]

_REACH = 4.0  # standard deviations, beyond which a Gaussian has 6e-5 of its weight


class BlurOperator(LinearOperator):
    """Periodic convolution with a real kernel over the last dimensions of an image (deblurring).

    The field of view of MRI is periodic, and so the Fourier transform makes the operator diagonal and exact.

    Args:
        kernel: real, one dimension for each of the last dimensions of the image that is blurred; its sample
            ``size // 2`` of each axis is the origin. It is not normalized.
        shape: of the image, without the batch; no axis shorter than the kernel.

    Raises:
        ValueError: if the kernel is not real or does not fit into the image.
    """

    def __init__(self, kernel: torch.Tensor, shape: Sequence[int]) -> None:
        super().__init__(shape, shape)
        sizes = self.domain_shape[len(self.domain_shape) - kernel.ndim :]
        fits = 0 < kernel.ndim <= len(shape) and all(k <= n for k, n in zip(kernel.shape, sizes, strict=True))
        if not kernel.is_floating_point() or not fits:
            raise ValueError(
                f"the kernel is {kernel.dtype} of shape {tuple(kernel.shape)}, expected a real one that fits into the "
                f"last dimensions of an image {self.domain_shape}."
            )
        self.kernel = kernel
        self._axes = tuple(range(-kernel.ndim, 0))
        padded = torch.zeros(sizes, dtype=kernel.dtype, device=kernel.device)
        padded[tuple(slice(size) for size in kernel.shape)] = kernel
        origin = tuple(-(size // 2) for size in kernel.shape)
        self._spectrum = torch.fft.fftn(torch.roll(padded, origin, self._axes), dim=self._axes)

    @classmethod
    def gaussian(cls, sigma: float | Sequence[float], shape: Sequence[int]) -> BlurOperator:
        """Blur by a Gaussian of unit sum, in double precision.

        Args:
            sigma: standard deviation in samples for each of the last dimensions; one number means the last two.
            shape: of the image, without the batch.

        Returns:
            The operator. The kernel reaches 4 standard deviations, or as far as the image allows.

        Raises:
            ValueError: if a standard deviation is not positive, or there are more of them than dimensions.
        """
        widths = [sigma, sigma] if isinstance(sigma, int | float) else list(sigma)
        if not 0 < len(widths) <= len(shape):
            raise ValueError(f"sigma is {sigma} for an image of shape {tuple(shape)}, expected one for each last axis.")
        kernel = torch.ones((), dtype=torch.float64)
        for width, size in zip(widths, shape[len(shape) - len(widths) :], strict=True):
            kernel = kernel[..., None] * gaussian_kernel(width, size)
        return cls(kernel, shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Blur an image.

        Args:
            x: real or complex, shape ``(..., *shape)``.

        Returns:
            Tensor of the same shape and dtype.
        """
        self._check_domain(x)
        return self._filter(x, self._spectrum)

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Correlate with the kernel.

        Args:
            y: real or complex, shape ``(..., *shape)``.

        Returns:
            Tensor of the same shape and dtype.
        """
        self._check_range(y)
        return self._filter(y, self._spectrum.conj())

    def normal(self, x: torch.Tensor) -> torch.Tensor:
        """Both at once, by the power spectrum of the kernel."""
        self._check_domain(x)
        return self._filter(x, self._spectrum.abs().square())

    def _filter(self, x: torch.Tensor, spectrum: torch.Tensor) -> torch.Tensor:
        weights = spectrum.to(x.dtype.to_complex() if spectrum.is_complex() else x.real.dtype)
        filtered = torch.fft.ifftn(torch.fft.fftn(x, dim=self._axes) * weights.to(x.device), dim=self._axes)
        return filtered if x.is_complex() else filtered.real


def gaussian_kernel(sigma: float, size: int) -> torch.Tensor:
    """Samples of a Gaussian of unit sum.

    Args:
        sigma: standard deviation in samples.
        size: length of the axis, which the kernel does not exceed.

    Returns:
        Float64, of odd length, symmetric.

    Raises:
        ValueError: if the standard deviation is not a positive number.
    """
    if not (math.isfinite(sigma) and sigma > 0):
        raise ValueError(f"sigma is {sigma}, expected a positive standard deviation in samples.")
    reach = min(math.ceil(_REACH * sigma), (size - 1) // 2)
    place = torch.arange(-reach, reach + 1, dtype=torch.float64)
    weights = torch.exp(-0.5 * (place / sigma) ** 2)
    return weights / weights.sum()
