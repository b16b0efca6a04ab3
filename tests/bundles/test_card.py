"""A bundle's configuration defines its method: what a reader must find in it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from recon_monai.engines import UpdateSchedule
from recon_monai.engines.stage_settings import stage_settings

BUNDLES = Path(__file__).parents[2] / "bundles"
NAMES = sorted(folder.name for folder in BUNDLES.iterdir() if (folder / "configs").is_dir())
WORKFLOWS = ("train", "evaluate", "inference")
RECONSTRUCTION = ("universal_varnet", "weighted_dircn")


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


def merged(bundle: str, *names: str) -> ConfigParser:
    """A parser of a bundle's configuration with overlays."""
    parser = ConfigParser()
    parser.read_config([str(BUNDLES / bundle / "configs" / f"{name}.json") for name in names])
    return parser


def test_there_are_bundles():
    assert set(NAMES) == {*RECONSTRUCTION, "mdcsrn_wgan_gp"}


@pytest.mark.parametrize("bundle", NAMES)
def test_the_network_is_the_same_everywhere(bundle):
    """Apart from what only gradients need."""
    definitions = [dict(configuration(bundle, name)["network_def"]) for name in WORKFLOWS]
    if bundle == "mdcsrn_wgan_gp":
        assert definitions[0].pop("checkpointing") == "@checkpointing"
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


def test_weighted_dircn_is_spelled_out():
    content = configuration("weighted_dircn", "train")
    network = content["network_def"]
    assert network["_target_"] == "recon_monai.networks.DIRCN"
    assert (network["num_cascades"], network["aggregation"], network["data_consistency"]) == (
        5,
        "normalized_sum",
        "soft",
    )
    assert network["interconnections"] is True
    refinement, sensitivity = network["refinement"], network["sensitivity_network"]
    assert refinement["_target_"] == "recon_monai.networks.NormResXUNet"
    assert (refinement["channels"], refinement["groups"], refinement["se_ratio"]) == (8, 4, 0.125)
    assert sensitivity["_target_"] == "recon_monai.networks.SensitivityNetwork"
    assert sensitivity["calibration"] == "run"
    of_coils = sensitivity["refinement"]
    assert of_coils["_target_"] == "recon_monai.networks.NormResXUNet"
    assert (of_coils["channels"], of_coils["groups"], of_coils["se_ratio"]) == (4, 2, 0.125)


@pytest.mark.parametrize(
    ("overlay", "count"), [("slides_5", 6330480), ("slides_6", 7621378), ("slides_7", 8912276), ("slides", 10203174)]
)
def test_the_sizes_of_the_slides(overlay, count):
    """One less than as coded by the authors, where the first cascade's weight of the sum is not used."""
    for name in ("train", "evaluate", "inference"):
        network = merged("weighted_dircn", name, overlay).get_parsed_content("network_def")
        assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_the_default_size_and_that_of_low_memory():
    sizes = {(): 1643885, ("low_memory",): 10203174}
    for overlays, count in sizes.items():
        network = merged("weighted_dircn", "train", *overlays).get_parsed_content("network_def")
        assert sum(parameter.numel() for parameter in network.parameters()) == count
    assert (network.checkpointing, network.sensitivity_network.coil_chunk) == ("all", 4)


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
    assert {"ValidationHandler", "TensorBoardStatsHandler"} <= set(handlers)
    assert {f"recon_monai.handlers.{name}" for name in own} <= set(handlers)
    # the state of an epoch's end holds the next learning rate, and is there before a validation that may be cut off
    (rate,) = {"LrScheduleHandler", "recon_monai.handlers.PlateauLearningRate"} & set(handlers)
    assert handlers.index(rate) < handlers.index("recon_monai.handlers.TrainingCheckpoint")
    assert handlers.index("recon_monai.handlers.TrainingCheckpoint") < handlers.index("ValidationHandler")
    # frozen parts are none of the optimizer's
    assert content["optimizer"]["params"] == "$[p for p in @network.parameters() if p.requires_grad]"


