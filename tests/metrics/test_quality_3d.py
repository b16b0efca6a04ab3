"""Against scikit-image and formulas written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import normalized_root_mse, peak_signal_noise_ratio, structural_similarity

from recon_monai.metrics import QUALITY_CONVENTION, quality_3d, sharpness, ssim


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    target = rng.random((21, 17, 19))
    return target + rng.normal(0, 0.1, target.shape), target


def test_values_are_scikit_images(pair: tuple[np.ndarray, np.ndarray]) -> None:
    prediction, target = pair
    clipped = np.clip(prediction, 0, 1)
    found = quality_3d(prediction=torch.from_numpy(prediction), target=torch.from_numpy(target))
    # structural_similarity averages the inner windows, as we do
    assert found["ssim"] == pytest.approx(structural_similarity(clipped, target, data_range=1.0), abs=1e-9)
    assert found["psnr"] == pytest.approx(peak_signal_noise_ratio(target, clipped, data_range=1.0), abs=1e-9)
    assert found["nrmse"] == pytest.approx(normalized_root_mse(target, clipped, normalization="euclidean"), abs=1e-12)
    assert "7x7x7" in QUALITY_CONVENTION


@pytest.mark.parametrize("depth", [7, 8, 14, 15, 30])
def test_ssim_in_slabs_is_that_of_the_whole(depth: int) -> None:
    rng = np.random.default_rng(depth)
    target = rng.random((depth, 9, 8))
    prediction = target + rng.normal(0, 0.2, target.shape)
    found = ssim(prediction=prediction, target=target, data_range=1.0, spatial_dims=3)
    assert found == pytest.approx(structural_similarity(prediction, target, data_range=1.0), abs=1e-9)


def test_sharpness_is_the_square_of_the_contrast_and_falls_with_blur(pair: tuple[np.ndarray, np.ndarray]) -> None:
    _, target = pair
    assert sharpness(prediction=target, target=target) == 1
    assert sharpness(prediction=0.5 * target + 3, target=target) == pytest.approx(0.25)
    blurred = (target + np.roll(target, 1, 0)) / 2
    assert sharpness(prediction=blurred, target=target) < 0.7
    steps = sum(np.square(np.diff(blurred, axis=axis)).sum() for axis in range(3))
    wanted = sum(np.square(np.diff(target, axis=axis)).sum() for axis in range(3))
    assert sharpness(prediction=blurred, target=target) == pytest.approx(steps / wanted)


def test_undefined_values_are_nan_and_bad_volumes_refused(pair: tuple[np.ndarray, np.ndarray]) -> None:
    prediction, target = pair
    empty = quality_3d(prediction=prediction, target=np.zeros_like(target))
    assert math.isnan(empty["nrmse"]) and math.isnan(empty["sharpness"])
    prediction[3, 4, 5] = np.nan
    with pytest.raises(ValueError, match="prediction holds NaN"):
        quality_3d(prediction=prediction, target=target)
    with pytest.raises(ValueError, match="at least 7"):
        quality_3d(prediction=target[:6], target=target[:6])


def test_sharpness_in_the_plane_does_not_see_what_is_between_slices(pair: tuple[np.ndarray, np.ndarray]) -> None:
    prediction, target = pair
    gains = np.linspace(0.5, 2, len(target))[:, None, None]
    found = sharpness(prediction=gains * target, target=target, axes=(1, 2))
    energy = sum(np.square(np.diff(target, axis=axis)).sum(axis=(1, 2)) for axis in (1, 2))
    assert found == pytest.approx(float((gains.ravel() ** 2 * energy).sum() / energy.sum()))
    one = sharpness(prediction=prediction[:1], target=target[:1])
    assert one == pytest.approx(sharpness(prediction=prediction[:1], target=target[:1], axes=(1, 2))), "a single slice"
    for axes in ((), (1, 1), (3,), (-1,)):
        with pytest.raises(ValueError, match="expected some of 0, 1 and 2, each once"):
            sharpness(prediction=prediction, target=target, axes=axes)
