"""Distance of attention maps, and the loss of a student."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from recon_monai.losses import AttentionDistillationLoss, DistillationLoss, ReconstructionLoss

SETTINGS = {"default": (1, "scaled", "mean"), "slides": (1, "sum", "sum"), "code": (2, "mean", "sum")}


def features(seed: int, batch: int = 2, channels: int = 3, cascades: int = 2) -> list[torch.Tensor]:
    """One tensor per cascade, of different sizes."""
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(batch, channels, 6, 4 + cascade, dtype=torch.float64, generator=generator)
        for cascade in range(cascades)
    ]


def oracle(student, teacher, exponent: float, norm: str, cascades: str) -> float:
    """The formula, one sample and pixel after the other."""

    def attention(sample: np.ndarray) -> np.ndarray:
        summed = sum(np.abs(channel) ** exponent for channel in sample)
        return summed / np.linalg.norm(summed)

    found = []
    for ours, theirs in zip(student, teacher, strict=True):
        per_sample = []
        for one, other in zip(ours.numpy(), theirs.numpy(), strict=True):
            difference = np.abs(attention(other) - attention(one))
            pixels = difference.size
            divisor = {"scaled": np.sqrt(pixels), "sum": 1, "mean": pixels}[norm]
            per_sample.append(difference.sum() / divisor)
        found.append(np.mean(per_sample))
    return float(np.mean(found) if cascades == "mean" else np.sum(found))


@pytest.mark.parametrize("name", SETTINGS)
def test_presets_follow_the_formula(name: str) -> None:
    student, teacher = features(0), features(1, channels=5)
    loss = AttentionDistillationLoss.preset(name)
    assert float(loss(student, teacher)) == pytest.approx(oracle(student, teacher, *SETTINGS[name]), rel=1e-12)
    configured = ConfigParser(
        {"loss": {"_target_": "recon_monai.losses.AttentionDistillationLoss.preset", "name": name}}
    ).get_parsed_content("loss")
    assert (configured.exponent, configured.norm, configured.cascades) == SETTINGS[name]


def test_the_default_is_the_preset_default() -> None:
    loss = AttentionDistillationLoss()
    assert (loss.exponent, loss.norm, loss.cascades) == SETTINGS["default"]


@pytest.mark.parametrize("name", SETTINGS)
def test_equal_maps_have_no_distance(name: str) -> None:
    """Also of networks of different width, as long as the maps are the same."""
    loss = AttentionDistillationLoss.preset(name)
    student = features(2)
    assert float(loss(student, [x.clone() for x in student])) == 0
    assert float(loss(student, [torch.cat([x, x], dim=1) for x in student])) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("scale", [1e-12, 3.0, 1e12])
def test_the_scale_of_either_does_not_matter(name: str, scale: float) -> None:
    loss = AttentionDistillationLoss.preset(name)
    student, teacher = ([x.float() for x in features(seed)] for seed in (3, 4))
    expected = float(loss(student, teacher))
    assert expected > 0
    assert float(loss([scale * x for x in student], teacher)) == pytest.approx(expected, rel=1e-5)
    assert float(loss(student, [scale * x for x in teacher])) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("norm", "growth"), [("scaled", 1), ("sum", 3), ("mean", 1 / 3)])
def test_resolution(norm: str, growth: float) -> None:
    """Replicated pixels leave the default as it is; the others grow or shrink with the resolution."""
    loss = AttentionDistillationLoss(norm=norm)
    student, teacher = features(5), features(6)
    larger = [[x.repeat_interleave(3, dim=2).repeat_interleave(3, dim=3) for x in side] for side in (student, teacher)]
    assert float(loss(*larger)) == pytest.approx(growth * float(loss(student, teacher)), rel=1e-12)


@pytest.mark.parametrize("exponent", [1, 2])
def test_bound(exponent: float) -> None:
    """The square root of two is reached by maps without a common pixel, each constant on half of the image."""
    loss = AttentionDistillationLoss(exponent)
    left = torch.zeros(1, 1, 4, 6, dtype=torch.float64)
    left[..., :3] = 1
    assert float(loss([left], [1 - left])) == pytest.approx(2**0.5, rel=1e-12)
    generator = torch.Generator().manual_seed(7)
    for sparsity in (1, 4, 16):
        pair = torch.rand(2, 50, 2, 4, 6, dtype=torch.float64, generator=generator) ** sparsity
        for one, other in zip(*pair, strict=True):
            assert 0 < float(loss([one[None]], [other[None]])) < 2**0.5


@pytest.mark.parametrize("exponent", [1, 1.5, 2])
def test_gradient_is_right_and_the_teacher_has_none(exponent: float) -> None:
    loss = AttentionDistillationLoss(exponent)
    student, teacher = features(8), features(9)
    assert torch.autograd.gradcheck(lambda *x: loss(x, teacher), tuple(x.requires_grad_() for x in student))
    loss(student, [x.requires_grad_() for x in teacher]).backward()
    assert all(x.grad is not None and bool(x.grad.any()) for x in student)
    assert all(x.grad is None for x in teacher)


def test_a_batch_is_the_mean_of_its_samples() -> None:
    loss = AttentionDistillationLoss()
    student, teacher = features(10, batch=3), features(11, batch=3)
    single = [
        float(loss([x[i : i + 1] for x in student], [x[i : i + 1] for x in teacher])) for i in range(len(student[0]))
    ]
    assert float(loss(student, teacher)) == pytest.approx(np.mean(single), rel=1e-12)


def test_cascades_are_averaged_or_summed() -> None:
    student, teacher = features(12, cascades=3), features(13, cascades=3)
    single = [float(AttentionDistillationLoss()([x], [y])) for x, y in zip(student, teacher, strict=True)]
    assert float(AttentionDistillationLoss()(student, teacher)) == pytest.approx(np.mean(single), rel=1e-12)
    summed = AttentionDistillationLoss(cascades="sum")
    assert float(summed(student, teacher)) == pytest.approx(sum(single), rel=1e-12)


@pytest.mark.parametrize("exponent", [1, 2])
def test_empty_features_give_finite_values_and_gradients(exponent: float) -> None:
    """One sample is empty; it is as far from the teacher's map as zeros are, and the other sample is not affected."""
    loss = AttentionDistillationLoss(exponent)
    student, teacher = features(14, cascades=1)[0], features(15, cascades=1)
    student[0] = 0
    student.requires_grad_()
    value = loss([student], teacher)
    value.backward()
    assert student.grad is not None
    assert bool(student.grad.isfinite().all())
    assert bool(student.grad[1].any())
    summed = teacher[0][0].abs().pow(exponent).sum(0)
    alone = float((summed / summed.norm()).sum()) / summed.numel() ** 0.5
    other = float(loss([student[1:].detach()], [teacher[0][1:]]))
    assert value.item() == pytest.approx((alone + other) / 2, rel=1e-12)
    assert float(loss([torch.zeros(1, 1, 3, 3)], [torch.zeros(1, 1, 3, 3)])) == 0


