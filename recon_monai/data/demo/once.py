"""A folder of data that is made once, also where several processes want it at the same time."""

from __future__ import annotations

import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from recon_monai.data.splits import SPLIT_FILE

__all__ = ["made_once"]

logger = logging.getLogger(__name__)


def made_once(folder: Path, make: Callable[[Path], None], what: str) -> str:
    """Path of a data set, which is made if it is not there.

    Each process makes it in a folder of its own, and the first to finish moves it to its place.

    Args:
        folder: its place; complete if it holds ``split.json``.
        make: makes the same content, ``split.json`` included, in the folder it is given.
        what: what is made, for the log.

    Returns:
        The folder's path.
    """
    if (folder / SPLIT_FILE).exists():
        return str(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    logger.info("making the %s in %s (once)", what, folder)
    start = time.monotonic()
    try:
        make(temporary)
        _move(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    logger.info("made the %s in %.0f s", what, time.monotonic() - start)
    return str(folder)


def _move(temporary: Path, folder: Path) -> None:
    """Rename a finished set; another process may have been faster with the same content."""
    try:
        temporary.rename(folder)
    except OSError:
        if not (folder / SPLIT_FILE).exists():
            raise
