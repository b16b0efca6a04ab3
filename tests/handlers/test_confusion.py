"""Tables and metrics of a classifier's decisions, against numbers counted by hand."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine

from recon_monai import distributed
from recon_monai.handlers import ClassificationMetrics, ConfusionReport
from recon_monai.handlers.decisions import DecisionHandler

# file, slice, acceleration, truth, probability of the first of two anatomies
SLICES = [
    ("a.h5", 0, 4, 0, 0.99),
    ("a.h5", 1, 4, 0, 0.98),
    ("a.h5", 0, 8, 0, 0.6),
    ("a.h5", 1, 8, 0, 0.9),
    ("b.h5", 0, 4, 1, 0.7),
    ("b.h5", 1, 4, 1, 0.7),
    ("b.h5", 2, 4, 1, 0.01),
    ("c.h5", 0, 8, 1, 0.8),
]


def batches(slices: list[tuple[str, int, int, int, float]], size: int = 3) -> list[dict[str, Any]]:
    """As a data loader collates them, with the logits that a network would give."""
    found = []
    for start in range(0, len(slices), size):
        files, numbers, accelerations, truths, probabilities = zip(*slices[start : start + size], strict=True)
        first = torch.tensor(probabilities, dtype=torch.float64)
        found.append(
            {
                "file": list(files),
                "slice": torch.tensor(numbers),
                "acceleration": torch.tensor(accelerations),
                "label": torch.tensor(truths),
                "pred": torch.stack([first.log(), (1 - first).log()], dim=1) + 3.0,
            }
        )
    return found


def run(data: list[Any], *handlers: Any, name: str | None = None) -> Engine:
    engine = Engine(lambda engine, batch: batch)
    for handler in handlers:
        if name is not None and isinstance(handler, ClassificationMetrics):
            handler.attach(engine, name)
        else:
            handler.attach(engine)
    engine.run(data)
    return engine


def test_metrics_are_those_counted_by_hand() -> None:
    metrics = run(batches(SLICES), ClassificationMetrics(), name="val_log_likelihood").state.metrics
    right = [0.99, 0.98, 0.6, 0.9, 0.3, 0.3, 0.99, 0.2]
    assert metrics["val_log_likelihood"] == pytest.approx(sum(map(math.log, right)) / 8)
    assert metrics["val_accuracy"] == 5 / 8
    assert metrics["val_accuracy/4x"] == 3 / 5
    assert metrics["val_accuracy/8x"] == 2 / 3
    # b.h5: 0.3 * 0.3 * 0.99 > 0.7 * 0.7 * 0.01, though two of three slices are wrong
    assert metrics["val_file_accuracy"] == 3 / 4


def test_collated_and_separate_slices_give_the_same() -> None:
    expected = run(batches(SLICES), ClassificationMetrics()).state.metrics
    engine = Engine(lambda engine, batch: batch)
    ClassificationMetrics().attach(engine)
    separate = [
        [{"file": f, "slice": s, "acceleration": a, "label": t, "pred": torch.tensor([p, 1 - p]).double().log()}]
        for f, s, a, t, p in SLICES
    ]
    engine.run(separate)
    assert engine.state.metrics == pytest.approx(expected)


def test_tables_count_slices_and_files_and_name_what_was_wrong(tmp_path: Path) -> None:
    run(batches(SLICES), ConfusionReport(tmp_path / "run", ["brain", "knee"]))
    with (tmp_path / "run" / "confusion.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["counted", "truth", "brain", "knee"],
        ["slices", "brain", "4", "0"],
        ["slices", "knee", "3", "1"],
        ["files", "brain", "2", "0"],
        ["files", "knee", "1", "1"],
    ]
    text = (tmp_path / "run" / "confusion.md").read_text()
    assert "## Slices: 5 of 8 right (62.50%)" in text
    assert "## Files: 3 of 4 right (75.00%)" in text
    wrong, unsure = text.split("## Wrong files: 1")[1].split("## Unsure files: 2")
    assert "| c.h5 (8x) | knee | brain | 0.200 | 0 of 1 |" in wrong
    assert f"| b.h5 (4x) | knee | knee | {(0.3 * 0.3 * 0.99) ** (1 / 3):.3f} | 1 of 3 |" in unsure
    assert f"| a.h5 (8x) | brain | brain | {math.sqrt(0.54):.3f} | 2 of 2 |" in unsure
    assert "a.h5 (4x)" not in text


def test_each_epoch_replaces_the_tables_of_the_one_before(tmp_path: Path) -> None:
    report = ConfusionReport(tmp_path, ["brain", "knee"])
    for slices, words in ((SLICES, "5 of 8 right"), (SLICES[:2], "2 of 2 right (100.00%)")):
        run(batches(slices), report)
        assert f"## Slices: {words}" in (tmp_path / "confusion.md").read_text()
    engine = Engine(lambda engine, batch: batch)
    report.attach(engine)
    engine.run(batches(SLICES[:2]), max_epochs=2)
    text = (tmp_path / "confusion.md").read_text()
    assert "## Slices: 2 of 2 right (100.00%)" in text
    assert text.count("None.") == 2


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 outputs and the report 3 names"):
        run(batches(SLICES), ConfusionReport(tmp_path, ["brain", "knee", "heart"]))
    with pytest.raises(ValueError, match="different names"):
        ConfusionReport(tmp_path, ["brain", "brain"])
    with pytest.raises(ValueError, match=r"certainty is 1\.5"):
        ConfusionReport(tmp_path, ["brain", "knee"], certainty=1.5)
    with pytest.raises(ValueError, match="must end with"):
        run(batches(SLICES), ClassificationMetrics(), name="val_accuracy")


@pytest.mark.parametrize("rank", [0, 1])
def test_of_two_processes_one_writes_and_every_slice_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    expected = run(batches(SLICES), ConfusionReport(tmp_path / "one", ["brain", "knee"]), ClassificationMetrics())
    # c.h5 is measured by both, as where there are more processes than volumes
    shares = [SLICES[:3] + SLICES[7:], SLICES[3:]]
    rows: list[dict[str, Any]] = []

    class Keep(DecisionHandler):
        def finish(self, engine: Engine, given: Sequence[dict[str, Any]]) -> None:
            rows.extend(given)

    run(batches(shares[1 - rank]), Keep())
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "is_main", lambda: rank == 0)
    monkeypatch.setattr(distributed, "gather", lambda own: [*own, *rows] if rank == 0 else [*rows, *own])
    found = run(batches(shares[rank]), ConfusionReport(tmp_path / "two", ["brain", "knee"]), ClassificationMetrics())
    assert found.state.metrics == expected.state.metrics
    assert (tmp_path / "two").exists() == (rank == 0)
    if rank == 0:
        for name in ("confusion.csv", "confusion.md"):
            assert (tmp_path / "two" / name).read_text() == (tmp_path / "one" / name).read_text()
