"""The whole method by one command: classifier, teachers, student; cut off, gone on with, used again."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import pytest
import torch
from bundle_tools import TINY, TORCHRUN, run_bundle, start_bundle

from recon_monai.networks import UniversalVarNet, load_weights

pytestmark = pytest.mark.slow

CONFIGS = "bundles/universal_varnet/configs"
CONFIG = f"{CONFIGS}/train.json"
SIZES = {"num_cascades": 1, "channels": 2, "sensitivity_channels": 2, "pools": 2}
OPTIONS = {**TINY, "classifier_epochs": 1, "teacher_epochs": 3, "max_epochs": 2, "warmup_epochs": 0, "aug_delay": 0}


@pytest.fixture(scope="module")
def data(tiny_data, tmp_path_factory) -> Path:
    """Two anatomies, each with one subject for training and one for validation."""
    folder = tmp_path_factory.mktemp("stage_data")
    split: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for part, subject in (("train", 0), ("val", 1)):
        for anatomy in ("brain", "knee"):
            name = f"{anatomy}{subject}.h5"
            (folder / name).write_bytes((tiny_data / f"subject{subject}.h5").read_bytes())
            with h5py.File(folder / name, "r+") as file:
                file.attrs["anatomy"] = anatomy
            split[part].append(name)
    (folder / "split.json").write_text(json.dumps(split))
    return folder


@pytest.fixture(scope="module")
def runs(checkout) -> Path:
    return checkout / "bundles" / "universal_varnet" / "eval"


@pytest.fixture(scope="module")
def whole(checkout, data, runs) -> Path:
    """The run that nothing happened to."""
    run_bundle("training", CONFIG, checkout, {**OPTIONS, "dataset_dir": data, "run_name": "stages"})
    return runs / "stages"


def weights_of(file: Path) -> dict[str, torch.Tensor]:
    return torch.load(file, weights_only=True)


def equal(first: Path, second: Path) -> bool:
    a, b = weights_of(first), weights_of(second)
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_from_nothing_to_one_file_that_holds_everything(whole):
    for stage, epochs in (("classifier", 1), ("teacher_brain", 3), ("teacher_knee", 3), (".", 2)):
        assert json.loads((whole / stage / "finished.json").read_text())["epochs"] == epochs
    network = UniversalVarNet(["brain", "knee"], **SIZES)
    load_weights(network, whole / "model.pt")
    trained = weights_of(whole / "classifier" / "model.pt")
    assert all(torch.equal(value, trained[name]) for name, value in network.classifier.state_dict().items())
    assert network.classifier.feature_count.tolist() == [4, 4], "two slices of one subject at two accelerations"
    assert not equal(whole / "teacher_brain" / "model.pt", whole / "teacher_knee" / "model.pt")
    assert json.loads((whole / "teacher_brain" / "model.json").read_text())["anatomies"] == {"brain": 2}
    assert json.loads((whole / "model.json").read_text())["anatomies"] == {"brain": 2, "knee": 2}
    assert "Slices:" in (whole / "classifier" / "confusion.md").read_text()


def test_a_run_cut_off_in_a_teacher_goes_on_there(checkout, data, runs, tmp_path):
    overlay = tmp_path / "signal.json"
    handler = {"_target_": "bundle_tools.SignalAt", "name": "SIGTERM", "iteration": 3, "once": str(tmp_path / "sent")}
    overlay.write_text(json.dumps({"+train::handlers": [handler]}))
    config = f"['{CONFIG}', '{overlay}']"
    # other settings than the whole run's, or its finished stages would be used
    options = {**OPTIONS, "dataset_dir": data, "seed": 5}
    cut = start_bundle("training", config, checkout, {**options, "run_name": "cut-stages"})
    assert cut.returncode == 143, cut.stdout[-3000:]
    run = runs / "cut-stages"
    assert (run / "classifier" / "finished.json").is_file()
    assert weights_of(run / "teacher_brain" / "last.pt")["iteration"] == 4
    assert not (run / "teacher_knee").exists()

    again = start_bundle("training", config, checkout, {**options, "run_name": "cut-stages"})
    assert again.returncode == 1
    assert "holds a run already; go on with it by --resume True" in again.stdout
    printed = run_bundle("training", config, checkout, {**options, "resume": True})
    assert f"continuing the newest unfinished run: {run.relative_to(checkout)}" in printed
    assert "classifier: using" in printed
    assert "teacher_brain/last.pt: epoch 2, iteration 4" in printed
    assert (run / "finished.json").is_file()
    # the same from the beginning: by the stage's own configuration, so that the finished one is not used
    uncut = {**options, "run_name": "uncut", "teacher_of": "brain"}
    run_bundle("training", f"['{CONFIG}', '{CONFIGS}/train_teacher.json']", checkout, uncut)
    assert equal(run / "teacher_brain" / "model.pt", runs / "uncut" / "model.pt")


def test_finished_stages_are_used_where_they_match_and_named(whole, checkout, data, runs):
    options = {**OPTIONS, "dataset_dir": data, "omega": 0.5, "run_name": "other-omega"}
    printed = run_bundle("training", CONFIG, checkout, options)
    for stage in ("classifier", "teacher_brain", "teacher_knee"):
        assert f"{stage}: using" in printed
        assert not (runs / "other-omega" / stage).exists()
    assert not equal(whole / "model.pt", runs / "other-omega" / "model.pt")

    options = {**options, "teacher_epochs": 1, "run_name": "other-teachers", "stages": ["teachers"]}
    printed = run_bundle("training", CONFIG, checkout, options)
    assert "classifier: using" not in printed
    assert (runs / "other-teachers" / "teacher_knee" / "finished.json").is_file()
    assert not (runs / "other-teachers" / "finished.json").exists()


def test_a_student_without_its_stages_says_what_differs(whole, checkout, data):
    options = {**OPTIONS, "dataset_dir": data, "alpha": 0.7, "run_name": "alone"}
    done = start_bundle("training", f"['{CONFIG}', '{CONFIGS}/train_student.json']", checkout, options)
    assert done.returncode == 1
    assert "the student needs the stage teacher_brain" in done.stdout
    assert "alpha was 1.0 and is 0.7" in done.stdout
    assert "Traceback" not in done.stdout


def test_each_stage_runs_alone(whole, checkout, data, runs):
    options = {**OPTIONS, "dataset_dir": data, "teacher_epochs": 3}
    teacher = f"['{CONFIG}', '{CONFIGS}/train_teacher.json']"
    run_bundle("training", teacher, checkout, {**options, "teacher_of": "knee", "run_name": "knee-alone"})
    assert equal(runs / "knee-alone" / "model.pt", whole / "teacher_knee" / "model.pt")
    nameless = start_bundle("training", teacher, checkout, options)
    assert nameless.returncode == 1
    assert "--teacher_of brain" in nameless.stdout
    printed = run_bundle(
        "training", f"['{CONFIG}', '{CONFIGS}/train_student.json']", checkout, {**options, "run_name": "s"}
    )
    assert "teacher_knee: using" in printed
    assert equal(runs / "s" / "model.pt", whole / "model.pt")


def test_a_stage_run_alone_is_used_and_some_stages_are_a_run_of_their_own(checkout, data, runs):
    options = {**OPTIONS, "dataset_dir": data, "seed": 11}
    alone = {**options, "run_name": "classifier-alone"}
    run_bundle("training", f"['{CONFIG}', '{CONFIGS}/train_classifier.json']", checkout, alone)
    # an option below what the classifier's stage and its loss do not have
    options |= {"loss_function::distillation_loss::norm": "sum", "omega": 0.5}
    some = {**options, "stages": ["classifier"], "run_name": "some-stages"}
    printed = run_bundle("training", CONFIG, checkout, some)
    assert printed.count("classifier: using") == 1
    assert "eval/classifier-alone/model.pt, finished with the same settings and data (1 epochs)" in printed
    assert json.loads((runs / "some-stages" / "stages.json").read_text())["finished"] is True

    # in a stage that is trained too, and with weights that are not there
    run_bundle("training", CONFIG, checkout, {**some, "seed": 12, "run_name": "other-stages"})
    assert (runs / "other-stages" / "classifier" / "finished.json").is_file()
    for words, message in (
        ({"stage_weights::classifier": "gone.pt"}, "--stage_weights::classifier gone.pt: there is no such file"),
        ({"run_name": "nothing"}, "--omega would be without effect: nothing in train.json, no_distillation.json uses"),
    ):
        files = CONFIG if "run_name" not in words else f"['{CONFIG}', '{CONFIGS}/no_distillation.json']"
        given = {key: value for key, value in options.items() if not key.startswith("loss_function") or files == CONFIG}
        done = start_bundle("training", files, checkout, {**given, "run_name": "gone", **words})
        assert done.returncode == 1
        assert message in done.stdout
        assert "Traceback" not in done.stdout


def test_dry_run_plans_every_stage(checkout, data, runs):
    before = sorted(runs.glob("*"))
    options = {**OPTIONS, "dataset_dir": data, "seed": 9, "dry_run": True, "run_name": "planned"}
    printed = run_bundle("training", CONFIG, checkout, options)
    assert printed.count("epochs of") == 4
    assert sorted(runs.glob("*")) == before


def test_two_processes_run_all_stages(checkout, data, runs):
    files = f"['{CONFIG}', '{CONFIGS}/multi_gpu_train.json']"
    options = {**OPTIONS, "dataset_dir": data, "seed": 7, "run_name": "two-stages"}
    done = start_bundle("training", files, checkout, options, launcher=TORCHRUN)
    assert done.returncode == 0, done.stdout[-4000:]
    assert json.loads((runs / "two-stages" / "run.json").read_text())["processes"] == 2
    load_weights(UniversalVarNet(["brain", "knee"], **SIZES), runs / "two-stages" / "model.pt")
