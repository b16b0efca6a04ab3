from __future__ import annotations

import pytest
import torch

from recon_monai.losses import ReconstructionLoss, SSIMLoss


def samples(dtype: torch.dtype = torch.float64, size: int = 14) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    target = 1e-4 * torch.rand((2, 1, size, size - 2), generator=generator, dtype=torch.float64)
    prediction = target + 1e-5 * torch.randn(target.shape, generator=generator, dtype=torch.float64)
    data_range = target.amax(dim=(1, 2, 3)) * torch.tensor([1.0, 1.7])
    return prediction.to(dtype), target.to(dtype), data_range.to(dtype)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.5])
def test_is_ssim_loss_plus_scaled_l1(alpha: float) -> None:
    prediction, target, data_range = samples()
    l1 = [float((p - t).abs().mean() / r) for p, t, r in zip(prediction, target, data_range, strict=True)]
    expected = float(SSIMLoss()(prediction, target, data_range)) + alpha * sum(l1) / 2
    assert float(ReconstructionLoss(alpha)(prediction, target, data_range)) == pytest.approx(expected, rel=1e-12)


def test_scale_does_not_matter() -> None:
    loss = ReconstructionLoss()
    tensors = samples()
    assert float(loss(*(x * 1e6 for x in tensors))) == pytest.approx(float(loss(*tensors)), rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_gives_the_single_precision_value(dtype: torch.dtype) -> None:
    loss = ReconstructionLoss()
    prediction, target, data_range = samples(torch.float32)
    prediction.requires_grad_()
    expected = loss(prediction, target, data_range)
    (expected_gradient,) = torch.autograd.grad(expected, prediction)
    with torch.autocast("cpu", dtype=dtype):
        value = loss(prediction, target, data_range)
    (gradient,) = torch.autograd.grad(value, prediction)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)
    assert torch.equal(gradient, expected_gradient)


def test_half_precision_prediction_is_computed_in_single_precision() -> None:
    prediction, target, data_range = samples(torch.float32)
    rounded = prediction.bfloat16()
    value = ReconstructionLoss()(rounded, target, data_range)
    assert value.dtype == torch.float32
    assert torch.equal(value, ReconstructionLoss()(rounded.float(), target, data_range))


def test_gradient_is_right() -> None:
    prediction, target, data_range = (1e4 * x[:1] for x in samples(size=9))
    assert torch.autograd.gradcheck(ReconstructionLoss(), (prediction.requires_grad_(), target, data_range))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_gradients_are_finite_for_flat_and_identical_images(value: float) -> None:
    prediction = torch.full((1, 1, 10, 10), value, requires_grad=True)
    loss = ReconstructionLoss()(prediction, torch.full((1, 1, 10, 10), value), torch.ones(1))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()


def test_wrong_arguments_are_refused() -> None:
    prediction, target, data_range = samples()
    loss = ReconstructionLoss()
    with pytest.raises(ValueError, match="positive and finite"):
        loss(prediction, target, torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="positive and finite"):
        loss(prediction, target, torch.tensor([1.0, float("nan")]))
    with pytest.raises(ValueError, match=r"one value per sample \(2,\), got \(\)"):
        loss(prediction, target, data_range[0])
    with pytest.raises(ValueError, match="differ in shape"):
        loss(prediction[..., 1:], target, data_range)
    with pytest.raises(ValueError, match="alpha"):
        ReconstructionLoss(-1.0)


def test_new_weights_default_to_the_loss_without_them() -> None:
    """Bit by bit the sum of SSIM loss and relative L1."""
    prediction, target, data_range = samples(torch.float32)
    ssim = SSIMLoss()(prediction, target, data_range)
    relative = ((prediction - target) / data_range.reshape(-1, 1, 1, 1)).abs().mean()
    assert torch.equal(ReconstructionLoss(2.5)(prediction, target, data_range), ssim + 2.5 * relative)


def test_absolute_l1_with_a_weighted_ssim() -> None:
    """``0.9 * SSIM loss + 0.1 * 1e4 * L1``, with L1 in the values of the file."""
    prediction, target, data_range = samples()
    loss = ReconstructionLoss(0.1 * 1e4, ssim_weight=0.9, relative=False)
    l1 = float((prediction - target).abs().mean())
    expected = 0.9 * float(SSIMLoss()(prediction, target, data_range)) + 1000 * l1
    assert float(loss(prediction, target, data_range)) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="ssim_weight"):
        ReconstructionLoss(ssim_weight=-1.0)


def test_gaussian_ssim_and_l1_one_to_one() -> None:
    prediction, target, data_range = samples()
    loss = ReconstructionLoss(window="gaussian")
    l1 = [float((p - t).abs().mean() / r) for p, t, r in zip(prediction, target, data_range, strict=True)]
    gaussian = float(SSIMLoss("gaussian")(prediction, target, data_range))
    assert gaussian != pytest.approx(float(SSIMLoss()(prediction, target, data_range)), rel=1e-3)
    assert float(loss(prediction, target, data_range)) == pytest.approx(gaussian + sum(l1) / 2, rel=1e-12)
    with pytest.raises(ValueError, match="unknown window"):
        ReconstructionLoss(window="box")  # type: ignore[arg-type]
