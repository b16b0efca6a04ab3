"""HDF5 opened with suspicion: nothing outside of the file itself is read, and every refusal names the file."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

__all__ = ["FastMRIFileError", "HDF5File", "stat_file"]

_MOST_LINKS = 16  # more in a row are a circle


class FastMRIFileError(ValueError):
    """A file cannot be used as fastMRI data; the message names file, found, expected and what to do."""


def stat_file(path: Path) -> os.stat_result:
    """Size and times of a file that can be expected to hold data.

    Symbolic links of the file system are followed: whoever made them chose that place.

    Args:
        path: the file.

    Returns:
        What the system says of it.

    Raises:
        FastMRIFileError: if it is missing, empty, a folder, a device, or may not be looked at.
    """
    try:
        found = path.stat()
    except FileNotFoundError as error:
        if path.is_symlink():
            raise FastMRIFileError(
                f"{path}: is a symbolic link to {path.readlink()}, which does not exist, expected an .h5 file; "
                "correct the link or prepare the file again"
            ) from error
        raise FastMRIFileError(
            f"{path}: the file does not exist, expected an .h5 file; check the path or prepare it again"
        ) from error
    except PermissionError as error:
        raise _no_permission(path) from error
    except OSError as error:
        raise FastMRIFileError(
            f"{path}: the file cannot be found ({error.strerror}), expected an .h5 file; check the path and the disk"
        ) from error
    if stat.S_ISDIR(found.st_mode):
        raise FastMRIFileError(f"{path}: is a folder, expected an .h5 file; rename it or give the files inside it")
    if not stat.S_ISREG(found.st_mode):
        raise FastMRIFileError(f"{path}: is a pipe or device, expected an .h5 file; remove it from the data")
    if found.st_size == 0:
        raise FastMRIFileError(f"{path}: is empty (0 bytes), expected HDF5; copy or prepare the file again")
    return found


class HDF5File:
    """One file, open for reading. Links and arrays that lead out of it are refused, not followed.

    Args:
        path: the file.

    Raises:
        FastMRIFileError: if it cannot be opened as HDF5.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        stat_file(path)
        try:
            self._file = h5py.File(path, "r")
        except PermissionError as error:
            raise _no_permission(path) from error
        except OSError as error:
            raise self.error(f"cannot be opened as HDF5 ({error}); copy or prepare the file again") from error
        self._size = self._size_now()
        self._arrays: dict[str, h5py.Dataset | None] = {}

    def close(self) -> None:
        """Close the file."""
        self._arrays.clear()
        self._file.close()

    def error(self, message: str) -> FastMRIFileError:
        """An error that names this file."""
        return FastMRIFileError(f"{self.path}: {message}")

    @contextlib.contextmanager
    def reading(self, part: str) -> Iterator[None]:
        """Turn what h5py raises in the block into an error that names the file and this part of it."""
        try:
            yield
        except FastMRIFileError:
            raise
        except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise self.error(f"{part} cannot be read ({error}); copy or prepare the file again") from error

    def names(self) -> list[str]:
        """What the file holds at its top, sorted."""
        return sorted(self._file)

    def array(self, name: str) -> h5py.Dataset | None:
        """An array of the file.

        Args:
            name: its path in the file; links within the file are followed.

        Returns:
            The array, not read yet; None if there is none of this name.

        Raises:
            FastMRIFileError: if it is a group, has no data space, or lies in another file.
        """
        if name not in self._arrays:
            self._arrays[name] = self._find_array(name)
        return self._arrays[name]

    def read_slice(self, array: h5py.Dataset, index: int, destination: np.ndarray) -> None:
        """Read one slice of an array.

        Args:
            array: of this file.
            index: number of the slice.
            destination: of the slice's shape, contiguous; gets its values.

        Raises:
            FastMRIFileError: if it cannot be read.
        """
        with self.reading(f"slice {index} of {array.name.lstrip('/')}"):
            array.read_direct(destination, np.s_[index])
            # HDF5 gives zeros for what was cut off after the file was opened
            if self._size_now() != self._size:
                raise OSError("the size of the file has changed since it was opened")

    def attribute(self, name: str) -> Any:
        """An attribute of the file; None if there is none or it is empty."""
        with self.reading(f"the attribute {name}"):
            value = self._file.attrs.get(name)
        return None if isinstance(value, h5py.Empty) else value

    def text(self, name: str) -> str | None:
        """An attribute that is a text; None if there is none or it is empty.

        Raises:
            FastMRIFileError: if it is something else.
        """
        value = self.attribute(name)
        if isinstance(value, np.ndarray) and value.size == 1:
            value = value.item()
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if value is not None and not isinstance(value, str):
            raise self.error(f"the attribute {name} is {value!r}, expected a text; correct or remove it")
        return (value or "").strip() or None

    def _find_array(self, name: str) -> h5py.Dataset | None:
        with self.reading(name):
            item = self._follow(name)
            if item is None:
                return None
            if not isinstance(item, h5py.Dataset):
                raise self.error(f"{name} is a group, expected an array; write the file in the fastMRI layout")
            if item.external or item.is_virtual:
                kind = "in external files" if item.external else "as a virtual view of other arrays"
                raise self.error(
                    f"{name} is stored {kind}, which are not read, expected its values in this file; "
                    "copy the values into the file"
                )
            if item.shape is None:
                raise self.error(f"{name} has no shape and so no data, expected an array; write the file again")
            return item

    def _size_now(self) -> int:
        return os.fstat(self._file.id.get_vfd_handle()).st_size

    def _follow(self, name: str) -> h5py.Dataset | h5py.Group | None:
        # link by link: h5py itself would open the file that an external link names, even to look whether it is there
        place: h5py.Group = self._file
        ahead = _words(name)
        followed = 0
        while ahead:
            word = ahead.pop(0)
            links = place.id.links if isinstance(place, h5py.Group) else None
            if links is None or not links.exists(word):
                if followed:
                    raise self.error(
                        f"{name} is a link to something that the file does not hold, expected an array; "
                        "copy or prepare the file again"
                    )
                return None
            kind = links.get_info(word).type
            if kind == h5py.h5l.TYPE_SOFT:
                followed += 1
                if followed > _MOST_LINKS:
                    raise self.error(f"{name} is a link to itself, expected an array; write the file again")
                target = links.get_val(word)
                place = self._file if target.startswith(b"/") else place
                ahead = _words(target.decode("utf-8", "replace")) + ahead
            elif kind == h5py.h5l.TYPE_HARD:
                place = place[word]
            else:
                where = os.fsdecode(links.get_val(word)[0]) if kind == h5py.h5l.TYPE_EXTERNAL else "an unknown place"
                raise self.error(
                    f"{name} is a link to another file ({where}), which is not followed, expected an array in this "
                    "file; copy the array into the file"
                )
        return place


def _words(path: str) -> list[bytes]:
    return [word.encode() for word in path.split("/") if word not in ("", ".")]


def _no_permission(path: Path) -> FastMRIFileError:
    return FastMRIFileError(
        f"{path}: may not be read (permission denied), expected a readable .h5 file; ask its owner for read access to "
        "the file and its folder"
    )
