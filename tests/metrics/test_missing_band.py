"""Against numpy, and against what is known of truncated spectra and of noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recon_monai.metrics import missing_band
from recon_monai.physics import truncate_spectrum


@pytest.fixture
def target() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(16, 20, 12)) + np.linspace(0, 3, 20)[:, None]


def inside(shape: tuple[int, int, int], factor: tuple[float, float, float], margin: int) -> np.ndarray:
    """The band, with spectra shifted so that zero frequency is in the middle."""
    grid = np.meshgrid(*[np.arange(size) - size // 2 for size in shape], indexing="ij")
    limits = [size / 2 / one + margin if one > 1 else np.inf for size, one in zip(shape, factor, strict=True)]
    return np.any([np.abs(k) > limit for k, limit in zip(grid, limits, strict=True)], axis=0)


@pytest.mark.parametrize(("factor", "taper"), [((2, 2, 1), True), ((1, 1, 3.5), True), ((2, 2, 2), False)])
def test_values_are_those_of_numpy(target, factor, taper):
    prediction = target + np.random.default_rng(1).normal(size=target.shape)
    found = missing_band(prediction=prediction, target=target, factor=factor, taper=taper)
    window = np.ones(target.shape)
    if taper:
        for axis, size in enumerate(target.shape):
            hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
            window = window * hann.reshape([-1 if place == axis else 1 for place in range(3)])
    chosen = inside(target.shape, factor, 2 if taper else 0)
    ours, theirs = (np.fft.fftshift(np.fft.fftn(volume * window))[chosen] for volume in (prediction, target))
    energies = np.vdot(ours, ours).real, np.vdot(theirs, theirs).real
    assert found.energy == pytest.approx(energies[0] / energies[1], rel=1e-9)
    assert found.agreement == pytest.approx(np.vdot(ours, theirs).real / math.sqrt(energies[0] * energies[1]), rel=1e-9)


def test_a_truncated_volume_has_nothing_there_and_noise_the_wrong_thing(target):
    volume = torch.from_numpy(target)
    low = truncate_spectrum(volume, 0.5, [-3, -2])
    for taper in (False, True):
        assert missing_band(prediction=low, target=volume, factor=(2, 2, 1), taper=taper).energy < 1e-20
        same = missing_band(prediction=volume, target=volume, factor=(2, 2, 1), taper=taper)
        assert same == pytest.approx((1, 1))
    half = missing_band(prediction=low + 0.5 * (volume - low), target=volume, factor=(2, 2, 1))
    assert half == pytest.approx((0.25, 1))
    other = torch.from_numpy(np.random.default_rng(2).normal(size=target.shape))
    invented = missing_band(prediction=low + other, target=volume, factor=(2, 2, 1), taper=False)
    assert invented.energy == pytest.approx(1, abs=0.15)
    assert abs(invented.agreement) < 0.1
    assert missing_band(prediction=-volume, target=volume, factor=(2, 2, 1)).agreement == pytest.approx(-1)


def test_faces_that_do_not_fit_are_no_detail(target):
    """A ramp is smooth, but not its periodic continuation."""
    ramp = np.broadcast_to(np.linspace(0, 100, 20)[:, None], target.shape)
    tapered, plain = (
        missing_band(prediction=ramp, target=target, factor=(1, 2, 1), taper=taper).energy for taper in (True, False)
    )
    assert tapered < 0.01 * plain


def test_undefined_values_are_nan_and_bad_arguments_refused(target):
    empty = missing_band(prediction=target, target=np.zeros_like(target), factor=(2, 1, 1))
    assert math.isnan(empty.energy) and math.isnan(empty.agreement)
    with pytest.raises(ValueError, match="at least one of them above 1"):
        missing_band(prediction=target, target=target, factor=(1, 1, 1))
    with pytest.raises(ValueError, match="at least one of them above 1"):
        missing_band(prediction=target, target=target, factor=(math.nan,) * 3)
    with pytest.raises(ValueError, match="no sample of the spectrum"):
        missing_band(prediction=target, target=target, factor=(1, 1, 1.2))
    with pytest.raises(ValueError):
        missing_band(prediction=target[:3], target=target, factor=(2, 1, 1))
