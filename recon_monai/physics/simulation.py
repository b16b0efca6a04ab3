"""Simulated multi-coil acquisitions: coil maps, background phase, correlated noise, readout oversampling.

The model is the acquisition as the scanner sees it, ``k_c = F(P(S_c * image * exp(i * phase))) + n_c``, with ``P``
zero-padding along the readout axis (H), ``F`` the centered orthonormal transform and ``n`` complex Gaussian noise,
white over k-space and correlated between the coils. Everything random comes from the generator that is given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from recon_monai.physics.coils import expand, rss
from recon_monai.physics.fourier import fft2c
from recon_monai.physics.shapes import center_crop_or_pad

__all__ = [
    "correlated_noise",
    "simulate_coil_maps",
    "simulate_kspace",
    "simulate_noise_covariance",
    "simulate_phase",
]

_ARRAY_RADIUS = 1.5  # distance of the loops from the center, in half fields of view
_CONDUCTOR_RADIUS = 0.1  # the field of an infinitely thin wire would be infinite on it
_AGM_STEPS = 8  # quadratic convergence: double precision for every modulus that occurs


def simulate_coil_maps(num_coils: int, shape: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    """Coil sensitivity maps of loops placed round the field of view.

    Each coil is a circular loop that looks at the center; neighbors overlap. Its sensitivity is the transverse field
    ``B_x - i B_y`` of a unit current (the principle of reciprocity, Hoult & Richards 1976), from the exact field of
    a loop in complete elliptic integrals (Smythe, Static and Dynamic Electricity, sec. 7.10). Angle, distance,
    offset along the bore, gain and receiver phase vary from coil to coil. One coil is a volume coil: a map of ones.

    Args:
        num_coils: number of coils, at least 1.
        shape: ``(H, W)``; the axes may have different sizes, the field of view is taken as ``[-1, 1]`` on both.
        generator: source of the random draws.

    Returns:
        Complex64 maps, shape ``(coil, H, W)``, scaled such that their root sum of squares has mean 1 over the ellipse
        inscribed in the field of view (they are not normalized pixel by pixel; see `normalize_maps`).

    Raises:
        ValueError: if ``num_coils`` or ``shape`` is not positive.
    """
    height, width = _check_shape(shape)
    if num_coils < 1:
        raise ValueError(f"num_coils must be at least 1, got {num_coils}.")
    if num_coils == 1:
        return torch.ones(1, height, width, dtype=torch.complex64)
    y, x = _grid(height, width)
    angle, distance, offset, gain, phase = _coil_placement(num_coils, generator)
    loop_radius = min(max(1.15 * math.pi * _ARRAY_RADIUS / num_coils, 0.35), 0.9)
    normal_x, normal_y = -torch.cos(angle), -torch.sin(angle)
    to_x, to_y = x + distance * normal_x, y + distance * normal_y
    axial = to_x * normal_x + to_y * normal_y
    across_x, across_y = to_x - axial * normal_x, to_y - axial * normal_y
    radial = (across_x**2 + across_y**2 + offset**2).sqrt()
    field_axial, slope = _loop_field(axial, radial, loop_radius)
    field_x = field_axial * normal_x + slope * across_x
    field_y = field_axial * normal_y + slope * across_y
    maps = torch.complex(field_x, -field_y) * torch.polar(gain, phase)
    inside = x**2 + y**2 <= 1
    return (maps / rss(maps)[0, inside].mean()).to(torch.complex64)


def simulate_phase(
    shape: Sequence[int], generator: torch.Generator, *, order: int = 2, max_phase: float = math.pi
) -> torch.Tensor:
    """Smooth background phase as it comes from an inhomogeneous main field.

    A random cosine series of low order whose coefficients fall with frequency.

    Args:
        shape: ``(H, W)``.
        generator: source of the random draws.
        order: highest number of half periods over each axis.
        max_phase: largest magnitude of the phase, in radians.

    Returns:
        Real float32 phase in radians, shape ``(H, W)``, of mean about 0.

    Raises:
        ValueError: if ``shape`` is not positive or ``order`` below 1.
    """
    height, width = _check_shape(shape)
    if order < 1:
        raise ValueError(f"order must be at least 1, got {order}.")
    frequency = torch.arange(order + 1, dtype=torch.float64)
    decay = 1 / (1 + frequency[:, None] ** 2 + frequency**2)
    coefficients = torch.randn(order + 1, order + 1, generator=generator, dtype=torch.float64) * decay
    coefficients[0, 0] = 0
    y, x = _grid(height, width)
    rows = torch.cos(torch.pi / 2 * (y + 1) * frequency)
    columns = torch.cos(torch.pi / 2 * (x + 1).T * frequency)
    phase = rows @ coefficients @ columns.T
    peak = phase.abs().max()
    return (phase * (max_phase / torch.where(peak > 0, peak, 1.0))).to(torch.float32)


def simulate_noise_covariance(num_coils: int, generator: torch.Generator) -> torch.Tensor:
    """Noise covariance of a coil array: unequal variances, and correlation that falls with the distance on the ring.

    Args:
        num_coils: number of coils, at least 1.
        generator: source of the random draws.

    Returns:
        Complex128 Hermitian positive definite matrix, shape ``(coil, coil)``, with a mean of 1 on its diagonal.

    Raises:
        ValueError: if ``num_coils`` is not positive.
    """
    if num_coils < 1:
        raise ValueError(f"num_coils must be at least 1, got {num_coils}.")
    index = torch.arange(num_coils)
    apart = (index[:, None] - index).abs()
    ring = torch.minimum(apart, num_coils - apart).to(torch.float64)
    coupling = torch.randn(num_coils, num_coils, generator=generator, dtype=torch.complex128)
    mixing = torch.eye(num_coils, dtype=torch.complex128) + 0.15 * coupling * torch.exp(-ring / 2)
    gain = 0.8 + 0.4 * torch.rand(num_coils, generator=generator, dtype=torch.float64)
    mixed = gain[:, None] * mixing
    # The share of independent noise keeps the matrix well away from singular.
    covariance = mixed @ mixed.mH + 0.05 * torch.eye(num_coils, dtype=torch.complex128)
    covariance = (covariance + covariance.mH) / 2
    return covariance / covariance.diagonal().real.mean()


def correlated_noise(shape: Sequence[int], covariance: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Complex circular Gaussian noise with ``E[n n^H] = covariance`` over the coils.

    Args:
        shape: shape of the result, coils first: ``(coil, H, W)``.
        covariance: Hermitian positive definite, shape ``(coil, coil)``. Real and imaginary part of a coil have half
            of its variance each.
        generator: source of the random draws.

    Returns:
        Complex64 noise of that shape, independent from sample to sample.

    Raises:
        ValueError: if the shapes do not agree or the matrix is not positive definite.
    """
    num_coils = shape[0]
    if tuple(covariance.shape) != (num_coils, num_coils):
        raise ValueError(
            f"noise of shape {tuple(shape)} needs a covariance of shape {(num_coils, num_coils)} (coils come first), "
            f"got {tuple(covariance.shape)}."
        )
    factor, failed = torch.linalg.cholesky_ex(covariance.to(torch.complex128))
    if int(failed):
        raise ValueError("the noise covariance is not positive definite; give a Hermitian positive definite matrix.")
    white = torch.randn(num_coils, math.prod(shape[1:]), generator=generator, dtype=torch.complex64)
    return (factor.to(torch.complex64) @ white).reshape(tuple(shape))


