from __future__ import annotations

import logging
import math

import numpy as np
import pytest
from scipy import ndimage
from skimage.metrics import structural_similarity

from recon_monai.metrics import foreground_mask, foreground_ssim, foreground_ssim_result, foreground_threshold

SQUARE = np.ones((3, 3), dtype=bool)


def oracle_mask(image: np.ndarray, threshold: float) -> np.ndarray:
    """The mask step by step with scipy, which has been found bit-equal to OpenCV's."""
    mask = ndimage.binary_erosion(image > threshold, SQUARE, border_value=1)
    mask = ndimage.binary_dilation(mask, SQUARE, iterations=15)
    return ndimage.binary_erosion(mask, SQUARE, iterations=14, border_value=1)


@pytest.fixture
def volume() -> np.ndarray:
    """Three slices: a blob that touches the border, with specks and holes, a small blob, and an empty one."""
    rng = np.random.default_rng(5)
    rows, columns = np.mgrid[:90, :77]
    slices = []
    for center, radius in (((20, 40), 30), ((70, 50), 9)):
        image = ((rows - center[0]) ** 2 + (columns - center[1]) ** 2 < radius**2) * rng.uniform(0.5, 1, (90, 77))
        image[rng.random(image.shape) < 0.02] = 0.8
        image[rng.random(image.shape) < 0.05] = 0
        slices.append(image)
    slices.append(np.full((90, 77), 0.01))
    return np.stack(slices) * 1e-3


@pytest.mark.parametrize("threshold", [5e-5, 4e-4, 5e-4])
def test_mask_equals_scipy(volume: np.ndarray, threshold: float) -> None:
    rng = np.random.default_rng(7)
    noisy = np.concatenate([volume, ndimage.gaussian_filter(rng.random((3, 90, 77)), (0, 2, 2)) * 1e-3])
    expected = np.stack([oracle_mask(image, threshold) for image in noisy])
    assert expected[0].any()
    np.testing.assert_array_equal(foreground_mask(noisy, threshold).numpy(), expected)


def test_masked_image_is_ssim_of_the_masked_images(volume: np.ndarray) -> None:
    prediction = volume + np.random.default_rng(1).normal(0, 5e-5, volume.shape)
    expected = []
    for predicted, target in zip(prediction[:2], volume[:2], strict=True):
        mask = oracle_mask(target, 5e-5)
        expected.append(structural_similarity(target * mask, predicted * mask, data_range=volume.max()))
    result = foreground_ssim_result(prediction=prediction, target=volume, threshold=5e-5)
    np.testing.assert_allclose(result.per_slice, [*expected, np.nan], atol=1e-9)
    assert result.value == pytest.approx(np.mean(expected), abs=1e-9)
    assert (result.threshold, result.num_empty) == (5e-5, 1)


def test_inside_mask_averages_the_map_of_the_whole_images(volume: np.ndarray) -> None:
    prediction = volume + np.random.default_rng(1).normal(0, 5e-5, volume.shape)
    expected = []
    for predicted, target in zip(prediction[:2], volume[:2], strict=True):
        _, values = structural_similarity(target, predicted, data_range=volume.max(), full=True)
        whole_windows = np.zeros(target.shape, dtype=bool)
        whole_windows[3:-3, 3:-3] = True
        expected.append(values[oracle_mask(target, 5e-5) & whole_windows].mean())
    value = foreground_ssim(prediction=prediction, target=volume, threshold=5e-5, region="inside_mask")
    assert value == pytest.approx(np.mean(expected), abs=1e-9)
    assert value < foreground_ssim(prediction=prediction, target=volume, threshold=5e-5)


@pytest.mark.parametrize("region", ["masked_image", "inside_mask"])
def test_empty_mask_is_nan_and_counted(region) -> None:
    volume = np.full((2, 16, 16), 1e-5)
    result = foreground_ssim_result(prediction=volume, target=volume, threshold=5e-5, region=region)
    assert math.isnan(result.value)
    assert np.isnan(result.per_slice).all()
    assert result.num_empty == 2


def test_thresholds(volume: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    assert foreground_threshold(target=volume, anatomy="brain", preset="snu") == 5e-5
    assert foreground_threshold(target=volume, anatomy="knee", preset="snu") == 2e-5
    assert foreground_threshold(target=volume) == pytest.approx(0.05 * volume.max())
    fractions = {"brain": 0.1, "heart": 0.3}
    assert foreground_threshold(target=volume, anatomy="heart", fraction=fractions) == pytest.approx(0.3 * volume.max())
    fractions["default"] = 0.2
    assert foreground_threshold(target=volume, anatomy="other", fraction=fractions) == pytest.approx(0.2 * volume.max())
    assert foreground_threshold(target=volume, fraction=fractions) == pytest.approx(0.2 * volume.max())
    with caplog.at_level(logging.INFO, "recon_monai"):
        value = foreground_ssim(prediction=volume * 0.9, target=volume, preset="snu", anatomy="knee")
    assert value == foreground_ssim(prediction=volume * 0.9, target=volume, threshold=2e-5)
    assert "threshold 2e-05" in caplog.text


def test_wrong_options_are_refused(volume: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"knows \['brain', 'knee'\], got anatomy 'heart'"):
        foreground_threshold(target=volume, anatomy="heart", preset="snu")
    with pytest.raises(ValueError, match="got anatomy None"):
        foreground_threshold(target=volume, fraction={"brain": 0.1})
    with pytest.raises(ValueError, match="unknown preset 'other'"):
        foreground_threshold(target=volume, preset="other")
    with pytest.raises(ValueError, match=r"got 1\.5"):
        foreground_threshold(target=volume, fraction=1.5)
    with pytest.raises(ValueError, match="region must be"):
        foreground_ssim(prediction=volume, target=volume, threshold=1e-5, region="bbox")
