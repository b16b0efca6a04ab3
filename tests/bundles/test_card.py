"""A bundle's configuration defines its method: what a reader must find in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

BUNDLES = Path(__file__).parents[2] / "bundles"
NAMES = sorted(folder.name for folder in BUNDLES.iterdir() if (folder / "configs").is_dir())
WORKFLOWS = ("train", "evaluate", "inference")


def configuration(bundle: str, name: str) -> dict:
    return json.loads((BUNDLES / bundle / "configs" / f"{name}.json").read_text())


def targets(content: object) -> list[str]:
    """Every ``_target_`` below a piece of configuration."""
    if isinstance(content, list):
        return [name for part in content for name in targets(part)]
    if not isinstance(content, dict):
        return []
    own = [content["_target_"]] if "_target_" in content else []
    return own + [name for part in content.values() for name in targets(part)]


def strings(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    if isinstance(content, list):
        return [text for part in content for text in strings(part)]
    return (
        [text for key, part in content.items() for text in [key, *strings(part)]] if isinstance(content, dict) else []
    )


def test_there_are_bundles():
    assert "universal_varnet" in NAMES


@pytest.mark.parametrize("bundle", NAMES)
def test_the_network_is_the_same_everywhere(bundle):
    definitions = [configuration(bundle, name)["network_def"] for name in WORKFLOWS]
    assert definitions[0] == definitions[1] == definitions[2]


def test_universal_varnet_is_spelled_out():
    content = configuration("universal_varnet", "train")
    network = content["network_def"]
    assert network["_target_"] == "recon_monai.networks.UniversalVarNet"
    assert network["num_cascades"] == 8
    assert network["refinement"]["aspin_placement"] == "@aspin_placement"
    assert content["aspin_placement"] == "all"
    assert network["classifier"]["_target_"] == "recon_monai.networks.AnatomyClassifier"
    assert network["classifier"]["anatomies"] == "@anatomies"
    assert (network["classifier"]["size"], network["classifier"]["feature"]) == (96, "zero_filled")
    sensitivity, refinement = network["sensitivity_network"], network["refinement"]
    assert sensitivity["_target_"] == "recon_monai.networks.SensitivityNetwork"
    assert (sensitivity["channels"], sensitivity["pools"], sensitivity["normalization"]) == (4, 4, "instance")
    assert sensitivity["calibration"] == "fastmri"
    assert refinement["_target_"] == "recon_monai.networks.NormUNet"
    assert (refinement["channels"], refinement["pools"], refinement["normalization"]) == (9, 4, "instance")


def test_teachers_have_the_sizes_of_the_student():
    content = configuration("universal_varnet", "train")
    teacher = content["teacher_def"]
    assert teacher["_target_"] == "recon_monai.networks.VarNet"
    assert teacher["num_cascades"] == "@network_def::num_cascades"
    assert teacher["sensitivity_network"] == "%network_def::sensitivity_network"
    own = {"_target_", "_mode_", "aspin_placement"}
    sizes = set(content["network_def"]["refinement"]) - own
    assert all(teacher["refinement"][size] == f"@network_def::refinement::{size}" for size in sizes)


def test_distillation_and_augmentation_are_spelled_out():
    content = configuration("universal_varnet", "train")
    loss = content["loss_function"]
    assert loss["_target_"] == "recon_monai.losses.DistillationLoss"
    assert (loss["reconstruction_weight"], loss["distillation_weight"]) == ("@omega", "$1 - @omega")
    assert (content["omega"], content["alpha"], content["feature_level"]) == (0.9, 1.0, 1)
    assert loss["distillation_loss"] == {
        "_target_": "recon_monai.losses.AttentionDistillationLoss",
        "exponent": 1,
        "norm": "scaled",
        "cascades": "mean",
    }
    flags = {
        "delay": 10,
        "strength": 0.6,
        "weight_fliph": 0.5,
        "weight_translation": 0.5,
        "max_translation_x": 0.02,
        "max_translation_y": 0.02,
    }
    augment = content["train"]["preprocessing"]["transforms"][0]
    assert augment["_target_"] == "recon_monai.transforms.PhysicsAugmentd"
    for name, value in flags.items():
        assert augment[name] == f"@aug_{name}"
        assert content[f"aug_{name}"] == value
    assert not any(content[f"aug_weight_{name}"] for name in ("rotation", "shearing", "scaling"))


@pytest.mark.parametrize("bundle", NAMES)
def test_training_names_transforms_trainer_handlers_and_metrics(bundle):
    content = configuration(bundle, "train")
    train, validate = content["train"], content["validate"]
    assert targets(train["preprocessing"])
    assert targets(validate["preprocessing"])
    assert train["trainer"]["_target_"].startswith("recon_monai.engines.")
    assert validate["evaluator"]["_target_"] == "SupervisedEvaluator"
    handlers = targets(train["handlers"])
    own = ("RunRecord", "TrainingCheckpoint", "FinalValidation")
    assert {"ValidationHandler", "LrScheduleHandler", "TensorBoardStatsHandler"} <= set(handlers)
    assert {f"recon_monai.handlers.{name}" for name in own} <= set(handlers)
    # the state of an epoch's end holds the next learning rate, and is there before a validation that may be cut off
    order = [handlers.index(name) for name in ("LrScheduleHandler", "recon_monai.handlers.TrainingCheckpoint")]
    assert order == sorted(order)
    assert handlers.index("recon_monai.handlers.TrainingCheckpoint") < handlers.index("ValidationHandler")
    metrics = targets(validate["key_metric"])
    assert {f"recon_monai.metrics.{name}" for name in ("ssim", "psnr", "nmse", "foreground_ssim")} <= set(metrics)
    assert content["optimizer"]["_target_"] == "torch.optim.AdamW"
    assert content["lr_scheduler"]["_target_"] == "monai.optimizers.WarmupCosineSchedule"
    assert content["loss_function"]["_target_"].startswith("recon_monai.losses.")


@pytest.mark.parametrize("bundle", NAMES)
def test_recipe_values(bundle):
    content = configuration(bundle, "train")
    assert content["learning_rate"] == 1e-3
    assert content["weight_decay"] == 1e-4
    assert content["warmup_epochs"] == 10
    assert content["accelerations"] == [4, 8]
    assert content["train"]["preprocessing"]["transforms"][-1]["random"] is True
    assert content["validate"]["preprocessing"]["transforms"][0]["random"] is False


@pytest.mark.parametrize("bundle", NAMES)
def test_ids_are_those_of_monai(bundle):
    train = configuration(bundle, "train")
    for name in ("bundle_root", "device", "dataset_dir", "network_def", "val_interval", "run", "training"):
        assert name in train
    for name in ("dataset", "inferer", "handlers", "trainer", "preprocessing"):
        assert name in train["train"]
    for name in ("dataset", "inferer", "handlers", "evaluator", "preprocessing", "postprocessing", "key_metric"):
        assert name in train["validate"]
    for workflow, run_id in (("evaluate", "evaluation"), ("inference", "inference")):
        content = configuration(bundle, workflow)
        for name in ("bundle_root", "device", "dataset_dir", "dataset", "evaluator", "network_def", "inferer", "run"):
            assert name in content
        assert run_id in content


@pytest.mark.parametrize("bundle", NAMES)
@pytest.mark.parametrize("path", ["configs/*.json"])
def test_no_hash_sign_and_no_bundle_code(bundle, path):
    """MONAI rewrites every number sign, and two bundles with Python of their own collide in one process."""
    for file in (BUNDLES / bundle).glob(path):
        content = json.loads(file.read_text())
        if file.name != "metadata.json":
            assert not [text for text in strings(content) if "#" in text], file
        assert not [name for name in targets(content) if name.startswith("scripts")], file
    assert not list((BUNDLES / bundle).rglob("*.py"))
