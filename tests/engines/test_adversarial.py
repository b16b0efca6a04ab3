"""Steps of the WGAN trainer: against MONAI's trainer and steps by hand, and what they leave alone."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest
import torch
import torch.distributed as dist
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.handlers import MeanAbsoluteError, StatsHandler, from_engine
from monai.transforms import Lambdad
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from wgan_tools import batches, copies, make_trainer, networks, record, same

from recon_monai.engines import OutOfMemory, PrepareVolumeBatch
from recon_monai.losses import WassersteinGPLoss, gradient_penalty
from recon_monai.networks import MDCSRNCritic, keep_running_statistics
from recon_monai.physics import keyed_generator


def drawn(seed: int, step: int, count: int = 2) -> torch.Tensor:
    return torch.cat([torch.rand(1, generator=keyed_generator("penalty", seed, step, index)) for index in range(count)])


def test_pretraining_is_supervised_training() -> None:
    """The same weights as by MONAI's trainer; the critic is not even called."""
    data, (generator, critic) = batches(3), networks()
    plain = copy.deepcopy(generator)
    expected = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=data,
        network=plain,
        optimizer=torch.optim.Adam(plain.parameters(), lr=0.01),
        loss_function=nn.L1Loss(),
        prepare_batch=PrepareVolumeBatch(),
        decollate=False,
    )
    expected.run()
    critic.register_forward_hook(lambda *_: pytest.fail("the critic was called"))
    trainer = make_trainer(data, (generator, critic), adam=True, pretrain_steps=9)
    found = record(trainer)
    assert same(copies(generator), copies(plain))
    assert [set(step) for step in found] == [{"kind", "reconstruction", "loss"}] * 3
    assert trainer.state.updates == {"pretraining": 3, "critic": 0, "generator": 0}


def test_a_step_of_the_critic_is_gradient_descent_on_its_loss() -> None:
    """By hand, one backward; nothing of the generator moves, running statistics included."""
    [batch], (generator, critic) = batches(), networks()
    before, mine = copies(generator), copy.deepcopy(critic)
    trainer = make_trainer([batch], (generator, critic), seed=5)
    [found] = record(trainer)
    assert same(copies(generator), before)
    assert all(parameter.grad is None for parameter in generator.parameters())

    with torch.no_grad(), keep_running_statistics(generator):
        fake = generator(batch["image"])
    penalty = gradient_penalty(mine, batch["target"], fake, epsilon=drawn(5, 0))
    wasserstein = mine(batch["target"]).mean() - mine(fake).mean()
    (10 * penalty - wasserstein).backward()
    for parameter, after in zip(mine.parameters(), critic.parameters(), strict=True):
        expected = parameter.detach() - 0.01 * (0 if parameter.grad is None else parameter.grad)
        torch.testing.assert_close(after.detach(), expected, rtol=1e-5, atol=1e-7)
    assert not same(copies(critic), copies(networks()[1]))
    l1 = (fake - batch["target"]).abs().mean().item()
    values = {"wasserstein": wasserstein, "penalty": penalty, "critic_loss": 10 * penalty - wasserstein}
    scores = {"real_score": mine(batch["target"]).mean(), "fake_score": mine(fake).mean()}
    expected_terms = {name: value.item() for name, value in {**values, **scores}.items()}
    assert found.pop("kind") == "critic"
    assert found == pytest.approx(
        {**expected_terms, "reconstruction": l1, "loss": l1 - 1e-3 * expected_terms["fake_score"]}, rel=1e-4, abs=1e-6
    )


