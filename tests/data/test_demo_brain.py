from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from recon_monai.data.demo import (
    BRAIN_ACQUISITIONS,
    DrawnSlice,
    draw_contrast,
    draw_head_slice,
    draw_lesions,
)
from recon_monai.data.demo.fields import random_deformation

pytest.importorskip("nilearn")

SETTINGS = {"shape": (224, 192), "pixel_mm": 1.0}


@pytest.fixture(scope="module")
def template():
    from recon_monai.data.demo.template import load_template

    return load_template()


def draw(template, acquisition: str, *, lesions=(), subject: int = 3, z: float = 24.0) -> DrawnSlice:
    return draw_head_slice(
        template,
        random_deformation(np.random.default_rng(subject)),
        draw_contrast(acquisition, np.random.default_rng(subject)),
        z=z,
        rng=np.random.default_rng([subject, 1]),
        lesions=lesions,
        **SETTINGS,
    )


@pytest.fixture(scope="module")
def lesions(template):
    return draw_lesions(template, np.random.default_rng(0), count=80)


@pytest.fixture(scope="module")
def slices(template, lesions) -> dict[str, DrawnSlice]:
    return {acquisition: draw(template, acquisition, lesions=lesions) for acquisition in BRAIN_ACQUISITIONS}


def level(drawn: DrawnSlice, tissue: str) -> float:
    # skull is thin, so that few of its pixels are nothing else
    inside = drawn.tissues[tissue] > (0.7 if tissue == "bone" else 0.95)
    assert inside.sum() > 30, tissue
    return float(np.median(drawn.image[inside]))


def test_weightings_look_as_they_should(slices):
    order = {
        "AXT1": ("white", "gray", "fluid", "bone"),
        "AXT2": ("fluid", "gray", "white", "bone"),
        "AXFLAIR": ("gray", "white", "fluid"),
        "AXPD": ("fluid", "gray", "white", "bone"),
    }
    for acquisition, tissues in order.items():
        levels = [level(slices[acquisition], tissue) for tissue in tissues]
        assert levels == sorted(levels, reverse=True), acquisition
    assert level(slices["AXFLAIR"], "fluid") < 0.25 * level(slices["AXFLAIR"], "white")
    assert level(slices["AXT2"], "fluid") > 2 * level(slices["AXT2"], "white")


@pytest.mark.parametrize(("acquisition", "low", "high"), [
    ("AXFLAIR", 1.7, 2.6), ("AXT2", 1.5, 2.4), ("AXPD", 1.3, 1.8), ("AXT1", 0.5, 0.75),
])  # fmt: skip
def test_lesions_stand_out_from_the_white_matter_round_them(slices, acquisition, low, high):
    drawn = slices[acquisition]
    inside = drawn.lesion > 0.9
    near = ndimage.binary_dilation(drawn.lesion > 0.02, iterations=1)
    ring = ndimage.binary_dilation(near, iterations=3) & ~near & (drawn.tissues["white"] > 0.9)
    assert inside.sum() > 50
    assert low < np.median(drawn.image[inside]) / np.median(drawn.image[ring]) < high


def test_without_lesions_the_rest_of_the_image_is_the_same(template, slices):
    healthy = draw(template, "AXFLAIR")
    sick = slices["AXFLAIR"]
    assert not healthy.lesion.any()
    away = sick.lesion == 0
    assert not away.all()
    np.testing.assert_array_equal(healthy.image[away], sick.image[away])
    assert (sick.image - healthy.image)[sick.lesion > 0.9].min() > 0.2


def test_lesions_lie_in_white_matter_and_are_small(template, lesions):
    assert len(lesions) == 80
    centers = np.array([lesion.center for lesion in lesions], dtype=np.float32).T
    assert template.white.sample(centers).min() > 0.75
    axes = np.array([lesion.axes for lesion in lesions])
    assert axes.min() > 0.8
    assert axes.max() < 9.0
    assert 2.0 < np.median(axes) < 4.0
    assert 24 <= len(draw_lesions(template, np.random.default_rng(5))) <= 40


def test_shares_of_tissues_make_up_every_pixel(slices):
    shares = np.stack(list(slices["AXT2"].tissues.values()))
    assert shares.min() >= -1e-6
    total = shares.sum(axis=0)
    assert total.max() < 1.02
    assert total[112, 96] == pytest.approx(1.0, abs=0.02)
    assert total[0, 0] < 0.01


def test_heads_have_skull_and_scalp_and_differ(template):
    heads = [draw(template, "AXT1", subject=subject, z=30.0) for subject in (1, 2)]
    for head in heads:
        column = head.image[:, 96]
        rim = np.flatnonzero(column > 0.4)[0]
        # from the front: air, bright scalp, dark skull, brain
        assert column[: rim - 6].max() < 0.15
        assert column[rim : rim + 20].min() < 0.4 * column[rim : rim + 8].max()
        assert head.image[76:150, 60:130].mean() > 0.4
    assert np.corrcoef(heads[0].image.ravel(), heads[1].image.ravel())[0, 1] < 0.95


def test_an_unknown_contrast_is_refused():
    with pytest.raises(ValueError, match=r"unknown acquisition 'AXT3'; choose one of AXFLAIR, .*CORPDFS_FBK"):
        draw_contrast("AXT3", np.random.default_rng(0))