@pytest.mark.parametrize("bundle", RECONSTRUCTION)
def test_recipe_values(bundle):
    content = configuration(bundle, "train")
    metrics = targets(content["validate"]["key_metric"])
    assert {f"recon_monai.metrics.{name}" for name in ("ssim", "psnr", "nmse", "foreground_ssim")} <= set(metrics)
    assert content["loss_function"]["_target_"].startswith("recon_monai.losses.")
    assert content["learning_rate"] == 1e-3
    assert content["accelerations"] == [4, 8]
    assert content["center_fractions"] == [0.08, 0.04]
    assert content["train"]["preprocessing"]["transforms"][-1]["random"] is True
    assert content["validate"]["preprocessing"]["transforms"][-1]["random"] is False


def test_recipe_of_universal_varnet():
    content = configuration("universal_varnet", "train")
    assert (content["weight_decay"], content["warmup_epochs"]) == (1e-4, 10)
    assert content["optimizer"]["_target_"] == "torch.optim.AdamW"
    assert content["lr_scheduler"]["_target_"] == "monai.optimizers.WarmupCosineSchedule"


def test_recipe_of_weighted_dircn():
    content = configuration("weighted_dircn", "train")
    optimizer, schedule, loss = content["optimizer"], content["lr_scheduler"], content["loss_function"]
    assert (optimizer["_target_"], optimizer["betas"], optimizer["amsgrad"]) == ("torch.optim.Adam", [0.9, 0.999], True)
    assert content["weight_decay"] == 0
    assert schedule["_target_"] == "torch.optim.lr_scheduler.ReduceLROnPlateau"
    assert schedule["mode"] == "max"
    assert (content["rate_factor"], content["patience"]) == (0.5, 3)
    assert (schedule["factor"], schedule["patience"]) == ("@rate_factor", "@patience")
    assert (loss["_target_"], loss["window"]) == ("recon_monai.losses.ReconstructionLoss", "gaussian")
    assert content["alpha"] == 1.0
    square = "recon_monai.transforms.SquareFieldOfViewd"
    assert content["train"]["preprocessing"]["transforms"][0]["_target_"] == square
    for name in ("evaluate", "inference"):
        assert configuration("weighted_dircn", name)["preprocessing"]["transforms"][0]["_target_"] == square
    assert configuration("weighted_dircn", "batch_schedule")["batch_steps"] == [4, 2, 1]
    assert content["batch_steps"] is None
    # a state of the run, wherever the handler stands
    handlers = content["train"]["handlers"]
    (place,) = [
        index for index, handler in enumerate(handlers) if handler["_target_"].endswith("EffectiveBatchScheduler")
    ]
    (checkpoint,) = [handler for handler in handlers if handler["_target_"].endswith("TrainingCheckpoint")]
    assert checkpoint["states"] == {"loss": "@loss_function", "batch_schedule": f"@train::handlers::{place}"}


SLIDES = ["slides", "slides_5", "slides_6", "slides_7"]
OVERLAYS = {
    "train": [
        "batch_schedule",
        "focal",
        "grow",
        "low_memory",
        "multi_gpu_train",
        *SLIDES,
        "small",
        "train_cascades",
        "train_sensitivity",
        "transfer",
    ],
    "evaluate": ["multi_gpu_evaluate", *SLIDES, "small"],
    "inference": ["multi_gpu_evaluate", *SLIDES, "small"],
}


@pytest.mark.parametrize(("base", "overlay"), [(base, overlay) for base in OVERLAYS for overlay in OVERLAYS[base]])
def test_an_overlay_of_weighted_dircn_changes_what_is_there(base, overlay):
    """Ids below the top that are written wrong would be added, and change nothing."""
    parser = merged("weighted_dircn", base)
    for name in configuration("weighted_dircn", overlay):
        above, _, last = name.removeprefix("+").rpartition("::")
        if above and last != "_disabled_":
            assert name.removeprefix("+") in parser, name
        elif above:
            assert "recon_monai.handlers.PlateauLearningRate" in targets(parser[above])


