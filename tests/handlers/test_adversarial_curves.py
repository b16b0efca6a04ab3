"""Curves of an adversarial training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events

from recon_monai.handlers import AdversarialCurves


class Curves:
    """Keeps what is drawn."""

    def __init__(self) -> None:
        self.points: dict[str, list[tuple[int, float]]] = {}

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.points.setdefault(name, []).append((step, value))


def run(interval: int) -> dict[str, list[tuple[int, float]]]:
    """Six steps that take turns: the critic's penalty is 1, 2, 3, the loss 1 to 6."""

    def step(engine: Any, batch: int) -> None:
        kind = "critic" if batch % 2 else "generator"
        engine.state.terms = {"loss": torch.tensor(float(batch))}
        if kind == "critic":
            engine.state.terms["penalty"] = torch.tensor((batch + 1) / 2)
        engine.state.updates[kind] += 1

    curves, engine = Curves(), Engine(step)
    engine.add_event_handler(
        Events.STARTED, lambda engine: setattr(engine.state, "updates", {"critic": 0, "generator": 0})
    )
    AdversarialCurves(curves, interval).attach(engine)
    engine.run(range(1, 7))
    return curves.points


def test_every_step() -> None:
    points = run(1)
    assert points["train_loss"] == [(step, float(step)) for step in range(1, 7)]
    assert points["train_penalty"] == [(1, 1.0), (3, 2.0), (5, 3.0)]
    assert points["updates_critic"] == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 3)]


def test_means_over_intervals() -> None:
    """Of the steps that had the term."""
    points = run(3)
    assert points["train_loss"] == [(3, 2.0), (6, 5.0)]
    assert points["train_penalty"] == [(3, 1.5), (6, 3.0)]
    assert points["updates_generator"] == [(3, 1), (6, 3)]


def test_an_interval_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="the interval of curves is 0"):
        AdversarialCurves(Curves(), 0)
