"""The flags of augmentation are ids of ``train.json``, and each changes what training sees."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from bundle_tools import ROOT
from monai.bundle import ConfigParser

from recon_monai.physics import fft2c
from recon_monai.transforms import set_epoch

CONFIG = ROOT / "bundles" / "universal_varnet" / "configs" / "train.json"
EPOCH = 30


def draws(**overrides: Any) -> list[dict[str, Any]]:
    """What the training transforms of the configuration do to some slices in one epoch."""
    parser = ConfigParser()
    parser.read_config(str(CONFIG))
    parser.read_meta(str(CONFIG.with_name("metadata.json")))
    for name, value in {"mask": None, "seed": 1, "file_mask": "use", **overrides}.items():
        parser[name] = value
    parser.parse()
    chain = parser.get_parsed_content("train::preprocessing")
    set_epoch(chain, EPOCH)
    image = torch.zeros(2, 32, 32, dtype=torch.complex64)
    image[:, 8:20, 6:24] = torch.rand(2, 12, 18, generator=torch.Generator().manual_seed(0)) + 0.2
    items = []
    for number in range(12):
        item = {
            "kspace": fft2c(image),
            "target": image.abs().square().sum(0, keepdim=True).sqrt(),
            "maximum": 2.0,
            "output_size": torch.tensor([32, 32]),
            "padding": torch.tensor([0, 32]),
            "file": "a.h5",
            "slice": number,
        }
        items.append(chain(item))
    return items


def moved(items: list[dict[str, Any]]) -> float:
    return float(sum(item["target"].double().mul(torch.arange(32)).sum() for item in items))


@pytest.fixture(scope="module")
def default() -> list[dict[str, Any]]:
    return draws()


def test_the_recipe_flips_and_translates_and_does_nothing_else(default):
    assert {item["augmented_fliph"] for item in default} == {0, 1}
    assert any(item["augmented_translation_x"] for item in default)
    assert any(item["augmented_translation_y"] for item in default)
    assert all(item["augmented_rotation"] == item["augmented_shearing_x"] == 0 for item in default)
    assert all(item["augmented_scaling"] == 1 and item["augmented_flipv"] == 0 for item in default)
    # what is drawn is what happens
    expected = 0.6 * (1 - 2.718281828 ** (-5 * 20 / 40)) / (1 - 2.718281828**-5)
    assert default[0]["augmented_probability"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("flag", "value", "field"),
    [
        ("aug_delay", 25, "augmented_probability"),
        ("aug_strength", 0.3, "augmented_probability"),
        ("aug_weight_fliph", 0.0, "augmented_fliph"),
        ("aug_weight_translation", 0.0, "augmented_translation_x"),
        ("aug_max_translation_x", 0.2, "augmented_translation_x"),
        ("aug_max_translation_y", 0.2, "augmented_translation_y"),
        ("aug_weight_flipv", 1.0, "augmented_flipv"),
        ("aug_weight_rot90", 1.0, "augmented_rot90"),
        ("aug_weight_rotation", 1.0, "augmented_rotation"),
        ("aug_weight_shearing", 1.0, "augmented_shearing_x"),
        ("aug_weight_scaling", 1.0, "augmented_scaling"),
    ],
)
def test_each_flag_changes_what_training_sees(default, flag, value, field):
    changed = draws(**{flag: value})
    assert [item[field] for item in changed] != [item[field] for item in default]
    assert moved(changed) != moved(default)


@pytest.mark.parametrize(
    ("flag", "value", "weight"),
    [
        ("aug_max_rotation", 90.0, "aug_weight_rotation"),
        ("aug_max_shearing_x", 40.0, "aug_weight_shearing"),
        ("aug_max_shearing_y", 40.0, "aug_weight_shearing"),
        ("aug_max_scaling", 0.5, "aug_weight_scaling"),
    ],
)
def test_the_sizes_of_affine_changes(flag, value, weight):
    assert moved(draws(**{weight: 1.0, flag: value})) != moved(draws(**{weight: 1.0}))


@pytest.mark.parametrize(
    ("flag", "value", "field"),
    [
        ("aug_num_coils", [3], "coils_redrawn"),
        ("aug_min_size", 16, "resolution"),
        ("aug_max_noise", 0.05, "noise_level"),
    ],
)
def test_the_acquisition_is_varied_only_if_asked(default, flag, value, field):
    assert field not in default[0]
    assert len({item[field] for item in draws(**{flag: value})}) > 1


def test_off_leaves_slices_as_they_are(default):
    items = draws(aug_strength=0.0)
    assert all(torch.equal(item["target"], items[0]["target"]) for item in items)
    assert not all(torch.equal(item["target"], default[0]["target"]) for item in default)
