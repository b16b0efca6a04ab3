"""Paths of one machine, which must not leave it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from recon_monai.sharing.import_graph import package_folder

__all__ = ["check_no_machine_paths", "machine_paths"]

# Folders where people and clusters keep their files. Examples in documents use others, such as /data/fastmri.
_PLACES = "home|Users|root|tmp|work|workspace|mnt|media|scratch|srv|private|Volumes|gpfs|lustre|nfs"
# the rest of a path, and what does not stand before one: in a URL or a relative path another part does
_REST, _BEFORE = r"[^\s\"'`,;)\]\x00-\x1f\x7f-\xff]*", r"(?<![\w.:/~-])"
_USUAL = rf"{_BEFORE}/(?:{_PLACES})/[\w.~-]+{_REST}|\b[A-Za-z]:[\\/]+Users[\\/]+\w+"


def machine_paths(file: Path) -> list[tuple[int, str]]:
    """Find absolute paths that mean something on one machine alone.

    These are paths below the usual homes of users and data, and below the home, current, temporary and package folders
    of the machine this runs on.

    Args:
        file: text, or binary (weights hold strings, too).

    Returns:
        Number of the line and what was found there.
    """
    text = file.read_bytes().decode("latin-1")
    here = {Path.home(), Path(tempfile.gettempdir())}
    # a folder such as /data is anybody's
    here |= {folder for folder in (Path.cwd(), package_folder().parent) if len(folder.parts) > 2}
    local = [rf"{_BEFORE}{re.escape(str(folder))}(?![\w-]){_REST}" for folder in here if len(folder.parts) > 1]
    pattern = re.compile("|".join([_USUAL, *local]), re.ASCII)
    return [(text.count("\n", 0, found.start()) + 1, found.group()) for found in pattern.finditer(text)]


def check_no_machine_paths(folder: Path, files: Iterable[Path]) -> None:
    """Refuse files that name paths of one machine.

    Args:
        folder: that names in messages are relative to.
        files: below it.

    Raises:
        ValueError: names file, line and path of each, ten at most.
    """
    found = [
        f"{file.relative_to(folder).as_posix()}:{line}: {path[:120]}"
        for file in files
        for line, path in machine_paths(file)
    ]
    if found:
        more = f"; and {len(found) - 10} more" if len(found) > 10 else ""
        raise ValueError(f"paths of one machine must not be shared, replace them first: {'; '.join(found[:10])}{more}")
