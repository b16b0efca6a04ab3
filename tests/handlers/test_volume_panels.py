"""Pictures of three planes: what is drawn, of which volumes, where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from recon_monai.handlers import CurveWriter, VolumePanels
from recon_monai.handlers.pictures import gray, panel_boxes
from recon_monai.handlers.volume_panels import middle_planes

SHAPE = (8, 9, 10)


def make(file: str, recipe: str, seed: int = 0, target: bool = True) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    image, label = (torch.rand(1, *SHAPE, generator=generator) for _ in range(2))
    item = {"file": file, "recipe": recipe, "factor": torch.tensor([1.0, 1.0, 2.5]), "image": image}
    return {**item, "label": label} if target else item


def test_planes_are_those_through_the_middle_with_the_last_axis_upwards():
    volume = torch.arange(8 * 9 * 10.0).reshape(SHAPE)
    sagittal, coronal, axial = middle_planes(volume)
    assert sagittal.shape == (10, 9) and coronal.shape == (10, 8) and axial.shape == (9, 8)
    assert sagittal[0, 3] == volume[4, 3, 9] and coronal[9, 2] == volume[2, 4, 0] and axial[1, 2] == volume[2, 7, 5]


def test_one_picture_of_each_recipe(evaluate, tmp_path: Path) -> None:
    items = [make("a/b.nii.gz", "thick4mm"), make("c.nii", "thick4mm", 1), make("c.nii", "inplane2", 2)]
    curves = CurveWriter(tmp_path / "events")
    evaluate(items, [VolumePanels(curves, tmp_path / "png")], epoch=1)
    curves.close()
    assert {path.name for path in (tmp_path / "png").iterdir()} == {
        "a_b_thick4mm.png",
        "c_inplane2.png",
        "contact_sheet.png",
    }
    events = EventAccumulator(str(tmp_path / "events"), size_guidance={"images": 0})
    events.Reload()
    assert set(events.Tags()["images"]) == {"panels/thick4mm/a_b", "panels/inplane2/c"}


def test_the_picture_shows_the_planes_in_one_window(evaluate, tmp_path: Path) -> None:
    """The network is the identity, so low resolution and output look alike."""
    item = make("a.nii", "x")
    evaluate([item], [VolumePanels(output_dir=tmp_path)])
    picture = np.array(Image.open(tmp_path / "a_x.png"))
    window = (0.0, float(np.percentile(item["label"].numpy(), 99.5)))
    plane = gray(middle_planes(item["label"][0])[0], window)
    boxes = panel_boxes(4, *plane.shape[:2])
    shown = [picture[box.top : box.bottom, box.left : box.right] for box in boxes]
    factor = shown[0].shape[0] // plane.shape[0]
    np.testing.assert_array_equal(shown[2][::factor, ::factor], plane)
    np.testing.assert_array_equal(shown[0], shown[1])
    assert shown[3].max() > 0, "the error"


def test_without_a_target_and_without_an_output(evaluate, tmp_path: Path) -> None:
    evaluate([make("a.nii", "x", target=False)], [VolumePanels(output_dir=tmp_path)])
    assert (tmp_path / "a_x.png").is_file()
    with pytest.raises(KeyError, match=r"a.nii: the output has no image 'other'"):
        evaluate([make("a.nii", "x")], [VolumePanels(output_dir=tmp_path, images={"super-resolution": "other"})])


@pytest.mark.parametrize(
    ("options", "message"),
    [({}, "summary_writer or output_dir"), ({"output_dir": "x", "volumes_per_recipe": 0}, "expected at least 1")],
)
def test_settings_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VolumePanels(**options)
