"""What a run does when validation no longer gets better: find out, and lower the learning rate."""

from __future__ import annotations

import logging
import math
from typing import Any

from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch.optim.lr_scheduler import ReduceLROnPlateau

from recon_monai import distributed

__all__ = ["Plateau", "PlateauLearningRate", "key_metric", "larger_is_better"]

logger = logging.getLogger(__name__)


class Plateau:
    """Finds out that a number no longer gets better; as ``ReduceLROnPlateau`` does with an absolute threshold.

    Args:
        patience: so many values in a row may be no better than the best one; the next such value is a plateau.
        threshold: a value is better if it is by more than this.
        larger: whether larger values are better.

    Attributes:
        best: the best value so far; None before the first.
        bad: values in a row that were no better.

    Raises:
        ValueError: if the patience or the threshold is negative.
    """

    def __init__(self, patience: int = 3, threshold: float = 1e-4, larger: bool = True) -> None:
        if patience < 0 or not threshold >= 0:
            raise ValueError(f"patience is {patience} and threshold {threshold}, expected 0 or more")
        self.patience = patience
        self.threshold = threshold
        self.larger = larger
        self.best: float | None = None
        self.bad = 0

    def update(self, value: float) -> bool:
        """Take the next value.

        Args:
            value: a finite number.

        Returns:
            Whether this is a plateau. Counting begins anew then, with the same best value.
        """
        if self.best is None or (value - self.best if self.larger else self.best - value) > self.threshold:
            self.best, self.bad = value, 0
        else:
            self.bad += 1
        if self.bad <= self.patience:
            return False
        self.bad = 0
        return True


def key_metric(evaluator: Evaluator) -> float:
    """The key metric of a validation that was just completed, the same in every process.

    Args:
        evaluator: the validation engine.

    Raises:
        ValueError: if it has no key metric.
        FloatingPointError: if its value is not finite.
    """
    name = evaluator.state.key_metric_name
    if name is None:
        raise ValueError("the evaluator has no key metric to go by; give it key_val_metric")
    value = float(distributed.agree(float(evaluator.state.metrics[name])))
    if not math.isfinite(value):
        raise FloatingPointError(
            f"{name} is {value} in the validation of epoch {evaluator.state.epoch}, which tells nothing of a "
            "plateau; look at the reconstructions, or lower the learning rate"
        )
    return value


def larger_is_better(evaluator: Evaluator) -> bool:
    """Whether the evaluator, which keeps the best weights, takes the larger key metric for the better one."""
    return bool(evaluator.metric_cmp_fn(1.0, 0.0))


class PlateauLearningRate:
    """Lowers the learning rate when the key metric of the validation no longer gets better.

    MONAI's ``LrScheduleHandler``, attached to the evaluator with a ``step_transform``, would do so with three traps:
    the default mode ``"min"`` lowers the rate while SSIM rises, a metric that is NaN counts as no better, and processes
    with different values would come apart. Here the mode has to agree with the evaluator's comparison, a NaN stops the
    run, and all processes follow the main one.

    Goes into the trainer's handlers before ``TrainingCheckpoint``, which saves and restores the schedule as its
    ``lr_scheduler``: a validation that was cut off counts once.

    Args:
        lr_scheduler: for example ``ReduceLROnPlateau(optimizer, mode="max", factor=0.5, patience=3)``.
        evaluator: the validation engine.

    Raises:
        TypeError: if the schedule is no ``ReduceLROnPlateau``.
        ValueError: if its mode contradicts the evaluator.
    """

    def __init__(self, lr_scheduler: ReduceLROnPlateau, evaluator: Evaluator) -> None:
        if not isinstance(lr_scheduler, ReduceLROnPlateau):
            raise TypeError(
                f"the schedule is {type(lr_scheduler).__name__}, expected ReduceLROnPlateau; others do not depend on "
                "validation and go with LrScheduleHandler"
            )
        mode = "max" if larger_is_better(evaluator) else "min"
        if lr_scheduler.mode != mode:
            raise ValueError(
                f"the schedule has mode {lr_scheduler.mode!r}, but the evaluator keeps weights as best by mode "
                f"{mode!r}; set mode to {mode!r}, or the evaluator's metric_cmp_fn"
            )
        self.lr_scheduler = lr_scheduler
        self.evaluator = evaluator

    def attach(self, engine: Engine) -> None:
        """Register with the validation engine.

        Args:
            engine: the trainer.
        """
        self.evaluator.add_event_handler(Events.COMPLETED, self)

    def __call__(self, evaluator: Evaluator) -> None:
        """Take note of a validation."""
        before = self._rates()
        self.lr_scheduler.step(key_metric(evaluator))
        if self._rates() != before:
            logger.info(
                "validation no better %d time(s) in a row: learning rate %s",
                self.lr_scheduler.patience + 1,
                self._rates(),
            )

    def _rates(self) -> list[Any]:
        return [group["lr"] for group in self.lr_scheduler.optimizer.param_groups]
