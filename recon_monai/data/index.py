"""Headers of files that were read before, so that a run on thousands of files need not open each of them again."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon_monai.data.cache import cache_dir
from recon_monai.data.fastmri import FastMRIInfo, find_image_file, nominal_acceleration, stat_file
from recon_monai.data.writers import atomic_path

__all__ = ["FileIndex", "FileRecord"]

logger = logging.getLogger(__name__)

_FORMAT = 1  # of the entries; another number makes old indexes start anew
_MOST_ENTRIES = 50_000  # some 30 MB
_unwritable: set[Path] = set()  # folders that this process has warned about


@dataclass(frozen=True)
class FileRecord:
    """What is known of one version of a file.

    Attributes:
        info: its headers.
        contents: None if its values were never all read; else what was found wrong with them, empty if nothing.
    """

    info: FastMRIInfo
    contents: str | None = None


class FileIndex:
    """Records of files, kept in one JSON file under :func:`recon_monai.data.cache_dir`.

    An entry is found by the file's name, size and time of change (in the paired layout also by those of the image file
    and by the acceleration that name or folder say), not by the folder: it stays valid where data are moved or mounted
    elsewhere with their times. A file that was changed or replaced has no entry and is read again. An index that is
    missing, damaged or of another version counts as empty.

    Several processes may use it at once: saving takes in what others saved and replaces the file in one step; at worst
    an entry is lost, and that file is read again. Where the folder cannot be written, this is said once and all goes on
    without.

    Args:
        folder: of the index; ``index`` under :func:`recon_monai.data.cache_dir` by default.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.path = Path(folder or cache_dir() / "index") / "fastmri.json"
        self._entries: dict[str, Any] | None = None
        self._changes: dict[str, Any] = {}

    def find(self, path: Path) -> FileRecord | None:
        """What is known of a file as it is now; None if nothing.

        Args:
            path: the file.

        Raises:
            FastMRIFileError: if there is no such file.
        """
        images = find_image_file(path)
        key = _key(path, images)
        if self._entries is None:
            self._entries = self._read()
        entry = self._changes.get(key, self._entries.get(key))
        if entry is None:
            return None
        try:
            record = FastMRIInfo.from_json(path, images if entry["paired"] else None, entry["info"]), entry["contents"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            logger.debug("%s: the entry of %s is damaged (%s)", self.path, path, error)
            return None
        return FileRecord(*record) if record[1] is None or isinstance(record[1], str) else None

    def key(self, path: Path) -> str:
        """Name of the entry of a file as it is now; take it before reading, so that a later change is noticed.

        Raises:
            FastMRIFileError: if there is no such file.
        """
        return _key(path, find_image_file(path))

    def add(self, key: str, record: FileRecord) -> None:
        """Note a record, written by :meth:`save`.

        Args:
            key: of the file, see :meth:`key`.
            record: what was found.
        """
        paired = record.info.image_path is not None
        self._changes[key] = {"paired": paired, "info": record.info.to_json(), "contents": record.contents}

    def forget(self, path: Path) -> None:
        """Remove the entry of a file, at once.

        Args:
            path: the file, as it is now.
        """
        self._changes[self.key(path)] = None
        self.save()

    def save(self) -> None:
        """Write what was noted; says so once per process if that is not possible."""
        if not self._changes:
            return
        entries = {**self._read(), **self._changes}
        kept = [(key, entry) for key, entry in entries.items() if entry is not None][-_MOST_ENTRIES:]
        self._entries, self._changes = dict(kept), {}
        text = json.dumps({"format": _FORMAT, "entries": self._entries}, separators=(",", ":"))
        try:
            with atomic_path(self.path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        except OSError as error:
            if self.path.parent not in _unwritable:
                _unwritable.add(self.path.parent)
                logger.warning(
                    "the index of data files cannot be written to %s (%s), so headers are read again in every run; "
                    "set RECON_MONAI_CACHE to a folder that can be written",
                    self.path.parent,
                    error.strerror or error,
                )

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            entries = content["entries"] if content["format"] == _FORMAT else {}
            if not isinstance(entries, dict):
                raise TypeError(f"entries is a {type(entries).__name__}")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.info("%s cannot be used (%s); the headers of the files are read again", self.path, error)
            return {}
        return entries


def _key(path: Path, images: Path | None) -> str:
    found = stat_file(path)
    parts = [path.name, str(found.st_size), str(found.st_mtime_ns)]
    acceleration = nominal_acceleration(path)
    if acceleration is not None:
        # twins in acc4 and acc8 may be alike in all else
        parts.append(f"acc{acceleration}")
    if images is not None and images.exists():
        found = stat_file(images)
        parts += [str(found.st_size), str(found.st_mtime_ns)]
    return "|".join(parts)