def test_mdcsrn_and_its_critic_are_spelled_out():
    content = configuration("mdcsrn_wgan_gp", "train")
    network, critic = content["network_def"], content["critic_def"]
    assert network["_target_"] == "recon_monai.networks.MDCSRN"
    sizes = ("blocks", "units", "growth", "first_channels")
    assert [network[name] for name in sizes] == [4, 4, 16, 32]
    assert (network["norm"], network["residual"]) == ("batch", True)
    assert critic["_target_"] == "recon_monai.networks.MDCSRNCritic"
    assert (critic["width"], critic["slope"], critic["norm"], critic["preset"]) == ("@critic_width", 0.2, None, None)
    parser = merged("mdcsrn_wgan_gp", "train")
    counts = {"network_def": 411_648, "critic_def": 14_578_881}
    for name, count in counts.items():
        assert sum(p.numel() for p in parser.get_parsed_content(name).parameters()) == count
    for preset, count in {"paper31m": 31_155_777, "slide17m": 17_628_929}.items():
        parser = merged("mdcsrn_wgan_gp", "train")
        parser["critic_def::preset"] = preset
        assert sum(p.numel() for p in parser.get_parsed_content("critic_def").parameters()) == count


@pytest.mark.parametrize("workflow", ["evaluate", "inference"])
def test_mdcsrn_has_no_options_of_gradients_where_there_are_none(workflow):
    assert "checkpointing" not in json.dumps(configuration("mdcsrn_wgan_gp", workflow))
    network, trained = (
        merged("mdcsrn_wgan_gp", name).get_parsed_content("network_def") for name in (workflow, "train")
    )
    assert network.architecture == trained.architecture


def test_the_losses_and_updates_of_mdcsrn():
    content = configuration("mdcsrn_wgan_gp", "train")
    trainer = content["train"]["trainer"]
    assert trainer["_target_"] == "recon_monai.engines.WGANTrainer"
    assert content["loss_function"]["_target_"] == "torch.nn.L1Loss"
    assert content["adversarial_loss"]["_target_"] == "recon_monai.losses.WassersteinGPLoss"
    assert (content["penalty_weight"], content["adversarial_weight"]) == (10.0, 1e-3)
    assert content["constraint"] == "gradient_penalty"
    options = ("critic_only_steps", "critic_steps", "extra_critic_every", "extra_critic_steps", "penalty_every")
    assert [content[name] for name in options] == [10_000, 7, 500, 200, 1]
    assert all(trainer[name] == f"@{name}" for name in options)
    assert (content["pretrain_steps"], content["pretrain_learning_rate"]) == (250_000, 1e-4)
    assert (content["generator_learning_rate"], content["critic_learning_rate"]) == (5e-6, 5e-6)
    assert (content["betas"], content["critic_optimizer"]["betas"]) == ([0.9, 0.999], [0.0, 0.9])
    assert [stage["name"] for stage in content["sequence"]] == ["pretrain", "adversarial"]
    adversarial = configuration("mdcsrn_wgan_gp", "adversarial")
    assert (adversarial["betas"], adversarial["train::trainer::pretrain_steps"]) == ([0.0, 0.9], 0)
    slides = configuration("mdcsrn_wgan_gp", "slides")
    assert (slides["pretrain_steps"], slides["adversarial_steps"]) == (250_000, 5_000)
    assert (slides["batch_size"] * slides["patches_per_volume"], slides["patch_size"]) == (2, 64)
    options = ("critic_only_steps", "critic_steps", "extra_critic_every", "extra_critic_steps")
    cycle = [{**content, **slides}[name] for name in options]
    sheet = (BUNDLES / "mdcsrn_wgan_gp" / "docs" / "README.md").read_text()
    for extra in (cycle[2:], [0, 0]):
        count = UpdateSchedule(0, *cycle[:2], *extra).counts(slides["adversarial_steps"])["generator"]
        assert f"{count} " in sheet.partition("| `slides.json` |")[2].partition("\n")[0]
    assert [stage.get("release") for stage in content["sequence"]] == ["pretrained", None]
    assert configuration("mdcsrn_wgan_gp", "weight_clipping")["constraint"] == "weight_clipping"


