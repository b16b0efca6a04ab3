from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
from scipy import ndimage

from recon_monai.data.demo import KNEE_ACQUISITIONS, DrawnSlice, Knee, draw_contrast, draw_knee_slice, random_knee
from recon_monai.data.demo.fields import Deformation

PIXEL_MM = 0.7
SHAPE = (208, 176)
PLAIN = Deformation(np.eye(3, dtype=np.float32), np.zeros(3, np.float32), np.zeros((3, 61, 61, 61), np.float32))


def upright(seed: int = 2, *, lesions: bool = False) -> Knee:
    """A knee without bending, tilt or mirroring, so that positions in mm are those of the anatomy."""
    return replace(random_knee(np.random.default_rng(seed), lesions=lesions), deformation=PLAIN, side=1)


def draw(knee: Knee, acquisition: str = "CORPD_FBK", y: float = -5.0, seed: int = 0) -> DrawnSlice:
    contrast = draw_contrast(acquisition, np.random.default_rng(9))
    rng = np.random.default_rng(seed)
    return draw_knee_slice(knee, contrast, shape=SHAPE, pixel_mm=PIXEL_MM, y=y, rng=rng)


def at(x: float, z: float) -> tuple[int, int]:
    """Row and column of a position: z = 2 and x = 0 in the middle, x positive on the left."""
    return round(SHAPE[0] / 2 - (z - 2.0) / PIXEL_MM), round(SHAPE[1] / 2 - x / PIXEL_MM)


def near(drawn: DrawnSlice, tissue: str, x: float, z: float, reach_mm: float = 1.5) -> float:
    """Largest share of a tissue around a position."""
    row, column = at(x, z)
    reach = round(reach_mm / PIXEL_MM)
    return float(drawn.tissues[tissue][row - reach : row + reach + 1, column - reach : column + reach + 1].max())


def main_tissue(drawn: DrawnSlice) -> np.ndarray:
    names = list(drawn.tissues)
    return np.array(names)[np.stack([drawn.tissues[name] for name in names]).argmax(axis=0)]


@pytest.fixture(scope="module")
def knee() -> Knee:
    return upright()


@pytest.fixture(scope="module")
def middle(knee) -> dict[str, DrawnSlice]:
    return {acquisition: draw(knee, acquisition) for acquisition in KNEE_ACQUISITIONS}


def level(drawn: DrawnSlice, tissue: str, share: float = 0.85) -> float:
    """Median signal well inside a tissue and away from the ends of the coil."""
    inside = drawn.tissues[tissue] > share
    if tissue in ("fat", "marrow", "muscle"):
        inside = ndimage.binary_erosion(inside, iterations=2)
    inside[:30], inside[-30:] = False, False
    assert inside.sum() > 20, tissue
    return float(np.median(drawn.image[inside]))


def test_fat_is_bright_without_suppression_and_dark_with_it(middle):
    plain, suppressed = middle["CORPD_FBK"], middle["CORPDFS_FBK"]
    assert level(plain, "fat", 0.7) > 1.15 * level(plain, "cartilage")
    for tissue in ("fat", "marrow"):
        assert level(plain, tissue, 0.7) > 3 * level(suppressed, tissue, 0.7)
        assert level(suppressed, tissue, 0.7) < 0.4 * level(suppressed, "cartilage")
    back = {acquisition: draw(upright(), acquisition, y=-34.0) for acquisition in KNEE_ACQUISITIONS}
    assert level(back["CORPD_FBK"], "fat", 0.7) > 1.7 * level(back["CORPD_FBK"], "muscle")
    assert level(back["CORPDFS_FBK"], "fat", 0.7) < 0.6 * level(back["CORPDFS_FBK"], "muscle")


def test_contrast_does_not_change_the_anatomy(middle):
    plain, suppressed = middle.values()
    for tissue, share in plain.tissues.items():
        np.testing.assert_array_equal(share, suppressed.tissues[tissue])
    assert plain.image.dtype == np.float32
    assert plain.image.min() >= 0


