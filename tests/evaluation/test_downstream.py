"""The fixed segmentation: thresholds against scikit-image, phantoms of known classes, what costs overlap."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch

from recon_monai.evaluation import downstream
from recon_monai.evaluation.downstream import STRUCTURES, downstream_check, multi_otsu

SPACING = (3.0, 0.8, 1.0)


def phantom(slices: int = 2, size: int = 64) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A disc of three levels in air, and where they are."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    disc = np.hypot(x, y) < 0.8
    bright, dark = np.hypot(x - 0.3, y) < 0.25, np.hypot(x + 0.3, y) < 0.25
    levels = np.where(disc, 1.0, 0.0) + 0.5 * bright - 0.4 * dark
    masks = {"foreground": disc, "dark": dark, "middle": disc & ~bright & ~dark, "bright": bright}
    return np.tile(levels, (slices, 1, 1)), {name: np.tile(mask, (slices, 1, 1)) for name, mask in masks.items()}


def noisy(volume: np.ndarray, std: float, seed: int = 0) -> np.ndarray:
    return np.abs(volume + std * np.random.default_rng(seed).normal(size=volume.shape))


def dice(found: dict[str, Any], variant: str = "target_thresholds") -> dict[str, float]:
    return {name: found[variant][name]["dice"] for name in STRUCTURES}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bins", [32, 128])
def test_thresholds_are_scikit_images(seed: int, bins: int) -> None:
    filters = pytest.importorskip("skimage.filters")
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(level, 0.2 + 0.1 * seed, 500 * (level + 1)) for level in range(3)])
    assert multi_otsu(values, bins=bins) == pytest.approx(filters.threshold_multiotsu(values, 3, bins), abs=1e-12)


def class_overlap(image: np.ndarray, masks: dict[str, np.ndarray], steps: list[float]) -> dict[str, float]:
    """Dice with the true classes, away from the rim of the foreground, which is in no class."""
    smooth = downstream._gaussian(image, 1.0, steps)
    found = downstream._segment(smooth, downstream._fit(smooth, "target", steps), steps)
    rim = found["foreground"] & ~(found["dark"] | found["middle"] | found["bright"])
    assert 0 < rim.sum() < 0.25 * found["foreground"].sum()
    wanted = {name: mask if name == "foreground" else mask & ~rim for name, mask in masks.items()}
    return {name: 2 * (found[name] & wanted[name]).sum() / (found[name].sum() + wanted[name].sum()) for name in masks}


def test_the_classes_of_a_phantom_are_found_through_noise_and_shading(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a field of view of 19 cm."""
    volume, masks = phantom(1, 192)
    steps = [3.0, 1.0, 1.0]
    shading = 1 + 0.3 * np.linspace(-1, 1, 192)[None, None, :]
    plain = class_overlap(noisy(volume, 0.05), masks, steps)
    assert min(plain.values()) > 0.95, plain
    shaded = class_overlap(noisy(volume * shading, 0.05), masks, steps)
    assert min(shaded.values()) > 0.8, shaded
    monkeypatch.setattr(downstream, "_shading", lambda smooth, inside, steps: np.ones_like(smooth))
    uncorrected = class_overlap(noisy(volume * shading, 0.05), masks, steps)
    assert min(shaded.values()) > min(uncorrected.values()) + 0.2, uncorrected


def test_an_equal_image_agrees_in_everything_and_a_worse_one_less() -> None:
    volume = noisy(phantom()[0], 0.03)
    same = downstream_check(prediction=volume, target=torch.from_numpy(volume), spacing=SPACING)
    assert dice(same) == dice(same, "own_thresholds") == dict.fromkeys(STRUCTURES, 1.0)
    values = []
    for pixels in (2, 4, 6):
        blurred = sum(np.roll(volume, shift, axis) for axis in (1, 2) for shift in range(-pixels, pixels + 1))
        found = downstream_check(prediction=blurred / (4 * pixels + 2), target=volume, spacing=SPACING)
        values.append(dice(found)["bright"])
    assert 1 > values[0] > values[1] > values[2]


def test_a_change_of_scale_costs_only_where_thresholds_are_the_targets() -> None:
    volume = noisy(phantom()[0], 0.03)
    found = downstream_check(prediction=0.7 * volume, target=volume, spacing=SPACING)
    assert dice(found, "own_thresholds") == pytest.approx(dict.fromkeys(STRUCTURES, 1.0), abs=2e-3)
    assert dice(found)["bright"] < 0.2 and dice(found)["dark"] < 0.6
    assert dice(found)["foreground"] > 0.9


def test_a_structure_that_was_lost_is_missed() -> None:
    volume, masks = phantom()
    lost = np.where(masks["dark"] & (np.arange(64)[:, None] < 36), 1.0, volume)
    found = downstream_check(prediction=noisy(lost, 0.02), target=noisy(volume, 0.02), spacing=SPACING)
    dark = found["target_thresholds"]["dark"]
    assert 0.1 < dark["dice"] < 0.75 and dark["under_segmentation"] > 0.4
    assert "under_segmentation" in found["pitfalls"]["target_thresholds"]["dark"]
    assert dice(found)["bright"] > 0.95


def test_it_is_measured_in_millimeters_of_the_plane_or_the_stack() -> None:
    volume = noisy(phantom(1)[0], 0.02)
    moved = np.roll(volume, 3, axis=1)
    one = downstream_check(prediction=moved, target=volume, spacing=SPACING)
    assert one["target_thresholds"]["bright"]["hausdorff"] == pytest.approx(3 * 0.8, abs=0.9)
    stack = [np.concatenate([part] * 3) for part in (moved, volume)]
    three = downstream_check(prediction=stack[0], target=stack[1], spacing=SPACING)
    assert dice(three) == pytest.approx(dice(one))
    assert three["target_thresholds"]["bright"]["target_volume"] == pytest.approx(
        9 * one["target_thresholds"]["bright"]["target_volume"]
    )


def test_it_can_be_written_as_json() -> None:
    volume = noisy(phantom(1)[0], 0.02)
    found = downstream_check(prediction=0 * volume + np.linspace(0, 1e-6, 64), target=volume, spacing=SPACING)
    assert found["target_thresholds"]["bright"]["precision"] is None, "nothing was found"
    assert "empty_prediction" in found["pitfalls"]["target_thresholds"]["bright"]
    again = json.loads(json.dumps(found, allow_nan=False))
    assert again == found and set(again) == {"convention", "target_thresholds", "own_thresholds", "pitfalls"}
    assert "multi-Otsu" in again["convention"] and "Hausdorff" in again["convention"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prediction": np.ones((1, 9, 8))}, "differ in shape"),
        ({"prediction": np.full((1, 8, 8), math.nan)}, "the prediction holds NaN"),
        ({"target": np.zeros((1, 8, 8))}, "the target cannot be segmented: the image has 1 levels"),
        ({"spacing": (1, 1)}, r"spacing is \[1, 1\], expected 3"),
        ({"spacing": (1, 0, 1)}, "expected 3 sizes"),
    ],
)
def test_what_cannot_be_checked_is_refused(options: dict[str, Any], message: str) -> None:
    some = np.random.default_rng(0).random((1, 8, 8))
    given = {"prediction": some, "target": some, "spacing": (1, 1, 1), **options}
    with pytest.raises(ValueError, match=message):
        downstream_check(**given)