def test_low_resolution_of_mdcsrn():
    """The same recipes everywhere, drawn anew in training and by the name of the file elsewhere."""
    train, evaluate = (configuration("mdcsrn_wgan_gp", name) for name in ("train", "evaluate"))
    assert train["recipes"] == evaluate["recipes"]
    assert list(train["recipes"]) == ["inplane2", "isotropic2", "thick3mm", "thick4mm", "thick5mm", "thick6mm"]
    assert sum(recipe["probability"] for recipe in train["recipes"].values()) == pytest.approx(1)
    simulate = "recon_monai.transforms.SimulateLowResolutiond"
    seeds = [part["low_resolution"]["seed"] for part in (train["train"], train["validate"], evaluate)]
    assert seeds == ["@seed", 0, 0]
    assert {part["low_resolution"]["_target_"] for part in (train["train"], train["validate"], evaluate)} == {simulate}
    steps = targets(train["train"]["preprocessing"])
    # one scale before noise, one resolution of the whole volume before patches
    assert [name.rpartition(".")[2] for name in steps] == ["Compose", "ScaleToReferenced", "RandomPatchd"]
    assert train["train"]["preprocessing"]["transforms"][1:3] == ["@crop", "@train::low_resolution"]
    assert train["validate"]["preprocessing"]["transforms"][1:] == ["@crop", "@validate::low_resolution"]
    assert (evaluate["block"], train["val_block"]) == (-1, -1), "tables are of whole volumes"
    assert "Foreground" not in json.dumps(evaluate)
    assert set(train["val_recipes"]) <= set(train["recipes"])
    assert targets(evaluate["postprocessing"])[1] == "recon_monai.evaluation.InterpolationBaselinesd"
    assert train["validate"]["inferer"]["_target_"] == "recon_monai.inferers.CentralBlockInferer"


MDCSRN_OVERLAYS = {
    "train": ["adversarial", "multi_gpu_train", "pretrain", "slides", "small", "weight_clipping"],
    "evaluate": ["margin_trim", "multi_gpu_evaluate", "slides", "small"],
    "inference": ["margin_trim", "slides", "small"],
}
STRATEGIES = {
    "pixel_shuffle": ("PixelShuffleSR", 401_384),
    "progressive": ("ProgressiveSR", 416_618),
    "back_projection": ("BackProjectionSR", 384_954),
    "residual_unet": ("ResidualUNetSR", 415_857),
}


@pytest.mark.parametrize(
    ("base", "overlay"), [(base, overlay) for base in MDCSRN_OVERLAYS for overlay in MDCSRN_OVERLAYS[base]]
)
def test_an_overlay_of_mdcsrn_changes_what_is_there(base, overlay):
    parser = merged("mdcsrn_wgan_gp", base)
    for name in configuration("mdcsrn_wgan_gp", overlay):
        above, _, last = name.removeprefix("+").rpartition("::")
        if above and last != "_disabled_":
            assert name.removeprefix("+") in parser, name
        elif above:
            assert "LrScheduleHandler" in targets(parser[above])


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


@pytest.mark.parametrize("bundle", NAMES)
def test_the_data_sheet_names_every_configuration(bundle):
    text = (BUNDLES / bundle / "docs" / "README.md").read_text()
    for file in (BUNDLES / bundle / "configs").glob("*.json"):
        assert file.name in text or file.name == "metadata.json", file.name
    for path in re.findall(r"bundles/[\w/]+\.json", text):
        assert (BUNDLES.parent / path).is_file(), path


