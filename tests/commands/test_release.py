"""`recon-monai release`: from a run's folder to the weights that a bundle ships."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import shutil
from pathlib import Path

import pytest
import torch
from command_tools import failure_of

from recon_monai.cli import main
from recon_monai.engines.stage_settings import weight_identity
from recon_monai.networks import AnatomyClassifier, UniversalVarNet, VarNet

failure = functools.partial(failure_of, "release")

SIZES = {"num_cascades": 1, "channels": 2, "sensitivity_channels": 2, "pools": 2}
PART = {"channels": 2, "pools": 2}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "configs").mkdir(parents=True)
    network = {
        "_target_": "recon_monai.networks.UniversalVarNet",
        "anatomies": "@anatomies",
        "num_cascades": 1,
        "sensitivity_network": {"_target_": "recon_monai.networks.SensitivityNetwork", **PART},
        "refinement": {"_target_": "recon_monai.networks.NormUNet", "_mode_": "callable", **PART},
    }
    content = {"anatomies": "$anatomies_of(@train::dataset)", "network_def": network}
    (folder / "configs" / "train.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    torch.manual_seed(0)
    torch.save(UniversalVarNet(["brain", "heart"], **SIZES).state_dict(), folder / "model.pt")
    (folder / "model.json").write_text(json.dumps({"anatomies": {"brain": 3, "heart": 4}, "epoch": 2}))
    (folder / "finished.json").write_text(json.dumps({"epochs": 5}))
    words = [
        "monai/bundle/__main__.py",
        "run",
        "training",
        "--config_file",
        "train.json",
        "--dataset_dir",
        "/data/mine",
        "--omega",
        "0.5",
    ]
    record = {
        "command": words,
        "data": {"folders": ["/data/mine"], "files": 7, "fingerprint": "0123"},
        "versions": {"torch": "2"},
        "git_revision": "abc",
    }
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def test_weights_and_where_they_come_from(bundle: Path, run: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        main(["release", str(run), "--bundle", str(bundle)])
    assert "brain, heart" in caplog.text
    shipped = torch.load(bundle / "models" / "model.pt", weights_only=True)
    trained = torch.load(run / "model.pt", weights_only=True)
    assert shipped.keys() == trained.keys()
    assert all(torch.equal(shipped[name], trained[name]) for name in trained)
    text = (bundle / "models" / "model.json").read_text()
    assert "/data/mine" not in text
    record = json.loads(text)
    assert (record["anatomies"], record["epoch"]) == ({"brain": 3, "heart": 4}, 2)
    assert record["training"]["options"] == {"omega": 0.5}
    assert record["training"]["epochs"] == 5
    assert record["training"]["data"] == {"files": 7, "fingerprint": "0123"}


def test_what_is_shipped_is_replaced_only_if_told_so(bundle: Path, run: Path, caplog: pytest.LogCaptureFixture) -> None:
    main(["release", str(run), "--bundle", str(bundle)])
    assert "give --overwrite to replace it" in failure(caplog, run, "--bundle", bundle)
    main(["release", str(run), "--bundle", str(bundle), "--overwrite"])


def test_another_classifier(bundle: Path, run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = tmp_path / "classifier"
    assert "expected the folder of a finished run" in failure(
        caplog, run, "--bundle", bundle, "--classifier", tmp_path / "none"
    )
    other.mkdir()
    for name in ("model.json", "finished.json", "run.json"):
        (other / name).write_text((run / name).read_text())
    torch.manual_seed(1)
    classifier = AnatomyClassifier(2)
    torch.save(classifier.state_dict(), other / "model.pt")
    main(["release", str(run), "--bundle", str(bundle), "--classifier", str(other)])
    shipped = torch.load(bundle / "models" / "model.pt", weights_only=True)
    trained = torch.load(run / "model.pt", weights_only=True)
    for name, value in trained.items():
        part, _, key = name.partition(".")
        if name == "classifier._extra_state":  # holds the names, which this one's own weights do not
            continue
        expected = classifier.state_dict()[key] if part == "classifier" else value
        assert torch.equal(shipped[name], expected)
    record = json.loads((bundle / "models" / "model.json").read_text())
    assert record["classifier_training"]["epochs"] == 5
    torch.save(AnatomyClassifier(anatomies=["heart", "brain"]).state_dict(), other / "model.pt")
    assert "anatomies=['heart', 'brain'], the network has anatomies=['brain', 'heart']" in failure(
        caplog, run, "--bundle", bundle, "--classifier", other, "--overwrite"
    )


@pytest.fixture
def staged(bundle: Path, run: Path, tmp_path: Path) -> Path:
    """A run of two stages, the first of which the bundle ships too; weights differ, and so do records."""
    content = json.loads((bundle / "configs" / "train.json").read_text())
    content["sequence"] = [
        {"name": "first", "files": ["first.json"], "release": "start"},
        {"name": "second", "files": ["second.json"]},
    ]
    (bundle / "configs" / "train.json").write_text(json.dumps(content))
    whole = tmp_path / "whole"
    stages = {}
    for number, name in enumerate(("first", "second")):
        folder = whole / name
        shutil.copytree(run, folder)
        torch.manual_seed(number)
        torch.save(UniversalVarNet(["brain", "heart"], **SIZES).state_dict(), folder / "model.pt")
        record = json.loads((folder / "run.json").read_text())
        record["command"][4] = f"['train.json', '{name}.json']"
        (folder / "run.json").write_text(json.dumps(record))
        (folder / "model.json").write_text(json.dumps({"of": name}))
        stages[name] = {"weights": str(folder / "model.pt"), "content": weight_identity(folder / "model.pt")}
    shutil.copy(whole / "second" / "model.pt", whole)
    (whole / "finished.json").write_text(json.dumps({"epochs": 5, "stages": stages}))
    return whole


def shipped(bundle: Path) -> dict[str, tuple[bytes, str]]:
    """Weights below models, and what their records say they are of."""
    files = sorted((bundle / "models").glob("*.pt"))
    return {file.stem: (weights(file), json.loads(file.with_suffix(".json").read_text())["of"]) for file in files}


def weights(file: Path) -> bytes:
    content = torch.load(file, weights_only=True)
    return b"".join(value.numpy().tobytes() for value in content.values())


def test_a_run_of_stages_releases_those_that_the_bundle_names(bundle: Path, staged: Path) -> None:
    main(["release", str(staged), "--bundle", str(bundle)])
    of = {name: (weights(staged / name / "model.pt"), name) for name in ("first", "second")}
    assert shipped(bundle) == {"start": of["first"], "model": of["second"]}
    record = json.loads((bundle / "models" / "start.json").read_text())
    assert record["training"]["configurations"] == ["train.json", "first.json"]


def test_one_stage_alone(bundle: Path, staged: Path, run: Path, caplog: pytest.LogCaptureFixture) -> None:
    main(["release", str(staged), "--bundle", str(bundle), "--stage", "first"])
    assert shipped(bundle) == {"start": (weights(staged / "first" / "model.pt"), "first")}
    main(["release", str(staged), "--bundle", str(bundle), "--stage", "second"])
    assert set(shipped(bundle)) == {"start", "model"}
    # a run that is this stage, and one that is none
    command = ["release", str(staged / "first"), "--bundle", str(bundle), "--stage", "first"]
    assert "start.pt exist(s) already" in failure(caplog, *command[1:])
    main([*command, "--overwrite"])
    assert "was trained without first.json, so it is no stage first" in failure(
        caplog, run, "--bundle", bundle, "--stage", "first", "--overwrite"
    )
    assert "--stage third: the bundle ships no such stage; stages it ships: first, second" in failure(
        caplog, staged, "--bundle", bundle, "--stage", "third"
    )
    # a run that did not come to its second stage
    (staged / "finished.json").unlink()
    main(["release", str(staged), "--bundle", str(bundle), "--stage", "first", "--overwrite"])


def test_stages_that_were_trained_elsewhere(bundle: Path, staged: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They are found where they were, unless they were changed; then nothing at all is written."""
    other = staged.with_name("other")
    (staged / "first").rename(other)
    finished = json.loads((staged / "finished.json").read_text())
    finished["stages"]["first"]["weights"] = str(other / "model.pt")
    (staged / "finished.json").write_text(json.dumps(finished))
    main(["release", str(staged), "--bundle", str(bundle)])
    assert shipped(bundle)["start"] == (weights(other / "model.pt"), "first")
    before = shipped(bundle)
    torch.save(UniversalVarNet(["brain", "heart"], **SIZES).state_dict(), other / "model.pt")
    message = failure(caplog, staged, "--bundle", bundle, "--overwrite")
    assert "used as its stage first" in message and "not there any more" in message
    assert shipped(bundle) == before
    main(["release", str(staged), "--bundle", str(bundle), "--stage", "second", "--overwrite"])


