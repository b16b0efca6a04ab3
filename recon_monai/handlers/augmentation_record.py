"""What random augmentation did to the slices of each epoch."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from ignite.engine import Engine, Events

from recon_monai import distributed
from recon_monai.data import atomic_path
from recon_monai.handlers.curves import CurveWriter

__all__ = ["AugmentationRecord"]


class _Change(NamedTuple):
    """A number that a transform writes into items: its name here, its value where nothing happens, if it has a size."""

    name: str
    neutral: float = 0.0
    has_size: bool = True


_PROBABILITY = "augmented_probability"
_CHANGES = {
    "augmented_fliph": _Change("fliph", has_size=False),
    "augmented_flipv": _Change("flipv", has_size=False),
    "augmented_rot90": _Change("rot90", has_size=False),
    "augmented_translation_x": _Change("translation_x"),
    "augmented_translation_y": _Change("translation_y"),
    "augmented_rotation": _Change("rotation"),
    "augmented_shearing_x": _Change("shearing_x"),
    "augmented_shearing_y": _Change("shearing_y"),
    "augmented_scaling": _Change("scaling", neutral=1.0),
    "coils_redrawn": _Change("coils_redrawn", has_size=False),
    "coils_mixed": _Change("coils_mixed", has_size=False),
    "resolution": _Change("resolution", neutral=1.0),
    "noise_level": _Change("noise_level"),
}


class AugmentationRecord:
    """Writes what was drawn for the slices of each epoch: a row of ``augmentation.csv`` and curves for TensorBoard.

    Columns are ``epoch``, ``slices`` (how many were seen), ``probability`` (the schedule's value), and for each change
    that items record ``share_<change>``, the share of slices it happened to, and ``size_<change>``, its mean absolute
    size over these, empty if there were none: pixels of translations, degrees of rotation and shearing, the distance
    of scaling and resolution from 1, the level of noise. Transforms that are switched off have no columns, and a
    run without any writes nothing.

    Several processes count together, and the main one writes. A resumed run replaces the rows of the epochs that it
    does again; of an epoch that was cut off in the middle it counts the slices from there on.

    The numbers are read from the batches before they go to the device.

    Args:
        output_dir: the run's folder.
        summary_writer: the run's ``CurveWriter``; None writes no curves.
    """

    def __init__(self, output_dir: str | Path, summary_writer: CurveWriter | None = None) -> None:
        self.file = Path(output_dir) / "augmentation.csv"
        self.curves = summary_writer
        self._clear()

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self._clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._iteration_completed)

    def _clear(self) -> None:
        self._slices = 0
        self._probability = [0.0, 0.0]
        # slices that say so, those that were changed, sum of sizes
        self._sums = {key: [0.0, 0.0, 0.0] for key in _CHANGES}

    def _iteration_completed(self, engine: Engine) -> None:
        batch: Any = engine.state.batch
        self._slices += len(_values(batch, "file"))
        probabilities = _values(batch, _PROBABILITY)
        self._probability[0] += len(probabilities)
        self._probability[1] += sum(probabilities)
        for key, change in _CHANGES.items():
            sizes = [abs(value - change.neutral) for value in _values(batch, key)]
            happened = sum(size > 0 for size in sizes)
            self._sums[key] = [
                old + new for old, new in zip(self._sums[key], (len(sizes), happened, sum(sizes)), strict=True)
            ]
        state = engine.state
        # not at the epoch's end: a run that is stopped in the validation there does not come by again
        if state.epoch_length and state.iteration % state.epoch_length == 0:
            self._finish(engine)

    def _finish(self, engine: Engine) -> None:
        state = engine.state
        numbers = [self._slices, *self._probability, *(value for sums in self._sums.values() for value in sums)]
        device = getattr(state, "device", torch.device("cpu"))
        slices, *rest = distributed.total([float(value) for value in numbers], device)
        values: dict[str, float] = {}
        if rest[0]:
            values["probability"] = rest[1] / rest[0]
        for change, start in zip(_CHANGES.values(), range(2, len(rest), 3), strict=True):
            said, happened, size = rest[start : start + 3]
            if said:
                values[f"share_{change.name}"] = happened / said
            if happened and change.has_size:
                values[f"size_{change.name}"] = size / happened
        if not values or not distributed.is_main():
            return
        self._write({"epoch": state.epoch, "slices": int(slices), **{k: f"{v:.6g}" for k, v in values.items()}})
        if self.curves is not None:
            for name, value in values.items():
                self.curves.add_scalar(f"augmentation/{name}", value, state.epoch)

    def _write(self, row: dict[str, Any]) -> None:
        """Put a row after those of the epochs before."""
        rows: list[dict[str, Any]] = []
        if self.file.is_file():
            with self.file.open(newline="", encoding="utf-8") as old:
                rows = [before for before in csv.DictReader(old) if int(before["epoch"]) < row["epoch"]]
        rows.append(row)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(self.file) as temporary, temporary.open("w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, _columns(rows))
            writer.writeheader()
            writer.writerows(rows)


def _values(batch: Mapping[str, Any] | Sequence[Mapping[str, Any]], key: str) -> list[Any]:
    """One value per slice; none where items do not have it."""
    if isinstance(batch, Mapping):
        values = batch.get(key, ())
        return values.tolist() if isinstance(values, torch.Tensor) else list(values)
    return [item[key] for item in batch if key in item]


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Those that any row has, in their order."""
    kinds = [f"{kind}_{change.name}" for change in _CHANGES.values() for kind in ("share", "size")]
    return [name for name in ("epoch", "slices", "probability", *kinds) if any(name in row for row in rows)]