def test_fluid_is_the_brightest_with_fat_suppression():
    swollen = replace(upright(), effusion=1.8, cyst=True)
    drawn = draw(swollen, "CORPDFS_FBK", y=-38.0)
    levels = [level(drawn, tissue) for tissue in ("fluid", "muscle", "fat")]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > 2 * levels[1]


def test_menisci_cortex_and_ligaments_are_dark_on_both(middle):
    for drawn in middle.values():
        cartilage = level(drawn, "cartilage")
        assert level(drawn, "meniscus") < 0.4 * cartilage
        assert level(drawn, "bone") < 0.25 * cartilage
    for acquisition in KNEE_ACQUISITIONS:
        back = draw(upright(), acquisition, y=-17.0)
        row, column = at(-2.0, 6.0)
        assert np.median(back.image[row - 3 : row + 4, column - 3 : column + 4]) < 0.3


@pytest.mark.parametrize("x", [-23.0, 23.0])
def test_cartilage_lies_between_bone_and_joint(knee, middle, x):
    """From the femur downwards: marrow, cortex, cartilage, the joint, cartilage, cortex, marrow of the tibia."""
    labels = main_tissue(middle["CORPD_FBK"])
    top, column = at(x, 8.0)
    bottom, _ = at(x, -14.0)
    runs = [(str(name), len(list(group))) for name, group in groupby(labels[top:bottom, column])]
    names = [name for name, _ in runs]
    assert names[:3] == ["marrow", "bone", "cartilage"]
    assert names[-3:] == ["cartilage", "bone", "marrow"]
    assert set(names[3:-3]) <= {"cartilage", "fluid", "meniscus"}
    joint = sum(length for name, length in runs if name in ("cartilage", "fluid", "meniscus")) * PIXEL_MM
    assert joint == pytest.approx(knee.space_mm, abs=1.6)
    # the surfaces of the bones are the only places of cartilage in the middle of the knee
    cartilage = np.argwhere(labels == "cartilage")
    bone = ndimage.distance_transform_edt(~np.isin(labels, ("bone", "marrow"))) * PIXEL_MM
    assert max(bone[tuple(place)] for place in cartilage) < max(knee.cartilage_mm) + 1.5


@pytest.mark.parametrize("side", [-1, 1])
def test_menisci_are_wedges_that_narrow_inwards(middle, side):
    share = middle["CORPD_FBK"].tissues["meniscus"]
    columns = [at(side * x, 0.0)[1] for x in np.arange(24.0, 40.0, 1.0)]
    height = np.array([share[:, column].sum() * PIXEL_MM for column in columns])
    present = height > 0.4
    assert present.sum() >= 4
    assert 2.5 < height.max() < 9.0
    assert np.corrcoef(np.arange(len(height))[present], height[present])[0, 1] > 0.5
    rows = np.flatnonzero(share[:, columns].max(axis=1) > 0.5)
    levels = 2.0 + (SHAPE[0] / 2 - rows) * PIXEL_MM
    assert levels.min() > -12
    assert levels.max() < 8


def test_the_shaft_has_a_thick_cortex_and_the_condyles_a_thin_one(knee):
    drawn = draw(knee, y=4.0)

    def thickness(z: float) -> float:
        row, center = at(0.0, z)
        return (drawn.tissues["bone"][row, center:] > 0.6).sum() * PIXEL_MM

    assert thickness(70.0) > 2.0 * thickness(32.0)


def test_each_slice_shows_what_lies_there(knee, middle):
    front, behind = draw(knee, y=43.0), draw(knee, y=-20.0)
    # kneecap in front, where there is neither shin nor notch
    assert near(front, "marrow", 2.0, 22.0) > 0.8
    assert near(front, "marrow", 0.0, -25.0) < 0.2
    assert near(behind, "marrow", 0.0, 8.0) < 0.2
    # calf bone behind and lateral only
    assert near(behind, "marrow", 38.0, -35.0) > 0.6
    assert near(behind, "marrow", -38.0, -35.0) < 0.2
    before = draw(knee, y=13.0)
    assert near(before, "marrow", 38.0, -35.0) < 0.2
    # cruciate ligaments in the notch, the anterior one at the lateral condyle
    assert near(draw(knee, y=-13.0), "ligament", 8.0, 14.0, 3.0) > 0.7
    assert near(behind, "ligament", -1.0, 3.0, 3.0) > 0.7
    # collateral ligaments at the sides: the medial one in the middle, the lateral one further behind
    assert max(near(middle["CORPD_FBK"], "ligament", -42.0, z, 3.0) for z in (10.0, 16.0, 22.0)) > 0.7
    assert near(behind, "ligament", 39.0, -8.0, 4.0) > 0.7
    # muscles of thigh and calf, the large vessels behind
    back = draw(knee, y=-34.0)
    assert near(back, "muscle", -26.0, -50.0) > 0.8
    assert near(before, "muscle", 34.0, 70.0) > 0.8
    assert near(back, "vessel", 3.0, 20.0, 3.0) > 0.7


