"""Limits of the resolution in k-space: truncation and apodization of magnitude volumes, size unchanged.

A window that is symmetric about DC is a real, symmetric filter along its axis. It is applied as a circulant matrix,
axis by axis, which for the sizes of volumes takes less time than Fourier transforms and needs neither shifts nor a
complex copy. `recon_monai.physics.truncate_kspace` is the other thing: it cuts measured k-space to a smaller matrix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch

from recon_monai.physics.interpolation import apply_matrix

__all__ = [
    "SpectrumOutput",
    "filter_spectrum",
    "gaussian_apodization",
    "gaussian_window",
    "mixed_spectrum",
    "truncate_spectrum",
    "truncation_window",
]

SpectrumOutput = Literal["real", "magnitude"]
Axes = int | Sequence[int]


def truncation_window(size: int, keep: float) -> torch.Tensor:
    """Weights of the frequencies from DC to Nyquist where the middle of k-space is kept.

    A window of an even number of samples has one more on the negative side; its mirror image is what the conjugate
    symmetry of a real signal adds, so that the real part of the image has both outermost frequencies at half their
    weight. That is the window here.

    Args:
        size: samples of the axis.
        keep: a fraction of them in ``(0, 1]`` (a float), or a number of samples (an int).

    Returns:
        Float64, shape ``(size // 2 + 1,)``.

    Raises:
        ValueError: if nothing or more than everything would be kept.
    """
    count = _count(size, keep)
    frequency = torch.arange(size // 2 + 1)
    weights = (frequency <= (count - 1) // 2).to(torch.float64)
    if count % 2 == 0:
        weights[count // 2] = 1.0 if count == size else 0.5
    return weights


def gaussian_window(size: int, sigma: float) -> torch.Tensor:
    """Gaussian weights of the frequencies from DC to Nyquist.

    Args:
        size: samples of the axis.
        sigma: standard deviation as a fraction of the Nyquist frequency.

    Returns:
        Float64, shape ``(size // 2 + 1,)``.

    Raises:
        ValueError: if ``sigma`` is not positive.
    """
    if not (math.isfinite(sigma) and sigma > 0):
        raise ValueError(f"sigma is {sigma}, expected a positive fraction of the Nyquist frequency, such as 0.4")
    relative = torch.arange(size // 2 + 1, dtype=torch.float64) / (size / 2)
    return torch.exp(-0.5 * (relative / sigma) ** 2)


def filter_spectrum(volume: torch.Tensor, axis: int, window: torch.Tensor) -> torch.Tensor:
    """Weight the frequencies of a real volume along one axis.

    Args:
        volume: real, any shape.
        axis: the axis, of ``size`` samples.
        window: real weights from DC to Nyquist, ``(size // 2 + 1,)``.

    Returns:
        Real volume of the same shape and dtype.
    """
    size = volume.shape[axis]
    kernel = torch.fft.irfft(window.to(torch.complex128), n=size)
    index = torch.arange(size)
    return apply_matrix(volume, axis, kernel[(index[:, None] - index) % size])


def truncate_spectrum(
    volume: torch.Tensor,
    keep: float | Sequence[float],
    axes: Axes = (-3, -2, -1),
    *,
    output: SpectrumOutput = "real",
) -> torch.Tensor:
    """Keep the middle of k-space along some axes and set the rest to zero, as a shorter scan leaves it.

    This is how mDCSRN makes its low resolution (Chen et al. 2018, MICCAI, section 3: a quarter of k-space, that is
    ``keep=0.5`` on two axes), with the window centered on DC; see `truncation_window` for even numbers of samples.

    Args:
        volume: real, any shape.
        keep: per axis a fraction in ``(0, 1]`` (floats) or a number of samples (ints); one value for all axes.
        axes: the axes.
        output: ``"real"``, a linear map that can undershoot zero next to edges; or ``"magnitude"``, its absolute value,
            as scanners store it.

    Returns:
        Real volume of the same shape and dtype.

    Raises:
        ValueError: if the volume is not real, ``keep`` or ``axes`` cannot be used, or the output is unknown.
    """
    chosen = _check_axes(volume, axes)
    for axis, share in zip(chosen, _per_axis("keep", keep, chosen), strict=True):
        if _count(volume.shape[axis], share) < volume.shape[axis]:
            volume = filter_spectrum(volume, axis, truncation_window(volume.shape[axis], share))
    return _finish(volume, output)


def gaussian_apodization(
    volume: torch.Tensor,
    sigma: float | Sequence[float],
    axes: Axes = (-3, -2, -1),
    *,
    output: SpectrumOutput = "real",
) -> torch.Tensor:
    """Weight k-space by a Gaussian centered on DC: a smooth loss of resolution without ringing.

    Args:
        volume: real, any shape.
        sigma: standard deviation of the window as a fraction of the Nyquist frequency, per axis or one for all.
        axes: the axes.
        output: see `truncate_spectrum`.

    Returns:
        Real volume of the same shape and dtype.

    Raises:
        ValueError: if the volume is not real, ``sigma`` or ``axes`` cannot be used, or the output is unknown.
    """
    chosen = _check_axes(volume, axes)
    for axis, width in zip(chosen, _per_axis("sigma", sigma, chosen), strict=True):
        volume = filter_spectrum(volume, axis, gaussian_window(volume.shape[axis], width))
    return _finish(volume, output)


def mixed_spectrum(
    volume: torch.Tensor, alpha: float, axes: Axes = (-2, -1), *, keep: float | Sequence[float] = 1.0
) -> torch.Tensor:
    """Blend the spectrum with DC in the corner into the one with DC in the middle. For reproduction only.

    ``K = alpha * F x + (1 - alpha) * shift(F x)``, then the outermost lines are zeroed, and the inverse transform takes
    the middle of ``K`` for DC. No scanner does this: in the share ``alpha`` low and high frequencies change places and
    the zeroed lines hold DC, so that energy is lost. It is here because results were once reported with it.

    Args:
        volume: real, any shape.
        alpha: share of the spectrum that is not shifted, 0 to 1; with 0 this is a plain truncation.
        axes: the axes.
        keep: fraction (floats) or number (ints) of lines per axis that are not zeroed, in the middle.

    Returns:
        Magnitude of the same shape and dtype.

    Raises:
        ValueError: if the volume is not real, or ``alpha``, ``axes`` or ``keep`` cannot be used.
    """
    chosen = _check_axes(volume, axes)
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}, expected a share from 0 to 1")
    spectrum = torch.fft.fftn(volume, dim=chosen)
    mixed = alpha * spectrum + (1 - alpha) * torch.fft.fftshift(spectrum, dim=chosen)
    for axis, share in zip(chosen, _per_axis("keep", keep, chosen), strict=True):
        size = volume.shape[axis]
        count = _count(size, share)
        first = size // 2 - count // 2
        mixed.narrow(axis, 0, first).zero_()
        mixed.narrow(axis, first + count, size - first - count).zero_()
    return torch.fft.ifftn(torch.fft.ifftshift(mixed, dim=chosen), dim=chosen).abs()


def _finish(volume: torch.Tensor, output: str) -> torch.Tensor:
    if output not in get_args(SpectrumOutput):
        raise ValueError(f"output is {output!r}, expected one of {get_args(SpectrumOutput)}")
    return volume.abs() if output == "magnitude" else volume


def _count(size: int, keep: float) -> int:
    """Samples that are kept."""
    whole = isinstance(keep, int) and not isinstance(keep, bool)
    if not whole and not 0 < keep <= 1:
        raise ValueError(f"keep is {keep}, expected a fraction above 0 and at most 1, or a whole number of samples")
    count = int(keep) if whole else max(1, round(size * keep))
    if not 1 <= count <= size:
        raise ValueError(f"keep is {keep} of {size} samples, expected from 1 to {size}")
    return count


def _per_axis(name: str, value: float | Sequence[float], axes: Sequence[int]) -> list[float]:
    values = [value] * len(axes) if isinstance(value, int | float) else list(value)
    if len(values) != len(axes):
        raise ValueError(f"{name} is {value} for {len(axes)} axes, expected one number, or one for each axis")
    return values


def _check_axes(volume: torch.Tensor, axes: Axes) -> list[int]:
    given = [axes] if isinstance(axes, int) else list(axes)
    usable = all(-volume.ndim <= axis < volume.ndim for axis in given)
    if not volume.is_floating_point() or not usable or len({axis % volume.ndim for axis in given}) != len(given):
        raise ValueError(
            f"expected a real volume and different axes of it, got {volume.dtype} of shape {tuple(volume.shape)} and "
            f"axes {given}"
        )
    return given