def test_a_step_of_the_generator_leaves_the_critic_alone() -> None:
    """The critic is called, and keeps weights, gradients and what is trained of it."""
    data, (generator, critic) = batches(2), networks()
    critic.head[0].bias.requires_grad_(False)
    trainer = make_trainer(data, (generator, critic), critic_steps=1)
    seen: dict[str, Any] = {}

    def remember(engine: Any) -> None:
        name = f"after {engine.state.update}"
        seen[name] = (copies(generator), copies(critic), [p.requires_grad for p in critic.parameters()])
        if engine.state.update == "critic":
            engine.critic_optimizer.zero_grad()

    trainer.add_event_handler(Events.ITERATION_COMPLETED, remember)
    trainer.run()
    assert same(seen["after critic"][1], seen["after generator"][1])
    assert not same(seen["after critic"][0], seen["after generator"][0])
    assert all(parameter.grad is None for parameter in critic.parameters())
    flags = [name != "head.0.bias" for name, _ in critic.named_parameters()]
    assert seen["after critic"][2] == seen["after generator"][2] == flags


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_a_step_of_the_generator_raises_the_scores_of_what_it_makes(norm: Any) -> None:
    """The wrong sign, minus the loss of the critic, would lower them."""
    data, (generator, critic) = batches(2), networks(norm=norm)
    trainer = make_trainer(
        data,
        (generator, critic),
        critic_steps=1,
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
    assert scores[1] > scores[0] + 1e-6
    assert found[1]["fake_score"] == pytest.approx(scores[0], rel=1e-4)
    assert found[1]["loss"] == pytest.approx(-scores[0], rel=1e-4)


def test_the_generators_loss_is_the_weighted_sum() -> None:
    """Gradient descent on it, by hand."""
    data, (generator, critic) = batches(2), networks(norm="group")
    trainer = make_trainer(data, (generator, critic), critic_steps=1, adversarial_weight=0.3, rate=0.05)
    found = record(trainer)
    mine, _ = networks(norm="group")
    made = mine(data[1]["image"])
    l1, score = (made - data[1]["target"]).abs().mean(), critic(made).mean()
    (l1 - 0.3 * score).backward()
    for parameter, after in zip(mine.parameters(), generator.parameters(), strict=True):
        torch.testing.assert_close(after.detach(), parameter.detach() - 0.05 * parameter.grad, rtol=1e-4, atol=1e-7)
    assert found[1]["reconstruction"] == pytest.approx(l1.item(), rel=1e-5)
    assert found[1]["loss"] == pytest.approx((l1 - 0.3 * score).item(), rel=1e-4)


def test_updates_come_in_the_promised_ratio() -> None:
    """Pretraining, the critic alone, cycles with extra rounds; and each network moves in its own steps only."""
    schedule = {"pretrain_steps": 2, "critic_only_steps": 3, "critic_steps": 2}
    extra = {"extra_critic_every": 4, "extra_critic_steps": 3}
    trainer = make_trainer(batches(24), rate=1e-3, max_epochs=1, **schedule, **extra)
    moved = []
    last: dict[str, Any] = {}

    def compare(engine: Any) -> None:
        now = {"generator": copies(engine.network), "critic": copies(engine.critic)}
        moved.append({name for name in now if not same(now[name], last[name])})
        last.update(now)

    last |= {"generator": copies(trainer.network), "critic": copies(trainer.critic)}
    trainer.add_event_handler(Events.ITERATION_COMPLETED, compare)
    found = record(trainer)
    kinds = "".join(step["kind"][0] for step in found)
    assert kinds == "pp" + "ccc" + "ccgc" + "ccc" + "cgcc" + "ccc" + "gccgc"
    assert moved == [{"critic"} if kind == "c" else {"generator"} for kind in kinds]
    assert trainer.state.updates == {"pretraining": 2, "critic": 18, "generator": 4}
    assert trainer.state_dict()["updates"] == trainer.state.updates


def test_a_lazy_penalty_has_a_larger_weight() -> None:
    data = batches(4)
    trainer = make_trainer(data, penalty_every=3, adversarial_loss=WassersteinGPLoss(2.0))
    found = record(trainer)
    assert ["penalty" in step for step in found] == [True, False, False, True]
    for step in found:
        expected = 3 * 2.0 * step.get("penalty", 0.0) - step["wasserstein"]
        assert step["critic_loss"] == pytest.approx(expected, rel=1e-5, abs=1e-6)


def linear_maps(critic: nn.Module) -> list[torch.Tensor]:
    modules = (module for module in critic.modules() if isinstance(module, nn.Conv3d | nn.Linear))
    return [parameter.detach() for module in modules for parameter in module.parameters()]


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_clipped_weights_stay_in_their_bounds(norm: Any) -> None:
    """Those of linear maps; what normalizations scale by is no part of how steep these are."""
    generator, _ = networks()
    torch.manual_seed(0)
    critic = MDCSRNCritic(width=2, norm=norm, patch_size=6)
    trainer = make_trainer(batches(3), (generator, critic), constraint="weight_clipping", clip=0.02, rate=0.5)
    largest = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED,
        lambda engine: largest.append(max(p.abs().max().item() for p in linear_maps(engine.critic))),
    )
    found = record(trainer)
    assert largest == pytest.approx([0.02] * 3, rel=1e-6)
    scales = [stage.norm.weight.detach().max().item() for stage in critic.stages[1:]]
    assert min(scales) > 0.9
    assert not any("penalty" in step for step in found)
    plain = make_trainer(batches(1))
    plain.run()
    assert max(p.abs().max().item() for p in linear_maps(plain.critic)) > 0.1, "not with the penalty"


