"""The schedule of the effective batch: what updates see, exact resumption, several processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedEvaluator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from recon_monai import distributed
from recon_monai.data import SliceBatchSampler
from recon_monai.engines import PrepareReconstructionBatch, ReconstructionTrainer
from recon_monai.handlers import (
    CurveWriter,
    EffectiveBatchScheduler,
    EpochNotifier,
    PlateauLearningRate,
    TrainingCheckpoint,
)
from recon_monai.losses import FocalSSIMLoss
from recon_monai.transforms import ZeroFilledd

SLICES = 8


class Slices(torch.utils.data.Dataset):
    """Slices of random k-space, with the zero-filled image."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.kspace = torch.randn(SLICES, 2, 8, 8, dtype=torch.complex64, generator=generator)
        self.data = [{"path": "a.h5"} for _ in range(SLICES)]
        self.transform = ZeroFilledd()

    def __len__(self) -> int:
        return SLICES

    def shape_key(self, index: int) -> int:
        return 0

    def __getitem__(self, index: int) -> dict[str, Any]:
        kspace = self.kspace[index]
        target = kspace.abs().mean(0, keepdim=True)
        fields = {"file": "a.h5", "slice": index, "num_slices": SLICES, "maximum": 4.0}
        return self.transform({"kspace": kspace, "target": target, "output_size": torch.tensor([8, 8]), **fields})


class Scale(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(2.0))

    def forward(self, kspace, mask=None):
        return self.weight * kspace.abs().mean(1, keepdim=True)


class Scripted:
    """A metric that says what it is told, one value per validation; the position is that of the epoch."""

    def __init__(self, values) -> None:
        self.values = values

    def attach(self, engine, name) -> None:
        @engine.on(Events.EPOCH_COMPLETED)
        def measure(engine) -> None:
            engine.state.metrics[name] = self.values[engine.state.epoch - 1]


FLAT = (0.5, 0.5, 0.5, 0.5, 0.5, 0.5)  # with patience 1: a plateau after epochs 3, 5


class Run:
    """A trainer with all that its state is made of, and what its updates saw."""

    def __init__(
        self, folder, *, epochs=6, steps=(4, 2, 1), metrics=FLAT, resume=False, batch_size=1, loss=None, **options
    ) -> None:
        data, network = Slices(), Scale()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
        self.sampler = SliceBatchSampler(data, batch_size, accumulation_steps=options.pop("accumulation_steps", 1))
        shared = {
            "network": network,
            "prepare_batch": PrepareReconstructionBatch(),
            "inferer": lambda kspace, network, *args, mask, output_size, where: network(kspace, mask),
        }
        self.evaluator = SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=DataLoader(data),
            key_val_metric={"val_ssim": Scripted(metrics)},
            **shared,
        )
        curves = CurveWriter(folder)
        self.schedule = EffectiveBatchScheduler(self.sampler, self.evaluator, steps, patience=1, curves=curves)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max", factor=0.5, patience=2)
        loss = loss or FocalSSIMLoss(difficulty="input")
        checkpoint = TrainingCheckpoint(
            folder,
            network,
            optimizer,
            plateau,
            self.sampler,
            self.evaluator,
            resume=resume,
            curves=curves,
            states={"batch_schedule": self.schedule, "loss": loss},
            minutes=options.pop("minutes", 30),
        )
        self.trainer = ReconstructionTrainer(
            device=torch.device("cpu"),
            max_epochs=epochs,
            train_data_loader=DataLoader(data, batch_sampler=self.sampler),
            optimizer=optimizer,
            loss_function=loss,
            decollate=False,
            train_handlers=[
                EpochNotifier(data, self.sampler),
                self.schedule,
                PlateauLearningRate(plateau, self.evaluator),
                checkpoint,
            ],
            **shared,
            **options,
        )
        self.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: self.evaluator.run(engine.state.epoch))
        self.updates: list[list[int]] = []
        self.rates: list[float] = []
        self._seen: list[int] = []
        self.trainer.add_event_handler(Events.ITERATION_COMPLETED, self._note)

    def _note(self, engine) -> None:
        self._seen += engine.state.batch["slice"].tolist()
        if engine.at_step_boundary:
            self.updates.append(self._seen)
            self.rates.append(engine.optimizer.param_groups[0]["lr"])
            self._seen = []

    def run(self) -> Run:
        self.trainer.run()
        return self


