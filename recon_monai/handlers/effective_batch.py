"""Another effective batch when validation no longer gets better."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from ignite.engine import Events
from monai.engines import Evaluator

from recon_monai.data import SliceBatchSampler
from recon_monai.engines.trainer import ReconstructionTrainer
from recon_monai.handlers.plateau import Plateau, key_metric, larger_is_better

__all__ = ["EffectiveBatchScheduler"]

logger = logging.getLogger(__name__)


class EffectiveBatchScheduler:
    """Changes how many batches make an update of the weights, instead of changing the learning rate.

    It begins with the first of `steps`; each plateau of the validation's key metric moves on to the next, from the next
    epoch on. The default, 4, 2, 1, starts with few updates of little noise and ends with many. Rising steps are what
    Smith et al. 2018 (arXiv:1711.00489) use in the place of a decaying rate, as noise falls with the batch.

    The trainer accumulates so many batches, and the batch sampler cuts epochs into steps to match, in every process
    alike. An epoch has as many batches as before. The effective batch, in slices of all processes, is logged, and drawn
    as ``effective_batch``.

    Goes into the trainer's handlers before ``TrainingCheckpoint``, which is to have it among its ``states``: a resumed
    run then goes on with the same step and the same count of bad validations.

    Args:
        sampler: batch sampler of the trainer's loader.
        evaluator: the validation engine.
        steps: batches per update in each process, one after the other; None leaves everything as it is.
        patience: so many validations in a row may be no better than the best; the next one moves on.
        threshold: by how much a better validation is better.
        curves: a ``CurveWriter``, or None.

    Raises:
        ValueError: if there is no step, one is below 1, two in a row are equal, or patience or threshold is negative.
    """

    def __init__(
        self,
        sampler: SliceBatchSampler,
        evaluator: Evaluator,
        steps: Sequence[int] | None = (4, 2, 1),
        patience: int = 3,
        threshold: float = 1e-4,
        curves: Any = None,
    ) -> None:
        self.sampler = sampler
        self.evaluator = evaluator
        if steps is not None and not steps:
            raise ValueError("steps are empty, so that no schedule is left; give some, like [4, 2, 1]")
        self.steps = tuple(steps or ())
        if not all(isinstance(step, int) and step >= 1 for step in self.steps):
            raise ValueError(f"steps are {list(self.steps)}, expected whole numbers of at least 1")
        if any(one == other for one, other in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError(f"steps are {list(self.steps)}, in which two in a row are equal; leave one of them out")
        self.curves = curves
        self.level = 0
        self.plateau = Plateau(patience, threshold, larger_is_better(evaluator))
        self._trainer: ReconstructionTrainer | None = None

    @property
    def effective_batch(self) -> int:
        """Most slices of an update, in all processes."""
        return self.sampler.batch_size * self.sampler.accumulation_steps * self.sampler.world_size

    def attach(self, engine: ReconstructionTrainer) -> None:
        """Register with trainer and validation engine, and take over the accumulation.

        Args:
            engine: the trainer.

        Raises:
            ValueError: if the trainer or the sampler has an accumulation of its own that is not the first step.
        """
        if not self.steps:
            return
        own = {engine.batches_per_step, self.sampler.accumulation_steps} - {1, self.steps[0]}
        if own:
            raise ValueError(
                f"accumulation_steps is {max(own)}, but the schedule of the effective batch begins with "
                f"{self.steps[0]}; give accumulation_steps 1 or that number, or no steps"
            )
        self._trainer = engine
        self._apply()
        engine.add_event_handler(Events.EPOCH_STARTED, self._draw)
        self.evaluator.add_event_handler(Events.COMPLETED, self)

    def __call__(self, evaluator: Evaluator) -> None:
        """Take note of a validation."""
        if self.level + 1 == len(self.steps) or not self.plateau.update(key_metric(evaluator)):
            return
        self.level += 1
        self._apply()
        logger.info(
            "validation no better %d time(s) in a row: from now on %d batches per update, up to %d slices",
            self.plateau.patience + 1,
            self.steps[self.level],
            self.effective_batch,
        )

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule is; empty if there are no steps."""
        if not self.steps:
            return {}
        return {"steps": list(self.steps), "level": self.level, "best": self.plateau.best, "bad": self.plateau.bad}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where a schedule was.

        Args:
            state_dict: from `state_dict`.

        Raises:
            ValueError: if its steps are others.
        """
        if not state_dict:
            return
        if list(state_dict["steps"]) != list(self.steps):
            raise ValueError(
                f"the run's effective batch had the steps {list(state_dict['steps'])} and would now have "
                f"{list(self.steps)}; give what it had, or start a new run from its weights"
            )
        self.level = int(state_dict["level"])
        self.plateau.best, self.plateau.bad = state_dict["best"], int(state_dict["bad"])
        if self._trainer is not None:
            self._apply()

    def _apply(self) -> None:
        if self._trainer is None:
            raise RuntimeError("the schedule of the effective batch belongs to no trainer yet; attach it first")
        self._trainer.change_accumulation(self.steps[self.level])
        self.sampler.accumulation_steps = self.steps[self.level]

    def _draw(self, engine: ReconstructionTrainer) -> None:
        if self.curves is not None:
            # at the epoch's first iteration, which a resumed run draws again
            self.curves.add_scalar("effective_batch", self.effective_batch, engine.state.iteration + 1)
