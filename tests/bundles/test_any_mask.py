"""The overlay that trains with masks of several kinds."""

from __future__ import annotations

from collections import Counter

import torch
from bundle_tools import ROOT
from monai.bundle import ConfigParser

CONFIGS = ROOT / "bundles" / "universal_varnet" / "configs"


def test_each_kind_is_drawn_at_both_accelerations() -> None:
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / name) for name in ("train.json", "any_mask.json")])
    parser.parse()
    undersample = parser.get_parsed_content("train::preprocessing::transforms::5")
    drawn: Counter[tuple[str, int]] = Counter()
    for number in range(160):
        item = {
            "kspace": torch.ones(1, 48, 64, dtype=torch.complex64),
            "padding": torch.tensor([0, 64]),
            "file": "a.h5",
            "slice": number,
        }
        result = undersample(item)
        drawn[result["mask_kind"], int(result["acceleration"])] += 1
        assert (result["mask"].shape[-2] == 48) == (result["mask_kind"] == "poisson")
    kinds = ("equispaced_fraction", "gaussian", "poisson")
    assert set(drawn) == {(kind, acceleration) for kind in kinds for acceleration in (4, 8)}
    # twice as often as the others, within three standard deviations
    assert abs(drawn["equispaced_fraction", 4] + drawn["equispaced_fraction", 8] - 80) < 19


def test_validation_knows_the_accelerations_of_the_mixture() -> None:
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / name) for name in ("train.json", "any_mask.json")])
    parser.parse()
    mask = parser.get_parsed_content("mask")
    assert {acceleration for _, acceleration in mask.pairs} == set(parser.get_parsed_content("accelerations"))
