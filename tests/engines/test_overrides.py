"""Options that are no ids of the configuration are refused; arguments of components are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recon_monai.engines.command_line import overrides
from recon_monai.engines.overrides import UnknownOptionError, check_overrides

CONFIG = Path(__file__).parents[2] / "bundles" / "universal_varnet" / "configs" / "train.json"


def words(*options: str) -> list[str]:
    return ["monai.bundle", "run", "training", "--config_file", str(CONFIG), *options]


@pytest.mark.parametrize(
    "option",
    [
        ["--max_epochs", "3"],
        ["--max_epochs=3"],
        ["--dry_run"],
        ["--train::dataset::max_files", "1"],
        ["--train#dataset#max_files", "1"],
        ["--network_def::refinement::channels", "4"],
        ["--network_def::sensitivity_network::coil_chunk", "1"],
        # an argument of the class that MONAI finds by its bare name, of the class above, MONAI's own key
        ["--train::handlers::2::step_transform", "x"],
        ["--train::trainer::epoch_length", "5"],
        ["--train::trainer::_disabled_", "true"],
        ["--lr_scheduler::end_lr", "1e-6"],
        ["--foreground_fractions::default", "0.1"],
        ["--foreground_fractions::knee", "0.1"],
        ["--filters::acquisition", "CORPD_FBK"],
        ["--run_id", "training", "--tracking", "mlflow", "--logging_file", "x"],
    ],
)
def test_known(option):
    check_overrides(words(*option))


@pytest.mark.parametrize(
    ("option", "nearest"),
    [
        ("max_epoch", "max_epochs"),
        ("learningrate", "learning_rate"),
        ("datset_dir", "dataset_dir"),
        ("network_def::num_cascade", "network_def::num_cascades"),
        ("train::datset", "train::dataset"),
        ("filter::acquisition", "filters"),
        ("train::dataset::max_file", "train::dataset::max_files"),
        ("network_def::refinement::chanels", "network_def::refinement::channels"),
    ],
)
def test_mistyped(option, nearest):
    with pytest.raises(UnknownOptionError, match=rf"--{option} is no id of train.json; did you mean --{nearest}\?"):
        check_overrides(words("--seed", "1", f"--{option}", "3"))


def test_several_at_once_and_one_like_nothing():
    with pytest.raises(UnknownOptionError) as caught:
        check_overrides(words("--max_epoch", "1", "--qqqqqqqqqqq", "2"))
    assert "--max_epochs?" in str(caught.value)
    assert "it is like none of them" in str(caught.value)


def test_options_of_an_args_file_count(tmp_path):
    file = tmp_path / "args.json"
    file.write_text(json.dumps({"config_file": str(CONFIG), "seed": 3, "sede": 4}))
    command = ["monai.bundle", "run", "training", "--args_file", str(file)]
    assert overrides([*command, "--seed", "5"]) == {"seed": 5, "sede": 4}
    with pytest.raises(UnknownOptionError, match="--sede is no id"):
        check_overrides(command)


def test_flags_without_a_value_are_true():
    assert overrides(["--dry_run", "--seed", "3", "--resume"]) == {"dry_run": True, "seed": 3, "resume": True}


def test_without_a_command_line_nothing_is_checked():
    check_overrides(["pytest", "--strange", "option"])
