"""Stages found, run and reported; their trainings are replaced by one that only leaves its files."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from stage_tools import Workflow

from recon_monai.engines import TrainingStages, name_run, staged_run

TRAIN: dict[str, Any] = {
    "output_dir": "somewhere",
    "run_name": "run",
    "dry_run": False,
    "resume": False,
    "overwrite": False,
    "stages": "all",
    "stage_weights": {},
    "pretrained": None,
    "rate": 0.1,
    "omega": 0.9,
    "epochs": 2,
    "loss_function": {"_target_": "Distillation", "weight": "@omega", "inner": {"_target_": "Inner", "norm": "scaled"}},
    "train": {"trainer": {"_target_": "Student", "loss": "@loss_function", "rate": "@rate", "start": "@pretrained"}},
    "validate": {},
}
CLASSIFIER: dict[str, Any] = {
    "stages": [],
    "loss_function": {"_target_": "CrossEntropy", "inner": "%epochs"},
    "train::trainer": {"_target_": "Classifier", "loss": "@loss_function", "rate": "@rate"},
}
TEACHER: dict[str, Any] = {
    "stages": [],
    "teacher_of": None,
    "train::trainer": {"_target_": "Teacher", "loss": "L1", "rate": "@rate", "of": "@teacher_of"},
}


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    configs = tmp_path / "bundle" / "configs"
    configs.mkdir(parents=True)
    for part in ("train", "validate"):
        file = tmp_path / f"{part}.h5"
        file.write_text(part)
        TRAIN[part] = {**TRAIN[part], "dataset": {"_target_": "types.SimpleNamespace", "files": [str(file)]}}
    for name, content in (("train", TRAIN), ("train_classifier", CLASSIFIER), ("train_teacher", TEACHER)):
        (configs / f"{name}.json").write_text(json.dumps(content))
    monkeypatch.setattr(staged_run, "create_workflow", Workflow)
    monkeypatch.setattr(Workflow, "commands", [])
    return configs.parent


def pipeline(bundle: Path, run: str = "run", **options: Any) -> TrainingStages:
    return TrainingStages(str(bundle), str(bundle / "eval" / run), ["brain", "knee"], **options)


def run_alone(bundle: Path, stage: str, run: str, **options: Any) -> Path:
    """A run that is a stage itself, of the command that was typed."""
    files = [str(bundle / "configs" / f"{name}.json") for name in ("train", f"train_{stage}")]
    folder = bundle / "eval" / run
    Workflow(files, "training", output_dir=str(folder), **options).run()
    return folder


def test_a_stage_does_not_get_options_below_what_it_sets_itself(bundle: Path, typed: Any) -> None:
    typed("--loss_function::inner::norm", "sum", "--rate", "0.2", "--stage_weights::teacher_knee", "x", "--omega", "1")
    pipeline(bundle, stages=["classifier", "teacher_brain"]).run()
    classifier, teacher = Workflow.commands
    common = {"rate": 0.2, "omega": 1, "resume": False, "dry_run": False}
    assert classifier == {**common, "output_dir": f"{bundle}/eval/run/classifier", "run_name": "run/classifier"}
    assert teacher["loss_function::inner::norm"] == "sum", "a teacher has this loss from the whole training"
    assert teacher["teacher_of"] == "brain"


def test_each_stage_is_announced_once(bundle: Path, typed: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    pipeline(bundle).run()
    caplog.clear()
    again = pipeline(bundle, "other")
    again.run()
    for _ in range(2):
        assert {again._finished(name) for name in again.names[:-1]} == {
            str(bundle / "eval" / "run" / name / "model.pt") for name in again.names[:-1]
        }
    for name in again.names[:-1]:
        assert caplog.text.count(f"{name}: using {bundle}/eval/run/{name}/model.pt, finished with the same") == 1
    assert len(Workflow.commands) == 3


def test_a_stage_run_alone_counts(bundle: Path, typed: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.INFO)
    typed("--rate", "0.3", files=("train", "train_classifier"))
    classifier = run_alone(bundle, "classifier", "some")
    typed("--rate", "0.3", "--teacher_of", "knee", files=("train", "train_teacher"))
    teacher = run_alone(bundle, "teacher", "another")
    # with an option of the student's
    typed("--rate", "0.3", "--omega", "0.5")
    whole = pipeline(bundle)
    whole.run()
    assert whole._finished("classifier") == str(classifier / "model.pt")
    assert whole._finished("teacher_knee") == str(teacher / "model.pt")
    assert f"teacher_knee: using {teacher}/model.pt, finished with the same settings and data (1 epochs)" in caplog.text
    assert [command.get("teacher_of") for command in Workflow.commands] == [None, "knee", "brain"]

    # the newest of the same kind explains what is missing, whichever stage was run last
    os.utime(classifier / "finished.json", (2e9, 2e9))
    typed("--rate", "0.4")
    assert f"(in {teacher} settings::rate was 0.3 and is 0.4)" in pipeline(bundle, "third")._missing("teacher_knee")
    typed("--rate", "0.3")
    (tmp_path / "validate.h5").write_text("other!!!")
    assert pipeline(bundle, "fourth")._finished("classifier") is None
    assert f"(in {classifier} data was" in pipeline(bundle, "fourth")._missing("classifier")


def test_a_stage_that_went_on_with_other_settings_counts_as_neither(
    bundle: Path, typed: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for rate in ("0.3", "0.4"):
        typed("--rate", rate, files=("train", "train_classifier"))
        folder = run_alone(bundle, "classifier", "mixed", resume=True)
        assert (folder / "stage.json").exists() == (rate == "0.3")
    assert "rate was 0.3 and is 0.4 since the run began" in caplog.text
    assert pipeline(bundle)._finished("classifier") is None
    # nor is it gone on with as a stage of a run
    typed("--rate", "0.4")
    folder.rename(bundle / "eval" / "classifier")
    (bundle / "eval" / "run").mkdir()
    (bundle / "eval" / "classifier").rename(bundle / "eval" / "run" / "classifier")
    pipeline(bundle, stages=["classifier"]).run()
    assert Workflow.commands[-1]["resume"] is False
    assert len(list((bundle / "eval" / "run").glob("classifier-before-*"))) == 1


def test_a_run_of_some_stages_is_finished_when_they_are(bundle: Path, typed: Any) -> None:
    pipeline(bundle, "some", stages=["classifier"]).run()
    assert not (bundle / "eval" / "some" / "finished.json").exists(), "it holds no weights of the whole network"
    with pytest.raises(ValueError, match=r"no unfinished run .* \(1 finished ones\)"):
        name_run(str(bundle), resume=True)
    assert name_run(str(bundle), resume="some") == "some"
    pipeline(bundle, "some", stages=["teachers"], resume=True).run()
    # stages are over, the student's has not begun
    pipeline(bundle, "whole", stages=["classifier", "student"]).run()
    assert name_run(str(bundle), resume="whole") == "whole"
    assert json.loads((bundle / "eval" / "whole" / "stages.json").read_text())["finished"] is False


def test_weights_that_do_not_exist_are_named_at_once(bundle: Path, typed: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"--stage_weights::classifier gone\.pt: there is no such file"):
        pipeline(bundle, weights={"classifier": "gone.pt"})
    (tmp_path / "there.pt").touch()
    assert pipeline(bundle, weights={"classifier": str(tmp_path / "there.pt")})._finished("classifier")
