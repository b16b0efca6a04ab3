"""The paired layout: k-space in ``kspace/NAME.h5``, its images in ``image/NAME.h5`` beside it.

It is that of the SNU fastMRI challenge. The k-space files hold ``kspace`` (fully sampled) and ``mask``; the image
files ``image_label`` and the attribute ``max``. Names are ``{brain|knee}_acc{4|8}_N.h5``, or the files lie in folders
``acc4`` and ``acc8``.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = [
    "KSPACE_FOLDER",
    "TARGET",
    "find_image_file",
    "is_acceleration_folder",
    "nominal_acceleration",
]

KSPACE_FOLDER = "kspace"
_IMAGE_FOLDER = "image"
TARGET = "image_label"

_IN_NAME = re.compile(r"(?:^|_)acc(\d+)(?:_|$)")
_OF_FOLDER = re.compile(r"acc(\d+)")


def find_image_file(path: Path) -> Path | None:
    """The image file that belongs to a k-space file.

    Args:
        path: the k-space file.

    Returns:
        ``image/NAME.h5`` beside the folder ``kspace``, whether or not that file exists; None if the file does not lie
        in a folder ``kspace`` with a folder ``image`` beside it.
    """
    folder = path.absolute().parent
    images = folder.parent / _IMAGE_FOLDER
    return images / path.name if folder.name == KSPACE_FOLDER and images.is_dir() else None


def nominal_acceleration(path: Path) -> int | None:
    """Acceleration of a file's mask by its name (``brain_acc4_7.h5``), else by a folder ``acc4`` above it.

    Args:
        path: the k-space file.

    Returns:
        The acceleration; None if neither says it, or the file does not lie in a folder ``kspace``.
    """
    folders = path.absolute().parents
    if folders[0].name != KSPACE_FOLDER:
        return None
    match = _IN_NAME.search(path.stem)
    match = match or next((found for folder in folders if (found := _OF_FOLDER.fullmatch(folder.name))), None)
    value = int(match.group(1)) if match else 0
    return value if value >= 1 else None


def is_acceleration_folder(path: Path) -> bool:
    """Whether a folder is called ``acc4``, ``acc8``, ..."""
    return _OF_FOLDER.fullmatch(path.name) is not None