def test_one_interpolation_of_mdcsrn_from_training_to_inference():
    """Training and evaluation bring coarse samples to the grid alike; inference takes what the weights' record says."""
    train, evaluate, inference = (configuration("mdcsrn_wgan_gp", name) for name in WORKFLOWS)
    assert (train["interpolation"], evaluate["interpolation"], inference["interpolation"]) == ("fourier",) * 2 + (None,)
    (checkpoint,) = [h for h in train["train"]["handlers"] if h["_target_"].endswith("TrainingCheckpoint")]
    (check,) = [h for h in evaluate["handlers"] if isinstance(h, dict) and h["_target_"].endswith("VolumeDomainCheck")]
    parts = [train["train"]["low_resolution"], train["validate"]["low_resolution"], evaluate["low_resolution"]]
    parts += [train["train"]["dataset"], train["validate"]["dataset"], evaluate["dataset"]]
    assert all(part["interpolation"] == "@interpolation" for part in (*parts, checkpoint["description"], check))
    assert "interpolations" not in json.dumps([train, evaluate])


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_the_slides_network_adds_nothing_to_its_input(workflow):
    """As in the paper; the same overlay fits training, evaluation and inference."""
    network = merged("mdcsrn_wgan_gp", workflow, "slides").get_parsed_content("network_def")
    assert not network.residual
    assert sum(p.numel() for p in network.parameters()) == 411_648
    assert merged("mdcsrn_wgan_gp", workflow).get_parsed_content("network_def").residual


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_of_super_resolution_replaces_the_network(strategy):
    """Spelled out, the same everywhere, also after the overlays that change sizes of mDCSRN."""
    name, count = STRATEGIES[strategy]
    for base in WORKFLOWS:
        for before in ((), ("small",), ("slides",)):
            parser = merged("mdcsrn_wgan_gp", base, *before, strategy)
            assert parser["network_def::_target_"] == f"recon_monai.networks.{name}"
            assert not {"units", "growth", "residual"} & set(parser["network_def"])
            network = parser.get_parsed_content("network_def")
            assert sum(parameter.numel() for parameter in network.parameters()) == count
            assert network.checkpointing == "none"
    text = json.dumps(configuration("mdcsrn_wgan_gp", strategy)["network_def"])
    sheet = (BUNDLES / "mdcsrn_wgan_gp" / "docs" / "README.md").read_text()
    row = sheet.partition(f"| `{strategy}.json` |")[2].partition("\n")[0]
    assert f"`{name}`" in row and f"| {count:,} |" in row
    for size, value in network.architecture.items():
        assert size == "strategy" or f'"{size}"' in text
        assert size in ("strategy", "sampling") or f"`{size}` {value if size == 'channels' else np.max(value)}" in row


def test_losses_by_name():
    """Each alone, in the place of L1 and of the Wasserstein loss."""
    parser = merged("mdcsrn_wgan_gp", "train", "image_losses")
    image, other = torch.zeros(1, 1, 2, 2, 2), torch.full((1, 1, 2, 2, 2), 0.1)
    assert float(parser.get_parsed_content("loss_function")(other, image)) == pytest.approx(0.1)
    expected = {"l2": 0.01, "huber": 0.05 * (0.1 - 0.025), "total_variation": 0.0}
    for name, value in expected.items():
        parser = merged("mdcsrn_wgan_gp", "train", "image_losses")
        parser["image_losses::l1"], parser[f"image_losses::{name}"] = 0, 1
        assert float(parser.get_parsed_content("loss_function")(other, image)) == pytest.approx(value)
    for kind in ("non_saturating", "saturating"):
        parser = merged("mdcsrn_wgan_gp", "train", "gan")
        parser["generator_loss"] = kind
        loss = parser.get_parsed_content("adversarial_loss")
        assert (type(loss).__name__, loss.generator, loss.weight) == ("GANLoss", kind, 10.0)
        parser = merged("mdcsrn_wgan_gp", "train", "gan", "pretrain")
        assert type(parser.get_parsed_content("adversarial_loss")).__name__ == "WassersteinGPLoss", "takes no part"


