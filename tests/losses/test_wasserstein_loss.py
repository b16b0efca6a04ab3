"""The gradient penalty and the two losses of a WGAN, against closed forms and finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from recon_monai.losses import WassersteinGPLoss, gradient_penalty

Critic = Callable[[Tensor], Tensor]


def samples(count: int = 3, *, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, count, 1, 3, 4, 2, generator=generator, dtype=torch.float64).to(dtype)
    return real, fake


def linear(length: float) -> Critic:
    """Scores by a direction of this length, the same gradient everywhere."""
    direction = torch.randn(24, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    direction = length * direction / direction.norm()
    return lambda image: image.flatten(1) @ direction.to(image.dtype) + 3


def quadratic(image: Tensor) -> Tensor:
    """Its gradient is the sample itself."""
    return image.flatten(1).square().sum(1) / 2


@pytest.mark.parametrize("length", [0.25, 1.0, 3.0])
def test_the_penalty_of_a_linear_critic(length: float) -> None:
    """``10 (|a| - 1)^2``, wherever it is computed."""
    real, fake = samples()
    terms = WassersteinGPLoss().critic_loss(linear(length), real, fake, generator=torch.Generator().manual_seed(2))
    assert terms.penalty is not None
    assert 10 * float(terms.penalty) == pytest.approx(10 * (length - 1) ** 2, abs=1e-9)
    assert float(terms.total + terms.wasserstein) == pytest.approx(10 * (length - 1) ** 2, abs=1e-9)


def test_a_critic_without_gradient_has_a_finite_penalty_and_gradient() -> None:
    real, fake = samples()
    weight = torch.zeros(24, dtype=torch.float64, requires_grad=True)
    penalty = gradient_penalty(lambda image: image.flatten(1) @ weight, real, fake, epsilon=torch.rand(3))
    penalty.backward()
    assert float(penalty.detach()) == pytest.approx(1, abs=1e-5)
    assert weight.grad is not None
    assert bool(torch.isfinite(weight.grad).all())


def test_one_point_per_sample_between_its_pair() -> None:
    """The gradient of the quadratic critic is the point, whose norm is known."""
    real, fake = samples()
    epsilon = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    found = gradient_penalty(quadratic, real, fake, epsilon=epsilon)
    points = torch.stack([e * r + (1 - e) * f for e, r, f in zip(epsilon, real, fake, strict=True)])
    expected = (points.flatten(1).norm(dim=1) - 1).square().mean()
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)


def test_each_sample_has_one_number_of_its_own() -> None:
    """Drawn per voxel, the points would not lie on the lines between the pairs."""
    seen: list[Tensor] = []

    def critic(image: Tensor) -> Tensor:
        seen.append(image.detach())
        return quadratic(image)

    real, fake = samples(64)
    gradient_penalty(critic, real, fake, generator=torch.Generator().manual_seed(0))
    share = ((seen[0] - fake) / (real - fake)).flatten(1)
    torch.testing.assert_close(share, share[:, :1].expand_as(share), rtol=1e-8, atol=1e-8)
    drawn = share[:, 0]
    assert float(drawn.min()) > 0 and float(drawn.max()) < 1
    assert len(drawn.unique()) == 64
    assert 0.35 < float(drawn.mean()) < 0.65
    gradient_penalty(critic, real, fake, generator=torch.Generator().manual_seed(0))
    assert torch.equal(seen[0], seen[1])


def test_nothing_is_drawn_from_the_global_generator() -> None:
    real, fake = samples()
    before = torch.get_rng_state()
    gradient_penalty(quadratic, real, fake, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(ValueError, match="either a generator or epsilon"):
        gradient_penalty(quadratic, real, fake)
    with pytest.raises(ValueError, match="either a generator or epsilon"):
        gradient_penalty(quadratic, real, fake, generator=torch.Generator(), epsilon=torch.rand(3))


def test_the_gradient_of_the_penalty_is_exact() -> None:
    """First and second derivatives by the weights of a smooth critic, against finite differences."""
    real, fake = samples()
    generator = torch.Generator().manual_seed(3)
    first = torch.randn(5, 24, generator=generator, dtype=torch.float64, requires_grad=True)
    last = torch.randn(5, generator=generator, dtype=torch.float64, requires_grad=True)
    epsilon = torch.rand(3, generator=generator, dtype=torch.float64)

    def penalty(first: Tensor, last: Tensor) -> Tensor:
        return gradient_penalty(lambda image: (image.flatten(1) @ first.T).tanh() @ last, real, fake, epsilon=epsilon)

    assert torch.autograd.gradcheck(penalty, (first, last))
    assert torch.autograd.gradgradcheck(penalty, (first, last))


def test_pairs_get_no_gradient_and_one_backward_is_enough() -> None:
    real, fake = (value.requires_grad_() for value in samples())
    weight = torch.ones(24, dtype=torch.float64, requires_grad=True)
    terms = WassersteinGPLoss().critic_loss(
        lambda image: (image.flatten(1) * weight).square().sum(1), real, fake, epsilon=torch.rand(3)
    )
    terms.total.backward()
    assert real.grad is None and fake.grad is None
    assert weight.grad is not None and float(weight.grad.abs().max()) > 0


def test_the_losses_have_the_right_signs() -> None:
    real, fake = samples()
    loss, critic = WassersteinGPLoss(weight=2.0), linear(1.5)
    terms = loss.critic_loss(critic, real, fake, epsilon=torch.rand(3), penalty_scale=4)
    torch.testing.assert_close(terms.real_score, critic(real).mean())
    torch.testing.assert_close(terms.fake_score, critic(fake).mean())
    torch.testing.assert_close(terms.wasserstein, critic(real).mean() - critic(fake).mean())
    assert terms.penalty is not None
    torch.testing.assert_close(terms.total, -terms.wasserstein + 4 * 2.0 * terms.penalty)
    # the generator's gradient points to higher scores
    made = fake.clone().requires_grad_()
    loss.generator_loss(critic(made)).backward()
    assert made.grad is not None
    assert float(critic(fake - made.grad).mean()) > float(critic(fake).mean())
    torch.testing.assert_close(loss.generator_loss(critic(fake)), -critic(fake).mean())


def test_without_the_penalty() -> None:
    real, fake = samples()
    terms = WassersteinGPLoss().critic_loss(linear(3), real, fake, penalty_scale=0)
    assert terms.penalty is None
    torch.testing.assert_close(terms.total, -terms.wasserstein)


def test_under_autocast_the_losses_are_in_single_precision_and_the_penalty_is_exact() -> None:
    real, fake = samples(dtype=torch.float32)
    layer = torch.nn.Linear(24, 1)
    seen = []

    def critic(image: Tensor) -> Tensor:
        seen.append(layer(image.flatten(1))[:, 0])
        return seen[-1]

    epsilon = torch.tensor([0.1, 0.5, 0.9])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = WassersteinGPLoss().critic_loss(critic, real, fake, epsilon=epsilon)
        made = WassersteinGPLoss().generator_loss(critic(fake))
    assert [scores.dtype for scores in seen] == [torch.float32, torch.bfloat16, torch.bfloat16]
    assert {value.dtype for value in (*terms, made) if value is not None} == {torch.float32}
    exact = WassersteinGPLoss().critic_loss(critic, real, fake, epsilon=epsilon)
    assert terms.penalty is not None and exact.penalty is not None
    assert torch.equal(terms.penalty, exact.penalty)
    torch.testing.assert_close(terms.wasserstein, exact.wasserstein, rtol=0.02, atol=0.01)


def test_a_penalty_can_be_measured_without_gradients() -> None:
    real, fake = samples()
    with torch.no_grad():
        penalty = gradient_penalty(linear(3), real, fake, epsilon=torch.rand(3))
    assert not penalty.requires_grad
    assert float(penalty) == pytest.approx(4, abs=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fake": torch.zeros(2, 1, 3, 4, 2)}, r"\(3, 1, 3, 4, 2\) and fakes of shape \(2, 1, 3, 4, 2\)"),
        (
            {"epsilon": torch.rand(3, 1, 3, 4, 2)},
            r"epsilon has shape \(3, 1, 3, 4, 2\), expected one number",
        ),
        ({"critic": lambda image: image.flatten(1)}, r"returned shape \(3, 24\) for 3 samples, expected one score"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], message: str) -> None:
    real, fake = samples()
    given = {"critic": linear(1), "real": real, "fake": fake, "epsilon": torch.rand(3), **options}
    with pytest.raises(ValueError, match=message):
        gradient_penalty(given.pop("critic"), given.pop("real"), given.pop("fake"), **given)
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        WassersteinGPLoss(-1)
