from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from recon_monai.handlers import ImagePanels
from recon_monai.handlers.pictures import choose_window, color_error, gray, panel_boxes


def tile(picture: np.ndarray, index: int, count: int) -> np.ndarray:
    """One image of a panel of 20x24 images, without the enlargement."""
    box = panel_boxes(count, 20, 24)[index]
    factor = (box.bottom - box.top) // 20
    return picture[box.top : box.bottom : factor, box.left : box.right : factor]


def test_middle_slices_of_the_first_volumes_of_each_group(evaluate, make_volume, tmp_path: Path) -> None:
    items = make_volume("a.h5") + make_volume("a.h5", acceleration=8) + make_volume("b.h5", slices=6)
    items += make_volume("c.h5") + make_volume("k.h5", anatomy="knee", acceleration=None)
    evaluate(items, [ImagePanels(output_dir=tmp_path, volumes_per_group=2)])
    assert {path.name for path in tmp_path.iterdir()} == {
        "a_4x_slice001.png",
        "a_8x_slice001.png",
        "b_4x_slice003.png",
        "k_slice001.png",
        "contact_sheet.png",
    }
    sheet = np.array(Image.open(tmp_path / "contact_sheet.png"))
    first = np.array(Image.open(tmp_path / "a_4x_slice001.png"))
    np.testing.assert_array_equal(sheet[: first.shape[0], : first.shape[1]], first)


def test_png_shows_the_images_and_five_times_the_error(evaluate, make_volume, tmp_path: Path) -> None:
    items = make_volume("a.h5")
    evaluate(items, [ImagePanels(output_dir=tmp_path)])
    picture = np.array(Image.open(tmp_path / "a_4x_slice001.png"))
    images = [items[1][key][0].numpy().astype(np.float64) for key in ("zero_filled", "image", "label")]
    window = choose_window(images[2])
    for index, image in enumerate(images):
        np.testing.assert_array_equal(tile(picture, index, 4), gray(image, window))
    error = color_error(5 * np.abs(images[1] - images[2]), window[1])
    np.testing.assert_allclose(tile(picture, 3, 4).astype(int), error.astype(int), atol=1)
    assert error.max() > 60


def test_tensorboard_holds_the_panel(evaluate, make_volume, tmp_path: Path) -> None:
    panels = ImagePanels(log_dir=tmp_path / "log", output_dir=tmp_path / "png", tag="val")
    evaluate(make_volume("a.h5"), [panels], epoch=7)
    panels.close()
    events = EventAccumulator(str(tmp_path / "log"), size_guidance={"images": 0}).Reload()
    assert events.Tags()["images"] == ["val/brain/4x/a"]
    (event,) = events.Images("val/brain/4x/a")
    assert event.step == 7
    (tmp_path / "event.png").write_bytes(event.encoded_image_string)
    written = np.array(Image.open(tmp_path / "event.png"))
    np.testing.assert_array_equal(written, np.array(Image.open(tmp_path / "png" / "a_4x_slice001.png")))


def test_a_writer_given_stays_open_and_interval_is_kept(evaluate, make_volume, tmp_path: Path) -> None:
    writer = SummaryWriter(str(tmp_path))
    panels = ImagePanels(summary_writer=writer, interval=2)
    for epoch in (1, 2, 3, 4):
        evaluate(make_volume("a.h5"), [panels], epoch=epoch)
    panels.close()
    writer.add_scalar("still_open", 1.0)
    writer.close()
    events = EventAccumulator(str(tmp_path), size_guidance={"images": 0}).Reload()
    assert [event.step for event in events.Images("panels/brain/4x/a")] == [2, 4]
    assert "still_open" in events.Tags()["scalars"]


def test_items_without_target_or_zero_filled_image(evaluate, make_volume, tmp_path: Path) -> None:
    items = make_volume("a.h5", target=False)
    for item in items:
        del item["zero_filled"]
    evaluate(items, [ImagePanels(output_dir=tmp_path)])
    picture = np.array(Image.open(tmp_path / "a_4x_slice001.png"))
    image = items[1]["image"][0].numpy()
    np.testing.assert_array_equal(tile(picture, 0, 1), gray(image, choose_window(image)))
    assert picture.shape[1] < 500


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="summary_writer, log_dir or output_dir"):
        ImagePanels()
    with pytest.raises(ValueError, match="must be 1 or more"):
        ImagePanels(log_dir="logs", interval=0)
