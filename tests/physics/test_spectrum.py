"""Truncation and apodization of k-space against plain centered transforms of numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import signal

from recon_monai.physics import gaussian_apodization, mixed_spectrum, truncate_spectrum


def volume(*shape: int, seed: int = 5) -> torch.Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def centered(x: np.ndarray, axes) -> np.ndarray:
    return np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(x, axes), axes=axes), axes)


def back(k: np.ndarray, axes) -> np.ndarray:
    return np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(k, axes), axes=axes), axes)


@pytest.mark.parametrize("shape", [(6, 16, 20), (5, 15, 21)])
@pytest.mark.parametrize(("keep", "counts"), [(0.5, None), ((8, 10), (8, 10)), ((7, 11), (7, 11)), ((1, 3), (1, 3))])
def test_truncation_is_a_centered_window(shape, keep, counts):
    """The real part of the image of a scan that acquired the middle of k-space (from -n//2 on)."""
    x = volume(*shape)
    axes = (1, 2)
    counts = counts or tuple(round(shape[axis] / 2) for axis in axes)
    spectrum, mask = centered(x.numpy(), (1,)), np.zeros(shape[1])
    middle = shape[1] // 2 - counts[0] // 2
    mask[middle : middle + counts[0]] = 1
    one = back(spectrum * mask[:, None], (1,)).real
    spectrum, mask = centered(one, (2,)), np.zeros(shape[2])
    middle = shape[2] // 2 - counts[1] // 2
    mask[middle : middle + counts[1]] = 1
    expected = back(spectrum * mask, (2,)).real
    np.testing.assert_allclose(truncate_spectrum(x, keep, axes), expected, atol=1e-12)
    np.testing.assert_allclose(truncate_spectrum(x, keep, axes, output="magnitude"), np.abs(expected), atol=1e-12)


def test_truncation_projects_and_is_its_own_adjoint():
    x, y = volume(9, 12, 15), volume(9, 12, 15, seed=6)

    def cut(v):
        return truncate_spectrum(v, (5, 7, 1))

    torch.testing.assert_close(cut(cut(x)), cut(x))
    torch.testing.assert_close((cut(x) * y).sum(), (x * cut(y)).sum())
    torch.testing.assert_close(cut(x).mean(), x.mean())
    assert cut(x).square().sum() < x.square().sum()
    residual = x - cut(x)
    torch.testing.assert_close((residual * cut(x)).sum(), torch.tensor(0.0).double(), atol=1e-10, rtol=0)
    assert torch.autograd.gradcheck(lambda v: truncate_spectrum(v, 0.5), volume(3, 4, 2).requires_grad_())


def test_what_is_below_the_cut_passes_and_what_is_above_is_gone():
    n = np.arange(32)
    low, high = np.cos(2 * np.pi * 7 * n / 32), np.cos(2 * np.pi * 9 * n / 32)
    np.testing.assert_allclose(truncate_spectrum(torch.from_numpy(low + high), 0.5, 0), low, atol=1e-12)
    np.testing.assert_allclose(truncate_spectrum(torch.from_numpy(low), 1.0, 0), low)


def test_truncation_is_scipys_resampling_there_and_back():
    x = volume(24, 3)
    expected = signal.resample(signal.resample(x.numpy(), 11, axis=0), 24, axis=0)
    np.testing.assert_allclose(truncate_spectrum(x, 11, 0), expected, atol=1e-12)


def test_gaussian_weights_and_axes():
    x = volume(4, 16, 15)
    expected = x.numpy()
    for axis, sigma in ((1, 0.3), (2, 0.8)):
        size = x.shape[axis]
        relative = np.fft.fftfreq(size) * 2  # 1 at Nyquist
        shape = [1, 1, 1]
        shape[axis] = size
        window = np.exp(-0.5 * (relative / sigma) ** 2).reshape(shape)
        expected = np.fft.ifft(np.fft.fft(expected, axis=axis) * window, axis=axis).real
    np.testing.assert_allclose(gaussian_apodization(x, (0.3, 0.8), (1, 2)), expected, atol=1e-12)
    torch.testing.assert_close(gaussian_apodization(x, 100.0), x, atol=1e-3, rtol=0)


def test_mixing_is_the_literal_recipe_and_loses_energy():
    x = volume(3, 16, 16)
    spectrum = np.fft.fftn(x.numpy(), axes=(1, 2))
    mixed = 0.3 * spectrum + 0.7 * np.fft.fftshift(spectrum, (1, 2))
    mixed[:, [0, 1, 14, 15], :] = 0
    mixed[:, :, [0, 1, 14, 15]] = 0
    expected = np.abs(np.fft.ifftn(np.fft.ifftshift(mixed, (1, 2)), axes=(1, 2)))
    np.testing.assert_allclose(mixed_spectrum(x, 0.3, (1, 2), keep=0.75), expected, atol=1e-12)
    even = mixed_spectrum(x, 0.0, (1, 2), keep=(11, 11))
    np.testing.assert_allclose(even, truncate_spectrum(x, (11, 11), (1, 2), output="magnitude"), atol=1e-12)
    lossy = mixed_spectrum(x, 1.0, (1, 2), keep=0.75)
    assert lossy.square().sum() < 0.3 * x.square().sum(), "DC lay in the zeroed corner"


def test_what_cannot_be_used_is_said():
    x = volume(4, 4)
    for keep in (0.0, 1.5, 0, 5, (0.5, 0.5, 0.5)):
        with pytest.raises(ValueError, match="keep is"):
            truncate_spectrum(x, keep, (0, 1))
    with pytest.raises(ValueError, match="real volume and different axes"):
        truncate_spectrum(x, 0.5, (0, -2))
    with pytest.raises(ValueError, match="real volume and different axes"):
        truncate_spectrum(x.to(torch.complex64), 0.5, (0, 1))
    with pytest.raises(ValueError, match="output is 'complex'"):
        truncate_spectrum(x, 0.5, 0, output="complex")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sigma is 0"):
        gaussian_apodization(x, 0.0, 0)
    with pytest.raises(ValueError, match="alpha is 2"):
        mixed_spectrum(x, 2.0, (0, 1))
