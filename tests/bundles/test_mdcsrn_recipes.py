"""The bundle mdcsrn_wgan_gp before it trains: what is cropped, and mixtures of low resolution set by options."""

from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from bundle_tools import ROOT
from mdcsrn_tools import CONFIGS, oblique
from monai.bundle import ConfigParser

from recon_monai.engines import StageSequence, check_recipes
from recon_monai.engines.command_line import merged_configuration
from recon_monai.engines.errors import find_user_error
from recon_monai.engines.overrides import UnknownOptionError, check_overrides
from recon_monai.engines.stage_settings import first_difference, stage_settings
from recon_monai.networks import MDCSRNCritic

HEAD = (slice(10, 19), slice(5, 15), slice(8, 22))
"""Of a volume of 30 x 24 x 22 voxels, up to the end of the third axis."""


def settled(*words: object, workflow: str = "train", overlays: tuple[Path, ...] = ()) -> ConfigParser:
    """The configuration as a command line with options makes it, which has to be accepted."""
    files = [str(ROOT / CONFIGS / f"{workflow}.json"), *map(str, overlays)]
    command = ["monai.bundle", "run", "training", "--config_file", str(files), *map(str, words)]
    check_overrides(command)
    return ConfigParser(merged_configuration(command))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Volumes with a head of noise within air, on turned and flipped axes."""
    for number in range(4):
        values = np.random.default_rng(number).integers(0, 3, (30, 24, 22)).astype(np.int16)
        values[HEAD] += np.random.default_rng(9 + number).integers(300, 900, values[HEAD].shape).astype(np.int16)
        path = tmp_path / "volumes" / f"sub-{number}_T1w.nii"
        path.parent.mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(values, oblique((1.0, 0.9, 1.2))), path)
    return tmp_path / "volumes"


def options(folder: Path, patch_size: int = 8) -> list[object]:
    return ["--dataset_dir", folder, "--cache", False, "--patch_size", patch_size, "--crop_margin", 1]


def test_training_volumes_are_cropped_to_the_head_where_it_lies(folder: Path) -> None:
    parser = settled(*options(folder))
    dataset = parser.get_parsed_content("validate::dataset")
    (file,) = {entry["path"] for entry in dataset.data}
    image = nibabel.load(file)
    for item in dataset:
        assert item["target"].shape == item["image"].shape == (1, 11, 12, 15), "a voxel around, within the volume"
        first = np.linalg.inv(image.affine) @ item["target"].affine.numpy()
        np.testing.assert_allclose(first, [[1, 0, 0, 9], [0, 1, 0, 4], [0, 0, 1, 7], [0, 0, 0, 1]], atol=1e-6)
        torch.testing.assert_close(item["image"].affine, item["target"].affine)
        values = item["target"].as_tensor()[0].numpy() * item["scale"]
        np.testing.assert_allclose(values, image.get_fdata()[9:20, 4:16, 7:22], rtol=1e-5)
        assert item["scale"] == pytest.approx(np.percentile(image.get_fdata(), 99.9)), "that of the whole volume"


@pytest.mark.parametrize("patch_size", [8, 16])
def test_patches_lie_where_their_affine_says(folder: Path, patch_size: int) -> None:
    """The larger ones are larger than a cropped volume, and partly zeros."""
    dataset = settled(*options(folder, patch_size)).get_parsed_content("train::dataset")
    for item in (patch for patches in dataset for patch in patches):
        patch = item["target"]
        assert patch.shape == item["image"].shape == (1, *[patch_size] * 3)
        image = nibabel.load(item["path"])
        first = np.linalg.inv(image.affine) @ patch.affine.numpy()
        start = first[:3, 3].round().astype(int)
        np.testing.assert_allclose(first[:3], np.c_[np.eye(3), start], atol=1e-5)
        inside = torch.nonzero(patch[0].as_tensor())
        assert len(inside) > patch_size**3 / 8
        places = tuple((inside.numpy() + start).T)
        found = patch[0].as_tensor()[tuple(inside.T)].numpy() * item["scale"]
        np.testing.assert_allclose(found, image.get_fdata()[places], rtol=1e-5)


def test_pairs_are_cropped_alike_and_workers_can_be_spawned(folder: Path) -> None:
    crop = pickle.loads(pickle.dumps(settled(*options(folder)).get_parsed_content("crop")))
    target = torch.zeros(1, 12, 12, 12)
    target[:, 4:9, 3:7, 5:6] = 0.5
    numbers = torch.arange(12.0**3).reshape(1, 12, 12, 12)
    found = crop({"image": numbers, "target": target, "file": "a.nii"})
    assert torch.equal(found["image"].as_tensor(), numbers[:, 3:10, 2:8, 4:7])
    assert torch.equal(found["target"].as_tensor(), target[:, 3:10, 2:8, 4:7])


def test_a_scale_that_leaves_nothing_but_air_is_named(folder: Path) -> None:
    dataset = settled(*options(folder), "--scale", 1e6).get_parsed_content("train::dataset")
    with pytest.raises(RuntimeError) as raised:
        dataset[0]
    message = str(find_user_error(raised.value))
    assert message.startswith("sub-") and "expected voxels" in message and "correct --scale" in message


def mixture(*words: object, overlays: tuple[Path, ...] = ()) -> tuple[dict[str, Any], dict[str, float]]:
    """Recipes and probabilities that the training draws by."""
    simulate = settled(*words, overlays=overlays).get_parsed_content("train::low_resolution")
    return simulate.recipes, dict(zip(simulate.recipes, simulate.probabilities, strict=True))


def test_one_recipe_is_left_out_or_changed_by_an_option() -> None:
    _, usual = mixture()
    recipes, changed = mixture("--recipes::inplane2::probability", 0, "--recipes::thick4mm::gap", 0.5)
    assert changed == {**usual, "inplane2": 0}
    assert (recipes["thick4mm"].gap, recipes["thick5mm"].gap) == (0.5, 0)
    with pytest.raises(UnknownOptionError, match="did you mean --recipes::inplane2"):
        mixture("--recipes::inplan2::probability", 0)


def test_a_whole_mixture_is_an_overlay_of_a_few_lines(tmp_path: Path) -> None:
    """The data sheet's example, as it stands there."""
    sheet = (ROOT / "bundles" / "mdcsrn_wgan_gp" / "docs" / "README.md").read_text()
    content = sheet.partition("```json\n")[2].partition("```")[0]
    overlay = tmp_path / "mixture.json"
    overlay.write_text(content)
    recipes, probabilities = mixture(overlays=(overlay,))
    assert probabilities == {name: recipe["probability"] for name, recipe in json.loads(content)["recipes"].items()}
    assert len(probabilities) > 1 and all(recipe.interpolations == ("fourier",) for recipe in recipes.values())
    parser = settled(overlays=(overlay,))
    check_recipes(parser.get_parsed_content("validate::low_resolution"), parser.get_parsed_content("val_recipes"))
    evaluation = settled(workflow="evaluate", overlays=(overlay,))
    assert evaluation.get_parsed_content("low_resolution").recipes == recipes
    assert evaluation.get_parsed_content("test_recipes") == list(recipes)


