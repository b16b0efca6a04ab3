"""The focal loss: its formula, both measures of difficulty, and its running mean."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from recon_monai.losses import FocalSSIMLoss
from recon_monai.metrics import ssim


def samples(count: int = 3, size: int = 12) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Prediction, target, data range and zero-filled image; later samples are worse."""
    generator = torch.Generator().manual_seed(5)
    target = 1e-4 * torch.rand((count, 1, size, size + 1), generator=generator, dtype=torch.float64)
    noise = torch.randn(target.shape, generator=generator, dtype=torch.float64)
    amount = 1e-5 * torch.arange(1, count + 1, dtype=torch.float64).reshape(-1, 1, 1, 1)
    return target + amount * noise, target, target.amax(dim=(1, 2, 3)) * 1.3, target - 4 * amount * noise


def similarities(images: torch.Tensor, target: torch.Tensor, data_range: torch.Tensor) -> list[float]:
    """By the metric, one slice at a time."""
    return [
        ssim(prediction=i, target=t, data_range=float(r)) for i, t, r in zip(images, target, data_range, strict=True)
    ]


def l1(prediction: torch.Tensor, target: torch.Tensor, data_range: torch.Tensor) -> list[float]:
    return [float((p - t).abs().mean() / r) for p, t, r in zip(prediction, target, data_range, strict=True)]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("l1_weight", [0.0, 0.7])
def test_formula(gamma, l1_weight):
    prediction, target, data_range, _ = samples()
    ps = similarities(prediction, target, data_range)
    assert max(ps) - min(ps) > 0.02
    terms = [
        -((1 - p) ** gamma) * math.log(p) + l1_weight * e
        for p, e in zip(ps, l1(prediction, target, data_range), strict=True)
    ]
    loss = FocalSSIMLoss(gamma, l1_weight)(prediction, target, data_range)
    assert float(loss) == pytest.approx(sum(terms) / 3, rel=1e-9)
    if gamma == 0:
        plain = [-math.log(p) + l1_weight * e for p, e in zip(ps, l1(prediction, target, data_range), strict=True)]
        assert float(loss) == pytest.approx(sum(plain) / 3, rel=1e-9)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 1.5])
def test_difficulty_of_the_input(gamma):
    prediction, target, data_range, zero_filled = samples()
    weights = [((1 - s) / 0.25) ** gamma for s in similarities(zero_filled, target, data_range)]
    ps = similarities(prediction, target, data_range)
    errors = l1(prediction, target, data_range)
    terms = [-w * math.log(p) + e for w, p, e in zip(weights, ps, errors, strict=True)]
    loss = FocalSSIMLoss(gamma, difficulty="input", mean_difficulty=0.25)
    assert loss.batch_keys == ("zero_filled",)
    assert loss.state_dict() == {}
    value = loss(prediction, target, data_range, zero_filled=zero_filled.requires_grad_())
    assert float(value) == pytest.approx(sum(terms) / 3, rel=1e-9)
    assert not value.requires_grad, "no gradient through the weight"


def test_hard_slices_weigh_more_with_a_larger_gamma():
    prediction, target, data_range, _ = samples()
    shares = []
    for gamma in (0, 1, 2):
        leaf = prediction.clone().requires_grad_()
        FocalSSIMLoss(gamma, l1_weight=0)(leaf, target, data_range).backward()
        norms = leaf.grad.flatten(1).norm(dim=1)
        shares.append(float(norms[2] / norms.sum()))
    assert shares[0] < shares[1] < shares[2]


def test_running_mean_is_that_of_all_slices_when_it_begins_and_forgets_later():
    prediction, target, data_range, zero_filled = samples(6)
    difficulties = [1 - s for s in similarities(zero_filled, target, data_range)]
    loss = FocalSSIMLoss(1, 0, "input", mean_decay=0.9)
    running, weight = 0.0, 0.0
    for index in range(6):
        one = slice(index, index + 1)
        value = loss(prediction[one], target[one], data_range[one], zero_filled[one])
        running, weight = 0.9 * running + difficulties[index], 0.9 * weight + 1
        [p] = similarities(prediction[one], target[one], data_range[one])
        expected = difficulties[index] / (running / weight) * -math.log(p)
        assert float(value) == pytest.approx(expected, rel=1e-5)
    assert expected != pytest.approx(-math.log(p), rel=1e-2), "a batch of one slice does not weigh 1"


