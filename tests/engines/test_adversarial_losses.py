"""Other losses in the WGAN trainer: those of the original GAN, and other reconstruction losses than L1."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from ignite.engine import Events
from torch import nn
from wgan_tools import batches, make_trainer, networks, record

from recon_monai.losses import GANLoss, ImageLoss, gradient_penalty
from recon_monai.networks import keep_running_statistics
from recon_monai.physics import keyed_generator

KINDS = ["saturating", "non_saturating"]


@pytest.mark.parametrize("kind", KINDS)
def test_steps_with_the_losses_of_a_gan_by_hand(kind: Any) -> None:
    """One step of the critic with penalty, then one of the generator, by gradient descent."""
    data, (generator, critic) = batches(2), networks(norm="group")
    mine, judge = copy.deepcopy(generator), copy.deepcopy(critic)
    loss = GANLoss(kind, weight=2.0)
    trainer = make_trainer(
        data, (generator, critic), critic_steps=1, adversarial_weight=0.3, adversarial_loss=loss, rate=0.05
    )
    found = record(trainer)
    assert [set(step) - {"kind", "loss", "reconstruction", "fake_score"} for step in found] == [
        {"critic_loss", "penalty", "real_score"},
        {"score_gradient"},
    ]
    with torch.no_grad():
        fake = mine(data[0]["image"])
    epsilon = torch.cat([torch.rand(1, generator=keyed_generator("penalty", 0, 0, index)) for index in range(2)])
    of_real, of_fake = judge(data[0]["target"]), judge(fake)
    total = F.softplus(-of_real).mean() + F.softplus(of_fake).mean()
    total = total + 2 * gradient_penalty(judge, data[0]["target"], fake, epsilon=epsilon)
    total.backward()
    away = loss.generator_loss(of_fake.detach()).item()
    assert found[0]["critic_loss"] == pytest.approx(total.item(), rel=1e-4)
    assert found[0]["loss"] == pytest.approx(found[0]["reconstruction"] + 0.3 * away, rel=1e-4)
    with torch.no_grad():
        for parameter, after in zip(judge.parameters(), critic.parameters(), strict=True):
            parameter -= 0.05 * (0 if parameter.grad is None else parameter.grad)
            torch.testing.assert_close(after, parameter, rtol=1e-4, atol=1e-6)
    made = mine(data[1]["image"])
    scores = judge(made)
    ((made - data[1]["target"]).abs().mean() + 0.3 * loss.generator_loss(scores)).backward()
    for parameter, after in zip(mine.parameters(), generator.parameters(), strict=True):
        torch.testing.assert_close(after.detach(), parameter.detach() - 0.05 * parameter.grad, rtol=1e-4, atol=1e-6)
    assert found[1]["fake_score"] == pytest.approx(scores.mean().item(), rel=1e-4), "the score, not the loss"
    made = made.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(2 * loss.generator_loss(judge(made)), made)  # a mean over two samples
    norm = gradient.flatten(1).norm(dim=1).mean().item()
    assert found[1]["score_gradient"] == pytest.approx(norm, rel=1e-3), "of the loss"


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_of_the_generator_raises_the_scores_of_what_it_makes(kind: Any) -> None:
    data, (generator, critic) = batches(2), networks(norm="group")
    trainer = make_trainer(
        data,
        (generator, critic),
        critic_steps=1,
        adversarial_loss=GANLoss(kind),
        adversarial_weight=1.0,
        loss_function=lambda prediction, target: 0 * prediction.mean(),
        rate=1e-3,
    )
    scores = []

    def score(engine: Any) -> None:
        with torch.no_grad(), keep_running_statistics(generator):
            scores.append(critic(generator(data[1]["image"])).mean().item())

    trainer.add_event_handler(Events.ITERATION_COMPLETED, score)
    found = record(trainer)
    assert [step["kind"] for step in found] == ["critic", "generator"]
    assert "penalty" not in found[0]
    assert scores[1] > scores[0] + 1e-7


def test_the_reconstruction_loss_has_one_name_whichever_it_is() -> None:
    [batch] = batches()
    for loss in (nn.L1Loss(), nn.MSELoss(), ImageLoss({"l1": 1.0, "total_variation": 0.1})):
        generator, critic = networks(norm="group")
        with torch.no_grad():
            expected = loss(generator(batch["image"]), batch["target"]).item()
        [found] = record(make_trainer([batch], (generator, critic), pretrain_steps=1, loss_function=loss))
        assert set(found) == {"kind", "reconstruction", "loss"}
        assert found["reconstruction"] == found["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("alike", [True, False])
def test_a_critic_of_a_gan_that_tells_nothing_apart_is_said(alike: bool, caplog: pytest.LogCaptureFixture) -> None:
    generator, critic = networks()
    rate = 1e-3
    if alike:  # nothing is left but the last bias
        rate = 0.0
        for parameter in critic.parameters():
            torch.nn.init.zeros_(parameter)
    data = batches(101)
    trainer = make_trainer(data, (generator, critic), critic_only_steps=101, adversarial_loss=GANLoss(), rate=rate)
    with caplog.at_level(logging.WARNING):
        trainer.run()
    start = "the difference of mean scores has been 0 for 100 steps of the critic"
    assert sum(text.startswith(start) for text in caplog.messages) == alike


def test_clipped_weights_go_with_a_loss_without_a_penalty() -> None:
    """A weight of 0 asks for nothing that clipping leaves out."""
    generator, critic = networks()
    make_trainer(
        batches(2), (generator, critic), constraint="weight_clipping", clip=0.02, adversarial_loss=GANLoss(), rate=0.5
    ).run()
    clipped = [parameter for name, parameter in critic.named_parameters() if ".norm." not in name]
    assert max(float(parameter.detach().abs().max()) for parameter in clipped) == pytest.approx(0.02)
