"""The overlay whose classifier looks through a trained VarNet: trained, carried in one file, evaluated from it."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import pytest
import torch
from bundle_tools import TINY, run_bundle, start_bundle

from recon_monai.networks import VarNet

pytestmark = pytest.mark.slow

CONFIGS = "bundles/universal_varnet/configs"
# one epoch, no teachers: the reconstruction's training does not depend on the classifier's
OPTIONS = {**TINY, "classifier_epochs": 1, "max_epochs": 1, "warmup_epochs": 0, "aug_delay": 0}


def files(*names: str) -> str:
    return str([f"{CONFIGS}/{name}.json" for name in names])


TRAIN = files("train", "varnet_classifier", "no_distillation")


@pytest.fixture(scope="module")
def data(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two anatomies to train on, one to validate and one to test."""
    folder = tmp_path_factory.mktemp("two_anatomies")
    split = {"train": ["brain0.h5", "knee0.h5"], "val": ["knee1.h5"], "test": ["brain2.h5"]}
    for name in (name for names in split.values() for name in names):
        (folder / name).write_bytes((tiny_data / f"subject{name[-4]}.h5").read_bytes())
        with h5py.File(folder / name, "r+") as file:
            file.attrs["anatomy"] = name[:-4]
    (folder / "split.json").write_text(json.dumps(split))
    return folder


@pytest.fixture(scope="module")
def varnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("varnet") / "model.pt"
    torch.save(VarNet(1, 2, 2, 2).state_dict(), file)
    return file


def test_all_stages_then_evaluation_and_inference_from_one_file(
    checkout: Path, data: Path, varnet: Path, tmp_path: Path
) -> None:
    options = {**OPTIONS, "dataset_dir": data, "run_name": "seen-through", "classifier_varnet": varnet}
    run_bundle("training", TRAIN, checkout, options)
    run = checkout / "bundles" / "universal_varnet" / "eval" / "seen-through"
    trained, inside = (torch.load(file, weights_only=True) for file in (run / "model.pt", varnet))
    stage = torch.load(run / "classifier" / "model.pt", weights_only=True)
    assert stage["feature_count"].tolist() == [4, 4]
    for name, value in inside.items():
        assert torch.equal(stage[f"varnet.{name}"], value), name
    for name, value in stage.items():
        assert torch.equal(trained[f"classifier.{name}"], value), name

    moved = tmp_path / "moved.pt"
    moved.write_bytes((run / "model.pt").read_bytes())
    sizes = {key: value for key, value in TINY.items() if key.startswith("network_def")}
    options = {**sizes, "num_workers": 0, "dataset_dir": data, "ckpt": moved, "output_dir": tmp_path / "tables"}
    run_bundle("evaluation", files("evaluate", "varnet_classifier"), checkout, options)
    assert "classifier" in (tmp_path / "tables" / "anatomies.csv").read_text()
    # the newest finished run of this architecture is found
    options = {**options, "output_dir": tmp_path / "images", "acceleration": 4, "split": "test"}
    del options["ckpt"]
    printed = run_bundle("inference", files("inference", "varnet_classifier"), checkout, options)
    assert "seen-through/model.pt" in printed
    assert "brain2.h5" in (tmp_path / "images" / "anatomies.json").read_text()
    assert (tmp_path / "images" / "brain2.h5").is_file()

    # a student of its own, from the classifier's file alone
    options = {**OPTIONS, "dataset_dir": data, "run_name": "student-only", "stages": ["student"]}
    options["stage_weights::classifier"] = run / "classifier" / "model.pt"
    run_bundle("training", TRAIN, checkout, options)
    again = torch.load(run.with_name("student-only") / "model.pt", weights_only=True)
    assert all(torch.equal(again[name], value) for name, value in trained.items())


@pytest.mark.parametrize("alone", [False, True])
def test_training_without_the_varnet_says_what_is_missing(checkout: Path, data: Path, alone: bool) -> None:
    config = files("train", "train_classifier", "varnet_classifier") if alone else TRAIN
    options = {**OPTIONS, "dataset_dir": data, "run_name": f"missing-{alone}"}
    done = start_bundle("training", config, checkout, options)
    assert done.returncode == 1
    assert "error: the VarNet that the classifier looks through has no weights" in done.stdout
    assert "--classifier_varnet FILE" in done.stdout
    assert "Traceback" not in done.stdout
    assert not (checkout / "bundles" / "universal_varnet" / "eval" / f"missing-{alone}").exists()


def test_the_stage_alone_and_a_varnet_of_another_size(checkout: Path, data: Path, varnet: Path) -> None:
    options = {**OPTIONS, "dataset_dir": data, "run_name": "through-alone", "classifier_varnet": varnet, "amp": True}
    config = files("train", "varnet_classifier", "train_classifier")
    run_bundle("training", config, checkout, options)
    run = checkout / "bundles" / "universal_varnet" / "eval" / "through-alone"
    assert "Slices:" in (run / "confusion.md").read_text()
    options = {**options, "run_name": "other-size", "network_def::num_cascades": 2}
    done = start_bundle("training", config, checkout, options)
    assert done.returncode == 1
    assert (
        f"error: --classifier_varnet: {varnet} does not fit this VarNet: the weights have num_cascades=1" in done.stdout
    )
    assert not run.with_name("other-size").exists()
