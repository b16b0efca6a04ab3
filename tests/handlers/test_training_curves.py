"""Curves beside the loss, and the table of runs."""

from __future__ import annotations

import time

import pytest
import torch
from ignite.engine import Engine, State
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from recon_monai.engines import PrepareReconstructionBatch, ReconstructionInferer, ReconstructionTrainer
from recon_monai.handlers import CurveWriter, HyperParameters, TrainingCurves, learned_weights
from recon_monai.networks import DIRCN, UniversalVarNet, VarNet

SMALL = {"num_cascades": 2, "channels": 2, "pools": 1, "sensitivity_channels": 2}


class Drawn(dict):
    """Scalars by tag, each a list of (step, value)."""

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.setdefault(tag, []).append((step, value))


def slow_batches(count: int, seconds: float):
    for _ in range(count):
        time.sleep(seconds)
        yield {"image": torch.zeros(3, 1)}


def test_waiting_and_throughput_are_those_of_the_clock():
    def step(engine, batch):
        time.sleep(0.02)
        return {}

    engine, drawn = Engine(step), Drawn()
    TrainingCurves(drawn, interval=5).attach(engine)
    engine.run(slow_batches(10, 0.06), epoch_length=10)
    assert [at for at, _ in drawn["share_waiting_for_data"]] == [5, 10]
    share, speed = (drawn[name][-1][1] for name in ("share_waiting_for_data", "items_per_second"))
    assert 0.6 < share < 0.85  # 0.06 of 0.08 seconds
    assert 20 < speed < 38  # 3 items in 0.08 seconds


def test_data_that_is_there_is_not_waited_for():
    engine, drawn = Engine(lambda engine, batch: time.sleep(0.01)), Drawn()
    TrainingCurves(drawn, interval=4).attach(engine)
    engine.run([[0, 1]] * 4)
    assert drawn["share_waiting_for_data"][0][1] < 0.2


def test_gradient_norm_is_that_before_clipping():
    generator = torch.Generator().manual_seed(0)
    kspace = torch.randn(1, 2, 16, 12, dtype=torch.complex64, generator=generator)
    batch = {
        "kspace": kspace,
        "mask": torch.ones(1, 1, 1, 12, dtype=torch.bool),
        "target": torch.rand(1, 1, 16, 12, generator=generator),
        "maximum": torch.ones(1),
        "output_size": torch.tensor([[16, 12]]),
        "file": ["a.h5"],
        "slice": [0],
    }
    network, drawn = VarNet(**SMALL), Drawn()
    trainer = ReconstructionTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=[batch],
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.0),
        loss_function=lambda prediction, target, data_range: 1000 * (prediction - target).square().mean(),
        prepare_batch=PrepareReconstructionBatch(),
        inferer=ReconstructionInferer(),
        max_gradient_norm=1e-3,
        train_handlers=[TrainingCurves(drawn, network, interval=1)],
        decollate=False,
    )
    trainer.logger.disabled = True
    trainer.run()
    network.zero_grad()
    (1000 * (network(kspace, batch["mask"]) - batch["target"]).square().mean()).backward()
    gradients = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
    expected = float(torch.linalg.vector_norm(torch.cat(gradients)))
    assert expected > 1 and drawn["gradient_norm"] == [(1, pytest.approx(expected, rel=1e-4))]
    assert drawn["items_per_second"][0][1] > 0
    assert drawn["data_consistency/00"] == [(1, 1.0)] and "data_consistency/01" in drawn


def test_learned_weights_are_those_of_the_network():
    network = UniversalVarNet(["brain", "knee"], **SMALL)
    start = learned_weights(network)
    assert start["aspin_gamma/brain"] == start["aspin_beta/knee"] == 0 and start["data_consistency/01"] == 1
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if ".gamma.1" in name:
                parameter.add_(0.5)
            if name.endswith("cascades.1.data_consistency_weight"):
                parameter.fill_(0.25)
    found = learned_weights(network)
    assert found["aspin_gamma/knee"] == pytest.approx(0.5) and found["aspin_gamma/brain"] == 0
    assert found["data_consistency/01"] == 0.25
    assert "aggregation/00" in learned_weights(DIRCN(2, aggregation="normalized_sum"))
    assert learned_weights(torch.nn.Linear(2, 2)) == {}


def test_settings_and_final_metrics_are_in_the_table_of_runs(tmp_path):
    evaluator, curves = Engine(lambda engine, batch: None), CurveWriter(tmp_path)
    evaluator.state = State(metrics={"val_ssim": 0.9, "val_ssim/brain/4x": 0.8, "val_psnr": float("nan")})
    trainer = Engine(lambda engine, batch: None)
    settings = {"learning_rate": 0.1, "amp": True, "run_name": "x", "device": "$torch.device('cpu')", "steps": [1]}
    HyperParameters(curves, evaluator, settings).attach(trainer)
    trainer.run([0, 1])
    curves.close()
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(event.step, round(event.value, 5)) for event in events.Scalars("final/val_ssim")] == [(2, 0.9)]
    assert "final/val_ssim/brain/4x" not in events.Tags()["scalars"]
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    written = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert {name: value.number_value or value.bool_value for name, value in written.items()} == {
        "learning_rate": 0.1,
        "amp": True,
    }
    assert len(list(tmp_path.iterdir())) == 1, "one event file per run"