def test_a_clipped_critic_keeps_a_gradient() -> None:
    """Its score still tells the generator where to go, and what is reported of it is that gradient."""
    generator, _ = networks()
    torch.manual_seed(0)
    critic = MDCSRNCritic(width=8)
    data = batches(12, size=16)
    trainer = make_trainer(
        data, (generator, critic), constraint="weight_clipping", clip=0.05, critic_steps=11, adam=True, rate=1e-3
    )
    found = record(trainer)
    assert found[-1]["kind"] == "generator"
    made = trainer.state.output["pred"].requires_grad_()
    (gradient,) = torch.autograd.grad(critic(made).sum(), made)
    norm = gradient.flatten(1).norm(dim=1).mean().item()
    assert norm > 1e-4
    assert found[-1]["score_gradient"] == pytest.approx(norm, rel=1e-3)


@pytest.mark.parametrize("flat", [True, False])
def test_a_critic_that_tells_nothing_apart_is_said_once(flat: bool, caplog: pytest.LogCaptureFixture) -> None:
    """With all weights near zero only the last bias is left."""
    trainer = make_trainer(
        batches(130), constraint="weight_clipping", clip=1e-4 if flat else 0.5, critic_only_steps=200, rate=1e-3
    )
    with caplog.at_level(logging.WARNING):
        trainer.run()
    said = [text for text in caplog.messages if text.startswith("the Wasserstein estimate has been 0 for 100 steps")]
    assert len(said) == flat
    assert not flat or said[0].endswith("give a larger clip")


def test_checkpointing_changes_nothing() -> None:
    """Second derivatives of the penalty and running statistics included."""
    results = []
    for checkpointing in ("none", "blocks"):
        pair = networks(checkpointing=checkpointing)
        trainer = make_trainer(batches(5), pair, pretrain_steps=1, critic_steps=1, adversarial_weight=0.1)
        found = record(trainer)
        results.append((found, *map(copies, pair)))
    for one, other in zip(results[0][1:], results[1][1:], strict=True):
        for name, value in one.items():
            torch.testing.assert_close(other[name], value, rtol=1e-5, atol=1e-7, msg=name)
    assert results[0][0][3]["penalty"] == pytest.approx(results[1][0][3]["penalty"], rel=1e-5)
    assert int(results[1][1]["levels.0.block.units.0.norm.num_batches_tracked"]) == 3


