"""Where files lie in the trees that public data come in."""

from __future__ import annotations

import re
from pathlib import Path

from recon_monai.data.fastmri.paired import KSPACE_FOLDER, is_acceleration_folder

__all__ = ["data_files", "is_folder_of", "part_folders"]

# how the challenge of the paired layout calls its test data
_OTHER_NAMES = {"test": "leaderboard"}


def part_folders(root: Path, part: str) -> list[Path]:
    """Folders that hold a part of the data: `root` itself, or folders in it, sorted.

    Args:
        root: the data set's folder.
        part: ``"train"``, ``"val"`` or ``"test"``.

    Returns:
        Those whose names end in the part's name (``multicoil_train``); for the test part also ``leaderboard``.
    """
    folders = [root, *sorted(path for path in root.iterdir() if path.is_dir())]
    return [path for path in folders if is_folder_of(path, part)]


def is_folder_of(path: Path, part: str) -> bool:
    """Whether the name of a folder says that it holds this part."""
    # the name of a link counts, not of what it leads to
    name = (path.resolve() if path.name in ("", "..") else path).name.lower()
    return name == _OTHER_NAMES.get(part) or re.search(rf"(^|[^a-z]){part}$", name) is not None


def data_files(folder: Path) -> list[Path]:
    """The ``.h5`` files with k-space in a folder, sorted.

    Args:
        folder: with the files; or, in the paired layout, with a folder ``kspace``, or with folders ``acc4``, ``acc8``,
            ... that hold such a folder.

    Returns:
        The files. A name that starts with a dot is a file that is still being written, and left out.
    """
    files = sorted(path for path in folder.glob("*.h5") if not path.name.startswith("."))
    inner = (path for path in folder.iterdir() if path.name == KSPACE_FOLDER or is_acceleration_folder(path))
    for path in sorted(inner):
        if path.is_dir():
            files += data_files(path)
    return files
