"""Going through the queue: one subprocess after the other, stopped and continued at will."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import resource
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeVar

from ablation_parts.task import EVALUATION, MEASUREMENT, TRAINING, Size, Task
from recon_monai.data import atomic_path

__all__ = ["EVALUATION", "MEASUREMENT", "TRAINING", "Busy", "Queue"]

RunT = TypeVar("RunT", bound=Task[Any])
ScaleT = TypeVar("ScaleT", bound=Size)
_ATTEMPTS = "attempts.json"
# done, cut off by a signal that the command answers or does not, or left behind by a queue that was killed
_NOT_FAILED = (0, 128 + signal.SIGTERM, 128 + signal.SIGINT, -signal.SIGTERM, -signal.SIGINT, "running", "killed")

logger = logging.getLogger(__name__)


class Busy(RuntimeError):
    """Another process is going through the queue."""


class Queue(Generic[RunT, ScaleT]):
    """The runs and their folders.

    ``<folder>/<run>`` holds a folder for each part of the run, like ``training`` (the bundle's run) and ``evaluation``
    (its tables), the log of each, and ``attempts.json`` with the times of each command. A training that was cut off
    goes on at its last step; what is finished is not run again.

    Args:
        runs: in their order.
        scale: size of the runs.
        folder: of the results.
        dataset_dir: the data.
        updates: updates in an epoch with all anatomies, and for each of them alone by its name.
    """

    def __init__(
        self, runs: Sequence[RunT], scale: ScaleT, folder: Path, dataset_dir: Path, updates: Mapping[str | None, int]
    ) -> None:
        self.runs = list(runs)
        self.scale = scale
        self.folder = folder
        self.dataset_dir = dataset_dir
        self.updates = dict(updates)
        self._child: subprocess.Popen[bytes] | None = None
        self._stopped = 0

    def done(self, run: RunT) -> bool:
        """Whether all parts of a run are finished."""
        return all(self._finished(run, part) for part in run.parts)

    def path(self, run: RunT, part: str = "") -> Path:
        """Folder of a run, or of its training or evaluation."""
        return self.folder / run.name / part

    def attempts(self, run: RunT) -> list[dict[str, Any]]:
        """Commands of a run so far: ``part``, ``began``, ``seconds``, ``cpu_seconds``, ``status``."""
        file = self.path(run, _ATTEMPTS)
        return json.loads(file.read_text()) if file.is_file() else []

    def work(self) -> int:
        """Run what is left.

        Returns:
            An exit status: 0 when all is done, 1 if a run failed, 128 + number if a signal ended it.

        Raises:
            Busy: if another process is at it, also a run that a killed queue left behind.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise Busy(f"{self.folder}: another queue, or a run that one left behind, is at work here") from error
            previous = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
            try:
                return self._work(lock.fileno())
            finally:
                for number, handler in previous.items():
                    signal.signal(number, handler)

    def _work(self, lock: int) -> int:
        failed: list[str] = []
        for run in self.runs:
            if self.done(run) or self._stopped:
                continue
            self._close_attempts(run)
            logger.info("%s: begun; %s", run.name, self.remaining())
            if self._run(run, lock):
                logger.info("%s: done", run.name)
            elif not self._stopped:
                failed.append(run.name)
        if self._stopped:
            logger.warning("stopped; the same command goes on")
            return 128 + self._stopped
        if failed:
            logger.error("failed: %s; the same command tries them again", ", ".join(failed))
        return int(bool(failed))

    def _run(self, run: RunT, lock: int) -> bool:
        weights = self._stages(run)
        missing = [stage for stage, file in weights.items() if not file.is_file()]
        if missing:
            logger.error("%s: needs %s, which failed", run.name, ", ".join(missing))
            return False
        behind = False
        for part in run.parts:
            behind = behind or not self._finished(run, part)
            command = run.command(part, self.scale, self.dataset_dir, self.path(run), weights)
            if behind and not self._call(run, part, command, lock):
                return False
        return True

    def _stages(self, run: RunT) -> dict[str, Path]:
        """Weights that a run starts from, by the names the bundle gives its stages."""
        return {stage: self.path(other, TRAINING) / "model.pt" for stage, other in run.stages(self.runs).items()}

    def _call(self, run: RunT, part: str, command: Sequence[str], lock: int) -> bool:
        """One command, its output in a log file; the lock is its own too, so that it outlives a killed queue."""
        attempts = self.attempts(run)
        entry: dict[str, Any] = {"part": part, "began": time.time(), "status": "running"}
        self._write_attempts(run, [*attempts, entry])
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with self._log(run, part).open("ab") as log:
            self._child = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, pass_fds=[lock]
            )
            if self._stopped:
                self._child.terminate()
            status = self._child.wait()
            self._child = None
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        entry["seconds"] = time.time() - entry["began"]
        entry["cpu_seconds"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        entry["status"] = status
        self._write_attempts(run, [*attempts, entry])
        if status and not self._stopped:
            logger.error("%s: %s ended with status %d, see %s", run.name, part, status, self._log(run, part))
        return status == 0 and not self._stopped

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopped = number
        if self._child is not None:
            self._child.send_signal(signal.SIGTERM)

    def _log(self, run: RunT, part: str) -> Path:
        return self.path(run, f"{part}.log")

    def _finished(self, run: RunT, part: str) -> bool:
        files = ("finished.json", "model.pt") if part == TRAINING else ("finished.json",)
        return all(self.path(run, part).joinpath(file).is_file() for file in files)

    def _close_attempts(self, run: RunT) -> None:
        """Give commands whose queue was killed the time until they last wrote, as that of one processor too."""
        attempts = self.attempts(run)
        for entry in attempts:
            if entry["status"] == "running":
                log = self._log(run, entry["part"])
                entry["seconds"] = max(0.0, log.stat().st_mtime - entry["began"]) if log.is_file() else 0.0
                entry |= {"cpu_seconds": entry["seconds"], "status": "killed"}
        if attempts:
            self._write_attempts(run, attempts)

    def _write_attempts(self, run: RunT, attempts: Sequence[Mapping[str, Any]]) -> None:
        with atomic_path(self.path(run, _ATTEMPTS)) as temporary:
            temporary.write_text(json.dumps(list(attempts), indent=2) + "\n")

    def steps(self, run: RunT) -> int:
        """Batches of a run."""
        return run.steps(self.scale, self.updates)

    def seconds(self, run: RunT, key: str = "cpu_seconds") -> float:
        """Time that a run took so far, of all processors or (``"seconds"``) by the clock."""
        return sum(entry.get(key, 0.0) for entry in self.attempts(run))

    def expected(self, key: str = "cpu_seconds") -> dict[str, float]:
        """Seconds each run takes: measured where it is done, else from those that are done or from the plan."""
        raw = {
            run.name: self.steps(run) * run.cost * self.scale.step_seconds + run.fixed_seconds(self.scale)
            for run in self.runs
        }
        done = [run for run in self.runs if EVALUATION in run.parts and self.done(run)]
        factor = sum(self.seconds(run, key) for run in done) / sum(raw[run.name] for run in done) if done else 1.0
        return {run.name: self.seconds(run, key) if self.done(run) else factor * raw[run.name] for run in self.runs}

    def remaining(self) -> str:
        """What is left, in words."""
        waiting = [run for run in self.runs if not self.done(run)]
        hours = {}
        for key in ("cpu_seconds", "seconds"):
            expected = self.expected(key)
            hours[key] = sum(max(0.0, expected[run.name] - self.seconds(run, key)) for run in waiting) / 3600
        return (
            f"{len(waiting)} of {len(self.runs)} runs left, about {hours['cpu_seconds']:.1f} core-hours and "
            f"{hours['seconds']:.1f} hours by the clock"
        )

    def status(self) -> str:
        """A line for each run, and what is left."""
        expected = self.expected()
        width = max([24, *(len(run.name) for run in self.runs)])
        lines = []
        for run in self.runs:
            attempts = self.attempts(run)
            state = "done" if self.done(run) else "begun" if attempts else "waiting"
            if attempts and attempts[-1]["status"] == "running" and _is_locked(self.folder / "lock"):
                state = "running"
            elif attempts and not self.done(run) and attempts[-1]["status"] not in _NOT_FAILED:
                state = "failed"
            used = f"{self.seconds(run) / 60:6.1f} of about" if state != "waiting" else " " * 15
            lines.append(
                f"{run.name:{width}} {state:8} {self.steps(run):7d} updates {used} {expected[run.name] / 60:6.1f} min"
            )
        total = sum(expected.values()) / 3600
        return "\n".join([*lines, f"core-minutes; {total:.1f} core-hours in all; {self.remaining()}"])


def _is_locked(file: Path) -> bool:
    """Whether a process holds the lock; looks without taking it."""
    if not file.is_file():
        return False
    descriptor = os.open(file, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
