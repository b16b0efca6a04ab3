from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.filters import gaussian
from skimage.metrics import structural_similarity

from recon_monai.losses import SSIMLoss
from recon_monai.metrics import ssim, ssim_map

FIXTURE = Path(__file__).parents[1] / "fixtures" / "metrics.npz"


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-5)])
def test_equal_to_fastmri(dtype: torch.dtype, tolerance: float) -> None:
    golden = np.load(FIXTURE)
    prediction, target = (torch.from_numpy(golden[name]).to(dtype)[:, None] for name in ("prediction", "target"))
    data_range = target.max().expand(len(target))
    loss = SSIMLoss()(prediction, target, data_range)
    assert loss.dtype == dtype
    assert float(loss) == pytest.approx(float(golden["ssim_loss_uniform7_volume_max"]), abs=tolerance)


def test_each_sample_has_its_own_data_range() -> None:
    generator = torch.Generator().manual_seed(1)
    target = torch.rand((2, 1, 12, 15), generator=generator, dtype=torch.float64)
    prediction = target + 0.1 * torch.randn(target.shape, generator=generator, dtype=torch.float64)
    ranges = (0.8, 3.0)
    expected = [
        1 - ssim(prediction=p, target=t, data_range=r) for p, t, r in zip(prediction, target, ranges, strict=True)
    ]
    loss = SSIMLoss()(prediction, target, torch.tensor(ranges, dtype=torch.float64))
    assert float(loss) == pytest.approx(np.mean(expected), abs=1e-12)


def noisy(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    target = torch.rand(shape, generator=generator, dtype=torch.float64)
    prediction = 0.9 * target + 0.1 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return (1e-4 * prediction).to(dtype), (1e-4 * target).to(dtype)


@pytest.fixture
def truncated(monkeypatch: pytest.MonkeyPatch) -> None:
    """scikit-image's Gaussian weights end at 3.5 standard deviations, which cannot be set; here at 3 pixels."""
    module = sys.modules["skimage.metrics._structural_similarity"]
    monkeypatch.setattr(module, "gaussian", lambda image, **options: gaussian(image, **{**options, "truncate": 2.0}))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 2e-5)])
def test_gaussian_window_is_that_of_scikit_image(truncated: None, dtype: torch.dtype, tolerance: float) -> None:
    prediction, target = noisy((1, 1, 17, 13), dtype)
    value = SSIMLoss("gaussian")(prediction, target, torch.tensor([1.2e-4]))
    exact = [image.double().numpy()[0, 0] * 1e4 for image in (prediction, target)]
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "win_size": 7}
    expected = 1 - structural_similarity(*exact, data_range=1.2, **options)
    assert float(value) == pytest.approx(expected, abs=tolerance)
    maps = ssim_map(prediction, target, torch.tensor([1.2e-4]), window="gaussian")
    _, full = structural_similarity(*exact, data_range=1.2, full=True, **options)
    assert maps.shape == (1, 1, 11, 7)
    np.testing.assert_allclose(maps[0, 0].numpy(), full[3:-3, 3:-3], atol=10 * tolerance)
    uniform = float(SSIMLoss()(prediction, target, torch.tensor([1.2e-4])))
    assert abs(uniform - expected) > 100 * tolerance, "the windows must differ for this to mean anything"


def test_gaussian_window_in_three_dimensions(truncated: None) -> None:
    prediction, target = noisy((1, 1, 9, 10, 11))
    maps = ssim_map(prediction, target, torch.tensor([1e-4]), spatial_dims=3, window="gaussian")
    expected = structural_similarity(
        prediction[0, 0].numpy() * 1e4,
        target[0, 0].numpy() * 1e4,
        data_range=1,
        gaussian_weights=True,
        use_sample_covariance=False,
        win_size=7,
    )
    assert float(maps.mean()) == pytest.approx(expected, abs=1e-10)


def test_gaussian_window_has_a_right_gradient() -> None:
    prediction, target = (1e4 * x for x in noisy((1, 1, 9, 8)))
    loss = SSIMLoss("gaussian")
    assert torch.autograd.gradcheck(loss, (prediction.requires_grad_(), target, torch.ones(1)))


def test_flat_and_identical_images_cost_nothing() -> None:
    image = torch.full((1, 1, 9, 9), 0.3, requires_grad=True)
    loss = SSIMLoss("gaussian")(image, torch.full((1, 1, 9, 9), 0.3), torch.ones(1))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)
    assert image.grad is not None
    assert image.grad.isfinite().all()


def test_unknown_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown window 'hann' of SSIM"):
        SSIMLoss("hann")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown window 'hann' of SSIM"):
        ssim_map(*noisy((1, 1, 9, 9)), torch.ones(1), window="hann")  # type: ignore[arg-type]
