"""The script that shows what adding an anatomy brings: a tiny run from end to end, and once more."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from recon_monai.networks import UniversalVarNet

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def show(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/show_add_anatomy.py", "--only", "knee", "--size", "tiny", "--epochs", "1"]
    paths = ["--weights", str(folder / "base.pt"), "--work", str(folder / "work"), "--output", str(folder / "out")]
    return subprocess.run(
        [*command, *paths, *options], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )


def test_a_tiny_run_scores_every_method_and_the_second_one_only_writes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = UniversalVarNet(["brain", "heart"], 1, 2, 2, 2)
    network.classifier.set_feature_statistics(torch.rand(20, 64), torch.arange(2).repeat_interleave(10))
    torch.save(network.state_dict(), tmp_path / "base.pt")
    done = show(tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    with (tmp_path / "out" / "add_anatomy.csv").open() as file:
        rows = list(csv.DictReader(file))
    methods = [
        "zero-filled",
        "before, brain forced",
        "before, heart forced",
        "before, classifier decides",
        "from nothing, same slices and steps",
        "after, knee given",
        "after, classifier decides",
    ]
    assert [row["method"] for row in rows] == methods * 4, "two test knees at two accelerations"
    assert {(row["steps"], row["slices"], row["source"]) for row in rows} == {("6", "11", "simulated")}
    brain, heart, new = (float(rows[index]["psnr"]) for index in (1, 2, 5))
    assert brain == heart != new, "an untrained network has one set of parameters"
    page = (tmp_path / "out" / "add_anatomy.md").read_text()
    assert "0 slices with other logits of the old anatomies" in page
    assert "files decided otherwise" in page, "whatever a classifier with made-up statistics does"
    again = show(tmp_path)
    assert again.stdout == page
    assert "training" not in again.stderr
    other = show(tmp_path, "--epochs", "2")
    assert other.returncode == 1
    assert "holds runs with other weights, size or epochs" in other.stderr
