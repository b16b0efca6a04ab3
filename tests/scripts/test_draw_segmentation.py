"""The figure of measures of segmentations: its pairs show what their titles say, and every kind of pitfall."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from recon_monai.metrics import segmentation_measures, segmentation_pitfalls

ROOT = Path(__file__).parents[2]


@pytest.fixture
def figure(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import draw_segmentation

    return draw_segmentation


def test_the_pairs_run_into_the_pitfalls_of_the_issue(figure: ModuleType) -> None:
    measures, pitfalls = {}, {}
    for case in figure.cases():
        found = segmentation_measures(prediction=case.prediction, target=case.target, spacing=case.spacing)
        measures[case.title] = found
        pitfalls[case.title] = set(segmentation_pitfalls(found, spacing=case.spacing))
    named = set().union(*pitfalls.values())
    assert {"both_empty", "empty_prediction", "small_structure", "holes", "anisotropy", "resolution"} <= named
    assert {"over_segmentation", "under_segmentation", "missed_components", "extra_components"} <= named
    assert "small_structure" not in pitfalls["a voxel too little all around"]
    assert measures["the same, small structure"]["dice"] == pytest.approx(0.5)
    many, missing = measures["120 voxels too many"], measures["120 voxels missing"]
    assert many["prediction_volume"] - many["target_volume"] == 120
    assert missing["target_volume"] - missing["prediction_volume"] == 120
    assert many["dice"] > missing["dice"]
    elsewhere = measures["the same size elsewhere"]
    assert (elsewhere["dice"], elsewhere["volume_similarity"]) == (0, 1)
    assert measures["one voxel off, of 4 x 1 mm"]["hausdorff"] == 4


def test_the_committed_figure_is_the_one_that_is_drawn(figure: ModuleType) -> None:
    drawn = np.asarray(figure.draw().quantize(64, dither=Image.Dither.NONE).convert("RGB"))
    with Image.open(ROOT / "docs" / "from_least_squares" / "segmentation.png") as picture:
        committed = np.asarray(picture.convert("RGB"))
    assert drawn.shape == committed.shape
    assert np.mean(np.abs(drawn.astype(int) - committed).max(axis=-1) > 40) < 0.01, "run scripts/draw_segmentation.py"