def test_plateaus_move_on_between_epochs(tmp_path):
    run = Run(tmp_path).run()
    sizes = [len(update) for update in run.updates]
    assert sizes == [4] * 6 + [2] * 8 + [1] * 8
    assert (run.trainer.batches_per_step, run.sampler.accumulation_steps) == (1, 1)
    epochs = torch.tensor([slice_ for update in run.updates for slice_ in update]).reshape(6, SLICES)
    assert torch.equal(epochs.sort(dim=1).values, torch.arange(SLICES).expand(6, -1)), "each slice once per epoch"


def test_effective_batch_is_drawn_and_logged(tmp_path, caplog):
    caplog.set_level("INFO")
    Run(tmp_path, batch_size=2, steps=(2, 1)).run().schedule.curves.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    drawn = [(event.step, event.value) for event in events.Scalars("effective_batch")]
    assert drawn == [(1, 4), (5, 4), (9, 4), (13, 2), (17, 2), (21, 2)]
    assert "validation no better 2 time(s) in a row: from now on 1 batches per update, up to 2 slices" in caplog.text


def test_a_better_validation_keeps_the_batch(tmp_path):
    run = Run(tmp_path, metrics=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)).run()
    assert {len(update) for update in run.updates} == {4}


@pytest.mark.parametrize("iteration", [20, 24, 26, "validation"])
def test_a_resumed_run_is_the_one_that_was_not_interrupted(tmp_path, iteration):
    """Within epochs, at their ends and in a validation, about plateaus, with the running mean of the loss."""

    class Stop(Exception):
        pass

    def stop(engine) -> None:
        raise Stop

    whole = Run(tmp_path / "whole").run()
    cut = Run(tmp_path / "cut", minutes=0)
    if iteration == "validation":  # the one that moves on
        cut.evaluator.add_event_handler(Events.EPOCH_STARTED(once=3), stop)
    else:
        cut.trainer.add_event_handler(Events.ITERATION_STARTED(once=iteration + 1), stop)
    with pytest.raises(Stop):
        cut.run()
    resumed = Run(tmp_path / "cut", resume=True, minutes=0).run()
    first, second = (torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("whole", "cut"))
    assert torch.equal(first["network"]["weight"], second["network"]["weight"])
    assert first["states"] == second["states"]
    assert first["lr_scheduler"] == second["lr_scheduler"]
    assert torch.equal(
        first["optimizer"]["state"][0]["momentum_buffer"], second["optimizer"]["state"][0]["momentum_buffer"]
    )
    assert len(resumed.updates) > 0
    assert whole.updates[-len(resumed.updates) :] == resumed.updates
    assert whole.rates[-len(resumed.rates) :] == resumed.rates
    assert len(set(whole.rates)) > 1


def test_accumulated_epochs_equal_those_of_large_batches(tmp_path):
    loss = FocalSSIMLoss(difficulty="input", mean_difficulty=0.3)
    accumulated = Run(tmp_path / "accumulated", epochs=3, steps=(4,), loss=loss).run()
    large = Run(tmp_path / "large", epochs=3, steps=None, batch_size=4, loss=loss).run()
    assert [set(update) for update in accumulated.updates] == [set(update) for update in large.updates]
    first, second = (run.trainer.network.weight.item() for run in (accumulated, large))
    assert abs(first - 2) > 1e-3, "the weight must have moved for this to mean anything"
    assert first == pytest.approx(second, abs=1e-6)


