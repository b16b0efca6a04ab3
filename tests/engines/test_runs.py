"""Which weights an evaluation takes."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import torch

from recon_monai.engines import find_weights, name_run


def small(width: int = 3) -> torch.nn.Module:
    return torch.nn.Linear(2, width)


def run(root, name: str, network, *, finished: bool = True, age: int = 0):
    folder = root / "eval" / name
    folder.mkdir(parents=True)
    torch.save(network.state_dict(), folder / "model.pt")
    if finished:
        marker = folder / "finished.json"
        marker.write_text(json.dumps({"epochs": 2}))
        os.utime(marker, (1e9 - age, 1e9 - age))
    return str(folder / "model.pt")


def test_order_of_choice(tmp_path, caplog):
    caplog.set_level("INFO")
    (tmp_path / "models").mkdir()
    torch.save(small().state_dict(), tmp_path / "models" / "model.pt")
    assert find_weights(str(tmp_path), small()) == str(tmp_path / "models" / "model.pt")
    assert "as shipped" in caplog.text

    run(tmp_path, "older", small(), age=100)
    newer = run(tmp_path, "newer", small(), age=50)
    run(tmp_path, "other size", small(4), age=10)
    run(tmp_path, "unfinished", small(), finished=False)
    assert find_weights(str(tmp_path), small()) == newer
    assert "newest finished run" in caplog.text

    named = run(tmp_path, "named", small(4), age=500)
    assert find_weights(str(tmp_path), small(), ckpt=named) == named
    assert "--ckpt" in caplog.text


def test_a_damaged_file_of_a_run_is_passed_over_and_named(tmp_path, caplog):
    whole = run(tmp_path, "whole", small(), age=100)
    damaged = Path(run(tmp_path, "damaged", small(), age=1))
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert find_weights(str(tmp_path), small()) == whole
    assert "damaged/model.pt: cannot be read as a file of PyTorch" in caplog.text


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pt"):
        find_weights(str(tmp_path), small(), ckpt="nowhere.pt")
    run(tmp_path, "other size", small(4))
    with pytest.raises(FileNotFoundError, match=r"1 of another.*run the training first"):
        find_weights(str(tmp_path), small())


def state(root, name: str, *, age: int, finished: bool = False) -> None:
    folder = root / "eval" / name
    folder.mkdir(parents=True)
    (folder / "last.pt").write_bytes(b"state")
    os.utime(folder / "last.pt", (1e9 - age, 1e9 - age))
    if finished:
        (folder / "finished.json").write_text("{}")


def test_names_of_new_and_continued_runs(tmp_path):
    state(tmp_path, "older", age=50)
    state(tmp_path, "newer", age=20)
    state(tmp_path, "finished", age=10, finished=True)
    assert re.fullmatch(r"train-\d{8}-\d{6}", name_run(str(tmp_path)))
    assert name_run(str(tmp_path), "evaluation").startswith("evaluation-")
    assert name_run(str(tmp_path), resume=True) == "newer"
    assert name_run(str(tmp_path), resume="older") == "older"
    assert name_run(str(tmp_path), resume=str(tmp_path / "eval" / "finished")) == "finished"


def test_nothing_to_continue_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"no unfinished run below .* leave --resume away"):
        name_run(str(tmp_path), resume=True)
    state(tmp_path, "some", age=1)
    with pytest.raises(ValueError, match=r"--resume other: .* holds no last\.pt or stages\.json; runs that do: some"):
        name_run(str(tmp_path), resume="other")


def test_a_run_of_stages_that_is_over_or_left_nothing_is_not_continued(tmp_path):
    state(tmp_path, "older", age=50)
    for name, finished in (("complete", True), ("failed at once", False)):
        (tmp_path / "eval" / name).mkdir()
        (tmp_path / "eval" / name / "stages.json").write_text(
            json.dumps({"stages": ["classifier"], "finished": finished})
        )
    assert name_run(str(tmp_path), resume=True) == "older"
    assert name_run(str(tmp_path), resume="failed at once") == "failed at once"
    stage = tmp_path / "eval" / "failed at once" / "classifier"
    stage.mkdir()
    (stage / "last.pt").write_bytes(b"state")
    assert name_run(str(tmp_path), resume=True) == "failed at once"


def test_runs_in_stages_and_others_are_gone_on_with_by_their_own_configuration(tmp_path):
    for number, (name, state) in enumerate((("plain", "last.pt"), ("staged", "base/last.pt"))):
        file = tmp_path / "eval" / name / state
        file.parent.mkdir(parents=True)
        file.touch()
        os.utime(file, (1e9 + number, 1e9 + number))
    (tmp_path / "eval" / "staged" / "stages.json").write_text(json.dumps({"stages": ["base"], "finished": False}))
    assert name_run(str(tmp_path), resume=True) == "staged", "the newest"
    assert name_run(str(tmp_path), resume=True, staged=False) == "plain"
    assert name_run(str(tmp_path), resume=True, staged=True) == "staged"
    assert name_run(str(tmp_path), resume="staged", staged=True) == "staged"
    with pytest.raises(
        ValueError, match=r"--resume staged: .*staged holds a run in stages; go on with it by the config"
    ):
        name_run(str(tmp_path), resume="staged", staged=False)
    with pytest.raises(ValueError, match=r"--resume plain: .*plain holds a run without stages"):
        name_run(str(tmp_path), resume="plain", staged=True)
