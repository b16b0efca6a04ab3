"""What a run was made from, written beside what it made."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from recon_monai import __version__
from recon_monai.data import atomic_path
from recon_monai.engines.command_line import merged_configuration
from recon_monai.engines.runs import FINISHED

__all__ = ["RunRecord", "data_fingerprint", "git_revision"]

logger = logging.getLogger(__name__)


def data_fingerprint(files: Iterable[str | Path]) -> str:
    """Short hash of the names and sizes of files, wherever their folder lies."""
    lines = sorted(f"{Path(file).name} {Path(file).stat().st_size}" for file in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def git_revision() -> str:
    """Revision of the source tree this package runs from, with ``-dirty`` if it was changed; empty if installed."""
    folder = Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _versions() -> dict[str, str]:
    found = {}
    for name in ("torch", "monai", "pytorch-ignite", "numpy", "h5py"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # imported from a folder, not installed
            found[name] = "unknown"
    return found


class RunRecord:
    """Writes ``run.json`` at the start and ``finished.json`` at the end of an engine's run.

    ``run.json`` holds the command, the merged configuration, package versions, the git revision and a fingerprint of
    the data. ``finished.json`` marks a run as complete (``find_weights`` looks for it).

    Args:
        output_dir: the run's folder, made if missing.
        files: the data files the run reads.
    """

    def __init__(self, output_dir: str, files: Iterable[str | Path] = ()) -> None:
        self.folder = Path(output_dir)
        self.files = list(files)
        self._started = 0.0

    def attach(self, engine: Engine) -> None:
        """Register with an engine."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.COMPLETED, self._finish)

    def _write(self, name: str, content: dict[str, Any]) -> None:
        with atomic_path(self.folder / name) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n")

    def _start(self, engine: Engine) -> None:
        (self.folder / FINISHED).unlink(missing_ok=True)  # of an earlier run of this name
        self._started = time.time()
        folders = sorted({str(Path(file).parent) for file in self.files})
        logger.info("data: %d files of %s", len(self.files), ", ".join(folders) or "no folder")
        logger.info("results go to %s", self.folder)
        self._write(
            "run.json",
            {
                "command": sys.argv,
                "configuration": merged_configuration(),
                "versions": {"python": platform.python_version(), "recon-monai": __version__, **_versions()},
                "git_revision": git_revision(),
                "data": {"folders": folders, "files": len(self.files), "fingerprint": data_fingerprint(self.files)},
            },
        )

    def _finish(self, engine: Engine) -> None:
        state = engine.state
        self._write(
            FINISHED,
            {
                "epochs": state.epoch,
                "iterations": state.iteration,
                "seconds": round(time.time() - self._started, 1),
                "metrics": {name: value for name, value in state.metrics.items() if isinstance(value, int | float)},
            },
        )
