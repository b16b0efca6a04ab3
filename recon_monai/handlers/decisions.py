"""What a classifier decided for each slice of an epoch, gathered over processes, and the metrics of it."""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from ignite.engine import Engine, Events

from recon_monai import distributed
from recon_monai.handlers.metric_names import metric_prefix
from recon_monai.handlers.volume_metrics import merge_rows
from recon_monai.handlers.volumes import VolumeKey, number

__all__ = ["ClassificationMetrics", "DecisionHandler", "FileDecision", "by_file", "file_log_probabilities", "files_of"]

logger = logging.getLogger(__name__)


class FileDecision(NamedTuple):
    """What all slices of a file say together, at one acceleration.

    Attributes:
        key: file and acceleration.
        truth: index of its anatomy.
        decision: index of the anatomy with the largest mean log-probability.
        probability: of its anatomy: exponential of the mean log-probability over the slices.
        right: number of slices decided rightly.
        slices: number of slices.
    """

    key: VolumeKey
    truth: int
    decision: int
    probability: float
    right: int
    slices: int


class DecisionHandler(ABC):
    """A handler that hears of the decisions of all slices at the end of an epoch, in every process.

    Works with engines that leave batches collated (``decollate=False``) and with those that do not. A slice that
    several processes measured counts once.
    """

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    def attach(self, engine: Engine, name: str | None = None) -> None:
        """Register with an evaluator.

        Args:
            engine: its output has ``pred`` (logits) and ``label``, its batch ``file``, ``slice`` and perhaps
                ``acceleration``.
            name: not used here.
        """
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self._rows.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._complete)

    @abstractmethod
    def finish(self, engine: Engine, rows: Sequence[dict[str, Any]]) -> None:
        """Called at the end of an epoch.

        Args:
            engine: the evaluator.
            rows: one per slice: ``file``, ``acceleration``, ``slice``, ``truth`` (index), ``log_probabilities``.
        """

    def _collect(self, engine: Engine) -> None:
        for item, logits, label in _slices(engine):
            self._rows.append(
                {
                    "file": str(item["file"]),
                    "acceleration": number(item.get("acceleration")),
                    "slice": int(item["slice"]),
                    "truth": int(label),
                    "log_probabilities": logits.detach().cpu().double().log_softmax(dim=-1).tolist(),
                }
            )

    def _complete(self, engine: Engine) -> None:
        rows = merge_rows(distributed.gather(self._rows), keys=("file", "acceleration", "slice"))
        if not rows:
            raise ValueError(f"{type(self).__name__}: no slice was classified; give files to the data loader")
        self.finish(engine, rows)


class ClassificationMetrics(DecisionHandler):
    """Mean log-probability of the true anatomy (the key metric) and accuracies.

    Given to a MONAI engine as ``key_val_metric={"val_log_likelihood": ClassificationMetrics()}``. Sets

    * ``val_log_likelihood``: minus the cross-entropy. It still tells weights apart where all decide everything rightly,
      as accuracy does not;
    * ``val_accuracy``: share of slices decided rightly, and ``val_accuracy/4x``, ... of those at an acceleration;
    * ``val_file_accuracy``: share of files (at one acceleration) decided rightly by the mean log-probability.

    All are the same for any number of processes.
    """

    _KEY = "log_likelihood"

    def __init__(self) -> None:
        super().__init__()
        self._prefix = ""

    def attach(self, engine: Engine, name: str | None = None) -> None:
        """Register with an evaluator.

        Args:
            engine: the evaluator.
            name: of the key metric; what stands before ``log_likelihood`` is the prefix of all names.

        Raises:
            ValueError: if the name does not end with ``log_likelihood``.
        """
        self._prefix = metric_prefix(name, self._KEY)
        super().attach(engine)

    def finish(self, engine: Engine, rows: Sequence[dict[str, Any]]) -> None:
        """Set the engine's metrics."""
        files = files_of(rows)
        metrics = {
            self._KEY: math.fsum(row["log_probabilities"][row["truth"]] for row in rows) / len(rows),
            "accuracy": _share([is_right(row) for row in rows]),
            "file_accuracy": _share([file.decision == file.truth for file in files]),
        }
        for acceleration in sorted({row["acceleration"] for row in rows} - {None}):
            own = [is_right(row) for row in rows if row["acceleration"] == acceleration]
            metrics[f"accuracy/{acceleration:g}x"] = _share(own)
        for name, value in metrics.items():
            engine.state.metrics[f"{self._prefix}{name}"] = value
        words = "  ".join(f"{name} {value:.5g}" for name, value in metrics.items())
        logger.info("%d slices, %d files: %s", len(rows), len(files), words)


def by_file(rows: Sequence[dict[str, Any]]) -> dict[VolumeKey, list[dict[str, Any]]]:
    """Rows of each file and acceleration, in the order of their first slices."""
    groups: dict[VolumeKey, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(VolumeKey(row["file"], row["acceleration"]), []).append(row)
    return groups


def file_log_probabilities(rows: Sequence[dict[str, Any]]) -> torch.Tensor:
    """What the slices of one file say together: the mean of their log-probabilities.

    The file is taken for the anatomy whose mean is largest, and its exponential (the geometric mean of the
    probabilities) is the probability of that anatomy; over all anatomies these need not sum to 1. One slice that is
    sure an anatomy cannot be counts for more than by the mean of the probabilities.

    Args:
        rows: the slices, each with ``log_probabilities``, finite.

    Returns:
        Double, shape ``(anatomies,)``.
    """
    return torch.tensor([row["log_probabilities"] for row in rows], dtype=torch.float64).mean(dim=0)


def files_of(rows: Sequence[dict[str, Any]]) -> list[FileDecision]:
    """Decide for each file and acceleration by `file_log_probabilities`.

    Args:
        rows: as of `DecisionHandler.finish`.

    Returns:
        One decision per file and acceleration, in the order of their first slices.
    """
    decisions = []
    for key, own in by_file(rows).items():
        mean = file_log_probabilities(own)
        truth = own[0]["truth"]
        right = sum(map(is_right, own))
        decisions.append(FileDecision(key, truth, int(mean.argmax()), float(mean[truth].exp()), right, len(own)))
    return decisions


def decided(row: dict[str, Any]) -> int:
    """Index of the anatomy that one slice was taken for; of equal ones the first."""
    values = row["log_probabilities"]
    return int(values.index(max(values)))


def is_right(row: dict[str, Any]) -> bool:
    """Whether one slice was taken for what it is."""
    return decided(row) == row["truth"]


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values)


def _slices(engine: Engine) -> Iterator[tuple[dict[str, Any], torch.Tensor, torch.Tensor]]:
    """Fields, logits and label of each slice of the iteration."""
    batch: Any = engine.state.batch
    output: Any = engine.state.output
    if isinstance(output, dict):
        names = [name for name in ("file", "slice", "acceleration") if name in batch]
        items = [dict(zip(names, values, strict=True)) for values in zip(*(batch[n] for n in names), strict=True)]
        yield from zip(items, output["pred"], output["label"], strict=True)
        return
    for item, one in zip(batch, output, strict=True):
        yield item, one["pred"], one["label"]