def test_unfinished_runs_and_other_sizes_are_refused(bundle: Path, run: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save(VarNet(**{**SIZES, "num_cascades": 2}).state_dict(), run / "model.pt")
    assert "num_cascades=2, the network has num_cascades=1" in failure(caplog, run, "--bundle", bundle)
    (run / "finished.json").unlink()
    assert "expected the folder of a finished run" in failure(caplog, run, "--bundle", bundle)
    assert not (bundle / "models").exists()


def test_weights_that_a_run_started_from_are_followed_back(
    bundle: Path, run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = tmp_path / "base"
    shutil.copytree(run, base)
    record = json.loads((run / "run.json").read_text())
    record["command"] += ["--pretrained", str(base / "model.pt"), "--teacher_pretrained", "/data/mine/gone.pt"]
    (run / "run.json").write_text(json.dumps({**record, "git_revision": ""}))
    main(["release", str(run), "--bundle", str(bundle)])
    text = (bundle / "models" / "model.json").read_text()
    training = json.loads(text)["training"]
    digest = hashlib.sha256((base / "model.pt").read_bytes()).hexdigest()
    assert training["started_from"]["pretrained"]["file"] == f"model.pt {digest[:16]}"
    assert training["started_from"]["pretrained"]["training"]["options"] == {"omega": 0.5}
    assert training["started_from"]["teacher_pretrained"] == {"file": "gone.pt, not kept"}
    assert training["options"] == {"omega": 0.5}
    assert training["configurations"] == ["train.json"]
    assert training["git_revision"] == "unknown"
    assert str(tmp_path) not in text
    assert "/data/mine" not in text
    assert "gone.pt, which is not there any more" in caplog.text


def test_weights_changed_since_are_not_passed_off_as_those_of_the_start(
    bundle: Path, run: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base.pt"
    record = json.loads((run / "run.json").read_text())
    record["command"] += ["--pretrained", str(base)]
    (run / "run.json").write_text(json.dumps(record))
    base.write_bytes(b"later")
    begun = (run / "run.json").stat().st_mtime
    os.utime(base, (begun + 60, begun + 60))
    main(["release", str(run), "--bundle", str(bundle)])
    training = json.loads((bundle / "models" / "model.json").read_text())["training"]
    assert training["started_from"]["pretrained"] == {"file": "base.pt, not kept"}
