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

from recon_monai import __version__, distributed
from recon_monai.data import atomic_path
from recon_monai.engines.command_line import merged_configuration
from recon_monai.engines.runs import FINISHED, RUN_STATE, STAGE_RECORD
from recon_monai.engines.stage_settings import first_difference, stage_settings

__all__ = ["RunRecord", "data_fingerprint", "git_revision"]

_SAMPLES = 9
_SAMPLE_BYTES = 4096

logger = logging.getLogger(__name__)


def data_fingerprint(files: Iterable[str | Path]) -> str:
    """Short hash of the names and sizes of files and of samples of their content, wherever their folder lies.

    The samples are 4 KiB at the start, the middle, the end, and three places on each side of the middle.
    """
    lines = sorted(f"{Path(file).name} {Path(file).stat().st_size} {_sampled(Path(file))}" for file in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _sampled(file: Path) -> str:
    """Hash of pieces of a file, evenly spaced from its start to its end."""
    last = max(file.stat().st_size - _SAMPLE_BYTES, 0)
    digest = hashlib.sha256()
    with file.open("rb", buffering=0) as opened:
        for place in sorted({last * number // (_SAMPLES - 1) for number in range(_SAMPLES)}):
            opened.seek(place)
            digest.update(opened.read(_SAMPLE_BYTES))
    return digest.hexdigest()


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
    the data; each time the run is resumed, what differs then is added. ``finished.json`` marks a run as complete
    (``find_weights`` looks for it). ``stage.json``, for a training, holds what ``StagedRun`` knows a finished
    stage by; a run that goes on with other settings or data loses it. A folder that holds a finished run, or one that
    could be resumed, is not written to unless asked. Of several processes the main one writes.

    Args:
        output_dir: the run's folder, made if missing.
        files: the data files the run reads.
        overwrite: replace the run that is in the folder.
        resume: go on with the run that is in the folder.
        validation_files: the data files a training is validated on; None for runs that are no training.
    """

    def __init__(
        self,
        output_dir: str,
        files: Iterable[str | Path] = (),
        overwrite: bool = False,
        resume: bool | str = False,
        validation_files: Iterable[str | Path] | None = None,
    ) -> None:
        self.folder = Path(output_dir)
        self.files = list(files)
        self.validation_files = None if validation_files is None else list(validation_files)
        self.overwrite = overwrite
        self.resume = bool(resume)
        self._started = 0.0

    def attach(self, engine: Engine) -> None:
        """Register with an engine, before the handlers that write."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.COMPLETED, self._finish)

    def _write(self, name: str, content: dict[str, Any]) -> None:
        if distributed.is_main():
            with atomic_path(self.folder / name) as temporary:
                temporary.write_text(json.dumps(content, indent=2) + "\n")

    def _start(self, engine: Engine) -> None:
        if distributed.is_main():
            self._check_folder()
        self._started = time.time()
        folders = sorted({str(Path(file).parent) for file in self.files})
        logger.info("data: %d files of %s", len(self.files), ", ".join(folders) or "no folder")
        logger.info("results go to %s", self.folder)
        record: dict[str, Any] = {
            "command": sys.argv,
            "configuration": merged_configuration(),
            "versions": {"python": platform.python_version(), "recon-monai": __version__, **_versions()},
            "git_revision": git_revision(),
            "processes": distributed.world_size(),
            "data": {"folders": folders, "files": len(self.files), "fingerprint": data_fingerprint(self.files)},
        }
        self._write("run.json", self._continued(record))
        if distributed.is_main():
            self._record_stage(record["configuration"])

    def _check_folder(self) -> None:
        """Keep what an earlier run left, or remove it if told so."""
        finished, resumable = self.folder / FINISHED, self.folder / RUN_STATE
        if self.resume:
            finished.unlink(missing_ok=True)
            return
        if not self.overwrite:
            if finished.exists():
                raise FileExistsError(
                    f"{self.folder} holds the results of a finished run; choose another --run_name or --output_dir, "
                    "or give --overwrite True to replace them"
                )
            if resumable.exists():
                raise FileExistsError(
                    f"{self.folder} holds a run that is not finished; go on with it by --resume True, choose another "
                    "--run_name, or give --overwrite True to start it anew"
                )
        # weights and states are TrainingCheckpoint's to replace: other runs may have been pointed at their folder
        for old in (finished, self.folder / "run.json", self.folder / STAGE_RECORD):
            old.unlink(missing_ok=True)

    def _record_stage(self, configuration: dict[str, Any]) -> None:
        """Write by which settings and data this training is known, or remove that if it was begun by others."""
        path = self.folder / STAGE_RECORD
        if self.validation_files is None or not configuration:
            path.unlink(missing_ok=True)
            return
        files = [*self.files, *self.validation_files]
        content = {"settings": stage_settings(configuration), "data": data_fingerprint(files)}
        if not (self.resume and (self.folder / RUN_STATE).exists()):
            self._write(STAGE_RECORD, content)
        elif path.exists() and (difference := first_difference(content, json.loads(path.read_text()))):
            logger.warning("%s since the run began, so it will not count as a finished stage with either", difference)
            path.unlink()

    def _continued(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record of the run's beginning with what is different now; the given one if the run begins now."""
        path = self.folder / "run.json"
        if not self.resume or not path.exists():
            return record
        first: dict[str, Any] = json.loads(path.read_text())
        if first["data"]["fingerprint"] != record["data"]["fingerprint"]:
            logger.warning("the data differ from those the run began with (%s)", first["data"]["folders"])
        changed = {key: value for key, value in record.items() if key != "configuration" and first.get(key) != value}
        before, now = first["configuration"], record["configuration"]
        changed["configuration"] = {
            key: now.get(key) for key in sorted({*before, *now}) if before.get(key) != now.get(key)
        }
        return {**first, "resumed": [*first.get("resumed", []), changed]}

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