def test_running_mean_is_saved_and_not_changed_in_evaluation():
    prediction, target, data_range, zero_filled = samples()
    loss = FocalSSIMLoss(difficulty="input")
    with pytest.raises(ValueError, match="no mean difficulty before any training"):
        copy.deepcopy(loss).eval()(prediction, target, data_range, zero_filled)
    loss(prediction, target, data_range, zero_filled)
    other = FocalSSIMLoss(difficulty="input")
    other.load_state_dict(loss.state_dict())
    assert set(loss.state_dict()) == {"difficulty_sum", "difficulty_count"}
    before = copy.deepcopy(loss.state_dict())
    value = loss.eval()(prediction[2:], target[2:], data_range[2:], zero_filled[2:])
    assert loss.state_dict() == before
    assert torch.equal(other.eval()(prediction[2:], target[2:], data_range[2:], zero_filled[2:]), value)
    next_value = other.train()(prediction[:1], target[:1], data_range[:1], zero_filled[:1])
    assert torch.equal(loss.train()(prediction[:1], target[:1], data_range[:1], zero_filled[:1]), next_value)


def test_accumulated_batches_equal_a_large_one_with_a_given_mean():
    prediction, target, data_range, zero_filled = samples()
    loss = FocalSSIMLoss(2, difficulty="input", mean_difficulty=0.2, window="gaussian")
    whole = loss(prediction, target, data_range, zero_filled)
    parts = [
        loss(prediction[i : i + 1], target[i : i + 1], data_range[i : i + 1], zero_filled[i : i + 1]) for i in range(3)
    ]
    assert float(whole) == pytest.approx(float(torch.stack(parts).mean()), rel=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("window", ["uniform", "gaussian"])
def test_gradient_is_right(gamma, window):
    prediction, target, data_range, _ = (1e4 * x[:1] for x in samples(size=8))
    loss = FocalSSIMLoss(gamma, 0.5, window=window)
    assert torch.autograd.gradcheck(loss, (prediction.requires_grad_(), target, data_range))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("difficulty", ["output", "input"])
def test_a_perfect_image_costs_nothing_and_has_a_finite_gradient(gamma, difficulty):
    _, target, data_range, _ = samples()
    leaf = target.float().requires_grad_()
    loss = FocalSSIMLoss(gamma, difficulty=difficulty)
    value = loss(leaf, target.float(), data_range.float(), target.float())
    value.backward()
    assert float(value.detach()) == pytest.approx(0, abs=1e-6)
    assert leaf.grad.isfinite().all()


def test_an_image_worse_than_noise_is_bounded():
    """SSIM below 0.001 counts as 0.001; what is left of the gradient is that of L1."""
    _, target, data_range, _ = samples()
    leaf = (1e-4 - target).requires_grad_()
    assert max(similarities(leaf.detach(), target, data_range)) < 1e-3
    value = FocalSSIMLoss(1, l1_weight=1)(leaf, target, data_range)
    expected = [-(1 - 1e-3) * math.log(1e-3) + e for e in l1(leaf.detach(), target, data_range)]
    assert float(value.detach()) == pytest.approx(sum(expected) / 3, rel=1e-6)
    value.backward()
    pixels = target[0].numel()
    share = (1 / (3 * pixels * data_range)).reshape(-1, 1, 1, 1).expand_as(target)
    torch.testing.assert_close(leaf.grad.abs(), share)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_gives_the_single_precision_value(dtype):
    prediction, target, data_range, _ = (x.float() for x in samples())
    loss = FocalSSIMLoss(window="gaussian")
    expected = loss(prediction, target, data_range)
    with torch.autocast("cpu", dtype=dtype):
        value = loss(prediction, target, data_range)
    assert torch.equal(value, expected)


def test_wrong_arguments_are_refused():
    prediction, target, data_range, _ = samples()
    for wrong in ({"gamma": -1}, {"l1_weight": -1}, {"gamma": math.nan}):
        with pytest.raises(ValueError, match="expected finite numbers of 0 or more"):
            FocalSSIMLoss(**wrong)
    with pytest.raises(ValueError, match="unknown difficulty 'both'"):
        FocalSSIMLoss(difficulty="both")
    with pytest.raises(ValueError, match="unknown window"):
        FocalSSIMLoss(window="box")
    with pytest.raises(ValueError, match="mean_difficulty is 0"):
        FocalSSIMLoss(mean_difficulty=0)
    with pytest.raises(ValueError, match="mean_decay is 1"):
        FocalSSIMLoss(mean_decay=1)
    with pytest.raises(ValueError, match="there is none; give zero_filled"):
        FocalSSIMLoss(difficulty="input")(prediction, target, data_range)
    with pytest.raises(ValueError, match="positive and finite"):
        FocalSSIMLoss()(prediction, target, 0 * data_range)
