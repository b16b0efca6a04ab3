from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from recon_monai.metrics import nmse, nrmse, psnr, ssim, ssim_map, ssim_per_slice

FIXTURE = Path(__file__).parents[1] / "fixtures" / "metrics.npz"


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """A prediction and a target of fastMRI's scale, with odd sizes."""
    rng = np.random.default_rng(3)
    target = rng.gamma(2.0, 1e-5, size=(9, 23, 31))
    return target + rng.normal(0, 8e-6, target.shape), target


@pytest.mark.parametrize("as_tensor", [False, True])
def test_equal_to_fastmri(as_tensor: bool) -> None:
    golden = np.load(FIXTURE)
    arrays = {"prediction": golden["prediction"], "target": golden["target"]}
    volumes = {name: torch.from_numpy(array) for name, array in arrays.items()} if as_tensor else arrays
    assert ssim(**volumes) == pytest.approx(float(golden["ssim"][0]), rel=1e-6)
    assert psnr(**volumes) == pytest.approx(float(golden["psnr"]), rel=1e-6)
    assert nmse(**volumes) == pytest.approx(float(golden["nmse"]), rel=1e-6)
    assert nrmse(**volumes) == pytest.approx(math.sqrt(float(golden["nmse"])), rel=1e-6)


def test_ssim_equal_to_scikit_image(pair: tuple[np.ndarray, np.ndarray]) -> None:
    prediction, target = pair
    expected = [structural_similarity(t, p, data_range=target.max()) for p, t in zip(prediction, target, strict=True)]
    np.testing.assert_allclose(ssim_per_slice(prediction=prediction, target=target), expected, atol=1e-6, rtol=0)
    assert ssim(prediction=prediction, target=target) == pytest.approx(np.mean(expected), abs=1e-6)
    given = [structural_similarity(t, p, data_range=2e-4) for p, t in zip(prediction, target, strict=True)]
    assert ssim(prediction=prediction, target=target, data_range=2e-4) == pytest.approx(np.mean(given), abs=1e-6)


def test_ssim_of_three_dimensions_equal_to_scikit_image(pair: tuple[np.ndarray, np.ndarray]) -> None:
    prediction, target = pair
    expected = structural_similarity(target, prediction, data_range=target.max())
    assert ssim(prediction=prediction, target=target, spatial_dims=3) == pytest.approx(expected, abs=1e-6)


def test_psnr_equal_to_scikit_image_and_nmse_to_its_definition(pair: tuple[np.ndarray, np.ndarray]) -> None:
    prediction, target = pair
    expected = peak_signal_noise_ratio(target, prediction, data_range=target.max())
    assert psnr(prediction=prediction, target=target) == pytest.approx(expected, rel=1e-10)
    ratio = np.sum((prediction - target) ** 2) / np.sum(target**2)
    assert nmse(prediction=prediction, target=target) == pytest.approx(ratio, rel=1e-10)


@pytest.mark.parametrize("metric", [ssim, psnr, nmse, nrmse])
def test_scale_does_not_matter(metric, pair: tuple[np.ndarray, np.ndarray]) -> None:
    prediction, target = pair
    assert metric(prediction=prediction * 1e-12, target=target * 1e-12) == pytest.approx(
        metric(prediction=prediction, target=target), rel=1e-9
    )


def test_map_keeps_precision_and_autocast_does_not_lower_it(pair: tuple[np.ndarray, np.ndarray]) -> None:
    prediction, target = (torch.from_numpy(volume)[:, None] for volume in pair)
    scale = target.max()
    exact = ssim_map(prediction, target, scale)
    single = ssim_map(prediction.float(), target.float(), scale)
    assert exact.dtype == torch.float64
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), exact, atol=2e-5, rtol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(ssim_map(prediction.float(), target.float(), scale), single)
    assert ssim_map(target.bfloat16(), target.bfloat16(), scale).dtype == torch.float32


def test_identical_volumes(pair: tuple[np.ndarray, np.ndarray]) -> None:
    same = {"prediction": pair[1], "target": pair[1]}
    assert ssim(**same) == pytest.approx(1, abs=1e-12)
    assert psnr(**same) == math.inf
    assert nmse(**same) == 0


@pytest.mark.parametrize("metric", [ssim, psnr, nmse, nrmse])
@pytest.mark.parametrize("prediction", [np.zeros((2, 8, 8)), np.ones((2, 8, 8))])
def test_zero_target_is_undefined(metric, prediction: np.ndarray) -> None:
    assert math.isnan(metric(prediction=prediction, target=np.zeros((2, 8, 8))))


def test_flat_images_in_single_precision_stay_similar() -> None:
    flat = torch.full((1, 1, 64, 64), 0.7)
    assert float(ssim_map(flat, flat, torch.tensor(1.0)).min()) > 1 - 1e-4


@pytest.mark.parametrize("metric", [ssim, psnr, nmse, nrmse])
def test_wrong_volumes_are_refused(metric) -> None:
    volume = np.ones((2, 8, 8))
    with pytest.raises(ValueError, match=r"\(2, 8, 9\) and target \(2, 8, 8\) differ in shape"):
        metric(prediction=np.ones((2, 8, 9)), target=volume)
    with pytest.raises(ValueError, match=r"expected a volume \(slices, H, W\), got \(8, 8\)"):
        metric(prediction=volume[0], target=volume[0])
    with pytest.raises(TypeError, match="magnitudes"):
        metric(prediction=volume.astype(complex), target=volume)


def test_small_images_and_negative_range_are_refused() -> None:
    small = np.ones((9, 6, 8))
    with pytest.raises(ValueError, match="at least 7 pixels"):
        ssim(prediction=small, target=small)
    few = np.ones((6, 8, 8))
    with pytest.raises(ValueError, match="at least 7 pixels"):
        ssim(prediction=few, target=few, spatial_dims=3)
    with pytest.raises(ValueError, match="must not be negative"):
        ssim(prediction=few, target=few, data_range=-1.0)
    with pytest.raises(ValueError, match="maximum of the target is -1"):
        psnr(prediction=-few, target=-few)
    with pytest.raises(ValueError, match="spatial_dims must be 2 or 3"):
        ssim(prediction=few, target=few, spatial_dims=4)


def test_read_only_and_reversed_arrays_are_taken(pair: tuple[np.ndarray, np.ndarray]) -> None:
    prediction, target = pair
    expected = psnr(prediction=prediction, target=target)
    prediction.setflags(write=False)
    assert psnr(prediction=prediction[::-1], target=target[::-1]) == pytest.approx(expected, rel=1e-12)
