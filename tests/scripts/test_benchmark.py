"""The benchmark runs and compares what it says; its figures are no test's business."""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from recon_monai.networks import FeatureTap

ROOT = Path(__file__).parents[2]
TINY = {"sizes": [1, 2, 2], "shape": [2, 48, 48], "slices": 4, "device": "cpu", "repeats": 1, "threads": 1}


@pytest.fixture
def scripts(monkeypatch) -> SimpleNamespace:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import benchmark
    import benchmark_networks
    import benchmark_parts
    import benchmark_tables

    return SimpleNamespace(main=benchmark, networks=benchmark_networks, parts=benchmark_parts, tables=benchmark_tables)


def made_up(names: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Results of three processes each: the part's position, its half and its double."""
    return {
        name: [
            {"seconds": factor * place, "megabytes": 100 * factor * place, "parameters": 1000 * place}
            for factor in (1, 2, 0.5)
        ]
        for place, name in enumerate(names, start=1)
    }


@pytest.mark.slow
def test_a_tiny_run_gives_every_row_and_the_parameters(tmp_path):
    """Also where fastMRI's package is there and what it imports is not."""
    package = tmp_path / "packages" / "fastmri"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import fastmri_needs_this\n")
    command = [sys.executable, "scripts/benchmark.py", "--size", "tiny", "--rounds", "1", "--repeats", "1"]
    done = subprocess.run(
        [*command, "--output", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(package.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "without fastMRI's rows (No module named 'fastmri_needs_this')" in done.stderr
    with (tmp_path / "benchmark_tiny_cpu.csv").open() as file:
        rows = list(csv.DictReader(file))
    compared = [row["compared_with"] for row in rows]
    assert compared.count("monai step") == 3
    assert compared.count("our step with ASPIN") == 2
    assert "fastmri step" not in compared
    assert all(float(row["ours"]) > 0 and float(row["theirs"]) > 0 for row in rows)
    for row in rows:
        first, second = row["ratio_is"].split(" / ")
        assert float(row["ratio"]) == pytest.approx(float(row[first]) / float(row[second]))
    page = (tmp_path / "benchmark_tiny_cpu.md").read_text()
    assert page == done.stdout.rstrip("\n") + "\n"
    assert "parameters 60,677 (ours), " in page
    assert ", 61,981 (MONAI);" in page
    assert "for its rows: `pip install --no-deps fastmri && " in page
    assert "--size tiny --rounds 1 --repeats 1" in page


@pytest.mark.parametrize(
    ("size", "required"),
    [
        ("medium", {"training step beside fastMRI's": 2}),
        ("small", {"training step beside fastMRI's": 2}),
        ("standard", {"training step": 1.7, "the same, checkpointing all": 3, "reading one slice": 20}),
        ("large", {}),
        ("tiny", {}),
    ],
)
def test_what_is_required_depends_on_the_size(scripts, size, required):
    assert size in scripts.main.SIZES
    rows = scripts.tables.rows(made_up(scripts.tables.parts(fastmri=True)), size)
    assert {row["what"]: row["required"] for row in rows if row["required"] is not None} == required


def test_costs_are_with_by_without_and_all_else_theirs_by_ours(scripts):
    names = ["our step", "fastmri step", "our step with ASPIN"]
    rest = [name for name in scripts.tables.parts(fastmri=True) if name not in names]
    results = made_up([*names, *rest])
    rows = {row["what"]: row for row in scripts.tables.rows(results, "medium")}
    assert rows["training step beside fastMRI's"]["ratio"] == 2
    assert rows["the same, ours with ASPIN"]["ratio"] == pytest.approx(2 / 3)
    assert rows["ASPIN: training step"]["ratio"] == 3
    assert rows["ASPIN: memory of a training step"]["theirs_range"] == "50 to 200"
    page = scripts.tables.page(
        list(rows.values()),
        results,
        {**TINY, "fastmri": "0.3.0"},
        argparse.Namespace(size="medium", rounds=3, repeats=1, device="cpu"),
    )
    assert "2,000 (fastMRI 0.3.0)" in page
    assert "could not be imported" not in page
    first, second = page.split("| what it costs |")
    assert "| training step beside fastMRI's | 1 s (0.5 to 2) | fastmri step | 2 s (1 to 4) | **2.00** | 2 |" in first
    assert "| ASPIN: training step | 3 s (1.5 to 6) | our step | 1 s (0.5 to 2) | **3.00** |" in second


def test_without_fastmri_only_its_rows_are_missing(scripts):
    def of(fastmri: bool) -> list[str]:
        return [row["what"] for row in scripts.tables.rows(made_up(scripts.tables.parts(fastmri=fastmri)), "tiny")]

    assert [what for what in of(True) if what not in of(False)] == [
        "reconstruction beside fastMRI's",
        "training step beside fastMRI's",
        "the same, ours with ASPIN",
        "memory of a training step beside fastMRI's",
    ]


def test_every_part_of_the_tables_can_be_measured(scripts):
    assert set(scripts.tables.parts(fastmri=True)) == set(scripts.parts.PARTS)


def test_the_command_for_fastmri_is_the_same_everywhere(scripts):
    documents = [scripts.main.__doc__, (ROOT / "docs" / "performance.md").read_text()]
    assert all(scripts.tables.INSTALL_FASTMRI in text for text in documents)


def test_a_student_step_adds_the_distance_to_the_teacher_of_its_anatomy(scripts):
    call = scripts.networks.our_universal_network(TINY, "heart", scripts.networks.DistillingCall)
    kspace, mask, anatomy = call.inputs
    with torch.no_grad(), FeatureTap(call.network, 1) as ours, FeatureTap(call.teachers["heart"], 1) as theirs:
        image = call.network(kspace, mask, anatomy)
        call.teachers["heart"](kspace, mask)
    expected = 0.9 * (image - 1).abs().mean() + 0.1 * call.distance(ours.features, theirs.features)
    loss = call.loss(call.inputs)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert all(parameter.grad is None for teacher in call.teachers.values() for parameter in teacher.parameters())
    layer = call.network.cascades[0].refinement.unet.encoder[0]
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in layer.parameters())


@pytest.mark.parametrize(("anatomy", "calls"), [("brain", 0), (None, 1)])
def test_the_classifier_runs_where_the_anatomy_is_not_given(scripts, anatomy, calls):
    call = scripts.networks.our_universal_network(TINY, anatomy)
    seen: list[int] = []
    call.network.classifier.register_forward_hook(lambda *_: seen.append(1))
    assert call().shape == (1, 1, 48, 48)
    assert len(seen) == calls


def test_fastmris_network_is_of_the_same_size(scripts):
    pytest.importorskip("fastmri.models", reason="needs fastMRI's own code", exc_type=ImportError)
    ours, theirs = scripts.networks.our_network(TINY), scripts.networks.fastmri_network(TINY)
    assert theirs.parameters == ours.parameters
    assert theirs().shape == (1, 48, 48)
    measured = scripts.parts.PARTS["fastmri step"](TINY)
    assert measured["seconds"] > 0
    assert measured["parameters"] == ours.parameters


def test_memory_is_what_an_action_adds_whatever_the_process_held_before():
    # a process of its own, as in the benchmark: memory that earlier work left to the allocator is not added again
    program = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from benchmark_parts import memory_of_first
held = torch.ones(200 * 2**20, dtype=torch.uint8)
del held
print(memory_of_first(lambda: torch.ones(64 * 2**20, dtype=torch.uint8), "cpu"))
"""
    words = [sys.executable, "-c", program, str(ROOT / "scripts")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(64, abs=4)