def test_bfloat16_stays_inside_the_networks() -> None:
    """Losses and predictions are single precision, computed outside autocast, and near those without it."""
    seen: list[tuple[str, bool]] = []
    pair = networks()
    for name, network in zip(("generator", "critic"), pair, strict=True):
        network.register_forward_hook(lambda *_, name=name: seen.append((name, torch.is_autocast_enabled("cpu"))))

    class Loss(nn.L1Loss):
        def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            seen.append((f"loss {prediction.dtype}", torch.is_autocast_enabled("cpu")))
            return super().forward(prediction, target)

    data = batches(3, size=8)
    trainer = make_trainer(data, pair, amp=True, critic_steps=1, pretrain_steps=1, loss_function=Loss())
    types = set()
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: types.update(value.dtype for value in engine.state.terms.values())
    )
    found = record(trainer)
    single = ("loss torch.float32", False)
    step_of_critic = [("generator", True), single, ("critic", False), ("critic", True)]  # the penalty first
    assert seen == [("generator", True), single, *step_of_critic, ("generator", True), single, ("critic", True)]
    assert types == {torch.float32}
    exact = record(make_trainer(data, critic_steps=1, pretrain_steps=1))
    for step, expected in zip(found, exact, strict=True):
        assert step["reconstruction"] == pytest.approx(expected["reconstruction"], rel=0.02)
    assert found[1]["reconstruction"] != exact[1]["reconstruction"], "nothing was rounded"
    assert found[1]["penalty"] == pytest.approx(exact[1]["penalty"], rel=0.05)
    assert {parameter.dtype for network in pair for parameter in network.parameters()} == {torch.float32}


def test_the_optimizer_changes_after_pretraining_and_keeps_its_moments() -> None:
    options = {"lr": 0.002, "betas": [0.0, 0.9]}
    trainer = make_trainer(batches(4), adam=True, pretrain_steps=2, critic_steps=1, adversarial_options=options)
    seen = []

    def remember(engine: Any) -> None:
        [group] = engine.optimizer.param_groups
        state = next(iter(engine.optimizer.state.values()))
        seen.append((group["lr"], list(group["betas"]), int(state["step"])))

    trainer.add_event_handler(Events.ITERATION_COMPLETED, remember)
    trainer.run()
    after = (0.002, [0.0, 0.9])
    assert seen == [(0.01, [0.9, 0.999], 1), (0.01, [0.9, 0.999], 2), (*after, 2), (*after, 3)]
    assert trainer.critic_optimizer.param_groups[0]["lr"] == 0.01
    with pytest.raises(ValueError, match=r"SGD has no \['betas'\] to change"):
        make_trainer(batches(), adversarial_options=options)


def test_monais_handlers_metrics_and_postprocessing_work() -> None:
    """With decollation, as MONAI's engines do by default."""
    metric = MeanAbsoluteError(output_transform=from_engine(["pred", "label"]))
    events: list[str] = []
    logged: list[float] = []
    trainer = make_trainer(
        batches(4),
        critic_steps=1,
        decollate=True,
        key_train_metric={"mae": metric},
        postprocessing=Lambdad("pred", lambda image: 2 * image),
        train_handlers=[StatsHandler(name="steps", output_transform=lambda output: logged.append(output[0]["loss"]))],
    )
    for event in IterationEvents:
        trainer.add_event_handler(event, lambda _, event=event: events.append(event.value))
    outputs = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: outputs.append(engine.state.output))
    found = record(trainer)
    order = ["forward_completed", "loss_completed", "backward_completed", "model_completed"]
    assert events == order * 4
    assert [len(output) for output in outputs] == [2] * 4
    assert outputs[0][0].keys() >= {"image", "label", "pred", "loss", "wasserstein", "penalty"}
    assert outputs[1][1]["loss"] == pytest.approx(found[1]["loss"])
    values = [(item["pred"] - item["label"]).abs().mean().item() for output in outputs for item in output]
    assert trainer.state.metrics["mae"] == pytest.approx(sum(values) / len(values), rel=1e-5)
    assert not outputs[1][0]["pred"].requires_grad
    assert logged == pytest.approx([step["loss"] for step in found])


def test_networks_in_wrappers_for_several_processes() -> None:
    """In a run of one process: the weights of a plain run, and no complaint of the wrapper."""
    plain, wrapped = networks(), networks()
    make_trainer(batches(4), plain, critic_steps=1, pretrain_steps=1).run()
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        outer = tuple(DistributedDataParallel(network) for network in wrapped)
        make_trainer(batches(4), outer, critic_steps=1, pretrain_steps=1).run()
    finally:
        dist.destroy_process_group()
    for one, other in zip(plain, wrapped, strict=True):
        assert same(copies(one), copies(other))