@pytest.mark.parametrize("overlay", ["image_losses", "perceptual"])
@pytest.mark.parametrize("stage", ["pretrain", "adversarial", None])
def test_losses_by_name_are_those_of_both_stages(overlay, stage, tmp_path):
    """As a stage of the sequence and as a run of its own, whatever order the files were given in."""
    weights = merged("mdcsrn_wgan_gp", "train", "perceptual").get_parsed_content("feature_def").state_dict()
    torch.save(weights, tmp_path / "model.pt")
    own = [stage] if stage else []
    for names in ((overlay, *own), (*own, overlay), ("shipped", overlay, *own)):
        parser = merged("mdcsrn_wgan_gp", "train", *names)
        parser["image_losses::l1"], parser["image_losses::l2"] = 0, 2
        if overlay == "perceptual":
            parser["features"], parser["device"] = str(tmp_path / "model.pt"), "cpu"
        expected = {"l2": 2.0} | ({"perceptual": 0.01} if overlay == "perceptual" else {})
        assert parser.get_parsed_content("loss_function").weights == expected, names
        assert parser["train::trainer::loss_function"] == "@loss_function"
        assert {"huber_delta", "image_losses", "reconstruction_loss"} <= set(stage_settings(parser.get())), names


def test_a_first_stage_by_another_loss_than_the_second():
    """As the data sheet says, in either direction."""
    plain = {"_target_": "torch.nn.L1Loss"}
    for before, value in ((("image_losses",), plain), (("image_losses", "shipped"), None)):
        for stage, expected in (("pretrain", "L1Loss" if value else "MSELoss"), ("adversarial", "ImageLoss")):
            parser = merged("mdcsrn_wgan_gp", "train", *before, stage)
            if value:
                parser["pretrain_loss"] = value
            assert type(parser.get_parsed_content("loss_function")).__name__ == expected


def test_the_perceptual_loss_asks_for_trained_features(tmp_path):
    parser = merged("mdcsrn_wgan_gp", "train", "perceptual")
    with pytest.raises(RuntimeError) as refused:
        parser.get_parsed_content("loss_function")
    causes = [refused.value]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    assert any("give --features FILE" in str(cause) for cause in causes)
    weights = parser.get_parsed_content("feature_def").state_dict()
    torch.save(weights, tmp_path / "model.pt")
    parser = merged("mdcsrn_wgan_gp", "train", "perceptual")
    parser["features"], parser["device"] = str(tmp_path / "model.pt"), "cpu"
    loss = parser.get_parsed_content("loss_function")
    perceptual = loss.losses["perceptual"]
    assert loss.weights == {"l1": 1.0, "perceptual": 0.01} and perceptual.layers == ["levels.0", "levels.1"]
    assert torch.equal(perceptual.features.stem.weight, weights["stem.weight"])


@pytest.mark.parametrize("bundle", NAMES)
def test_the_readme_says_what_is_in_the_bundle(bundle):
    """Network, transforms, workflow, handlers and metrics as the configurations name them, limits, use and licenses."""
    readme = (BUNDLES / bundle / "docs" / "README.md").read_text()
    section = readme.partition("### What is in this bundle\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", section))
    train, evaluate, inference = (configuration(bundle, name) for name in WORKFLOWS)
    parts = [train["network_def"], train["train"]["preprocessing"], train["train"]["trainer"]["_target_"]]
    parts += [train["validate"]["key_metric"], train["validate"]["handlers"]]
    parts += [evaluate[name] for name in ("preprocessing", "postprocessing", "inferer", "key_metric", "handlers")]
    parts += [inference.get(name, []) for name in ("inferer", "handlers")] + [inference["evaluator"]["_target_"]]
    classes = {name.rpartition(".")[2] for part in parts for name in (targets(part) or [part]) if isinstance(name, str)}
    ours = {name for name in classes if name[0].isupper() and name != "Compose"}
    assert len(ours) > 8
    assert ours <= named, ours - named
    assert "**Intended use.**" in section
    for heading in ("## Data\n", "## Limitations\n", "## License\n", "## Metrics\n"):
        assert f"\n{heading}" in readme
    assert "(../LICENSE)" in readme
    assert (BUNDLES / bundle / "LICENSE").is_file()
    assert (BUNDLES / bundle / "docs" / "data_license.txt").is_file()
