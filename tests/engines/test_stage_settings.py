from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from recon_monai.engines import TrainingStages
from recon_monai.engines.stage_settings import first_difference, stage_settings

CONFIGURATION: dict[str, Any] = {
    "learning_rate": 0.001,
    "output_dir": "$@bundle_root + '/eval'",
    "num_workers": 2,
    "unused": 7,
    "optimizer": {"lr": "@learning_rate", "params": "$@network.parameters()"},
    "network": "$@module.to(@device)",
    "module": {"size": "%sizes::small", "widths": "@sizes::widths::0"},
    "sizes": {"small": 1, "large": 9, "widths": [4, 8]},
    "pretrained": None,
    "initialize": ["$load(@module, @pretrained)"],
    "schedule": {"steps": "@max_epochs"},
    "max_epochs": 3,
    "train": {"trainer": {"optimizer": "@optimizer"}, "handlers": [{"_target_": "x.RunRecord", "lr": "@schedule"}]},
    "validate": {"evaluator": {"network": "@network"}},
}


def test_settings_are_what_training_refers_to_without_where_it_writes() -> None:
    settings = stage_settings(CONFIGURATION)
    used = {"learning_rate", "optimizer", "network", "module", "schedule", "max_epochs", "train", "validate"}
    assert set(settings) == used | {"initialize", "pretrained", "sizes::small", "sizes::widths::0"}
    assert settings["sizes::small"] == 1
    assert settings["sizes::widths::0"] == 4
    assert settings["train"]["handlers"] == []
    assert len(CONFIGURATION["train"]["handlers"]) == 1, "the configuration itself stays as it is"


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"num_workers": 0, "output_dir": "elsewhere", "unused": 8}, True),
        ({"learning_rate": 0.01}, False),
        ({"sizes": {**CONFIGURATION["sizes"], "small": 2}}, False),
        ({"sizes": {**CONFIGURATION["sizes"], "large": 2, "widths": [4, 9]}}, True),
        ({"sizes": {**CONFIGURATION["sizes"], "widths": [5, 8]}}, False),
        ({"max_epochs": 4}, False),
        ({"train": {**CONFIGURATION["train"], "handlers": [{"_target_": "a.RunRecord", "lr": "@schedule"}]}}, True),
        ({"train": {**CONFIGURATION["train"], "handlers": [{"_target_": "a.Plateau", "lr": "@schedule"}]}}, False),
    ],
)
def test_what_counts_as_the_same(change: dict[str, Any], same: bool) -> None:
    assert (stage_settings({**CONFIGURATION, **change}) == stage_settings(CONFIGURATION)) is same


def test_weights_to_start_from_count_by_name_and_content(tmp_path: Path) -> None:
    def settings(path: Path, content: bytes) -> dict[str, Any]:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return stage_settings({**CONFIGURATION, "pretrained": str(path)})

    first = settings(tmp_path / "model.pt", b"one")
    assert first != stage_settings(CONFIGURATION)
    assert settings(tmp_path / "elsewhere" / "model.pt", b"one") == first
    assert settings(tmp_path / "model.pt", b"two") != first


def test_an_id_behind_a_reference_counts_by_what_leads_there() -> None:
    behind = {**CONFIGURATION, "alias": "@sizes", "module": {"size": "@alias::small"}}
    assert {"alias", "sizes"} <= set(stage_settings(behind))


def test_the_first_difference_is_named() -> None:
    changed = {**CONFIGURATION, "sizes": {**CONFIGURATION["sizes"], "small": 2}}
    found = first_difference(stage_settings(changed), stage_settings(CONFIGURATION))
    assert found == "sizes::small was 1 and is 2"
    assert first_difference({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}) == "a::1::b was 3 and is 2"
    assert first_difference({"a": 1}, {"a": 1, "c": 2}) == "c was 2 and is null"
    assert first_difference({"a": [1]}, {"a": [1]}) is None


def test_choice_of_stages(tmp_path: Path) -> None:
    def chosen(stages: Any, **options: Any) -> list[str]:
        return TrainingStages(str(tmp_path), str(tmp_path / "run"), ["a", "b"], stages, **options).selected

    assert chosen("all") == ["classifier", "teacher_a", "teacher_b", "student"]
    assert chosen("all", distillation=False) == ["classifier", "student"]
    assert chosen(["student", "teachers"]) == ["teacher_a", "teacher_b", "student"]
    assert chosen("teacher_b") == ["teacher_b"]
    assert chosen([]) == []
    with pytest.raises(ValueError, match=r"no stages \['teacher_c'\]; choose among"):
        chosen(["teacher_c"])
    with pytest.raises(ValueError, match=r"no stages \['teachers'\] to give weights for"):
        chosen("all", weights={"teachers": "x.pt"})


def test_an_earlier_run_is_not_mixed_with_a_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "stages.json").write_text(json.dumps({"stages": ["classifier"]}))
    with pytest.raises(FileExistsError, match="go on with it by --resume True"):
        TrainingStages(str(tmp_path), str(folder), ["a"]).run()


def test_without_a_command_the_stages_are_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["python"])
    with pytest.raises(ValueError, match="there is no command; give config_files"):
        TrainingStages(str(tmp_path), str(tmp_path / "run"), ["a"]).run()


def test_what_an_exported_bundle_does_first_counts_too() -> None:
    """Bundles that bring their code begin in `run`, under another id."""
    exported = dict(CONFIGURATION)
    exported["begin"] = exported.pop("initialize")
    assert stage_settings(exported)["begin"] == stage_settings(CONFIGURATION)["initialize"]
    assert "pretrained" in stage_settings(exported)
