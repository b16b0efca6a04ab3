"""The command line: `recon-monai COMMAND`, also `python -m recon_monai COMMAND`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from recon_monai.commands import COMMANDS

__all__ = ["main"]

logger = logging.getLogger(__name__)

# What bad input and settings raise; anything else is a defect and keeps its traceback.
_USER_ERRORS = (ValueError, OSError, ImportError)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; bad input ends with one sentence and exit status 1.

    Args:
        arguments: words after the program's name; None takes them from the command line.
    """
    import fire

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        fire.Fire(COMMANDS, command=None if arguments is None else list(arguments), name="recon-monai")
    except _USER_ERRORS as error:
        logger.debug("traceback", exc_info=True)
        logger.error("error: %s", error)
        sys.exit(1)
