"""When a training run validates."""

from __future__ import annotations

from ignite.engine import Engine, Events
from monai.engines import Evaluator

__all__ = ["FinalValidation", "InitialValidation", "validation_due"]


def validation_due(epoch: int, interval: int, max_epochs: int) -> bool:
    """Whether a run validates after an epoch: at every so manieth, and at the last.

    Args:
        epoch: counted from 1.
        interval: validate at multiples of this.
        max_epochs: the run's last epoch.
    """
    return epoch % interval == 0 or epoch == max_epochs


class InitialValidation:
    """Validates before the first epoch of a run that is not resumed, as epoch 0.

    For runs that start from trained weights: those stay the best ones until others are better.

    Args:
        evaluator: the validation engine.
    """

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator

    def attach(self, engine: Engine) -> None:
        """Register with the trainer, after its ``TrainingCheckpoint``."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Validate if nothing was trained yet."""
        if engine.state.epoch > 0 or engine.state.iteration > 0:
            return
        # MONAI gives an evaluator at least one epoch, which would be another pass here
        with self.evaluator.add_event_handler(Events.EPOCH_COMPLETED, Evaluator.terminate):
            self.evaluator.run(0)


class FinalValidation:
    """Validates after the last epoch where MONAI's ``ValidationHandler``, which knows multiples only, does not.

    Args:
        evaluator: the validation engine.
        interval: that of the ``ValidationHandler``.
    """

    def __init__(self, evaluator: Evaluator, interval: int) -> None:
        self.evaluator = evaluator
        self.interval = interval

    def attach(self, engine: Engine) -> None:
        """Register with the trainer, after its ``ValidationHandler``."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Validate if this is the last epoch and no multiple of the interval."""
        epoch = engine.state.epoch
        if epoch == engine.state.max_epochs and epoch % self.interval:
            self.evaluator.run(epoch)