def simulate_kspace(
    image: torch.Tensor,
    maps: torch.Tensor,
    *,
    phase: torch.Tensor | None = None,
    noise_std: float = 0.0,
    covariance: torch.Tensor | None = None,
    readout_oversampling: int = 1,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Fully sampled multi-coil k-space of an image.

    Args:
        image: real magnitude or complex, shape ``(H, W)``.
        maps: complex coil maps, shape ``(coil, H, W)``.
        phase: background phase in radians, shape ``(H, W)``; None for none.
        noise_std: standard deviation of the real and of the imaginary part of the noise, in units of the image
            (the transform is orthonormal, so it is the same in k-space and in each coil image).
        covariance: noise covariance of the coils, shape ``(coil, coil)``, with a mean of 1 on its diagonal so that
            ``noise_std`` keeps its meaning; None for independent coils of equal noise.
        readout_oversampling: factor by which the readout (H) is oversampled: the k-space of the image in a field of
            view that is longer by this factor, as scanners deliver it with 2.
        generator: source of the noise; required if ``noise_std`` is not 0.

    Returns:
        Complex64 centered k-space, shape ``(coil, H * readout_oversampling, W)``. Cropping its images to ``(H, W)``
        with `center_crop_or_pad` gives the coil images.

    Raises:
        ValueError: if shapes do not agree, a number is out of range or the generator is missing.

    Examples:
        >>> import torch
        >>> from recon_monai.physics import ifft2c, rss, simulate_coil_maps, simulate_kspace
        >>> generator = torch.Generator().manual_seed(0)
        >>> maps = simulate_coil_maps(4, (32, 32), generator)
        >>> kspace = simulate_kspace(torch.ones(32, 32), maps, noise_std=0.01, generator=generator)
        >>> kspace.shape
        torch.Size([4, 32, 32])
        >>> round(float(rss(ifft2c(kspace)).mean()), 1)
        1.1
    """
    _check_simulation(image, maps, phase, noise_std, readout_oversampling)
    height, width = image.shape
    complex_image = image.to(torch.complex64)
    if phase is not None:
        turn = phase.to(torch.float32)
        complex_image = complex_image * torch.polar(torch.ones_like(turn), turn)
    coil_images = expand(complex_image[None], maps.to(torch.complex64))
    kspace = fft2c(center_crop_or_pad(coil_images, (height * readout_oversampling, width)))
    if noise_std == 0:
        return kspace
    if generator is None:
        raise ValueError("noise_std is not 0, so a generator is needed: pass generator=keyed_generator(...).")
    if covariance is None:
        covariance = torch.eye(len(maps), dtype=torch.complex128)
    noise = correlated_noise(kspace.shape, covariance, generator).to(kspace.device)
    return kspace + noise * (math.sqrt(2) * noise_std)


def _check_simulation(
    image: torch.Tensor, maps: torch.Tensor, phase: torch.Tensor | None, noise_std: float, oversampling: int
) -> None:
    if image.ndim != 2 or maps.ndim != 3 or maps.shape[1:] != image.shape:
        raise ValueError(
            f"expected an image (H, W) and maps (coil, H, W) of the same matrix, got {tuple(image.shape)} and "
            f"{tuple(maps.shape)}."
        )
    if phase is not None and phase.shape != image.shape:
        raise ValueError(f"phase {tuple(phase.shape)} must have the shape of the image {tuple(image.shape)}.")
    if not (math.isfinite(noise_std) and noise_std >= 0):
        raise ValueError(f"noise_std must be a number of at least 0, got {noise_std}.")
    if oversampling < 1 or oversampling != int(oversampling):
        raise ValueError(f"readout_oversampling must be an integer of at least 1, got {oversampling}.")


def _check_shape(shape: Sequence[int]) -> tuple[int, int]:
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"shape must be two positive integers (H, W), got {tuple(shape)}.")
    return int(shape[0]), int(shape[1])


def _grid(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Coordinates ``y (H, 1)`` and ``x (1, W)`` in half fields of view, zero at pixel ``N // 2``."""
    y = (torch.arange(height, dtype=torch.float64) - height // 2) / (height / 2)
    x = (torch.arange(width, dtype=torch.float64) - width // 2) / (width / 2)
    return y[:, None], x[None, :]


def _coil_placement(num_coils: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Angle, distance, offset along the bore, gain and phase, each ``(coil, 1, 1)``."""
    draws = torch.rand(5, num_coils, 1, 1, generator=generator, dtype=torch.float64)
    step = 2 * math.pi / num_coils
    even = torch.arange(num_coils, dtype=torch.float64)[:, None, None] * step
    angle = even + step * (draws[0, :1] + 0.4 * (draws[0] - 0.5))
    distance = _ARRAY_RADIUS * (0.95 + 0.15 * draws[1])
    offset = 0.3 * (draws[2] - 0.5)
    gain = 0.85 + 0.3 * draws[3]
    phase = 2 * math.pi * draws[4]
    return angle, distance, offset, gain, phase


def _loop_field(axial: torch.Tensor, radial: torch.Tensor, loop_radius: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Axial field of a circular loop, and its radial field divided by the radius, up to a common constant."""
    near = ((loop_radius - radial) ** 2 + axial**2).clamp(min=_CONDUCTOR_RADIUS**2)
    far = (loop_radius + radial) ** 2 + axial**2
    first, second = _elliptic_integrals(near / far)
    squared = radial**2 + axial**2
    scale = 1 / (near * far.sqrt())
    field_axial = scale * ((loop_radius**2 - squared) * second + near * first)
    bracket = (loop_radius**2 + squared) * second - near * first
    # The bracket vanishes as the square of the radius; the bound only keeps 0/0 off the axis itself.
    return field_axial, scale * axial * bracket / (radial**2).clamp(min=1e-12)


def _elliptic_integrals(complement: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Complete elliptic integrals K and E of parameter ``1 - complement``, by the arithmetic-geometric mean."""
    arithmetic, geometric = torch.ones_like(complement), complement.sqrt()
    loss = (1 - complement) / 2
    weight = 0.5
    for _ in range(_AGM_STEPS):
        difference = (arithmetic - geometric) / 2
        arithmetic, geometric = (arithmetic + geometric) / 2, (arithmetic * geometric).sqrt()
        weight *= 2
        loss = loss + weight * difference**2
    first = torch.pi / (2 * arithmetic)
    return first, first * (1 - loss)
