"""Training that is cut off in four ways and goes on: bit for bit the run that was not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from bundle_tools import TINY, run_bundle, start_bundle

pytestmark = pytest.mark.slow

CONFIG = "bundles/universal_varnet/configs/train.json"
OPTIONS = {
    **TINY,
    "max_epochs": 3,
    "warmup_epochs": 1,
    "val_interval": 2,
    "aug_max_phase": 3.0,
    "accumulation_steps": 2,
    # 2 subjects x 2 slices for training: 4 batches in an epoch, 2 updates
    "train::dataset::max_slices": 2,
}
IN_TRAINING = "+train::handlers"
IN_VALIDATION = "+validate::handlers"


@pytest.fixture(scope="module")
def data(tiny_data, tmp_path_factory) -> Path:
    """Two subjects for training, one for validation."""
    folder = tmp_path_factory.mktemp("resume_data")
    for name in ("subject0.h5", "subject1.h5", "subject2.h5"):
        (folder / name).write_bytes((tiny_data / name).read_bytes())
    split = {"train": ["subject0.h5", "subject1.h5"], "val": ["subject2.h5"], "test": []}
    (folder / "split.json").write_text(json.dumps(split))
    return folder


@pytest.fixture(scope="module")
def whole(student, checkout, data) -> Path:
    """The run that nothing happened to."""
    run_bundle("training", CONFIG, checkout, {**OPTIONS, **student, "dataset_dir": data, "run_name": "whole"})
    return checkout / "bundles" / "universal_varnet" / "eval" / "whole"


def same(first: object, second: object) -> bool:
    if isinstance(first, torch.Tensor):
        return isinstance(second, torch.Tensor) and torch.equal(first, second)
    if isinstance(first, dict):
        return (
            isinstance(second, dict) and first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
        )
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(same(a, b) for a, b in zip(first, second, strict=True))
    return first == second


@pytest.mark.parametrize(
    ("handlers", "name", "iteration", "status", "position"),
    [
        # after the first batch of an update in the second epoch: the update is finished first
        pytest.param(IN_TRAINING, "SIGTERM", 5, 143, 6, id="SIGTERM in an epoch"),
        pytest.param(IN_TRAINING, "SIGINT", 8, 130, 8, id="Ctrl-C at an epoch's end"),
        pytest.param(IN_VALIDATION, "SIGTERM", 1, 143, 8, id="SIGTERM in a validation"),
        # nothing can be saved any more: the last whole state counts, that of the first epoch
        pytest.param(IN_TRAINING, "SIGKILL", 7, -9, 4, id="SIGKILL"),
    ],
)
def test_a_run_goes_on_bit_for_bit(
    whole, student, checkout, data, tmp_path, handlers, name, iteration, status, position
):
    run = f"cut-{name}-{iteration}"
    overlay = tmp_path / "signal.json"
    overlay.write_text(
        json.dumps({handlers: [{"_target_": "bundle_tools.SignalAt", "name": name, "iteration": iteration}]})
    )
    options = {**OPTIONS, **student, "dataset_dir": data, "run_name": run}
    cut = start_bundle("training", f"['{CONFIG}', '{overlay}']", checkout, options)
    folder = whole.parent / run
    assert cut.returncode == status, cut.stdout[-3000:]
    assert "Traceback" not in cut.stdout
    assert torch.load(folder / "last.pt", weights_only=True)["iteration"] == position
    assert not (folder / "finished.json").exists()
    assert not list(folder.glob(".*")) or name == "SIGKILL"
    printed = run_bundle("training", CONFIG, checkout, {**options, "resume": True})
    assert f"iteration {position}" in printed
    for file in ("last.pt", "model.pt"):
        expected, found = (torch.load(where / file, weights_only=True) for where in (whole, folder))
        for state in (expected, found):
            state.pop("random", None)
        assert same(expected, found), file
    assert json.loads((folder / "model.json").read_text()) == json.loads((whole / "model.json").read_text())
    assert len(json.loads((folder / "run.json").read_text())["resumed"]) == 1


def test_the_newest_unfinished_run_is_found_and_a_finished_one_is_kept(whole, student, checkout, data):
    options = {**OPTIONS, **student, "dataset_dir": data}
    before = (whole / "model.pt").read_bytes()
    again = start_bundle("training", CONFIG, checkout, {**options, "run_name": "whole"})
    assert again.returncode == 1
    assert "holds the results of a finished run" in again.stdout
    assert "Traceback" not in again.stdout
    assert (whole / "model.pt").read_bytes() == before
    unknown = start_bundle("training", CONFIG, checkout, {**options, "resume": "nosuch"})
    assert unknown.returncode == 1
    assert "holds no last.pt or stages.json" in unknown.stdout
    replaced = {**options, "run_name": "whole", "overwrite": True, "max_epochs": 1}
    run_bundle("training", CONFIG, checkout, {**options, **replaced, "run_name": "replaced"})
    printed = run_bundle("training", CONFIG, checkout, {**options, **replaced, "run_name": "replaced"})
    assert "iteration" in printed
    finished = json.loads((whole.parent / "replaced" / "finished.json").read_text())
    assert finished["epochs"] == 1


def test_dry_run_says_what_would_happen_and_writes_nothing(student, checkout, data):
    folder = checkout / "bundles" / "universal_varnet" / "eval"
    before = sorted(folder.glob("*")) if folder.exists() else []
    printed = run_bundle("training", CONFIG, checkout, {**OPTIONS, **student, "dataset_dir": data, "dry_run": True})
    assert "training: 2 files, 4 slices (brain 4)" in printed
    assert "4 slices: 3 coils, 96 x 48 -> 48 x 48" in printed
    assert "3 epochs of 4 batches in each of 1 process(es); 2 updates" in printed
    assert "peak memory" in printed
    assert (sorted(folder.glob("*")) if folder.exists() else []) == before


def test_a_mistyped_option_is_refused_with_the_nearest_one(student, checkout, data):
    done = start_bundle("training", CONFIG, checkout, {**TINY, **student, "dataset_dir": data, "max_epoch": 3})
    assert done.returncode == 1
    assert "--max_epoch is no id of train.json; did you mean --max_epochs?" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("cut", [False, True])
def test_worker_processes_end_with_the_run(student, checkout, data, tmp_path, cut):
    """At its end and after a signal; what they left to the main process must not keep it alive."""
    overlay = tmp_path / "signal.json"
    handler = {"_target_": "bundle_tools.SignalAt", "name": "SIGINT", "iteration": 1}
    overlay.write_text(json.dumps({IN_TRAINING: [handler]} if cut else {}))
    options = {
        **OPTIONS,
        **student,
        "dataset_dir": data,
        "run_name": f"workers-{cut}",
        "num_workers": 2,
        "max_epochs": 1,
    }
    done = start_bundle("training", f"['{CONFIG}', '{overlay}']", checkout, options)
    assert done.returncode == (130 if cut else 0), done.stdout[-3000:]


def test_a_word_for_a_switch_is_refused(student, checkout, data):
    done = start_bundle("training", CONFIG, checkout, {**TINY, **student, "dataset_dir": data, "overwrite": "false"})
    assert done.returncode == 1
    assert "--overwrite false would be taken as text; write --overwrite True or --overwrite False" in done.stdout
