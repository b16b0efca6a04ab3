"""One progress bar for a whole training run."""

from __future__ import annotations

import sys
from typing import Any

import torch
from ignite.engine import Engine, Events
from tqdm.auto import tqdm

from recon_monai import distributed

__all__ = ["TrainingProgress"]


class TrainingProgress:
    """Progress bar over all iterations of all epochs, so that its remaining time is that of the run.

    Ignite's ``ProgressBar`` starts anew each epoch and shows the epoch's remaining time only. Where standard error is a
    file, a line is written every 30 seconds.

    Args:
        key: entry of ``engine.state.output`` shown beside the bar.
    """

    def __init__(self, key: str = "loss") -> None:
        self.key = key
        self._bar: Any = None

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._advance)
        engine.add_event_handler(Events.COMPLETED | Events.TERMINATE, self._close)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._close_and_raise)

    def _start(self, engine: Engine) -> None:
        state = engine.state
        self._bar = tqdm(
            total=(state.max_epochs or 0) * (state.epoch_length or 0),
            initial=state.iteration,
            unit="step",
            desc="training",
            mininterval=0.5 if sys.stderr.isatty() else 30.0,
            maxinterval=1.0 if sys.stderr.isatty() else 30.0,
            disable=not distributed.is_main(),
        )

    def _advance(self, engine: Engine) -> None:
        self._bar.set_description(f"epoch {engine.state.epoch}/{engine.state.max_epochs}", refresh=False)
        value = float(torch.as_tensor(engine.state.output[self.key]).detach())  # type: ignore[index]
        self._bar.set_postfix({self.key: f"{value:.4f}"}, refresh=False)
        self._bar.update()

    def _close(self, engine: Engine) -> None:
        if self._bar is not None:
            self._bar.close()

    def _close_and_raise(self, engine: Engine, error: BaseException) -> None:
        self._close(engine)
        raise error
