from __future__ import annotations

import numpy as np
import pytest

from recon_monai.handlers.pictures import choose_window, color_error, contact_sheet, gray, panel, panel_boxes


@pytest.fixture
def images() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    target = rng.uniform(0, 1e-3, (40, 50))
    noise = {"zero-filled": 3e-4, "reconstruction": 5e-5}
    return {**{name: np.abs(target + rng.normal(0, s, target.shape)) for name, s in noise.items()}, "target": target}


def tile(picture: np.ndarray, index: int, count: int, shape: tuple[int, int]) -> tuple[np.ndarray, int]:
    box = panel_boxes(count, *shape)[index]
    return picture[box.top : box.bottom, box.left : box.right], (box.bottom - box.top) // shape[0]


def test_gray_maps_the_window() -> None:
    shown = gray(np.array([[-1.0, 0.0, 1.0, 2.0, 5.0, np.nan]]), (0.0, 2.0))
    assert shown[0, :, 0].tolist() == [0, 0, 128, 255, 255, 0]
    assert (shown == shown[..., :1]).all()
    with pytest.raises(ValueError, match="high > low"):
        gray(np.ones((2, 2)), (1.0, 1.0))


def test_more_error_is_always_brighter() -> None:
    colors = color_error(np.linspace(0, 1, 256)[None], 1.0)[0].astype(float) / 255
    luminance = np.where(colors > 0.04045, ((colors + 0.055) / 1.055) ** 2.4, colors / 12.92) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > 0).all()
    assert colors[0].tolist() == [0, 0, 0]
    assert luminance[-1] > 0.95


def test_window_ignores_few_bright_pixels() -> None:
    image = np.ones((100, 100))
    image[0, 0] = 1000
    image[0, 1] = np.nan
    assert choose_window(image) == (0.0, 1.0)
    assert choose_window(np.zeros((5, 5))) == (0.0, 1.0)
    sparse = np.zeros((100, 100))
    sparse[3, 4] = 7
    assert choose_window(sparse) == (0.0, 7.0)
    assert choose_window(np.full((2, 2), np.nan)) == (0.0, 1.0)


def test_panel_holds_enlarged_pixels_of_all_images(images: dict[str, np.ndarray]) -> None:
    picture = panel(images)
    window = choose_window(images["target"])
    for index, image in enumerate(images.values()):
        shown, factor = tile(picture, index, 4, image.shape)
        assert factor == 7
        expected = gray(image, window).repeat(factor, axis=0).repeat(factor, axis=1)
        np.testing.assert_array_equal(shown, expected)


@pytest.mark.parametrize("scale", [5.0, 10.0])
def test_panel_holds_the_scaled_error(images: dict[str, np.ndarray], scale: float) -> None:
    shown, factor = tile(panel(images, error_scale=scale), 3, 4, (40, 50))
    error = np.abs(images["reconstruction"] - images["target"])
    expected = color_error(scale * error, choose_window(images["target"])[1])
    np.testing.assert_allclose(shown[::factor, ::factor].astype(int), expected.astype(int), atol=1)


def test_large_images_are_not_enlarged() -> None:
    image = np.random.default_rng(1).uniform(0, 1, (330, 400))
    shown, factor = tile(panel({"reconstruction": image}, window=(0, 1)), 0, 1, image.shape)
    assert factor == 1
    np.testing.assert_array_equal(shown, gray(image, (0, 1)))


def test_texts_are_drawn_outside_the_images(images: dict[str, np.ndarray]) -> None:
    plain, labeled = panel(images), panel(images, title="sub-01 4x", captions={"target": "PSNR 30 dB"})
    changed = (plain != labeled).any(axis=2)
    boxes = panel_boxes(4, 40, 50)
    assert changed[: boxes[0].top].any()
    assert changed[boxes[0].bottom :, boxes[2].left : boxes[2].right].any()
    assert not changed[boxes[0].top : boxes[0].bottom].any()
    long = panel(images, title="a very long file name " * 40)
    assert long.shape == plain.shape
    assert not long[: boxes[0].top, -10:].any()


def test_panel_carries_the_notice(images: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = panel(images)
    monkeypatch.setattr("recon_monai.handlers.pictures.RESEARCH_NOTICE", "")
    changed = (plain != panel(images)).any(axis=2)
    assert changed[panel_boxes(4, 40, 50)[0].bottom :].any()


def test_contact_sheet_keeps_the_panels() -> None:
    panels = [np.full((4, 6, 3), 10, np.uint8), np.full((5, 3, 3), 20, np.uint8), np.full((2, 2, 3), 30, np.uint8)]
    sheet = contact_sheet(panels, columns=2, gap=1)
    assert sheet.shape == (11, 13, 3)
    assert (sheet[:4, :6] == 10).all()
    assert (sheet[:5, 7:10] == 20).all()
    assert (sheet[6:8, :2] == 30).all()
    assert int(sheet.sum()) == sum(int(one.sum()) for one in panels)


def test_wrong_images_are_refused() -> None:
    with pytest.raises(ValueError, match="of one shape"):
        panel({"a": np.ones((4, 4)), "b": np.ones((4, 5))})
    with pytest.raises(ValueError, match="of one shape"):
        panel({})
    with pytest.raises(ValueError, match="at least one panel"):
        contact_sheet([])
