"""Curves of an adversarial training."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine, Events

__all__ = ["AdversarialCurves"]


class AdversarialCurves:
    """Draws what the steps of a `WGANTrainer` found, and how many updates each network has had, in TensorBoard.

    ``train_NAME`` is the mean of a term (``reconstruction``, ``wasserstein``, ``penalty``, ...) over the steps since it
    was last drawn, of those that had it: steps of generator and critic alternate. ``updates_KIND`` are the counts.

    Args:
        curves: a ``CurveWriter`` or TensorBoard's ``SummaryWriter``.
        interval: iterations between two points.

    Raises:
        ValueError: if the interval is below 1.
    """

    def __init__(self, curves: Any, interval: int = 10) -> None:
        if interval < 1:
            raise ValueError(f"the interval of curves is {interval}, expected at least 1")
        self.curves = curves
        self.interval = interval
        self._found: dict[str, list[torch.Tensor]] = {}

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._iteration_completed)

    def _iteration_completed(self, engine: Engine) -> None:
        state: Any = engine.state
        for name, value in state.terms.items():
            self._found.setdefault(name, []).append(value)
        if state.iteration % self.interval:
            return
        for name, values in sorted(self._found.items()):
            self.curves.add_scalar(f"train_{name}", torch.stack(values).mean().item(), state.iteration)
        for kind, count in state.updates.items():
            self.curves.add_scalar(f"updates_{kind}", count, state.iteration)
        self._found = {}
