"""Plateaus of the validation: found as PyTorch finds them, and answered with a lower learning rate."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from torch.optim.lr_scheduler import ReduceLROnPlateau

from recon_monai.handlers import PlateauLearningRate
from recon_monai.handlers.plateau import Plateau


def sgd() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.8)


def evaluator_of(values, larger: bool = True) -> Engine:
    """A validation whose key metric takes one value after the other."""
    engine = Engine(lambda engine, batch: None)
    engine.state.key_metric_name = "val_ssim"
    engine.metric_cmp_fn = (lambda new, best: new > best) if larger else (lambda new, best: new < best)
    remaining = iter(values)

    @engine.on(Events.EPOCH_COMPLETED)
    def measure(engine: Engine) -> None:
        engine.state.metrics["val_ssim"] = next(remaining)

    return engine


@pytest.mark.parametrize("larger", [True, False])
@pytest.mark.parametrize(("patience", "threshold"), [(0, 0.0), (1, 0.05), (3, 0.0), (3, 0.1)])
def test_plateaus_are_those_of_pytorch(larger, patience, threshold):
    values = np.random.default_rng(3).normal(size=60).cumsum() * 0.05
    optimizer = sgd()
    reference = ReduceLROnPlateau(
        optimizer,
        mode="max" if larger else "min",
        factor=0.9,
        patience=patience,
        threshold=threshold,
        threshold_mode="abs",
    )
    plateau = Plateau(patience, threshold, larger)
    found, expected = [], []
    for value in values:
        before = optimizer.param_groups[0]["lr"]
        reference.step(value)
        expected.append(optimizer.param_groups[0]["lr"] < before)
        found.append(plateau.update(value))
    assert found == expected
    assert 0 < sum(found) < 60


def test_numbers_of_a_plateau_are_checked():
    with pytest.raises(ValueError, match="patience is -1"):
        Plateau(-1)
    with pytest.raises(ValueError, match="threshold nan"):
        Plateau(threshold=math.nan)


def test_the_rate_falls_when_validation_does_not_get_better():
    values = [0.5, 0.6, 0.6, 0.59, 0.6, 0.58, 0.7, 0.7]
    evaluator, optimizer = evaluator_of(values), sgd()
    schedule = ReduceLROnPlateau(optimizer, mode="max", factor=0.5, patience=3)
    handler = PlateauLearningRate(schedule, evaluator)
    handler.attach(Engine(lambda engine, batch: None))
    rates = []
    for _ in values:
        evaluator.run([0])
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [0.8] * 5 + [0.4] * 3


def test_traps_are_refused():
    with pytest.raises(ValueError, match="mode 'min', but the evaluator keeps weights as best by mode 'max'"):
        PlateauLearningRate(ReduceLROnPlateau(sgd()), evaluator_of([]))
    with pytest.raises(ValueError, match="mode 'max', but the evaluator keeps weights as best by mode 'min'"):
        PlateauLearningRate(ReduceLROnPlateau(sgd(), mode="max"), evaluator_of([], larger=False))
    with pytest.raises(TypeError, match="StepLR, expected ReduceLROnPlateau"):
        PlateauLearningRate(torch.optim.lr_scheduler.StepLR(sgd(), 1), evaluator_of([]))
    handler = PlateauLearningRate(ReduceLROnPlateau(sgd(), mode="max"), evaluator_of([]))
    state = SimpleNamespace(key_metric_name="val_ssim", metrics={"val_ssim": math.nan}, epoch=3)
    with pytest.raises(FloatingPointError, match="val_ssim is nan in the validation of epoch 3"):
        handler(SimpleNamespace(state=state))
    state.key_metric_name = None
    with pytest.raises(ValueError, match="no key metric"):
        handler(SimpleNamespace(state=state))
