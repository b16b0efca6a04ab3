"""Saturating and non-saturating adversarial losses: closed forms, MONAI's, signs, and where their gradients vanish."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.losses import PatchAdversarialLoss
from torch import Tensor

from recon_monai.losses import GANLoss, WassersteinGPLoss, gradient_penalty

KINDS = ["saturating", "non_saturating"]


def samples() -> tuple[Tensor, Tensor]:
    real, fake = torch.randn(2, 4, 1, 3, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return real, fake


def critic(image: Tensor) -> Tensor:
    direction = torch.randn(12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return image.flatten(1) @ direction.to(image.dtype) + 0.3


def sigmoid(score: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-score))


@pytest.mark.parametrize("kind", KINDS)
def test_the_losses_are_those_of_goodfellow(kind: Any) -> None:
    """Logarithms of probabilities, in NumPy."""
    real, fake = samples()
    terms = GANLoss(kind).critic_loss(critic, real, fake)
    of_real, of_fake = (sigmoid(critic(value).numpy()) for value in (real, fake))
    assert float(terms.total) == pytest.approx(-np.log(of_real).mean() - np.log(1 - of_fake).mean(), rel=1e-12)
    expected = np.log(1 - of_fake).mean() if kind == "saturating" else -np.log(of_fake).mean()
    assert float(GANLoss(kind).generator_loss(critic(fake))) == pytest.approx(expected, rel=1e-12)
    assert float(terms.generator_loss) == pytest.approx(expected, rel=1e-12)
    assert not terms.generator_loss.requires_grad
    torch.testing.assert_close(terms.real_score, critic(real).mean())
    torch.testing.assert_close(terms.fake_score, critic(fake).mean())
    assert (terms.wasserstein, terms.penalty) == (None, None)


def test_the_non_saturating_loss_is_the_cross_entropy_of_monai() -> None:
    real, fake = samples()
    theirs = PatchAdversarialLoss(criterion="bce", reduction="mean")
    scores = critic(fake)[:, None]
    expected = theirs(scores, target_is_real=True, for_discriminator=False)
    torch.testing.assert_close(GANLoss().generator_loss(scores[:, 0]), expected, check_dtype=False, rtol=1e-6, atol=0)
    both = theirs(critic(real)[:, None], True, True) + theirs(scores, False, True)
    torch.testing.assert_close(
        GANLoss().critic_loss(critic, real, fake).total, both, check_dtype=False, rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_of_the_generator_raises_the_scores_of_fakes(kind: Any) -> None:
    fake = samples()[1].requires_grad_()
    GANLoss(kind).generator_loss(critic(fake)).backward()
    assert fake.grad is not None
    assert bool((critic(fake - 0.1 * fake.grad) > critic(fake)).all())


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_of_the_critic_parts_the_scores(kind: Any) -> None:
    real, fake = samples()
    weight = torch.zeros(12, dtype=torch.float64, requires_grad=True)
    terms = GANLoss(kind).critic_loss(lambda image: image.flatten(1) @ weight, real, fake)
    terms.total.backward()
    assert weight.grad is not None
    moved = -weight.grad
    assert float((real.flatten(1) @ moved).mean()) > float((fake.flatten(1) @ moved).mean())
    assert float(terms.total.detach()) == pytest.approx(2 * np.log(2)), "a critic that knows nothing"


@pytest.mark.parametrize("score", [-60.0, -8.0, 0.0, 8.0, 60.0])
def test_where_the_gradients_vanish(score: float) -> None:
    """The saturating one where the critic is sure of a fake, the other where it takes it for real."""
    found = {}
    for kind in KINDS:
        given = torch.tensor([score], dtype=torch.float64, requires_grad=True)
        GANLoss(kind).generator_loss(given).backward()  # type: ignore[arg-type]
        assert given.grad is not None
        found[kind] = float(given.grad)
    assert found["saturating"] == pytest.approx(-sigmoid(np.array(score)), rel=1e-10)
    assert found["non_saturating"] == pytest.approx(-sigmoid(np.array(-score)), rel=1e-10)
    if score == -60:
        assert abs(found["saturating"]) < 1e-20 and found["non_saturating"] == pytest.approx(-1)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_exact(kind: Any) -> None:
    scores = torch.randn(5, generator=torch.Generator().manual_seed(2), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(GANLoss(kind).generator_loss, scores)


def test_the_penalty_is_that_of_wgans() -> None:
    real, fake = samples()
    epsilon = torch.rand(4, generator=torch.Generator().manual_seed(3))
    plain = GANLoss().critic_loss(critic, real, fake)
    terms = GANLoss(weight=3.0).critic_loss(critic, real, fake, epsilon=epsilon, penalty_scale=2)
    penalty = gradient_penalty(critic, real, fake, epsilon=epsilon)
    torch.testing.assert_close(terms.total, plain.total + 6 * penalty)
    assert terms.penalty is not None
    torch.testing.assert_close(terms.penalty, penalty)
    assert GANLoss(weight=3.0).critic_loss(critic, real, fake, penalty_scale=0).penalty is None


def test_wasserstein_terms_say_what_the_generator_minimizes() -> None:
    real, fake = samples()
    terms = WassersteinGPLoss().critic_loss(critic, real, fake, penalty_scale=0)
    torch.testing.assert_close(terms.generator_loss, WassersteinGPLoss().generator_loss(critic(fake)))


def test_half_precision_is_summed_in_single() -> None:
    scores = torch.tensor([-3.0, 2.0], dtype=torch.bfloat16)
    assert GANLoss().generator_loss(scores).dtype == torch.float32


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown loss 'hinge' of the generator; use one of"):
        GANLoss("hinge")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        GANLoss(weight=-1)
    with pytest.raises(ValueError, match="one score for each"):
        GANLoss().critic_loss(lambda image: image, *samples())