def test_precision() -> None:
    """Single precision under autocast and for half precision features; double precision stays."""
    loss = AttentionDistillationLoss()
    student, teacher = ([x.bfloat16() for x in features(seed)] for seed in (16, 17))
    expected = loss([x.float() for x in student], [x.float() for x in teacher])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(student, teacher)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)
    assert loss(features(16), features(17)).dtype == torch.float64


def test_wrong_arguments_are_refused() -> None:
    loss = AttentionDistillationLoss()
    student = features(18)
    with pytest.raises(ValueError, match="got 2 of the student and 1 of the teacher"):
        loss(student, student[:1])
    with pytest.raises(ValueError, match="got 0 of the student"):
        loss([], [])
    with pytest.raises(ValueError, match=r"\(2, 3, 6, 4\) and \(2, 3, 5, 4\); take them at the same level"):
        loss(student, [x[:, :, :-1] for x in student])
    with pytest.raises(ValueError, match="one batch size"):
        loss(student, [x[:1] for x in student])
    with pytest.raises(ValueError, match=r"1 or more, got 0\.5"):
        AttentionDistillationLoss(0.5)
    with pytest.raises(ValueError, match="unknown norm 'l1'"):
        AttentionDistillationLoss(norm="l1")
    with pytest.raises(ValueError, match="cascades 'last'"):
        AttentionDistillationLoss(cascades="last")
    with pytest.raises(ValueError, match="unknown preset 'paper'"):
        AttentionDistillationLoss.preset("paper")


def images() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(19)
    target = torch.rand(2, 1, 9, 10, dtype=torch.float64, generator=generator)
    prediction = target + 0.1 * torch.randn(target.shape, dtype=torch.float64, generator=generator)
    return prediction, target, torch.tensor([1.0, 1.5], dtype=torch.float64)


def test_the_loss_of_a_student_is_the_weighted_sum() -> None:
    reconstruction, distillation = ReconstructionLoss(), AttentionDistillationLoss()
    student, teacher = features(20), features(21)
    terms = DistillationLoss(reconstruction, distillation, 0.9, 2.0)(*images(), student, teacher)
    expected = float(reconstruction(*images())), float(distillation(student, teacher))
    assert (float(terms.reconstruction), float(terms.distillation)) == expected
    assert float(terms.loss) == pytest.approx(0.9 * expected[0] + 2.0 * expected[1], rel=1e-12)
    with pytest.raises(ValueError, match=r"must not be negative, got 1\.5 .* and -0\.5"):
        DistillationLoss(reconstruction, distillation, 1.5, -0.5)
