"""How likely augmentation is in which epoch (Fabian et al. 2021, arXiv:2106.14947, section 3.3)."""

from __future__ import annotations

import dataclasses
import logging
import math
from typing import Literal, get_args

__all__ = ["AugmentationSchedule", "ScheduleKind"]

logger = logging.getLogger(__name__)

ScheduleKind = Literal["exponential", "linear", "constant"]


@dataclasses.dataclass(frozen=True)
class AugmentationSchedule:
    """Probability of augmentation, 0 up to and including epoch ``delay`` and ``strength`` from ``max_epochs`` on.

    In between, with ``s = (epoch - delay) / (max_epochs - delay)``:

    * ``"exponential"``: ``strength * (1 - exp(-decay * s)) / (1 - exp(-decay))``, steep first;
    * ``"linear"``: ``strength * s``;
    * ``"constant"``: ``strength``.

    A run of at most ``delay`` epochs augments nothing, which is logged as a warning.

    Args:
        delay: so many epochs go without augmentation.
        strength: the largest probability; 0 for no augmentation.
        max_epochs: of the run.
        kind: shape of the rise.
        decay: of the exponential.

    Raises:
        ValueError: if a number is out of range or ``kind`` something else.
    """

    delay: int
    strength: float
    max_epochs: int
    kind: ScheduleKind = "exponential"
    decay: float = 5.0

    def __post_init__(self) -> None:
        """Check the arguments, and warn of a schedule without effect."""
        if self.kind not in get_args(ScheduleKind):
            raise ValueError(f"kind is {self.kind!r}, expected one of {', '.join(get_args(ScheduleKind))}")
        if self.delay < 0 or self.max_epochs < 1:
            raise ValueError(
                f"delay is {self.delay} and max_epochs {self.max_epochs}, expected at least 0 and at least 1"
            )
        if not (math.isfinite(self.strength) and 0 <= self.strength <= 1):
            raise ValueError(f"strength is {self.strength}, expected a probability from 0 to 1")
        if not (math.isfinite(self.decay) and self.decay > 0):
            raise ValueError(f"decay is {self.decay}, expected a number above 0")
        if self.strength > 0 and self.max_epochs <= self.delay:
            logger.warning(
                "augmentation starts after epoch %d, but the run has %d: nothing will be augmented; use a smaller "
                "delay, or strength 0 if none is wanted",
                self.delay,
                self.max_epochs,
            )

    def probability(self, epoch: int) -> float:
        """Probability in one epoch.

        Args:
            epoch: counted from 1, as Ignite does.

        Returns:
            From 0 to ``strength``.
        """
        if epoch <= self.delay:
            return 0.0
        if self.kind == "constant" or epoch >= self.max_epochs:
            return self.strength
        share = (epoch - self.delay) / (self.max_epochs - self.delay)
        if self.kind == "linear":
            return self.strength * share
        return self.strength * math.expm1(-self.decay * share) / math.expm1(-self.decay)