def test_skin_and_fat_surround_the_leg(middle):
    labels = main_tissue(middle["CORPD_FBK"])
    leg = np.stack(list(middle["CORPD_FBK"].tissues.values())).sum(axis=0) > 0.5
    for z in (45.0, -40.0):
        row, _ = at(0.0, z)
        inside = np.flatnonzero(leg[row])
        assert 85 < len(inside) * PIXEL_MM < 125
        first = [str(name) for name, _ in groupby(labels[row, inside[0] :])][:2]
        assert first == ["skin", "fat"]


def test_a_left_and_a_right_knee_mirror_each_other(knee):
    right = draw(replace(knee, side=-1), y=-20.0)
    assert near(right, "marrow", -38.0, -35.0) > 0.6
    assert near(right, "marrow", 38.0, -35.0) < 0.2


def test_lesions_change_their_own_place_only():
    for acquisition, change in (("CORPD_FBK", -1), ("CORPDFS_FBK", 1)):
        healthy, sick = draw(upright(lesions=False), acquisition), draw(upright(lesions=True), acquisition)
        assert not healthy.lesion.any()
        # chemical shift carries the change of fat signal a pixel or two further
        away = ~ndimage.binary_dilation(sick.lesion > 0, iterations=4)
        assert 0.5 < away.mean() < 1
        np.testing.assert_array_equal(healthy.image[away], sick.image[away])
        marrow = (sick.lesion > 0.8) & (sick.tissues["edema"] > 0.8)
        assert marrow.sum() > 20
        assert (change * (sick.image - healthy.image))[marrow].mean() > 0.1


def test_a_tear_is_a_bright_line_in_the_dark_meniscus():
    healthy, torn = (draw(upright(lesions=torn), "CORPDFS_FBK", y=-12.0) for torn in (False, True))
    tear = (torn.lesion > 0.6) & (torn.tissues["edema"] < 0.1)
    assert tear.sum() >= 5
    assert healthy.tissues["meniscus"][tear].min() > 0.5
    assert torn.image[tear].mean() > 2 * healthy.image[tear].mean()
    columns = np.argwhere(tear)[:, 1]
    assert columns.min() > SHAPE[1] / 2, "medial lies on the right of the picture"


def test_shares_of_tissues_make_up_the_leg(middle):
    shares = np.stack(list(middle["CORPD_FBK"].tissues.values()))
    assert shares.min() >= -1e-6
    np.testing.assert_allclose(shares.sum(axis=0)[at(0.0, 40.0)], 1.0, atol=1e-5)
    assert shares.sum(axis=0).max() < 1 + 1e-5
    assert shares.sum(axis=0)[at(59.0, 0.0)] < 0.05


def test_positions_and_subjects_differ():
    subject = random_knee(np.random.default_rng(4))
    images = [draw(subject, y=y).image.ravel() for y in (30.0, 15.0, 0.0, -15.0, -30.0)]
    other = [draw(random_knee(np.random.default_rng(seed)), y=0.0).image.ravel() for seed in (5, 6)]
    pairs = [(a, b) for i, a in enumerate(images) for b in images[:i]] + [(other[0], other[1]), (other[0], images[2])]
    assert max(np.corrcoef(a, b)[0, 1] for a, b in pairs) < 0.9


def test_the_same_draws_give_the_same_bits():
    first, second = (draw(random_knee(np.random.default_rng(7)), y=-8.0).image for _ in range(2))
    np.testing.assert_array_equal(first, second)
