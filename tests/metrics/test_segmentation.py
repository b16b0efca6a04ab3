"""Measures of segmentations against brute force: spacing, empty masks, holes, single voxels, several components."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from recon_monai.metrics import segmentation_measures, segmentation_pitfalls

SPACINGS: dict[int, tuple[float, ...]] = {2: (1.5, 0.4), 3: (3.0, 0.5, 1.25)}


def surface(mask: np.ndarray) -> list[tuple[int, ...]]:
    """Voxels with a face on the outside, by loops."""
    found = []
    for index in map(tuple, np.argwhere(mask)):
        for axis, step in itertools.product(range(mask.ndim), (-1, 1)):
            place = list(index)
            place[axis] += step
            outside = not 0 <= place[axis] < mask.shape[axis]
            if outside or not mask[tuple(place)]:
                found.append(index)
                break
    return found


def brute_force(found: np.ndarray, wanted: np.ndarray, spacing: tuple[float, ...], beta: float) -> dict[str, float]:
    """All measures but those of components and holes, of masks that are not empty, by their definitions."""
    tp = fp = fn = tn = 0
    for one, other in zip(found.ravel(), wanted.ravel(), strict=True):
        tp, fp, fn, tn = tp + (one & other), fp + (one & ~other), fn + (~one & other), tn + (not (one or other))
    precision, recall = tp / (tp + fp), tp / (tp + fn)
    points = [np.array(surface(mask)) * spacing for mask in (found, wanted)]
    there = [min(np.linalg.norm(point - q) for q in points[1]) for point in points[0]]
    back = [min(np.linalg.norm(point - q) for q in points[0]) for point in points[1]]
    f_beta = (1 + beta**2) * precision * recall / (beta**2 * precision + recall) if tp else 0.0
    voxel = math.prod(spacing)
    inner = wanted.sum() - len(surface(wanted))
    return {
        "dice": 2 * tp / (2 * tp + fp + fn),
        "iou": tp / (tp + fp + fn),
        "f_beta": f_beta,
        "precision": precision,
        "recall": recall,
        "specificity": tn / (tn + fp),
        "over_segmentation": fp / (tp + fp + fn),
        "under_segmentation": fn / (tp + fp + fn),
        "volume_similarity": 1 - abs(fp - fn) / (2 * tp + fp + fn),
        "volume_difference": (fp - fn) / (tp + fn),
        "hausdorff": max(*there, *back),
        "hausdorff_95": max(np.percentile(there, 95), np.percentile(back, 95)),
        "average_surface_distance": float(np.mean(there + back)),
        "prediction_volume": found.sum() * voxel,
        "target_volume": wanted.sum() * voxel,
        "one_voxel_dice": 2 * inner / (inner + wanted.sum()),
    }


def blob(seed: int, shape: tuple[int, ...], share: float = 0.5) -> np.ndarray:
    """Random voxels in clumps, with holes, at the border too."""
    values = np.random.default_rng(seed).normal(size=shape)
    for axis in range(len(shape)):
        values = values + np.roll(values, 1, axis)
    return values > np.quantile(values, 1 - share)


def cube(*corners: tuple[int, int], shape: tuple[int, ...] = (9, 9, 9)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(first, last) for first, last in corners)] = True
    return mask


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", [(8, 9), (5, 7, 6)])
def test_all_measures_by_brute_force(seed: int, shape: tuple[int, ...]) -> None:
    found, wanted = blob(seed, shape), blob(seed + 10, shape, 0.3)
    spacing = SPACINGS[len(shape)]
    measures = segmentation_measures(prediction=found, target=wanted, spacing=spacing, beta=1.7)
    for name, expected in brute_force(found, wanted, spacing, 1.7).items():
        assert measures[name] == pytest.approx(expected, rel=1e-5, abs=1e-9), name
    total = measures["iou"] + measures["over_segmentation"] + measures["under_segmentation"]
    assert total == pytest.approx(1, abs=1e-6)


def test_single_voxels_and_masks_that_do_not_touch() -> None:
    """Two voxels apart by (2, 1, 3) of (3, 0.5, 1.25) mm."""
    found, wanted = np.zeros((2, 6, 6, 6), bool)
    found[1, 2, 1] = wanted[3, 3, 4] = True
    spacing = SPACINGS[3]
    measures = segmentation_measures(prediction=found, target=wanted, spacing=spacing)
    expected = brute_force(found, wanted, spacing, 2)
    assert {name: measures[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    distance = math.hypot(6, 0.5, 3.75)
    assert measures["hausdorff"] == measures["hausdorff_95"] == pytest.approx(distance)
    assert (measures["dice"], measures["volume_similarity"], measures["one_voxel_dice"]) == (0, 1, 0)
    assert [measures[f"{name}_components"] for name in ("target", "missed", "extra")] == [1, 1, 1]
    assert {"small_structure", "missed_components", "extra_components"} <= set(
        segmentation_pitfalls(measures, spacing=spacing)
    )


@pytest.mark.parametrize("empty", ["prediction", "target"])
def test_one_empty_mask_is_no_agreement(empty: str) -> None:
    """Without MONAI's warnings, and with a penalty that does not drop out of averages."""
    masks: dict[str, Any] = {"prediction": cube((2, 5), (2, 5), (2, 5)), "target": cube((2, 5), (2, 5), (2, 5))}
    masks[empty] = np.zeros((9, 9, 9), bool)
    spacing = (1.0, 2.0, 2.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measures = segmentation_measures(**masks, spacing=spacing)
    names = ("dice", "iou", "f_beta", "volume_similarity")
    assert [measures[name] for name in names] == [0, 0, 0, 0]
    distances = ("hausdorff", "hausdorff_95", "average_surface_distance")
    assert [measures[name] for name in distances] == [27.0, 27.0, 27.0], "the diagonal of 9 x 18 x 18 mm"
    assert math.isnan(measures["precision"]) == (empty == "prediction")
    assert math.isnan(measures["recall"]) == math.isnan(measures["volume_difference"]) == (empty == "target")
    side = {"prediction": (0.0, 1.0), "target": (1.0, 0.0)}[empty]
    assert (measures["over_segmentation"], measures["under_segmentation"]) == side
    pitfalls = segmentation_pitfalls(measures, spacing=spacing)
    assert f"empty_{empty}" in pitfalls and "both_empty" not in pitfalls
    chosen = segmentation_measures(**masks, spacing=spacing, missing_distance=5)
    assert chosen["hausdorff"] == 5


def test_two_empty_masks_agree() -> None:
    empty = np.zeros((4, 4, 4), bool)
    measures = segmentation_measures(prediction=empty, target=empty, spacing=(1, 1, 1))
    names = ("dice", "iou", "f_beta", "volume_similarity", "specificity")
    assert [measures[name] for name in names] == [1, 1, 1, 1, 1]
    names = ("hausdorff", "hausdorff_95", "average_surface_distance", "over_segmentation", "under_segmentation")
    assert [measures[name] for name in names] == [0, 0, 0, 0, 0]
    undefined = {name for name, value in measures.items() if math.isnan(value)}
    assert undefined == {"precision", "recall", "volume_difference", "one_voxel_dice"}
    assert list(segmentation_pitfalls(measures, spacing=(1, 1, 1))) == ["both_empty"]


def test_a_full_target_has_no_specificity() -> None:
    full = np.ones((4, 4), bool)
    measures = segmentation_measures(prediction=full, target=full, spacing=(1, 1))
    assert math.isnan(measures["specificity"]) and measures["dice"] == 1


def test_holes_are_found_named_and_filled() -> None:
    """A voxel missing in the middle costs little overlap, and a distance of three voxels."""
    wanted = cube((1, 10), (1, 10), (1, 10), shape=(11, 11, 11))
    found = wanted.copy()
    found[5, 5, 5] = False
    kept = segmentation_measures(prediction=found, target=wanted, spacing=(2, 2, 2))
    assert kept["dice"] > 0.999 and kept["hausdorff"] == pytest.approx(6), "from a neighbor of the hole to the outside"
    assert (kept["prediction_holes"], kept["target_holes"]) == (8, 0)
    expected = brute_force(found, wanted, (2, 2, 2), 2)
    assert {name: kept[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert "holes" in segmentation_pitfalls(kept, spacing=(2, 2, 2))
    filled = segmentation_measures(prediction=found, target=wanted, spacing=(2, 2, 2), holes="fill")
    assert (filled["dice"], filled["hausdorff"], filled["prediction_holes"]) == (1, 0, 8)
    tunnel = wanted.copy()
    tunnel[5, 5, 5:] = False
    opened = segmentation_measures(prediction=tunnel, target=wanted, spacing=(2, 2, 2))
    assert opened["prediction_holes"] == 0, "open to the outside"


def test_over_and_under_segmentation_are_told_apart() -> None:
    """The same error of one voxel all around, either way."""
    small, large = cube((3, 6), (3, 6), (3, 6)), cube((2, 7), (2, 7), (2, 7))
    over = segmentation_measures(prediction=large, target=small, spacing=(1, 1, 1))
    under = segmentation_measures(prediction=small, target=large, spacing=(1, 1, 1))
    share = (125 - 27) / 125
    assert (over["over_segmentation"], over["under_segmentation"]) == (pytest.approx(share), 0)
    assert (under["over_segmentation"], under["under_segmentation"]) == (0, pytest.approx(share))
    assert over["volume_difference"] == pytest.approx(98 / 27) and under["volume_difference"] == pytest.approx(
        -98 / 125
    )
    assert over["f_beta"] > over["dice"] > under["f_beta"], "what is missed counts more"
    assert "over_segmentation" in segmentation_pitfalls(over, spacing=(1, 1, 1))
    assert "under_segmentation" in segmentation_pitfalls(under, spacing=(1, 1, 1))
    middle = cube((2, 5), (3, 6), (3, 6))
    shifted = segmentation_measures(prediction=middle, target=small, spacing=(1, 1, 1))
    assert not {"over_segmentation", "under_segmentation"} & set(segmentation_pitfalls(shifted, spacing=(1, 1, 1)))


def test_small_structures_beside_large_ones() -> None:
    """Dice of the whole hardly sees a lesion that is missed."""
    wanted = cube((2, 12), (2, 12), (2, 12), shape=(20, 20, 20))
    found = wanted.copy()
    wanted[15, 15, 15] = wanted[16, 16, 16] = True  # one component, by a corner
    found[18, 2, 2] = True
    measures = segmentation_measures(prediction=found, target=wanted, spacing=(1, 1, 1))
    assert measures["dice"] > 0.99
    assert [measures[f"{name}_components"] for name in ("target", "missed", "extra")] == [2, 1, 1]
    pitfalls = segmentation_pitfalls(measures, spacing=(1, 1, 1))
    assert pitfalls["missed_components"].startswith("1 components of the target are not touched")
    assert "small_structure" in pitfalls, "a layer of ten voxels: 2 * 512 / (512 + 1002)"
    assert measures["one_voxel_dice"] == pytest.approx(2 * 512 / (512 + 1002))


def test_resolution_and_anisotropy_are_named() -> None:
    wanted, found = cube((2, 7), (2, 7), (2, 7)), cube((2, 7), (2, 7), (2, 8))
    for spacing in ((1.0, 1.0, 1.0), (1.0, 1.0, 4.0)):
        measures = segmentation_measures(prediction=found, target=wanted, spacing=spacing)
        assert measures["hausdorff"] == pytest.approx(spacing[2])
        names = set(segmentation_pitfalls(measures, spacing=spacing))
        assert "resolution" in names and ("anisotropy" in names) == (spacing[2] == 4)
    same = segmentation_measures(prediction=wanted, target=wanted, spacing=(1, 1, 1))
    assert "resolution" not in segmentation_pitfalls(same, spacing=(1, 1, 1))


def test_masks_of_any_kind_give_the_same() -> None:
    found, wanted = blob(1, (6, 7)), blob(2, (6, 7))
    expected = segmentation_measures(prediction=found, target=wanted, spacing=(1, 2))
    for kind in (np.uint8, np.int64, np.float32):
        options = {"prediction": found.astype(kind), "target": torch.from_numpy(wanted.astype(kind))}
        assert segmentation_measures(**options, spacing=(1, 2)) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prediction": np.zeros((3, 4))}, r"prediction \(3, 4\) and target \(4, 4\) differ in shape"),
        ({"prediction": np.full((4, 4), 0.5)}, "the prediction holds other values than 0 and 1"),
        ({"target": np.full((4, 4), 2)}, "the target holds other values than 0 and 1"),
        ({"prediction": np.zeros((1, 1, 4, 4))}, r"expected a mask \(H, W\) or \(D, H, W\)"),
        ({"spacing": (1, 1, 1)}, r"spacing is \[1, 1, 1\], expected 2 sizes"),
        ({"spacing": (1, 0)}, "expected 2 sizes"),
        ({"beta": 0}, "beta is 0"),
        ({"missing_distance": -1}, "missing_distance -1"),
        ({"holes": "drop"}, "holes is 'drop', expected one of"),
    ],
)
def test_what_cannot_be_measured_is_refused(options: dict[str, Any], message: str) -> None:
    given = {"prediction": np.ones((4, 4)), "target": np.ones((4, 4)), "spacing": (1, 1), **options}
    with pytest.raises(ValueError, match=message):
        segmentation_measures(**given)
