"""Coarse samples and pixel shuffle in three dimensions: permutations, adjoints, and the scan before interpolation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.networks.utils import pixelshuffle, pixelunshuffle

from recon_monai.networks import coarse_samples, merge_phases, refine_linearly, split_phases
from recon_monai.networks.blocks.voxel_shuffle import pad_to_multiple, three_factors
from recon_monai.physics import LOW_RESOLUTION_RECIPES, interpolate_axis, simulate_low_resolution, truncate_spectrum

FACTORS: list[Any] = [(2, 2, 2), (1, 2, 2), (2, 2, 1), (3, 1, 2), (4, 4, 4)]


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def scan(volume: np.ndarray, axes: list[int]) -> np.ndarray:
    """The low-resolution image itself: the middle half of k-space by its own inverse transform, axis by axis.

    The real part is taken after each axis: the outermost line of an even number of lines has no mirror image.
    """
    for axis in axes:
        size = volume.shape[axis]
        first = size // 2 - size // 4
        spectrum = np.fft.fftshift(np.fft.fft(np.fft.ifftshift(volume, axis), axis=axis), axis)
        kept = np.take(spectrum, range(first, first + size // 2), axis)
        volume = np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(kept, axis), axis=axis), axis).real / 2
    return volume


@pytest.mark.parametrize("factor", FACTORS)
def test_the_split_is_a_permutation_whose_adjoint_is_the_merge(factor: Any) -> None:
    volume = noise(2, 3, 12, 12, 12)
    split = split_phases(volume, factor)
    assert torch.equal(merge_phases(split, factor), volume)
    assert torch.equal(split.flatten().sort().values, volume.flatten().sort().values)
    other = noise(*split.shape).flip(0)
    torch.testing.assert_close((split * other).sum(), (volume * merge_phases(other, factor)).sum(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("factor", [2, 3])
def test_for_one_factor_it_is_that_of_monai(factor: int) -> None:
    volume = noise(2, 3, 6, 12, 6)
    theirs = pixelunshuffle(volume, spatial_dims=3, scale_factor=factor)
    assert torch.equal(split_phases(volume, (factor,) * 3), theirs)
    assert torch.equal(merge_phases(theirs, (factor,) * 3), pixelshuffle(theirs, spatial_dims=3, scale_factor=factor))


@pytest.mark.parametrize("factor", FACTORS)
def test_the_first_samples_are_voxels_and_their_adjoint_puts_them_back_between_zeros(factor: Any) -> None:
    volume = noise(2, 1, 12, 12, 12).requires_grad_()
    samples = coarse_samples(volume, factor, "first")
    assert torch.equal(samples, coarse_samples(volume, factor)[:, :1])
    assert torch.equal(samples, volume[:, :, :: factor[0], :: factor[1], :: factor[2]])
    other = noise(*samples.shape)
    (adjoint,) = torch.autograd.grad(samples, volume, other)
    expected = torch.zeros_like(volume)
    expected[:, :, :: factor[0], :: factor[1], :: factor[2]] = other
    assert torch.equal(adjoint, expected)


@pytest.mark.parametrize(
    ("recipe", "factor", "axes"), [("inplane2", (2, 2, 1), [0, 1]), ("isotropic2", (2, 2, 2), [0, 1, 2])]
)
def test_the_first_samples_are_the_scan_before_its_interpolation(recipe: str, factor: Any, axes: list[int]) -> None:
    """Of the bundle's own simulation, magnitude included, against NumPy's transform of the cut k-space alone."""
    volume = noise(16, 12, 8).abs()
    low = simulate_low_resolution(volume, LOW_RESOLUTION_RECIPES[recipe], spacing=(1, 1, 1), interpolation="fourier")
    samples = coarse_samples(low.volume[None, None], factor, "first")[0, 0]
    np.testing.assert_allclose(samples, np.abs(scan(volume.numpy(), axes)), rtol=1e-10, atol=1e-12)


def test_sizes_with_an_odd_half_have_the_scan_among_all_samples() -> None:
    """There the middle of the short transform lies on an odd voxel."""
    volume = noise(10, 14, 6)
    low = truncate_spectrum(volume, 0.5)
    samples = coarse_samples(low[None, None], (2, 2, 2))[0]
    np.testing.assert_allclose(samples[7], scan(volume.numpy(), [0, 1, 2]), rtol=1e-10, atol=1e-12)


def test_the_first_samples_hold_all_of_a_truncated_volume() -> None:
    """Their Fourier series gives every voxel back, where the half is odd and no frequency has its mirror image left."""
    low = truncate_spectrum(noise(1, 1, 10, 14, 6), 0.5)
    back = coarse_samples(low, (2, 2, 2), "first")
    for axis in (2, 3, 4):
        back = interpolate_axis(back, axis, torch.arange(low.shape[axis], dtype=torch.float64) / 2, "fourier")
    torch.testing.assert_close(back, low, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("factor", FACTORS)
def test_a_refined_volume_keeps_its_samples_and_its_ramps(factor: Any) -> None:
    volume = noise(1, 2, 3, 4, 3)
    fine = refine_linearly(volume, factor)
    assert fine.shape[2:] == tuple(size * times for size, times in zip((3, 4, 3), factor, strict=True))
    torch.testing.assert_close(coarse_samples(fine, factor, "first"), volume, rtol=1e-12, atol=1e-12)
    ramp = torch.arange(4, dtype=torch.float64)[None, None, None, :, None].expand(1, 1, 3, 4, 3)
    expected = (torch.arange(4 * factor[1], dtype=torch.float64) / factor[1]).clamp(max=3)
    torch.testing.assert_close(refine_linearly(ramp, factor)[0, 0, 0, :, 0], expected)


def test_padding_continues_the_last_voxels() -> None:
    volume = noise(1, 1, 3, 4, 1)
    padded = pad_to_multiple(volume, (2, 2, 4))
    assert padded.shape[2:] == (4, 4, 4)
    assert torch.equal(padded[:, :, :3, :, :1], volume)
    assert torch.equal(padded[:, :, 3, :, 2], volume[:, :, 2, :, 0])
    assert pad_to_multiple(volume, (3, 2, 1)) is volume


def test_what_does_not_fit_is_refused() -> None:
    volume = noise(1, 1, 4, 4, 3)
    for sampling in ("all", "first"):
        with pytest.raises(ValueError, match=r"\(4, 4, 3\) cannot be .* pad them"):
            coarse_samples(volume, (2, 2, 2), sampling)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sampling is 'last', expected one of"):
        coarse_samples(volume, (2, 2, 1), "last")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="6 channels make no blocks"):
        merge_phases(noise(1, 6, 2, 2, 2), (2, 2, 1))
    for factor in (0, [2, 2], [2, 2, 0.5]):
        with pytest.raises(ValueError, match="expected one or three whole numbers"):
            three_factors(factor)  # type: ignore[arg-type]
