"""The saved state of a run: what cannot be continued is refused, and says why."""

from __future__ import annotations

import json

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedEvaluator
from monai.optimizers import WarmupCosineSchedule
from torch.utils.data import DataLoader

from recon_monai.data import SliceBatchSampler
from recon_monai.engines import PrepareReconstructionBatch, ReconstructionTrainer
from recon_monai.handlers import TrainingCheckpoint, VolumeMetrics
from recon_monai.metrics import nmse


class Slices(torch.utils.data.Dataset):
    """Six slices of random k-space; the first `count` of them."""

    def __init__(self, count: int = 6) -> None:
        generator = torch.Generator().manual_seed(0)
        self.kspace = torch.randn(6, 2, 8, 8, dtype=torch.complex64, generator=generator)[:count]
        self.data = [{"path": "a.h5"} for _ in range(count)]

    def __len__(self) -> int:
        return len(self.kspace)

    def shape_key(self, index: int) -> int:
        return 0

    def __getitem__(self, index: int) -> dict[str, object]:
        target = self.kspace[index].abs().mean(0, keepdim=True)
        fields = {"file": "a.h5", "slice": index, "num_slices": len(self), "maximum": 4.0}
        return {"kspace": self.kspace[index], "target": target, "output_size": torch.tensor([8, 8]), **fields}


class Scale(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(2.0))

    def forward(self, kspace, mask=None):
        return self.weight * kspace.abs().mean(1, keepdim=True)


def infer(kspace, network, *args, mask, output_size, where):
    return network(kspace, mask)


def make(folder, *, epochs: int = 2, batch_size: int = 2, count: int = 6, resume: bool = True, **options):
    """A trainer with its validation and checkpoint."""
    network, data = Scale(), Slices(count)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    schedule = WarmupCosineSchedule(optimizer, warmup_steps=1, t_total=epochs)
    sampler = SliceBatchSampler(data, batch_size)
    shared = {"network": network, "prepare_batch": PrepareReconstructionBatch(), "inferer": infer}
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(data),
        key_val_metric={"val_nmse": VolumeMetrics({"nmse": nmse}, key="nmse", group_by=())},
        **shared,
    )
    checkpoint = TrainingCheckpoint(
        folder, network, optimizer, schedule, sampler, evaluator, resume=resume, description={"mask": "none"}, **options
    )
    trainer = ReconstructionTrainer(
        device=torch.device("cpu"),
        max_epochs=epochs,
        train_data_loader=DataLoader(data, batch_sampler=sampler),
        optimizer=optimizer,
        loss_function=lambda prediction, target, data_range: (prediction - target).abs().mean(),
        decollate=False,
        train_handlers=[checkpoint],
        **shared,
    )
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: evaluator.run(engine.state.epoch))
    return trainer, evaluator


def test_a_state_holds_position_best_metric_and_random_numbers(tmp_path):
    trainer, evaluator = make(tmp_path)
    trainer.run()
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    assert (state["iteration"], state["epoch_length"], state["validation_pending"]) == (6, 3, False)
    assert state["best_metric"] == evaluator.state.best_metric
    assert torch.equal(state["network"]["weight"], trainer.network.weight)
    described = json.loads((tmp_path / "model.json").read_text())
    assert described["mask"] == "none"
    assert described["metrics"]["val_nmse"] == evaluator.state.metrics["val_nmse"]
    again, restored = make(tmp_path, epochs=3)
    before = torch.load(tmp_path / "model.pt", weights_only=True)
    seen = []
    again.add_event_handler(Events.ITERATION_STARTED, lambda engine: seen.append(engine.state.iteration))
    again.run()
    assert seen == [7, 8, 9], "the third epoch alone"
    if restored.state.best_metric_epoch < 3:
        assert torch.equal(torch.load(tmp_path / "model.pt", weights_only=True)["weight"], before["weight"])


def test_worse_weights_of_a_resumed_run_do_not_replace_the_best(tmp_path):
    trainer, _ = make(tmp_path, epochs=1)
    trainer.run()
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    state["best_metric"] = 1e9  # nothing is better
    torch.save(state, tmp_path / "last.pt")
    best = (tmp_path / "model.pt").read_bytes()
    again, _ = make(tmp_path, epochs=2)
    again.run()
    assert (tmp_path / "model.pt").read_bytes() == best


def test_without_a_state_a_run_begins(tmp_path, caplog):
    caplog.set_level("INFO")
    trainer, _ = make(tmp_path, epochs=1)
    trainer.run()
    assert "does not exist; the run starts from the beginning" in caplog.text
    assert trainer.state.iteration == 3


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "other pickle"])
def test_a_damaged_state_is_one_clear_error(tmp_path, damage):
    trainer, _ = make(tmp_path, epochs=1)
    trainer.run()
    path = tmp_path / "last.pt"
    content = path.read_bytes()
    if damage == "other pickle":
        torch.save({"weight": torch.zeros(1)}, path)
    else:
        path.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "text": b"hello"}[damage])
    again, _ = make(tmp_path)
    with pytest.raises(
        ValueError, match=r"last\.pt:? (cannot be read as a file of PyTorch|is no state of a training run)"
    ):
        again.run()


def test_code_in_a_state_is_not_run(tmp_path):
    class Bad:
        def __reduce__(self):
            return (exec, ("raise SystemExit('run')",))

    torch.save({"format": 1, "network": Bad()}, tmp_path / "last.pt")
    trainer, _ = make(tmp_path)
    with pytest.raises(ValueError, match=r"holds an object of type .*exec.*; it was not opened"):
        trainer.run()


def test_other_data_in_the_middle_of_an_epoch_are_refused_and_at_its_end_reported(tmp_path, caplog):
    trainer, _ = make(tmp_path, epochs=1)
    trainer.run()
    again, _ = make(tmp_path, count=4)
    again.run()
    assert "the run had 3 batches per epoch and process and would now have 2" in caplog.text
    assert again.state.iteration == 4
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    torch.save({**state, "iteration": 1}, tmp_path / "last.pt")
    again, _ = make(tmp_path, count=6)
    with pytest.raises(ValueError, match=r"stopped in the middle of epoch 1; give what it had, or .*--pretrained"):
        again.run()


def test_long_epochs_are_saved_in_between(tmp_path):
    trainer, _ = make(tmp_path, epochs=1, batch_size=1, minutes=0.0, resume=False)
    found = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED,
        lambda engine: (
            found.append(torch.load(tmp_path / "last.pt", weights_only=True)["iteration"])
            if (tmp_path / "last.pt").exists()
            else None
        ),
    )
    trainer.run()
    assert found == [1, 2, 3, 4, 5, 5], "the epoch's end is saved after the learning rate's step"
