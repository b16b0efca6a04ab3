"""The benchmark runs and compares what it says; its figures are no test's business."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def test_a_tiny_run_gives_every_row_and_the_parameters(tmp_path):
    command = [sys.executable, "scripts/benchmark.py", "--size", "tiny", "--rounds", "1", "--repeats", "1"]
    done = subprocess.run(
        [*command, "--output", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with (tmp_path / "benchmark_tiny_cpu.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["compared_with"] for row in rows].count("monai step") == 3
    assert all(float(row["ours"]) > 0 and float(row["theirs"]) > 0 for row in rows)
    for row in rows:
        assert float(row["ratio"]) == pytest.approx(float(row["theirs"]) / float(row["ours"]))
    page = (tmp_path / "benchmark_tiny_cpu.md").read_text()
    assert page == done.stdout.rstrip("\n") + "\n"
    assert "parameters 60,677 (ours) and 61,981 (MONAI)" in page
    assert "--size tiny --rounds 1 --repeats 1" in page
