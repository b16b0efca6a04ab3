"""Interpolation by matrices against SciPy and against signals that are known between their samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage, signal

from recon_monai.physics import interpolate_axis, interpolation_matrix

POSITIONS = torch.tensor([-0.4, 0.0, 0.3, 2.5, 4.0, 6.75, 8.2])


def samples(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("size", [8, 9])
def test_fourier_is_exact_for_periodic_signals_below_nyquist(size):
    def wave(x):
        return 1.5 + np.cos(2 * np.pi * x / size) - 0.7 * np.sin(2 * np.pi * 3 * x / size)

    found = interpolate_axis(torch.from_numpy(wave(np.arange(size))), 0, POSITIONS, "fourier")
    np.testing.assert_allclose(found, wave(POSITIONS.double().numpy()), atol=1e-12)


@pytest.mark.parametrize(("size", "wanted"), [(8, 16), (9, 27), (12, 20), (7, 11)])
def test_fourier_is_what_scipy_resamples(size, wanted):
    x = samples(size, 3)
    found = interpolate_axis(x, 0, torch.arange(wanted).double() * size / wanted, "fourier")
    np.testing.assert_allclose(found, signal.resample(x.numpy(), wanted, axis=0), atol=1e-12)


@pytest.mark.parametrize(("method", "order"), [("linear", 1), ("cubic", 3)])
@pytest.mark.parametrize("size", [1, 8, 33])
def test_linear_and_cubic_are_those_of_scipy(method, order, size):
    x = samples(size)
    expected = ndimage.map_coordinates(x.numpy(), [POSITIONS.double().numpy()], order=order, mode="reflect")
    np.testing.assert_allclose(
        interpolate_axis(x, 0, POSITIONS, method), expected, atol=1e-7
    )  # SciPy's filter is cut off


@pytest.mark.parametrize("method", ["fourier", "linear", "cubic"])
@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_samples_and_constants_are_kept(method, size):
    matrix = interpolation_matrix(size, torch.arange(size), method)
    torch.testing.assert_close(matrix, torch.eye(size, dtype=torch.float64), atol=1e-12, rtol=0)
    rows = interpolation_matrix(size, POSITIONS, method).sum(dim=1)
    torch.testing.assert_close(rows, torch.ones(7, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_every_axis_alike(axis):
    x = samples(4, 5, 6)
    expected = interpolate_axis(x.movedim(axis, -1), -1, [0.5, 2.25], "cubic").movedim(-1, axis)
    torch.testing.assert_close(interpolate_axis(x, axis, [0.5, 2.25], "cubic"), expected)
    single = interpolate_axis(x.float(), axis, [0.5, 2.25], "cubic")
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), expected, atol=1e-5, rtol=0)


def test_complex_signals_and_gradients():
    x = torch.complex(samples(6), samples(6).flip(0))
    torch.testing.assert_close(interpolate_axis(x, 0, [1.5]).real, interpolate_axis(x.real, 0, [1.5]))
    assert torch.autograd.gradcheck(
        lambda v: interpolate_axis(v, 1, [0.2, 3.4], "linear"), samples(2, 5).requires_grad_()
    )


def test_what_cannot_be_done_is_said():
    with pytest.raises(ValueError, match="method is 'sinc', expected one of"):
        interpolation_matrix(4, [0.0], "sinc")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="finite positions"):
        interpolation_matrix(4, [float("nan")])
