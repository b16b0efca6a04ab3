"""Stacks of magnitude images in numpy files, grouped by subject."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_image_stacks", "read_numpy"]


def read_numpy(path: Path) -> Mapping[str, NDArray] | NDArray:
    """Read a `.npy` file (array) or a `.npz` file (arrays by name); pickled objects are refused.

    Args:
        path: the file.

    Returns:
        The array, or a dictionary of arrays.

    Raises:
        ValueError: if the file is not a numpy file or holds Python objects.
    """
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.lib.npyio.NpzFile):
            with content:
                return {key: content[key] for key in content.files}
        return content
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: cannot be read as a numpy file of plain arrays ({error})") from error


def read_image_stacks(
    path: Path, *, image_key: str = "image", subject_key: str = "subject"
) -> dict[str | None, NDArray]:
    """Read magnitude images and group them by subject.

    Args:
        path: a `.npy` file `(N, H, W)`, or a `.npz` file with such an array and, where the images come from several
            people, one subject name per image.
        image_key: name of the images in a `.npz` file.
        subject_key: name of the subjects in a `.npz` file.

    Returns:
        Images `(n, H, W)` by subject, in the order of the file; the key is None if the file names no subjects.

    Raises:
        ValueError: if an array is missing, complex or of the wrong shape.
    """
    content = read_numpy(path)
    subjects = None
    if isinstance(content, Mapping):
        if image_key not in content:
            raise ValueError(
                f"{path}: has no array {image_key!r}, but {', '.join(content)}; name the images with --image_key"
            )
        subjects = content.get(subject_key)
        content = content[image_key]
    if content.ndim != 3 or not np.issubdtype(content.dtype, np.number) or np.iscomplexobj(content):
        raise ValueError(
            f"{path}: images have shape {content.shape} and type {content.dtype}, expected real numbers (N, H, W); "
            "for complex arrays use --kind raw"
        )
    if subjects is None:
        return {None: content}
    if subjects.shape != content.shape[:1]:
        raise ValueError(
            f"{path}: {subject_key!r} has shape {subjects.shape}, expected one name for each of {len(content)} images"
        )
    return {str(name): content[subjects == name] for name in dict.fromkeys(subjects.tolist())}
