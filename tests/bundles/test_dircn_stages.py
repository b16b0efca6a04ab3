"""Transfer learning with the bundle weighted_dircn: cascades added, parts frozen, one stage after the other."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import pytest
import torch
from bundle_tools import run_bundle, start_bundle
from dircn_tools import CONFIGS, TINY_DIRCN, changed_parts, files, read_weights, tiny_dircn

pytestmark = pytest.mark.slow

GROWN = {**TINY_DIRCN, "network_def::num_cascades": 3, "max_epochs": 2}
STAGES = ("grow", "train_sensitivity", "train_cascades")


@pytest.fixture(scope="module")
def runs(trained_dircn, checkout, tiny_data) -> dict[str, Path]:
    """A run of each stage, from the weights that the one before ended with."""
    found = {"pretraining": trained_dircn}
    for before, stage in zip(found | dict.fromkeys(STAGES), STAGES, strict=False):
        options = {**GROWN, "dataset_dir": tiny_data, "pretrained": found[before] / "last.pt", "run_name": stage}
        run_bundle("training", files("train", stage), checkout, options)
        found[stage] = trained_dircn.parent / stage
    return found


def test_growing_trains_the_new_cascade_alone(runs):
    before, after = (runs[stage] / "last.pt" for stage in ("pretraining", "grow"))
    assert changed_parts(before, after) == {
        "sensitivity_network": {False},
        "cascades.0": {False},
        "cascades.1": {False},
    }
    weights = read_weights(after)
    copied = "cascades.{}.refinement.unet.stem.conv.weight"
    assert not torch.equal(weights[copied.format(2)], weights[copied.format(1)])


def test_the_old_cascades_of_a_grown_network_give_what_they_gave(runs, tiny_data):
    with h5py.File(tiny_data / "subject0.h5") as file, torch.no_grad():
        kspace = torch.from_numpy(file["kspace"][()])
        old = tiny_dircn(runs["pretraining"] / "last.pt")(kspace)
        grown = tiny_dircn(runs["grow"] / "last.pt", num_cascades=3)
        assert torch.equal(grown.reconstruct(kspace, num_cascades=2).image, old)
        assert not torch.equal(grown(kspace), old)


def test_training_the_coil_maps_leaves_the_cascades(runs):
    changed = changed_parts(runs["grow"] / "last.pt", runs["train_sensitivity"] / "last.pt")
    assert True in changed.pop("sensitivity_network")
    assert changed == {f"cascades.{index}": {False} for index in range(3)}


def test_training_the_cascades_leaves_the_coil_maps(runs):
    changed = changed_parts(runs["train_sensitivity"] / "last.pt", runs["train_cascades"] / "last.pt")
    assert changed.pop("sensitivity_network") == {False}
    assert changed.keys() == {f"cascades.{index}" for index in range(3)}
    assert all(True in values for values in changed.values())


@pytest.mark.parametrize(("stage", "rate"), [("grow", 1e-3), ("train_sensitivity", 2e-5), ("train_cascades", 2e-5)])
def test_each_optimizer_knows_what_is_trained_and_has_its_own_rate(runs, stage, rate):
    last = torch.load(runs[stage] / "last.pt", weights_only=True)
    (group,) = last["optimizer"]["param_groups"]
    assert group["lr"] == rate
    network = tiny_dircn(runs[stage] / "last.pt", num_cascades=3)
    trained = {
        "grow": network.cascades[2],
        "train_sensitivity": network.sensitivity_network,
        "train_cascades": network.cascades,
    }
    assert len(group["params"]) == len(list(trained[stage].parameters()))


def test_weights_get_no_worse_by_a_stage(runs, checkout, tiny_data):
    """Those that it started from stay the best if none are better."""
    start = runs["grow"] / "last.pt"
    options = {**GROWN, "dataset_dir": tiny_data, "pretrained": start, "run_name": "worse", "learning_rate": 10.0}
    run_bundle("training", files("train", "train_cascades"), checkout, options)
    run = runs["grow"].parent / "worse"
    assert json.loads((run / "model.json").read_text())["epoch"] == 0
    given, kept, last = (read_weights(file) for file in (start, run / "model.pt", run / "last.pt"))
    assert all(torch.equal(given[name], kept[name]) for name in given)
    assert not all(torch.equal(given[name], last[name]) for name in given)


def test_a_stage_cut_off_goes_on_with_the_same_parts_frozen(runs, checkout, tiny_data, tmp_path):
    overlay = tmp_path / "signal.json"
    handler = {"_target_": "bundle_tools.SignalAt", "name": "SIGTERM", "iteration": 1}
    overlay.write_text(json.dumps({"+train::handlers": [handler]}))
    options = {**GROWN, "dataset_dir": tiny_data, "pretrained": runs["pretraining"] / "last.pt", "run_name": "cut"}
    config = files("train", "grow")
    cut = start_bundle("training", config.replace("]", f", '{overlay}']"), checkout, options)
    assert cut.returncode == 143, cut.stdout[-3000:]
    run = runs["grow"].parent / "cut"
    assert torch.load(run / "last.pt", weights_only=True)["iteration"] == 2, "of 4"
    run_bundle("training", config, checkout, {**options, "resume": True})
    whole, resumed = (read_weights(folder / "last.pt") for folder in (runs["grow"], run))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_evaluation_takes_the_grown_network(runs, checkout, tiny_data, tmp_path):
    options = {**GROWN, "dataset_dir": tiny_data, "ckpt": runs["train_cascades"] / "model.pt"}
    options.pop("max_epochs")
    run_bundle("evaluation", f"{CONFIGS}/evaluate.json", checkout, {**options, "output_dir": tmp_path})
    assert (tmp_path / "summary.md").is_file()


@pytest.mark.parametrize(
    ("stage", "overrides", "message"),
    [
        ("grow", {}, "sensitivity and old_cascades would be frozen untrained; give trained weights by --pretrained"),
        ("train_cascades", {}, "sensitivity would be frozen untrained"),
        ("grow", {"network_def::num_cascades": 2}, "2 cascades and so has the network, so that none is new"),
        ("grow", {"frozen": ["everything"]}, "unknown part 'everything'"),
        ("grow", {"pretrained": "missing.pt"}, "--pretrained missing.pt: there is no such file"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(runs, checkout, tiny_data, stage, overrides, message):
    given = {} if message.startswith("sensitivity") else {"pretrained": runs["pretraining"] / "model.pt"}
    options = {**GROWN, "dataset_dir": tiny_data, "run_name": "refused", **given, **overrides}
    done = start_bundle("training", files("train", stage), checkout, options)
    assert done.returncode == 1
    assert message in done.stdout
    assert "Traceback" not in done.stdout
