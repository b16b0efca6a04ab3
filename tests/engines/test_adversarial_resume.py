"""Interrupted WGAN trainings go on as if nothing had happened; two processes train as one."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedEvaluator
from monai.handlers import MeanAbsoluteError, from_engine
from torch.utils.data import DataLoader
from wgan_tools import Patches, batches, copies, make_trainer, networks, record, same, tensors

from recon_monai import distributed
from recon_monai.data import SliceBatchSampler
from recon_monai.engines import PrepareVolumeBatch, WGANTrainer
from recon_monai.handlers import Interrupted, TrainingCheckpoint
from recon_monai.networks import MDCSRNCritic

SCHEDULE = {
    "pretrain_steps": 2,
    "critic_only_steps": 1,
    "critic_steps": 3,
    "extra_critic_every": 6,
    "extra_critic_steps": 2,
}


def make(folder: Path, *, resume: bool = False, critic: torch.nn.Module | None = None, **options: Any) -> WGANTrainer:
    """Five epochs of three steps, with a checkpoint and one validation."""
    data, pair = Patches(), networks()
    pair = (pair[0], critic or pair[1])
    sampler = SliceBatchSampler(data, 2, seed=3)
    optimizers = [torch.optim.Adam(network.parameters(), lr=1e-3) for network in pair]
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(data, batch_size=3),
        network=pair[0],
        prepare_batch=PrepareVolumeBatch(),
        key_val_metric={"mae": MeanAbsoluteError(output_transform=from_engine(["pred", "label"]))},
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizers[0], lambda epoch: 1.0)
    checkpoint = TrainingCheckpoint(
        folder, pair[0], optimizers[0], schedule, sampler, evaluator, val_interval=5, resume=resume
    )
    settings = {"max_epochs": 5, "adversarial_weight": 0.1, "adversarial_options": {"lr": 5e-4}, **SCHEDULE, **options}
    trainer = make_trainer(
        DataLoader(data, batch_sampler=sampler),
        pair,
        optimizer=optimizers[0],
        critic_optimizer=optimizers[1],
        train_handlers=[checkpoint],
        **settings,
    )
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda engine: setattr(sampler, "epoch", engine.state.epoch))
    trainer.add_event_handler(Events.EPOCH_COMPLETED(every=5), lambda engine: evaluator.run(engine.state.epoch))
    return trainer


def interrupt(folder: Path, iteration: int) -> None:
    """A run that is told to stop in this iteration."""
    trainer = make(folder)
    trainer.add_event_handler(Events.ITERATION_STARTED(once=iteration), lambda _: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Interrupted):
        trainer.run()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Steps and final state of a run that was left alone."""
    folder = tmp_path_factory.mktemp("whole")
    found = record(make(folder))
    return found, torch.load(folder / "last.pt", weights_only=True)


@pytest.mark.parametrize("iteration", [1, 2, 3, 5, 7, 10])
def test_an_interrupted_run_goes_on_bit_for_bit(whole: Any, tmp_path: Path, iteration: int) -> None:
    """In pretraining, at its end, among the critic's first steps, in a cycle, after the generator, in extra rounds."""
    expected, state = whole
    assert "".join(step["kind"][0] for step in expected) == "pp" + "c" + "cccgcc" + "cc" + "cgcc"
    interrupt(tmp_path, iteration)
    saved = torch.load(tmp_path / "last.pt", weights_only=True)
    assert saved["iteration"] == sum(saved["states"]["adversarial"]["updates"].values()) == iteration
    trainer = make(tmp_path, resume=True)
    found = record(trainer)
    assert found == expected[iteration:]
    resumed = torch.load(tmp_path / "last.pt", weights_only=True)
    for part in ("network", "optimizer", "states"):
        pairs = list(zip(tensors(resumed[part]), tensors(state[part]), strict=True))
        assert len(pairs) > 5
        assert all(torch.equal(one, other) for one, other in pairs), part
    assert resumed["best_metric"] == state["best_metric"]
    assert trainer.state.updates == {"pretraining": 2, "critic": 11, "generator": 2}


def test_another_critic_is_refused_and_another_schedule_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    interrupt(tmp_path, 4)
    with pytest.raises(ValueError, match=r"the weights have width=2, the network has width=3"):
        make(tmp_path, resume=True, critic=MDCSRNCritic(width=3)).run()
    trainer = make(tmp_path, resume=True, critic_steps=1)
    found = record(trainer)
    assert "the schedule of updates was" in caplog.text
    assert "from step 4" in caplog.text
    assert found[0]["kind"] == "generator"


def train_here(folder: Path, batch_size: int) -> None:
    """A run in each of the processes; every one saves what it ended with."""
    for norm in ("group", "batch"):
        pair = networks(norm=norm, seed=0 if distributed.is_main() else 1 + distributed.rank())
        share = slice(distributed.rank(), None, distributed.world_size())
        data = [
            {key: value[share] for key, value in batch.items()}
            for batch in batches(7, batch_size=batch_size * distributed.world_size())
        ]
        # no Adam, which makes steps of one size of gradients that are 0 but for rounding
        trainer = make_trainer(data, pair, pretrain_steps=2, critic_steps=2, penalty_every=2, adversarial_weight=0.1)
        found = record(trainer)
        content = {"generator": copies(pair[0]), "critic": copies(pair[1]), "found": found}
        torch.save(content, folder / f"{norm}{distributed.rank()}.pt")


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Also where they begin with other weights. Batch normalization sees each process's samples, so only agrees."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    train_here(tmp_path / "one", 2)
    script = tmp_path / "train.py"
    script.write_text(
        f"import pathlib, sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import test_adversarial_resume as test\n"
        "test.torch.set_num_threads(1)\n"
        "test.distributed.start()\n"
        f"test.train_here(pathlib.Path({str(tmp_path / 'two')!r}), 1)\n"
        "test.distributed.stop()\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    for norm in ("group", "batch"):
        first, second = (torch.load(tmp_path / "two" / f"{norm}{rank}.pt", weights_only=True) for rank in (0, 1))
        assert first["found"] == second["found"], "processes must not come apart"
        assert same(first["generator"], second["generator"])
        assert same(first["critic"], second["critic"])
        if norm == "group":
            compare(first, torch.load(tmp_path / "one" / "group0.pt", weights_only=True))


def compare(two: dict[str, Any], one: dict[str, Any]) -> None:
    """Two processes with one sample each and one process with two: the same up to rounding."""
    for step, expected in zip(two["found"], one["found"], strict=True):
        assert step.pop("kind") == expected.pop("kind")
        assert step == pytest.approx(expected, rel=1e-4, abs=1e-5)
    for part, network in zip(("generator", "critic"), networks(norm="group"), strict=True):
        start = copies(network)
        assert not same(start, two[part])
        for name, value in one[part].items():
            torch.testing.assert_close(two[part][name], value, rtol=1e-4, atol=1e-6, msg=f"{part} {name}")