@pytest.mark.parametrize(
    ("steps", "kind"),
    [({"pretrain_steps": 1}, "reconstruction"), ({}, "critic_loss"), ({"critic_steps": 1}, "fake_score")],
)
def test_what_is_not_finite_stops_before_the_step(steps: dict[str, int], kind: str) -> None:
    data = batches(2)
    count = 2 if kind == "fake_score" else 1
    generator, critic = networks(norm="group")
    trainer = make_trainer(data[:count], (generator, critic), **steps)

    @trainer.on(Events.ITERATION_STARTED(once=count))
    def spoil(engine: Any) -> None:
        broken = generator if kind == "reconstruction" else critic
        with torch.no_grad():
            next(iter(broken.parameters())).fill_(float("nan"))
        before.extend(map(copies, (generator, critic)))

    before: list[Any] = []
    files = r"0\.nii\.gz, 1\.nii\.gz" if count == 1 else r"2\.nii\.gz, 3\.nii\.gz"
    with pytest.raises(FloatingPointError, match=rf"is nan in epoch 1, iteration {count}, on {files}; look at"):
        trainer.run()
    for old, network in zip(before, (generator, critic), strict=True):
        assert all(torch.equal(old[name].nan_to_num(7), value.nan_to_num(7)) for name, value in copies(network).items())


def test_a_run_says_what_it_will_do(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        make_trainer(batches(3), critic_steps=2).run()
    assert "3 steps: 0 pretraining, 2 critic, 1 generator" in caplog.text
    assert "no step" not in caplog.text
    make_trainer(batches(3), critic_steps=7).run()
    assert "no step of this run trains the generator with the critic: 3 steps end before" in caplog.text


def test_out_of_memory_names_the_settings() -> None:
    class Greedy(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    trainer = make_trainer(batches(), pretrain_steps=1)
    trainer.network = Greedy()
    with pytest.raises(OutOfMemory, match=r"0\.nii\.gz.*2 patch\(es\) of 6 x 6 x 6 voxels.*checkpointing='blocks'"):
        trainer.run()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"constraint": "spectral"}, "unknown constraint 'spectral'"),
        ({"constraint": "weight_clipping", "penalty_every": 4}, "penalty_every is 4 with weight_clipping"),
        ({"penalty_every": 0}, "penalty_every is 0"),
        ({"constraint": "weight_clipping", "clip": 0.0}, "clip is 0.0"),
        ({"clip": 0.05}, "clip is 0.05 with gradient_penalty, which clips nothing"),
        (
            {"constraint": "weight_clipping", "adversarial_loss": WassersteinGPLoss(1.0)},
            "the weight of the penalty is 1.0 with weight_clipping, which has no penalty",
        ),
        ({"adversarial_weight": -1.0}, "adversarial_weight -1.0"),
        ({"critic_steps": 0}, "critic_steps is 0"),
        ({"compile": True}, "compile=True has no second derivatives"),
        ({"accumulation_steps": 2}, "accumulation_steps no meaning where steps alternate"),
    ],
)
def test_settings_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_trainer(batches(), **options)


def test_batches_are_checked() -> None:
    [batch] = batches()
    with pytest.raises(ValueError, match=r"needs targets, and this batch has none: 0\.nii\.gz, 1\.nii\.gz"):
        make_trainer([{key: value for key, value in batch.items() if key != "target"}]).run()
    with pytest.raises(ValueError, match=r"image \(2, 1, 6, 6, 6\) and target \(2, 1, 6, 6, 5\) of .*0\.nii"):
        make_trainer([{**batch, "target": batch["target"][..., :5]}]).run()
    with pytest.raises(ValueError, match=r"no 'image', only \['target'\]"):
        PrepareVolumeBatch()({"target": batch["target"]})
