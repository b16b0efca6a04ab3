"""What counts as trained, for the default mixture of low resolution and others."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from recon_monai.engines import (
    differences_from_training,
    read_domain,
    super_resolution_domain,
    uncompared_contrast,
    uncompared_resolution,
)
from recon_monai.transforms import SimulateLowResolutiond

NAN = float("nan")


@pytest.fixture(scope="module")
def mixture() -> dict[str, Any]:
    """Voxels of 1 mm and the bundle's recipes."""
    recipes = SimulateLowResolutiond().recipes.values()
    factors = [recipe.factor((1.0, 1.0, 1.0), axis) for recipe in recipes for axis in range(3)]
    return super_resolution_domain(spacings=[(1, 1, 1)], factors=factors, contrasts=["T1"])


def differences(record: dict[str, Any], **changes: Any) -> list[str]:
    return differences_from_training(record, **{"spacing": (1, 1, 1), "factor": (2, 2, 1), "contrast": "T1", **changes})


@pytest.mark.parametrize(
    "factor",
    [(2, 2, 1), (2, 2, 2), (1.9, 2.1, 1.05), (3, 1, 1), (4.5, 1, 1), (6.5, 1.08, 1), (2.8, 1, 1), (NAN, NAN, NAN)],
)
def test_what_was_trained_or_lies_between_is_no_difference(mixture: dict[str, Any], factor: tuple[float, ...]) -> None:
    for turned in itertools.permutations(factor):
        assert differences(mixture, factor=turned) == []


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        ((6, 6, 6), "an input 6 x 6 x 6 times coarser than the output was never trained (trained along 3 axes: 2 x 2"),
        ((6, 6, 1), "(trained along 2 axes: 2 x 2 x 1)"),
        ((2, 2, 6), "(trained along 3 axes: 2 x 2 x 2)"),
        ((5, 5, 1), "an input 5 x 5 x 1 times coarser"),
        ((1.3, 1.3, 1.3), "an input 1.3 x 1.3 x 1.3 times coarser"),
        ((1.5, 1, 1), "(trained along 1 axes: 3 x 1 x 1, 4 x 1 x 1, 5 x 1 x 1, 6 x 1 x 1)"),
        ((1, 1, 1), "coarser along 0 axes"),
        ((4, 1.24, 1.24), "(trained along 3 axes: 2 x 2 x 2)"),
        ((2, 2, 1.24), "an input 2 x 2 x 1.24 times coarser"),
        ((6, 1.2, 1), "(trained along 2 axes: 2 x 2 x 1)"),
        ((7, 1, 1), "an input 7 times coarser than the output was never trained (trained: up to 6)"),
    ],
)
def test_other_resolutions_are_differences(mixture: dict[str, Any], factor: tuple[float, ...], words: str) -> None:
    for turned in itertools.permutations(factor):
        (found,) = differences(mixture, factor=turned)
        assert "was never trained" in found
    assert words in differences(mixture, factor=factor)[0]


def test_what_is_near_one_triple_needs_not_as_many_coarse_axes() -> None:
    record = super_resolution_domain(spacings=[(1, 1, 1)], factors=[(4, 1.15, 1)], contrasts=["T1"])
    assert differences(record, factor=(4, 1.06, 1)) == []
    assert len(differences(record, factor=(4, 1.03, 1))) == 1


def test_resolutions_that_cannot_be_compared_are_said() -> None:
    """Weights of pairs of unknown factor compare no resolution, which must not pass for trained."""
    record = super_resolution_domain(spacings=[(1, 1, 1)], factors=[(NAN, NAN, NAN)], contrasts=["T1"])
    assert differences(record, factor=(6, 6, 6)) == []
    assert "resolutions cannot be compared" in str(uncompared_resolution(record))
    known = super_resolution_domain(spacings=[(1, 1, 1)], factors=[(2, 2, 1)], contrasts=["T1"])
    assert uncompared_resolution(known) is None


def test_between_is_on_the_line_and_no_box() -> None:
    record = super_resolution_domain(spacings=[(1, 1, 1)], factors=[(2, 2, 1), (4, 4, 1)], contrasts=["T1"])
    assert differences(record, factor=(3, 3, 1)) == []
    assert len(differences(record, factor=(4, 2, 1))) == 1


def test_voxels_are_compared_as_triples() -> None:
    record = super_resolution_domain(
        spacings=[(0.7, 0.7, 0.7), (1.5, 1, 1), (1, 1.5, 1)], factors=[(2, 2, 1)], contrasts=["T1"]
    )
    assert record["voxels"] == [[0.7, 0.7, 0.7], [1, 1, 1.5]]
    for trained in ((0.7, 0.7, 0.75), (1, 1.5, 1), (0.85, 0.85, 1.1)):
        assert differences(record, spacing=trained) == []
    (found,) = differences(record, spacing=(0.7, 1.5, 0.7))
    assert found == "voxels of 0.7 x 1.5 x 0.7 mm were never trained (trained: 0.7 x 0.7 x 0.7, 1 x 1 x 1.5 mm)"
    assert differences(record, spacing=(2, 2, 2)) == [
        "voxels of 2 x 2 x 2 mm were never trained (trained: sides of 0.7 to 1.5 mm)"
    ]
    del record["voxels"]  # as it was written before
    assert differences(record, spacing=(0.7, 1.5, 0.7)) == []


def test_records_that_were_written_before_are_read(tmp_path: Path) -> None:
    old = {
        "spacings": [1.0, 1.0],
        "factors": [[2.0, 2.0, 1.0], [6.0, 1.0, 1.0]],
        "contrasts": {"T1": 3},
        "recipes": {"inplane2": 1},
        "interpolation": "fourier",
    }
    (tmp_path / "model.json").write_text(json.dumps(old))
    record = read_domain(tmp_path / "model.pt")
    assert record == old
    assert differences(record) == []
    assert len(differences(record, factor=(6, 6, 1))) == 1
    assert len(differences(record, spacing=(0.5, 1, 1))) == 1


@pytest.mark.parametrize(
    ("trained", "contrast", "words"),
    [
        (["unknown"], "T2", "nothing says which contrasts the weights were trained on"),
        (["unknown"], None, "nothing says which contrasts the weights were trained on"),
        (["T1", "unknown"], None, "neither names nor headers say the contrast (trained: T1)"),
        (["T1", "unknown"], "T2", None),
    ],
)
def test_contrasts_that_cannot_be_compared_are_said(trained: list[str], contrast: str | None, words: Any) -> None:
    record = super_resolution_domain(spacings=[(1, 1, 1)], factors=[(2, 2, 1)], contrasts=trained)
    found = uncompared_contrast(record, contrast)
    assert found is None if words is None else found is not None and words in found
    assert len(differences(record, contrast=contrast)) == (words is None)
