"""Transfer learning of the bundle weighted_dircn as one run of stages: cut off, gone on with, used again."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from bundle_tools import TORCHRUN, run_bundle, start_bundle
from dircn_tools import CONFIGS, TINY_DIRCN, changed_parts, files, read_weights, tiny_dircn

pytestmark = pytest.mark.slow

STAGES = ("base", "grow", "sensitivity", "cascades")
EPOCHS = {"max_epochs": 2, "grow_epochs": 2, "sensitivity_epochs": 1, "cascades_epochs": 1}
RATES = {"grow_learning_rate": 1e-3, "sensitivity_learning_rate": 1e-3, "cascades_learning_rate": 1e-3}
# a seed of its own: with another test's settings, that test's run would be used for the stage "base"
OPTIONS = {**TINY_DIRCN, **EPOCHS, **RATES, "aug_delay": 0, "seed": 21}
TRANSFER = files("train", "transfer")


@pytest.fixture(scope="module")
def runs(checkout) -> Path:
    return checkout / "bundles" / "weighted_dircn" / "eval"


@pytest.fixture(scope="module")
def stopping(checkout, tmp_path_factory) -> str:
    """The files of a run that is stopped in the second stage, once."""
    overlay = tmp_path_factory.mktemp("overlays") / "signal.json"
    sent = str(overlay.with_name("sent"))
    handler = {"_target_": "bundle_tools.SignalAt", "name": "SIGTERM", "iteration": 1, "once": sent}
    # an overlay of the stage alone, so that the others do not stop
    content = json.loads((checkout / CONFIGS / "transfer.json").read_text())
    content["sequence"][1]["files"].append(str(overlay))
    overlay.write_text(json.dumps({"+train::handlers": [handler]}))
    sequence = overlay.with_name("sequence.json")
    sequence.write_text(json.dumps({"sequence": content["sequence"]}))
    return TRANSFER.replace("]", f", '{sequence}']")


@pytest.fixture(scope="module")
def cut(stopping, checkout, tiny_data, runs) -> Path:
    """A run that was stopped in the second stage."""
    done = start_bundle("training", stopping, checkout, {**OPTIONS, "dataset_dir": tiny_data, "run_name": "in-stages"})
    assert done.returncode == 143, done.stdout[-3000:]
    return runs / "in-stages"


@pytest.fixture(scope="module")
def whole(cut, stopping, checkout, tiny_data) -> tuple[Path, str]:
    """The same run, gone on with to its end, and what it printed then."""
    assert (cut / "base" / "finished.json").is_file()
    assert torch.load(cut / "grow" / "last.pt", weights_only=True)["iteration"] == 2, "of 4"
    assert not (cut / "sensitivity").exists()
    printed = run_bundle("training", stopping, checkout, {**OPTIONS, "dataset_dir": tiny_data, "resume": True})
    return cut, printed


def test_a_run_cut_off_in_a_stage_goes_on_there(whole):
    run, printed = whole
    assert "continuing the newest unfinished run" in printed
    assert f"base: using bundles/weighted_dircn/eval/{run.name}/base/model.pt" in printed
    assert f"continuing from bundles/weighted_dircn/eval/{run.name}/grow/last.pt" in printed
    for stage, epochs in zip(STAGES, EPOCHS.values(), strict=True):
        assert json.loads((run / stage / "finished.json").read_text())["epochs"] == epochs


def test_each_stage_starts_from_the_one_before_and_trains_its_part(whole):
    run, _ = whole
    frozen = {
        "grow": {"sensitivity_network", "cascades.0", "cascades.1"},
        "sensitivity": {"cascades.0", "cascades.1", "cascades.2"},
        "cascades": {"sensitivity_network"},
    }
    for before, stage in pairwise(STAGES):
        changed = changed_parts(run / before / "model.pt", run / stage / "last.pt")
        assert {part for part, values in changed.items() if values == {False}} == frozen[stage]


def test_the_run_ends_with_the_weights_of_the_last_stage(whole):
    run, _ = whole
    ended, last = (read_weights(folder / "model.pt") for folder in (run, run / "cascades"))
    assert all(torch.equal(ended[name], last[name]) for name in last)
    assert (run / "model.json").read_text() == (run / "cascades" / "model.json").read_text()
    finished = json.loads((run / "finished.json").read_text())
    assert finished["epochs"] == 1
    assert list(finished["stages"]) == list(STAGES)
    assert len(tiny_dircn(run / "model.pt", num_cascades=3).cascades) == 3


def test_a_later_run_uses_the_stages_that_match(whole, stopping, checkout, tiny_data, runs):
    options = {**OPTIONS, "dataset_dir": tiny_data, "cascades_learning_rate": 2e-3, "run_name": "other-rate"}
    printed = run_bundle("training", stopping, checkout, options)
    for stage in STAGES[:-1]:
        assert f"{stage}: using" in printed
        assert not (runs / "other-rate" / stage).exists()
    assert (runs / "other-rate" / "finished.json").is_file()


def test_without_its_rate_schedule_a_stage_is_another(whole, checkout, tiny_data):
    options = {**OPTIONS, "dataset_dir": tiny_data, "dry_run": True, "run_name": "unscheduled"}
    options["train::handlers::2::_disabled_"] = True
    assert "base: using" not in run_bundle("training", TRANSFER, checkout, options)


def test_growing_by_nothing_is_refused_before_anything_is_trained(checkout, tiny_data, runs):
    options = {**OPTIONS, "dataset_dir": tiny_data, "grown_cascades": 2, "run_name": "not-grown"}
    done = start_bundle("training", TRANSFER, checkout, options)
    assert done.returncode == 1
    assert "--grown_cascades 2 is not more than the 2 cascades that the first stage has" in done.stdout
    assert "Traceback" not in done.stdout
    assert not list(runs.glob("not-grown/*/model.pt"))


@pytest.mark.parametrize("run_id", ["training", "run"])
def test_a_dry_run_plans_every_stage(run_id, whole, checkout, tiny_data, runs):
    before = sorted(runs.glob("*"))
    options = {**OPTIONS, "dataset_dir": tiny_data, "seed": 3, "dry_run": True, "run_name": "planned"}
    printed = run_bundle(run_id, TRANSFER, checkout, options)
    assert printed.count("epochs of") == len(STAGES)
    assert sorted(runs.glob("*")) == before


def test_two_processes_run_all_stages(checkout, tiny_data, runs):
    options = {**OPTIONS, **dict.fromkeys(EPOCHS, 1), "dataset_dir": tiny_data, "seed": 7, "run_name": "two-stages"}
    several = files("train", "transfer", "multi_gpu_train")
    done = start_bundle("training", several, checkout, options, launcher=TORCHRUN)
    assert done.returncode == 0, done.stdout[-4000:]
    assert json.loads((runs / "two-stages" / "cascades" / "run.json").read_text())["processes"] == 2
    tiny_dircn(runs / "two-stages" / "model.pt", num_cascades=3)
