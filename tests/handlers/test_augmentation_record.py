from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import default_collate

from recon_monai import distributed
from recon_monai.handlers import AugmentationRecord, CurveWriter
from recon_monai.transforms import PhysicsAugmentd, set_epoch

Batch = dict[str, Any]


def batch(*slices: dict[str, float]) -> Batch:
    """A collated batch of slices with these draws; the rest did nothing."""
    nothing = {"augmented_probability": 0.25, "augmented_fliph": 0, "augmented_translation_x": 0}
    return default_collate([{"file": "a.h5", **nothing, "augmented_scaling": 1.0, **drawn} for drawn in slices])


def run(
    folder: Path, batches: list[Batch], curves: CurveWriter | None = None, *, epochs: int = 1, done: int = 0
) -> None:
    """Epochs of the given batches, after so many iterations that were done before."""
    engine = Engine(lambda engine, batch: None)
    AugmentationRecord(folder, curves).attach(engine)
    engine.state.iteration, engine.state.epoch_length, engine.state.max_epochs = done, len(batches), epochs
    engine.state.epoch = done // len(batches)
    engine.run(batches, max_epochs=epochs)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "augmentation.csv").open() as file:
        return list(csv.DictReader(file))


BATCHES = [
    batch({"augmented_fliph": 1, "augmented_translation_x": -4}, {"augmented_scaling": 0.9}),
    batch({"augmented_translation_x": 1, "augmented_scaling": 1.2}, {}),
]
EXPECTED = {
    "epoch": "1",
    "slices": "4",
    "probability": "0.25",
    "share_fliph": "0.25",
    "share_translation_x": "0.5",
    "size_translation_x": "2.5",
    "share_scaling": "0.5",
    "size_scaling": "0.15",
}


def test_shares_and_sizes_of_an_epoch(tmp_path: Path) -> None:
    curves = CurveWriter(tmp_path)
    run(tmp_path, BATCHES, curves, epochs=2)
    curves.close()
    assert rows(tmp_path) == [EXPECTED, {**EXPECTED, "epoch": "2"}]
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    drawn = [(event.step, event.value) for event in events.Scalars("augmentation/share_translation_x")]
    assert drawn == [(1, 0.5), (2, 0.5)]
    assert len(events.Tags()["scalars"]) == len(EXPECTED) - 2


def test_epochs_that_are_done_again_replace_their_rows(tmp_path: Path) -> None:
    run(tmp_path, BATCHES, epochs=3)
    quiet = [batch({}, {}), batch({}, {})]
    run(tmp_path, quiet, epochs=2, done=2)
    assert [(row["epoch"], row["share_fliph"]) for row in rows(tmp_path)] == [("1", "0.25"), ("2", "0")]
    assert rows(tmp_path)[1]["size_scaling"] == ""
    # a new run in the same folder
    run(tmp_path, quiet)
    assert [row["epoch"] for row in rows(tmp_path)] == ["1"]


def test_without_augmentation_there_is_no_file(tmp_path: Path) -> None:
    run(tmp_path, [{"file": ["a.h5"], "slice": torch.tensor([1])}])
    assert not (tmp_path / "augmentation.csv").exists()


def test_all_processes_count_and_the_main_one_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = AugmentationRecord(tmp_path)
    engine = Engine(lambda engine, batch: None)
    other.attach(engine)
    sent: list[list[float]] = []
    monkeypatch.setattr(distributed, "total", lambda values, device: sent.append(values) or values)
    monkeypatch.setattr(distributed, "is_main", lambda: False)
    engine.run(BATCHES[1:])
    assert not (tmp_path / "augmentation.csv").exists()
    monkeypatch.setattr(distributed, "is_main", lambda: True)
    monkeypatch.setattr(
        distributed, "total", lambda values, device: [a + b for a, b in zip(values, sent[0], strict=True)]
    )
    run(tmp_path, BATCHES[:1])
    assert rows(tmp_path) == [EXPECTED]


def test_counts_what_the_transform_did(tmp_path: Path) -> None:
    transform = PhysicsAugmentd(delay=0, strength=1.0, max_epochs=1, kind="constant", weight_rotation=0.5)
    set_epoch(transform, 1)
    image = torch.rand(1, 8, 8, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    item = {"kspace": image, "target": image.abs(), "maximum": 1.0, "file": "a.h5", "slice": 0}
    item |= {"output_size": torch.tensor([8, 8]), "padding": torch.tensor([0, 8])}
    done = [transform({**item, "slice": number}) for number in range(20)]
    run(tmp_path, [default_collate(done[:10]), default_collate(done[10:])])
    (row,) = rows(tmp_path)
    angles = [abs(one["augmented_rotation"]) for one in done if one["augmented_rotation"] != 0]
    assert 0 < len(angles) < 20
    assert float(row["share_rotation"]) == pytest.approx(len(angles) / 20)
    assert float(row["size_rotation"]) == pytest.approx(sum(angles) / len(angles), rel=1e-5)
    assert row["share_flipv"] == "0"