def test_off_changes_nothing(tmp_path):
    run = Run(tmp_path, steps=None, epochs=4, accumulation_steps=2)
    run.trainer.batches_per_step = 2
    run.run()
    assert {len(update) for update in run.updates} == {2}
    assert run.schedule.state_dict() == {}
    run.schedule.load_state_dict({})


def test_rising_steps_and_the_trainers_own_first_step(tmp_path):
    run = Run(tmp_path, steps=(2, 8), accumulation_steps=2).run()
    assert [len(update) for update in run.updates] == [2] * 12 + [8] * 3


def test_contradictions_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"accumulation_steps is 2, but the schedule of .* begins with 4"):
        Run(tmp_path, accumulation_steps=2)
    with pytest.raises(ValueError, match=r"steps are \[2, 0\], expected whole numbers"):
        Run(tmp_path, steps=(2, 0))
    with pytest.raises(ValueError, match=r"steps are \[2, 2\], in which two in a row are equal"):
        Run(tmp_path, steps=(2, 2))
    with pytest.raises(ValueError, match="steps are empty, so that no schedule is left"):
        Run(tmp_path, steps=())
    Run(tmp_path, epochs=1).run()
    with pytest.raises(ValueError, match=r"had the steps \[4, 2, 1\] and would now have \[8, 1\]"):
        Run(tmp_path, steps=(8, 1), resume=True).run()


def test_a_state_of_before_the_schedule_is_continued_with_a_warning(tmp_path, caplog):
    Run(tmp_path, epochs=1, steps=None, loss=FocalSSIMLoss()).run()
    Run(tmp_path, epochs=2, resume=True).run()
    assert "has no state of batch_schedule as it is configured now; it starts anew" in caplog.text
    assert "has no state of loss as it is configured now; it starts anew" in caplog.text


def test_the_accumulation_does_not_change_within_an_epoch(tmp_path):
    run = Run(tmp_path, steps=(2, 1))
    run.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=2), lambda engine: engine.change_accumulation(1))
    with pytest.raises(RuntimeError, match="iteration 2 is in the middle of an epoch"):
        run.run()
    with pytest.raises(ValueError, match="accumulation_steps is 0"):
        run.trainer.change_accumulation(0)


def train(folder: Path, steps: tuple[int, ...]) -> None:
    """A run in each of the processes; every one notes what it ended with."""
    run = Run(folder, steps=steps, loss=FocalSSIMLoss(difficulty="input", mean_difficulty=0.3))
    weight = run.trainer.network.weight
    if distributed.world_size() > 1:
        run.trainer.network = torch.nn.parallel.DistributedDataParallel(run.trainer.network)
    run.run()
    running, images = (
        FocalSSIMLoss(difficulty="input"),
        torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1)),
    )
    mine = images[distributed.rank() :: distributed.world_size()]
    running(mine, mine, torch.ones(len(mine)), mine**2)
    result = {
        "weight": weight.item(),
        "updates": len(run.updates),
        "state": {**run.schedule.state_dict(), "steps": None},
        "loss": [running.difficulty_sum.item(), running.difficulty_count.item()],
        "effective": run.schedule.effective_batch,
    }
    (folder / f"{distributed.rank()}.json").write_text(json.dumps(result))


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    train(tmp_path / "one", (4, 2))
    script = tmp_path / "train.py"
    script.write_text(
        f"import pathlib, sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import test_effective_batch as test\n"
        "test.distributed.start()\n"
        f"test.train(pathlib.Path({str(tmp_path / 'two')!r}), (2, 1))\n"
        "test.distributed.stop()\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    files = ("one/0.json", "two/0.json", "two/1.json")
    one, first, second = (json.loads((tmp_path / file).read_text()) for file in files)
    assert first == second, "processes must not come apart"
    assert abs(one["weight"] - 2) > 1e-2
    assert first.pop("weight") == pytest.approx(one.pop("weight"), abs=1e-5)
    assert first.pop("loss") == pytest.approx(one.pop("loss"), rel=1e-5)
    assert first == one
    assert (one["state"]["level"], one["effective"]) == (1, 2)