@pytest.mark.parametrize("preset", ["paper31m", "slide17m"])
def test_a_published_critic_is_one_option(preset: Any) -> None:
    """With the normalization that its count is of."""
    sizes = ["--critic_width", 2, "--patch_size", 8]
    critic = settled("--critic_def::preset", preset, *sizes).get_parsed_content("critic_def")
    expected = MDCSRNCritic(preset, 2, patch_size=8)
    assert critic.architecture == expected.architecture and critic.architecture["norm"] == "layer"
    usual = settled(*sizes).get_parsed_content("critic_def")
    assert usual.architecture["norm"] == "group"


def commands_of_stages(
    names: list[str], words: list[object], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> dict[str, dict[str, Any]]:
    """The configuration of each stage of a command."""
    files = [str(ROOT / CONFIGS / f"{name}.json") for name in names]
    command = ["monai.bundle", "run", "training", "--config_file", str(files), *map(str, words)]
    monkeypatch.setattr("sys.argv", command)
    sequence = ConfigParser(merged_configuration(command))["sequence"]
    stages = StageSequence(str(ROOT / "bundles/mdcsrn_wgan_gp"), str(folder), sequence)
    stages._weights["pretrain"] = "model.pt"
    return {name: merged_configuration(stages._command(name, resume=False)) for name in stages.names}


@pytest.mark.parametrize(("names", "words"), [(["train", "small"], []), (["train"], ["--final_rate", 0.01])])
def test_the_final_rate_is_that_of_the_first_stage(
    names: list[str], words: list[object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whether a file or the command sets it."""
    found = commands_of_stages(names, words, monkeypatch, tmp_path)
    assert {name: content["final_rate"] for name, content in found.items()} == {"pretrain": 0.01, "adversarial": 1}


@pytest.mark.parametrize(
    "words",
    [
        ["--critic_def::preset", "paper31m", "--critic_width", 32],
        ["--constraint", "weight_clipping", "--clip", 0.05],
        ["--penalty_weight", 1.0, "--critic_def::norm", "layer", "--adversarial_weight", 0.1],
    ],
)
def test_options_of_the_critic_are_no_settings_of_the_first_stage(
    words: list[object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """So that a pretrained generator is found again."""
    usual, other = (
        stage_settings(commands_of_stages(["train"], given, monkeypatch, tmp_path)["pretrain"]) for given in ([], words)
    )
    assert first_difference(usual, other) is None
    assert (usual["train"]["trainer"]["clip"], usual["critic_def"]["width"]) == (0.01, 1)


def test_recipes_of_the_validation_are_checked_first(caplog: pytest.LogCaptureFixture) -> None:
    parser = settled("--recipes", {"isotropic2": 1.0, "mild20": 0})
    simulate = parser.get_parsed_content("validate::low_resolution")
    with pytest.raises(ValueError, match="recipes inplane2, thick4mm, which are none of the training's isotropic2"):
        check_recipes(simulate, parser.get_parsed_content("val_recipes"))
    with caplog.at_level(logging.WARNING):
        check_recipes(simulate, ["isotropic2"])
        check_recipes(simulate, None)
        assert caplog.messages == []
        check_recipes(simulate, ["mild20"])
    assert caplog.messages == ["validation is on the recipes mild20, which training never draws"]
