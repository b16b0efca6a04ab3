"""The loss on held-out samples against NumPy, and what it does not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recon_monai.losses import HeldOutLoss


def samples(dtype: torch.dtype = torch.complex128):
    generator = torch.Generator().manual_seed(3)
    measured = torch.randn(2, 3, 8, 10, dtype=torch.complex128, generator=generator)
    prediction = measured + 0.3 * torch.randn(measured.shape, dtype=torch.complex128, generator=generator)
    mask = torch.rand(2, 1, 1, 10, generator=generator) < 0.5
    return prediction.to(dtype), measured.to(dtype), mask


def expected(prediction, measured, mask) -> float:
    values = []
    for one, true, where in zip(prediction.numpy(), measured.numpy(), mask.numpy(), strict=True):
        inside = np.broadcast_to(where, true.shape)
        error, signal = (one - true)[inside], true[inside]
        l2 = np.sqrt((abs(error) ** 2).sum() / (abs(signal) ** 2).sum())
        values.append(l2 + abs(error).sum() / abs(signal).sum())
    return float(np.mean(values))


@pytest.mark.parametrize("two_dimensional", [False, True])
def test_is_normalized_l2_plus_l1(two_dimensional: bool) -> None:
    prediction, measured, mask = samples()
    if two_dimensional:
        mask = torch.rand(2, 1, 8, 10, generator=torch.Generator().manual_seed(4)) < 0.4
    found = float(HeldOutLoss()(prediction, measured, mask))
    assert found == pytest.approx(expected(prediction, measured, mask), rel=1e-12)


def test_scale_does_not_matter_and_zeros_get_two() -> None:
    prediction, measured, mask = samples(torch.complex64)
    loss = HeldOutLoss()
    value = float(loss(prediction, measured, mask))
    assert float(loss(prediction * 1e-7, measured * 1e-7, mask)) == pytest.approx(value, rel=1e-5)
    assert float(loss(torch.zeros_like(measured), measured, mask)) == pytest.approx(2.0, rel=1e-6)
    assert float(loss(measured, measured, mask)) == 0


def test_the_gradient_comes_from_samples_inside_the_mask_alone() -> None:
    prediction, measured, mask = samples(torch.complex64)
    prediction.requires_grad_()
    (gradient,) = torch.autograd.grad(HeldOutLoss()(prediction, measured, mask), prediction)
    inside = mask.expand_as(prediction)
    assert bool((gradient[inside] != 0).all())
    assert not bool(gradient[~inside].any())
    changed = torch.where(mask, measured, measured * 5 + 1)
    (other,) = torch.autograd.grad(HeldOutLoss()(prediction, changed, mask), prediction)
    assert torch.equal(gradient, other)


def test_a_perfect_or_empty_sample_has_a_finite_gradient() -> None:
    _, measured, mask = samples(torch.complex64)
    for prediction, true in ((measured.clone(), measured), (measured.clone(), torch.zeros_like(measured))):
        prediction.requires_grad_()
        value = HeldOutLoss()(prediction, true, mask)
        (gradient,) = torch.autograd.grad(value, prediction)
        assert float(value.detach()) == 0
        assert bool(torch.view_as_real(gradient).isfinite().all())


def test_gradient_is_right() -> None:
    prediction, measured, mask = (part[:1, :1, :4, :4] for part in samples())
    mask = torch.tensor([True, False, True, True])[None, None, None]
    function = lambda values: HeldOutLoss()(values, measured, mask)  # noqa: E731
    assert torch.autograd.gradcheck(function, (prediction.clone().requires_grad_(),))


def test_what_does_not_fit_is_refused() -> None:
    prediction, measured, mask = samples()
    with pytest.raises(ValueError, match="expected complex"):
        HeldOutLoss()(prediction.abs(), measured, mask)
    with pytest.raises(ValueError, match=r"\(2, 3, 8, 9\)"):
        HeldOutLoss()(prediction[..., 1:], measured, mask)
