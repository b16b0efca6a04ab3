"""Options that nothing uses are refused; those of documents and of stages are not."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from recon_monai.engines.command_line import configuration_files, overrides
from recon_monai.engines.overrides import UnknownOptionError, check_overrides
from recon_monai.engines.unused_options import unused_options

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "bundles" / "universal_varnet" / "configs"
DOCUMENTS = [ROOT / "README.md", ROOT / "bundles" / "universal_varnet" / "docs" / "README.md"]
DOCUMENTS += [ROOT / "bundles" / "mdcsrn_wgan_gp" / "docs" / "README.md"]
DOCUMENTS += sorted((ROOT / "docs").glob("*.md"))


def refuse(*options: str, files: str) -> None:
    paths = str([str(CONFIGS / f"{name}.json") for name in files.split()])
    check_overrides(["monai.bundle", "run", "training", "--config_file", paths, *options])


@pytest.mark.parametrize(
    ("files", "option"),
    [
        ("train distillation_code", "omega"),
        ("train no_distillation", "omega"),
        ("train no_distillation", "feature_level"),
        ("train no_distillation", "teacher_epochs"),
        ("train train_student no_distillation", "teacher_pretrained"),
        ("train self_supervised", "alpha"),
        ("train self_supervised", "foreground_fractions::knee"),
        ("train add_anatomy", "classifier_epochs"),
        ("evaluate evaluate_plain", "certainty"),
    ],
)
def test_refused(files: str, option: str) -> None:
    names = ", ".join(f"{name}.json" for name in files.split())
    name = option.partition("::")[0]
    message = f"--{option} would be without effect: nothing in {names} uses {name}; leave it away"
    with pytest.raises(UnknownOptionError, match=f"^{re.escape(message)}$"):
        refuse(f"--{option}", "1", "--num_workers", "2", files=files)


def test_refused_where_only_the_stages_before_use_it() -> None:
    with pytest.raises(UnknownOptionError, match=r"uses alpha \(only the stages before .* by train_teacher.json\)"):
        refuse("--alpha", "1", files="train distillation_code")


@pytest.mark.parametrize(
    ("files", "options"),
    [
        ("train", "omega alpha classifier_epochs teacher_epochs teacher_pretrained stage_weights::classifier"),
        ("train", "filters::anatomy foreground_fractions::knee output_dir run_name device initialize"),
        ("train train_student", "omega teacher_epochs classifier_epochs"),
        ("train no_distillation", "alpha classifier_epochs classifier_learning_rate"),
        # stages take what is typed for the whole
        ("train train_classifier", "omega alpha max_epochs teacher_epochs aug_delay"),
        ("train train_teacher", "omega teacher_of classifier_epochs"),
        ("train distillation_code train_teacher", "alpha"),
        ("train distillation_slides", "omega alpha feature_level"),
    ],
)
def test_accepted(files: str, options: str) -> None:
    refuse(*(word for option in options.split() for word in (f"--{option}", "1")), files=files)


def test_an_option_that_the_command_itself_refers_to_is_used() -> None:
    refuse("--omega", "0.5", "--loss_function::alpha", "@omega", files="train no_distillation")


def test_without_the_files_of_the_stages_their_options_are_not_judged(tmp_path: Path) -> None:
    whole = tmp_path / "train.json"
    whole.write_text(json.dumps({"stages": "all", "distillation": True, "teacher_epochs": 3, "used": 1, "by": "@used"}))
    overlay = tmp_path / "overlay.json"
    overlay.write_text(json.dumps({"by": 2}))
    assert unused_options([whole], {"teacher_epochs": 1, "used": 1, "by": 3}) == []
    assert [text.split()[0] for text in unused_options([whole, overlay], {"teacher_epochs": 1, "used": 1})] == [
        "--used"
    ]


def test_stages_of_a_sequence_are_judged_by_the_options_of_the_whole(tmp_path: Path) -> None:
    """So that what the whole run takes is not refused by a stage whose overlay does without it."""
    contents = {
        "train": {"used": 1, "by": "@used"},
        "all": {
            "stages": "all",
            "sequence": [{"name": "a"}, {"name": "b", "files": ["b.json"]}],
            "by_all": "@sequence",
        },
        "b": {"by": 2},
    }
    files = {name: tmp_path / f"{name}.json" for name in contents}
    for name, content in contents.items():
        files[name].write_text(json.dumps(content))
    assert unused_options([files["train"], files["all"]], {"used": 2}) == []
    assert unused_options([files["train"], files["all"], files["b"]], {"used": 2}) == []
    # by itself it is judged by itself
    assert unused_options([files["train"], files["b"]], {"used": 2})[0].startswith("--used would be without effect")
    (tmp_path / "other.json").write_text(json.dumps({"by": 3}))
    found = unused_options([files["train"], files["all"], tmp_path / "other.json"], {"used": 2})
    assert found[0].startswith("--used would be without effect: nothing in train.json, all.json, other.json uses used")


def test_what_overlays_of_a_sequence_refer_to_is_used(tmp_path: Path) -> None:
    content = {"sequence": [{"name": "a", "files": ["a.json"]}], "by": "@sequence", "of_stage": 1, "of_none": 1}
    (tmp_path / "train.json").write_text(json.dumps(content))
    (tmp_path / "a.json").write_text(json.dumps({"rate": "@of_stage"}))
    assert unused_options([tmp_path / "train.json"], {"of_stage": 2}) == []
    (found,) = unused_options([tmp_path / "train.json"], {"of_none": 2})
    assert found.startswith("--of_none would be without effect")


def documented() -> list[str]:
    """Commands of the documents that run a bundle."""
    found = []
    for document in DOCUMENTS:
        for block in re.findall(r"```(?:bash|sh|console)?\n(.*?)```", document.read_text(), flags=re.DOTALL):
            found += [line for line in block.replace("\\\n", " ").splitlines() if "monai.bundle run" in line]
    return found


@pytest.mark.parametrize("workflow", ["evaluate", "inference"])
def test_bfloat16_goes_with_trimmed_margins(workflow: str) -> None:
    configs = ROOT / "bundles" / "mdcsrn_wgan_gp" / "configs"
    assert unused_options([configs / f"{workflow}.json", configs / "margin_trim.json"], {"amp": True}) == []


def test_every_command_of_the_documents_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CONFIGS.parent)  # so that configs/... is found too
    commands = documented()
    assert len(commands) > 15
    for command in commands:
        words = shlex.split(command, comments=True)
        named = configuration_files(words)
        files = [ROOT / file if (ROOT / file).is_file() else CONFIGS / file.name for file in named]
        # a file that another command of the document writes
        assert unused_options([file for file in files if file.is_file()], overrides(words)) == [], command
