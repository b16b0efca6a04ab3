"""How a bundle's command ends when something is wrong with the data or the settings."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

__all__ = ["TRACEBACK_VARIABLE", "find_user_error", "show_plain_errors"]

TRACEBACK_VARIABLE = "RECON_MONAI_TRACEBACK"
"""Set to 1 to see the tracebacks of errors in data and settings too."""

# What this package raises for bad data and settings; other types are defects and keep their traceback.
_USER_ERRORS = (ValueError, OSError, ImportError, ArithmeticError, MemoryError, RuntimeError)
_PACKAGE = Path(__file__).parents[1]

logger = logging.getLogger(__name__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those it came from, the outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _raised_here(error: BaseException) -> bool:
    """Whether the ``raise`` stands in this package: then the message was written for users."""
    traceback = error.__traceback__
    if traceback is None:
        return False
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return _PACKAGE in Path(traceback.tb_frame.f_code.co_filename).parents


def _message_of_worker(error: BaseException) -> str | None:
    """The message of an error in a data loader's worker, which torch passes on as the text of its traceback."""
    text = str(error)
    if not text.startswith("Caught ") or "Original Traceback" not in text:
        return None
    # the last traceback of a chain is the outermost, as in _chain
    for block in reversed(text.split("Traceback (most recent call last):")[1:]):
        files = re.findall(r'^  File "([^"]+)"', block, flags=re.MULTILINE)
        raised = re.search(r"^[\w.]+: (.+?)(?:\n\n|\Z)", block.strip("\n"), flags=re.MULTILINE | re.DOTALL)
        if files and raised and _PACKAGE in Path(files[-1]).parents:
            return raised.group(1).strip()
    return None


def find_user_error(error: BaseException) -> str | None:
    """The message about data or settings behind an error, if there is one.

    MONAI wraps whatever happens in a configuration into errors of its own, several deep, and torch what happens in a
    data loader's worker.

    Args:
        error: what reached the top.

    Returns:
        The message of the outermost error of the chain that this package raised for the user, or None.
    """
    for one in _chain(error):
        if isinstance(one, _USER_ERRORS):
            message = str(one) if _raised_here(one) else _message_of_worker(one)
            if message is not None:
                return message
    return None


class _WithoutTraceback(logging.Filter):
    """Ignite and MONAI log each exception with its traceback, then raise it; the end of the command names it once."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, SystemExit) or (error is not None and find_user_error(error) is not None):
            return False
        return not record.getMessage().startswith(
            ("Current run is terminating due to exception", "Engine run is terminating due to exception")
        )


def show_plain_errors() -> None:
    """End the process with one line, not a traceback, when data or settings are wrong.

    Replaces ``sys.excepthook``; errors that are not about data or settings keep their traceback, and all do if
    ``RECON_MONAI_TRACEBACK`` is 1. For commands, not for use within other programs.
    """
    if os.environ.get(TRACEBACK_VARIABLE) == "1":
        return
    previous = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        known = find_user_error(error)
        if known is None:
            previous(kind, error, traceback)
            return
        logger.error("error: %s", known)
        logger.error("(%s=1 shows where it was raised)", TRACEBACK_VARIABLE)

    sys.excepthook = show
    threading.excepthook = lambda arguments: show(
        arguments.exc_type, arguments.exc_value or RuntimeError("unknown"), arguments.exc_traceback
    )
    without = _WithoutTraceback()
    for handler in logging.getLogger().handlers:
        handler.addFilter(without)
