"""When a training run validates."""

from __future__ import annotations

from ignite.engine import Engine, Events
from monai.engines import Evaluator

__all__ = ["FinalValidation", "validation_due"]


def validation_due(epoch: int, interval: int, max_epochs: int) -> bool:
    """Whether a run validates after an epoch: at every so manieth, and at the last.

    Args:
        epoch: counted from 1.
        interval: validate at multiples of this.
        max_epochs: the run's last epoch.
    """
    return epoch % interval == 0 or epoch == max_epochs


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
