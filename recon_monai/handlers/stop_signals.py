"""SIGTERM and Ctrl-C, taken note of until the work in hand is done."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType
from typing import Any

__all__ = ["Interrupted", "StopSignals"]

logger = logging.getLogger(__name__)


class Interrupted(SystemExit):
    """A run ended early because of a signal; the exit status is the shell's for that signal (128 + its number)."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


class StopSignals:
    """Remembers the first SIGTERM or SIGINT; a second one acts at once, as without this.

    Attributes:
        received: number of the signal, 0 if none came.
    """

    def __init__(self) -> None:
        self.received = 0
        self._previous: dict[int, Any] = {}

    def install(self) -> None:
        """Begin to listen; only the main thread of a process can."""
        if threading.current_thread() is not threading.main_thread():
            return
        self.received = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            self._previous[number] = signal.signal(number, self._receive)

    def restore(self) -> None:
        """Give the signals back to whoever had them."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self.restore()
        name = signal.Signals(number).name
        logger.warning("%s: finishing this step and saving; once more to stop at once", name)
