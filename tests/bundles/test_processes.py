"""Two processes on CPU: the same training and the same tables as one."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
from bundle_tools import TINY, TORCHRUN, run_bundle, start_bundle, student_alone
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

pytestmark = pytest.mark.slow

CONFIGS = "bundles/universal_varnet/configs"
TRAIN = f"['{CONFIGS}/train.json', '{CONFIGS}/multi_gpu_train.json']"
ANATOMIES = ("brain", "knee")
STUDENT = {"max_epochs": 2, "warmup_epochs": 0, "omega": 0.1, "aug_delay": 0}
EVALUATE = f"['{CONFIGS}/evaluate.json', '{CONFIGS}/multi_gpu_evaluate.json']"


@pytest.fixture(scope="module")
def data(tiny_data, tmp_path_factory) -> Path:
    """Two subjects (four slices) of different anatomies for training; one for validation; two for the test."""
    folder = tmp_path_factory.mktemp("process_data")
    for name in ("subject0.h5", "subject1.h5", "subject2.h5"):
        (folder / name).write_bytes((tiny_data / name).read_bytes())
    for part in ("a", "b"):
        (folder / f"subject2{part}.h5").write_bytes((tiny_data / "subject2.h5").read_bytes())
    with h5py.File(folder / "subject1.h5", "r+") as file:
        file.attrs["anatomy"] = "knee"
    split = {"train": ["subject0.h5", "subject1.h5"], "val": ["subject2.h5"], "test": ["subject2a.h5", "subject2b.h5"]}
    (folder / "split.json").write_text(json.dumps(split))
    return folder


def train(checkout: Path, data: Path, name: str, *, processes: int, **changes: Any) -> Path:
    """Four updates, each on two slices, mostly by what the teachers say."""
    options = {**TINY, **STUDENT, **student_alone(checkout, ANATOMIES), **changes}
    options |= {"dataset_dir": data, "run_name": name}
    if processes == 1:
        run_bundle("training", f"{CONFIGS}/train.json", checkout, options)
    else:
        done = start_bundle("training", TRAIN, checkout, options, launcher=TORCHRUN)
        assert done.returncode == 0, done.stdout[-4000:]
    return checkout / "bundles" / "universal_varnet" / "eval" / name


def distance(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    """Relative Euclidean norm of the difference of all weights."""
    names = [name for name in first if first[name].is_floating_point()]
    a, b = (torch.cat([state[name].double().flatten() for name in names]) for state in (first, second))
    return float((a - b).norm() / a.norm())


@pytest.fixture(scope="module")
def one_process(checkout, data) -> Path:
    return train(checkout, data, "large-batch", processes=1, batch_size=2)


@pytest.mark.parametrize(
    ("processes", "sizes"),
    [
        pytest.param(2, {"batch_size": 1}, id="two processes"),
        pytest.param(1, {"batch_size": 1, "accumulation_steps": 2}, id="accumulation"),
    ],
)
def test_four_updates_equal_those_of_the_large_batch(one_process, checkout, data, processes, sizes):
    other = train(checkout, data, f"other-{processes}", processes=processes, **sizes)
    first, second = (torch.load(run / "last.pt", weights_only=True) for run in (one_process, other))
    start = torch.load(train_nothing(checkout, data) / "last.pt", weights_only=True)["network"]
    assert distance(first["network"], second["network"]) < 1e-4
    assert distance(first["network"], start) > 1e-3, "the weights must have moved for this to mean anything"
    moments = [run["optimizer"]["state"][0] for run in (first, second)]
    assert [float(moment["step"]) for moment in moments] == [4, 4]
    values = [json.loads((run / "finished.json").read_text()) for run in (one_process, other)]
    assert [value["epochs"] for value in values] == [2, 2]
    best = [json.loads((run / "model.json").read_text()) for run in (one_process, other)]
    assert best[0]["metrics"]["val_ssim"] == pytest.approx(best[1]["metrics"]["val_ssim"], rel=1e-4)
    assert best[0]["metrics"].keys() == best[1]["metrics"].keys()
    drawn = [(run / "augmentation.csv").read_text() for run in (one_process, other)]
    assert drawn[0] == drawn[1]
    assert [row["slices"] for row in csv.DictReader(drawn[0].splitlines())] == ["4", "4"]


def test_teachers_swapped_give_other_weights(one_process, checkout, data):
    """So that the equality above says each slice has its own teacher in every process; all steps mix anatomies."""
    weights = student_alone(checkout, ANATOMIES)["stage_weights"]
    brain, knee = (f"teacher_{name}" for name in ANATOMIES)
    swapped = {**weights, brain: weights[knee], knee: weights[brain]}
    other = train(checkout, data, "swapped", processes=1, batch_size=2, stage_weights=swapped)
    first, second = (torch.load(run / "last.pt", weights_only=True)["network"] for run in (one_process, other))
    assert distance(first, second) > 1e-3


def two_processes(checkout: Path, data: Path) -> Path:
    run = checkout / "bundles" / "universal_varnet" / "eval" / "other-2"
    return run if run.exists() else train(checkout, data, "other-2", processes=2, batch_size=1)


def train_nothing(checkout: Path, data: Path) -> Path:
    run = checkout / "bundles" / "universal_varnet" / "eval" / "nothing"
    if not (run / "last.pt").exists():
        train(checkout, data, "nothing", processes=1, batch_size=2, learning_rate=0)
    return run


def test_one_writer_of_curves(one_process, checkout, data):
    run = two_processes(checkout, data)
    assert len(list(run.glob("events.out.tfevents.*"))) == 1
    events = EventAccumulator(str(run))
    events.Reload()
    assert [event.step for event in events.Scalars("val_ssim")] == [1, 2]
    record = json.loads((run / "run.json").read_text())
    assert record["processes"] == 2


@pytest.mark.parametrize("limits", [{}, {"dataset::max_files": 1, "accelerations": [4], "center_fractions": [0.08]}])
def test_tables_of_two_processes_are_those_of_one(one_process, checkout, data, tmp_path, limits):
    """Four volumes in two processes, then one volume in two: its second measurement counts once."""
    options = {**TINY, **limits, "dataset_dir": data, "ckpt": one_process / "model.pt"}
    run_bundle("evaluation", f"{CONFIGS}/evaluate.json", checkout, {**options, "output_dir": tmp_path / "one"})
    two = {**options, "output_dir": tmp_path / "two"}
    done = start_bundle("evaluation", EVALUATE, checkout, two, launcher=TORCHRUN)
    assert done.returncode == 0, done.stdout[-4000:]
    for table in ("volumes.csv", "slices.csv", "summary.csv"):
        rows = []
        for folder in ("one", "two"):
            with (tmp_path / folder / table).open() as file:
                rows.append(sorted(map(str, csv.DictReader(file))))
        assert rows[0] == rows[1], table
    metrics = [json.loads((tmp_path / folder / "finished.json").read_text())["metrics"] for folder in ("one", "two")]
    assert metrics[0] == metrics[1]


def test_two_processes_stop_and_resume_together(one_process, checkout, data, tmp_path):
    """Only one of them hears of the signal."""
    overlay = tmp_path / "signal.json"
    handler = {"_target_": "bundle_tools.SignalAt", "name": "SIGTERM", "iteration": 1, "rank": 1}
    overlay.write_text(json.dumps({"+train::handlers": [handler]}))
    files = TRAIN.replace("]", f", '{overlay}']")
    options = {**TINY, **STUDENT, **student_alone(checkout, ANATOMIES)}
    options |= {"dataset_dir": data, "run_name": "cut-two"}
    cut = start_bundle("training", files, checkout, options, launcher=TORCHRUN)
    assert cut.returncode != 0
    run = one_process.parent / "cut-two"
    assert torch.load(run / "last.pt", weights_only=True)["iteration"] == 2
    done = start_bundle("training", TRAIN, checkout, {**options, "resume": True}, launcher=TORCHRUN)
    assert done.returncode == 0, done.stdout[-4000:]
    whole = two_processes(checkout, data)
    first, second = (torch.load(folder / "last.pt", weights_only=True)["network"] for folder in (whole, run))
    assert distance(first, second) < 1e-6
