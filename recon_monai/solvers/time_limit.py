"""A stated limit to the time of solvers that are too slow for every file."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator

from recon_monai.solvers.solution import Step

__all__ = ["check_time_limit", "within"]

_logger = logging.getLogger(__name__)


def within(steps: Iterator[Step], time_limit: float | None) -> Iterator[Step]:
    """Pass steps on until the time is over.

    The iteration in which it ends is completed, and one iteration is made in any case. So a solver takes at most its
    limit and the time of one iteration.

    Args:
        steps: the start, then one iterate after the other.
        time_limit: seconds from the first step on; None: no limit.

    Yields:
        The steps.
    """
    began = time.monotonic()
    for count, step in enumerate(steps):
        # a device works asynchronously: a value on the host is one that is there
        step.objective.tolist()
        yield step
        if count and time_limit is not None and time.monotonic() - began >= time_limit:
            _logger.info("stopped by the time limit of %g s after %d iterations", time_limit, count)
            return


def check_time_limit(time_limit: float | None) -> None:
    """Raise `ValueError` unless a time limit is a positive number of seconds, or None."""
    if time_limit is not None and not (math.isfinite(time_limit) and time_limit > 0):
        raise ValueError(f"time_limit is {time_limit}, expected a positive number of seconds, or None for no limit.")
