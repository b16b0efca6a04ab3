"""Open files of one process."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recon_monai.data.fastmri.file import FastMRIFile

__all__ = ["HandleCache"]


class HandleCache:
    """Open files of one process, the least recently used closed first.

    Opening a file costs less than reading a slice but is not free, and a handle per file and epoch would exhaust the
    limit of open files. Handles are never shared with forked workers: HDF5 keeps per-process state.

    Args:
        max_files: most files open at the same time; a file of the paired layout and its images count as one.
    """

    def __init__(self, max_files: int = 8) -> None:
        if max_files < 1:
            raise ValueError(f"max_files is {max_files}, expected at least 1")
        self.max_files = max_files
        self._reset()

    def __len__(self) -> int:
        return len(self._files) if self._process == os.getpid() else 0

    def __getstate__(self) -> dict[str, Any]:
        return {"max_files": self.max_files}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.max_files = state["max_files"]
        self._reset()

    @contextlib.contextmanager
    def open(self, path: str | Path) -> Iterator[FastMRIFile]:
        """Lend the open file ``path``; it may be closed any time after the block.

        Args:
            path: the file.

        Yields:
            The open file. Threads of one process wait for each other, as they do inside HDF5 anyway.

        Raises:
            FastMRIFileError: if the file cannot be used.
        """
        if self._process != os.getpid():
            self._leave_parent()
        with self._lock:
            key = str(path)
            file = self._files.pop(key, None)
            if file is None:
                while len(self._files) >= self.max_files:
                    self._files.popitem(last=False)[1].close()
                file = FastMRIFile(path)
            self._files[key] = file
            yield file

    def close(self) -> None:
        """Close all files of this process."""
        if self._process != os.getpid():
            self._leave_parent()
        with self._lock:
            for file in self._files.values():
                file.close()
            self._files.clear()

    def _leave_parent(self) -> None:
        # inherited handles are closed in this process before anything is opened: otherwise HDF5 would find the same
        # file open and go on with the parent's file descriptor
        for file in self._files.values():
            file.close()
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._files: OrderedDict[str, FastMRIFile] = OrderedDict()
