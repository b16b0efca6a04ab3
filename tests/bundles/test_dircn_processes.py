"""The bundle weighted_dircn in two processes on CPU: the same trainings and tables as in one."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from bundle_tools import TORCHRUN, run_bundle, start_bundle
from dircn_tools import CONFIGS, TINY_DIRCN, changed_parts, files, read_weights

pytestmark = pytest.mark.slow

PARTS = {
    "train": (),
    "grow": ("sensitivity_network", "cascades.0", "cascades.1"),
    "train_sensitivity": ("cascades.0", "cascades.1"),
    "train_cascades": ("sensitivity_network",),
}


@pytest.fixture(scope="module")
def data(tiny_data, tmp_path_factory) -> Path:
    """Two subjects (four slices) for training, one for validation, two for the test."""
    folder = tmp_path_factory.mktemp("process_data")
    split = {"train": ["a.h5", "b.h5"], "val": ["c.h5"], "test": ["d.h5", "e.h5"]}
    for number, name in enumerate(name for names in split.values() for name in names):
        (folder / name).write_bytes((tiny_data / f"subject{number % 3}.h5").read_bytes())
    (folder / "split.json").write_text(json.dumps(split))
    return folder


def distance(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    """Relative Euclidean norm of the difference of all weights."""
    names = [name for name in first if first[name].is_floating_point()]
    a, b = (torch.cat([state[name].double().flatten() for name in names]) for state in (first, second))
    return float((a - b).norm() / a.norm())


@pytest.mark.parametrize("stage", PARTS)
def test_each_training_in_two_processes_is_that_of_the_larger_batch(stage, trained_dircn, checkout, data):
    """Two updates, each on two slices; parts that are frozen have no gradients to exchange."""
    start = trained_dircn / "model.pt"
    overlays = () if stage == "train" else (stage,)
    options = {**TINY_DIRCN, "dataset_dir": data, "pretrained": start, "max_epochs": 1, "learning_rate": 1e-3}
    options["network_def::num_cascades"] = 3 if stage == "grow" else 2
    # above the rounding of gradients that are zero in theory, which Adam would turn into whole steps
    options["optimizer::eps"] = 1e-5
    names = [f"{stage}-{processes}" for processes in (1, 2)]
    run_bundle("training", files("train", *overlays), checkout, {**options, "run_name": names[0], "batch_size": 2})
    several = files("train", *overlays, "multi_gpu_train")
    done = start_bundle("training", several, checkout, {**options, "run_name": names[1]}, launcher=TORCHRUN)
    assert done.returncode == 0, done.stdout[-4000:]
    one, two = (trained_dircn.parent / name for name in names)
    changed = changed_parts(start, two / "last.pt")
    assert {part for part, values in changed.items() if values == {False}} == set(PARTS[stage])
    first, second = (read_weights(run / "last.pt") for run in (one, two))
    assert distance(first, second) < 1e-4
    begun = read_weights(start)
    if stage == "grow":  # the new cascade began as a copy of the last old one
        new, copied = "cascades.2.", "cascades.1."
        begun = {name: begun[name.replace(new, copied)] for name in first if name.startswith(new)}
        first = {name: first[name] for name in begun}
    assert distance(first, begun) > 1e-3, "the weights must have moved for this to mean anything"
    best = [json.loads((run / "model.json").read_text())["metrics"]["val_ssim"] for run in (one, two)]
    assert best[0] == pytest.approx(best[1], rel=1e-3)


def test_the_batch_schedule_in_two_processes(trained_dircn, checkout, data):
    options = {**TINY_DIRCN, "dataset_dir": data, "max_epochs": 4, "learning_rate": 1e-12, "patience": 0}
    several = files("train", "batch_schedule", "multi_gpu_train")
    done = start_bundle("training", several, checkout, {**options, "run_name": "schedule"}, launcher=TORCHRUN)
    assert done.returncode == 0, done.stdout[-4000:]
    last = torch.load(trained_dircn.parent / "schedule" / "last.pt", weights_only=True)
    assert last["states"]["batch_schedule"]["level"] == 2
    # 2 batches in each process and epoch: 1 update, 1, 1, 2
    assert {int(state["step"]) for state in last["optimizer"]["state"].values()} == {5}


def test_tables_of_two_processes_are_those_of_one(trained_dircn, checkout, data, tmp_path):
    options = {**TINY_DIRCN, "dataset_dir": data, "ckpt": trained_dircn / "model.pt"}
    run_bundle("evaluation", f"{CONFIGS}/evaluate.json", checkout, {**options, "output_dir": tmp_path / "one"})
    two = {**options, "output_dir": tmp_path / "two"}
    done = start_bundle("evaluation", files("evaluate", "multi_gpu_evaluate"), checkout, two, launcher=TORCHRUN)
    assert done.returncode == 0, done.stdout[-4000:]
    for table in ("volumes.csv", "slices.csv", "summary.csv"):
        rows = []
        for folder in ("one", "two"):
            with (tmp_path / folder / table).open() as file:
                rows.append(sorted(map(str, csv.DictReader(file))))
        assert rows[0] == rows[1], table
