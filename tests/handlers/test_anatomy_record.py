from __future__ import annotations

import csv
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine

from recon_monai.engines import UniversalInferer
from recon_monai.handlers import AnatomyRecord
from recon_monai.networks import UniversalVarNet

SIZES = {"num_cascades": 1, "channels": 2, "sensitivity_channels": 2, "pools": 2}
# file, stated anatomy, probability of a brain for each of its slices
FILES = [("a.h5", "brain", [0.99, 0.95]), ("b.h5", "heart", [0.02, 0.6]), ("c.h5", "knee", [0.97])]


def record(folder: Path, *, given: bool = False, files: Sequence[tuple[str, str, list[float]]] = FILES) -> None:
    """Slices of files pass an engine, one by one."""
    network = UniversalVarNet(["brain", "heart"], certainty=0.9, **SIZES)
    inferer = UniversalInferer()
    slices = [(name, stated, n, p) for name, stated, values in files for n, p in enumerate(values)]

    def step(engine: Engine, batch: list[dict]) -> list[dict]:
        brain = batch[0]["probability"]
        inferer.probabilities, inferer.given = torch.tensor([[brain, 1 - brain]]), given
        return [{"pred": torch.zeros(1, 2, 2)}]

    engine = Engine(step)
    AnatomyRecord(folder, network, inferer).attach(engine)
    engine.run([[{"file": f, "anatomy": a, "slice": n, "acceleration": 4, "probability": p}] for f, a, n, p in slices])


def test_slices_files_and_confusion(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        record(tmp_path / "out")
    with (tmp_path / "out" / "anatomies.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["file"], row["slice"], row["anatomy"], row["certain"]) for row in rows] == [
        ("a.h5", "0", "brain", "True"),
        ("a.h5", "1", "brain", "True"),
        ("b.h5", "0", "heart", "True"),
        ("b.h5", "1", "brain", "False"),
        ("c.h5", "0", "brain", "True"),
    ]
    assert [float(row["probability_brain"]) for row in rows] == pytest.approx([0.99, 0.95, 0.02, 0.6, 0.97])
    files = {file["file"]: file for file in json.loads((tmp_path / "out" / "anatomies.json").read_text())["files"]}
    assert files["a.h5"]["anatomy"] == "brain"
    assert files["a.h5"]["probability"] == pytest.approx((0.99 * 0.95) ** 0.5, abs=1e-6)
    assert files["b.h5"]["probabilities"] == pytest.approx(
        {"brain": (0.02 * 0.6) ** 0.5, "heart": (0.98 * 0.4) ** 0.5}, abs=1e-6
    )
    assert (files["b.h5"]["anatomy"], files["b.h5"]["slices_unsure"]) == ("heart", 1)
    assert files["b.h5"]["slices_of_other_anatomy"] == 1
    assert files["c.h5"]["stated"] == "knee"

    warnings = [entry.getMessage() for entry in caplog.records if entry.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "b.h5 (4x): the anatomy is unsure (brain 0.11, heart 0.63): in 1 of 2 slices" in warnings[0]
    assert "c.h5 (4x): found to be brain (probability 0.970)" in caplog.text
    # a file of an anatomy that the network does not know cannot be right or wrong
    confusion = (tmp_path / "out" / "confusion.csv").read_text().splitlines()
    assert confusion == [
        "counted,truth,brain,heart",
        "slices,brain,2,0",
        "slices,heart,1,1",
        "files,brain,1,0",
        "files,heart,0,1",
    ]


def test_a_file_is_the_same_in_the_record_and_in_the_confusion(tmp_path: Path) -> None:
    """The mean of the probabilities says brain (0.63), that of their logarithms heart."""
    record(tmp_path, files=[("a.h5", "heart", [0.95, 0.95, 0.0, 0.62])])
    (file,) = json.loads((tmp_path / "anatomies.json").read_text())["files"]
    assert file["anatomy"] == "heart"
    assert file["probability"] == pytest.approx((0.05 * 0.05 * 1 * 0.38) ** 0.25, abs=1e-6)
    assert file["slices_of_other_anatomy"] == 3
    assert "files,heart,0,1" in (tmp_path / "confusion.csv").read_text().splitlines()
    assert f"| {file['probability']:.3f} | 1 of 4 |" in (tmp_path / "confusion.md").read_text()


def test_a_given_anatomy_is_said_to_be_given(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        record(tmp_path, given=True)
    assert "a.h5 (4x): reconstructed as brain, as given" in caplog.text
    assert not [entry for entry in caplog.records if entry.levelno == logging.WARNING]
    assert json.loads((tmp_path / "anatomies.json").read_text())["files"][0]["found_by"] == "given"
    assert not (tmp_path / "confusion.csv").exists()
