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
from typing import Any

from ablation_parts.plan import Run, Scale, evaluation_command, training_command
from recon_monai.data import atomic_path

__all__ = ["Busy", "Queue"]

TRAINING, EVALUATION = "training", "evaluation"
_ATTEMPTS = "attempts.json"
# of an evaluation and of starting the commands, beside the time of the updates
_FIXED_SECONDS = 60.0
# done, cut off by a signal that the command answers or does not, or left behind by a queue that was killed
_NOT_FAILED = (0, 128 + signal.SIGTERM, 128 + signal.SIGINT, -signal.SIGTERM, -signal.SIGINT, "running", "killed")

logger = logging.getLogger(__name__)


class Busy(RuntimeError):
    """Another process is going through the queue."""


class Queue:
    """The runs and their folders.

    ``<folder>/<run>`` holds ``training`` (the bundle's run), ``evaluation`` (its tables), the log of each, and
    ``attempts.json`` with the times of each command. A training that was cut off goes on at its last step; what is
    finished is not run again.

    Args:
        runs: in their order.
        scale: size of the runs.
        folder: of the results.
        dataset_dir: the data.
        updates: updates in an epoch with all anatomies, and for each of them alone by its name.
    """

    def __init__(
        self, runs: Sequence[Run], scale: Scale, folder: Path, dataset_dir: Path, updates: Mapping[str | None, int]
    ) -> None:
        self.runs = list(runs)
        self.scale = scale
        self.folder = folder
        self.dataset_dir = dataset_dir
        self.updates = dict(updates)
        self._child: subprocess.Popen[bytes] | None = None
        self._stopped = 0

    def done(self, run: Run) -> bool:
        """Whether a run is trained and, unless it is the classifier, evaluated."""
        return self._trained(run) and (run.kind == "classifier" or self._finished(run, EVALUATION))

    def path(self, run: Run, part: str = "") -> Path:
        """Folder of a run, or of its training or evaluation."""
        return self.folder / run.name / part

    def attempts(self, run: Run) -> list[dict[str, Any]]:
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

    def _run(self, run: Run, lock: int) -> bool:
        weights = self._stages(run)
        missing = [stage for stage, file in weights.items() if not file.is_file()]
        if missing:
            logger.error("%s: needs %s, which failed", run.name, ", ".join(missing))
            return False
        folder = self.path(run, TRAINING)
        if not self._trained(run):
            command = training_command(run, self.scale, self.dataset_dir, folder, weights)
            if not self._call(run, TRAINING, command, lock):
                return False
        if run.kind == "classifier":
            return True
        tables = self.path(run, EVALUATION)
        command = evaluation_command(run, self.scale, self.dataset_dir, folder / "model.pt", tables)
        return self._call(run, EVALUATION, command, lock)

    def _stages(self, run: Run) -> dict[str, Path]:
        """Weights that a run starts from, by the names the bundle gives its stages."""
        needed: dict[str, Run] = {}
        if run.kind in ("aspin", "student"):
            needed["classifier"] = next(other for other in self.runs if other.kind == "classifier")
        if run.teachers:
            needed |= {f"teacher_{other.anatomy}": other for other in self.runs if other.anatomy}
        return {stage: self.path(other, TRAINING) / "model.pt" for stage, other in needed.items()}

    def _call(self, run: Run, part: str, command: Sequence[str], lock: int) -> bool:
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

    def _log(self, run: Run, part: str) -> Path:
        return self.path(run, f"{part}.log")

    def _trained(self, run: Run) -> bool:
        return self._finished(run, TRAINING) and self.path(run, TRAINING).joinpath("model.pt").is_file()

    def _finished(self, run: Run, part: str) -> bool:
        return self.path(run, part).joinpath("finished.json").is_file()

    def _close_attempts(self, run: Run) -> None:
        """Give commands whose queue was killed the time until they last wrote, as that of one processor too."""
        attempts = self.attempts(run)
        for entry in attempts:
            if entry["status"] == "running":
                log = self._log(run, entry["part"])
                entry["seconds"] = max(0.0, log.stat().st_mtime - entry["began"]) if log.is_file() else 0.0
                entry |= {"cpu_seconds": entry["seconds"], "status": "killed"}
        if attempts:
            self._write_attempts(run, attempts)

    def _write_attempts(self, run: Run, attempts: Sequence[Mapping[str, Any]]) -> None:
        with atomic_path(self.path(run, _ATTEMPTS)) as temporary:
            temporary.write_text(json.dumps(list(attempts), indent=2) + "\n")

    def steps(self, run: Run) -> int:
        """Updates of a run."""
        epochs = self.scale.classifier_epochs if run.kind == "classifier" else self.scale.epochs
        return epochs * self.updates[run.anatomy]

    def seconds(self, run: Run, key: str = "cpu_seconds") -> float:
        """Time that a run took so far, of all processors or (``"seconds"``) by the clock."""
        return sum(entry.get(key, 0.0) for entry in self.attempts(run))

    def expected(self, key: str = "cpu_seconds") -> dict[str, float]:
        """Seconds each run takes: measured where it is done, else from those that are done or from the plan."""
        raw = {run.name: self.steps(run) * run.cost * self.scale.step_seconds + _FIXED_SECONDS for run in self.runs}
        done = [run for run in self.runs if self.done(run) and run.kind != "classifier"]
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
                f"{run.name:24} {state:8} {self.steps(run):7d} updates {used} {expected[run.name] / 60:6.1f} min"
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
