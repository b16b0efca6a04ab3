from __future__ import annotations

import numpy as np
import pytest
import torch

from recon_monai.physics import (
    EquispacedFractionMask,
    EquispacedMask,
    GaussianMask,
    MagicFractionMask,
    MagicMask,
    RandomMask,
    calibration_mask,
    create_mask,
    keyed_seed,
    seed_from_name,
)

# Recorded from fastMRI: seed = code points of "file1000001.h5", 64 columns, center fraction 0.08, acceleration 4.
RECORDED = {
    "random": "0001001100010001100000000000001111110010000000001010100001000000",
    "equispaced": "0001000100010001000100010001001111110001000100010001000100010001",
    "equispaced_fraction": "0001000010000010000100001000001111110000010000100001000001000010",
    "magic": "0100010001000100010001000100011111100100010001000100010001000100",
    "magic_fraction": "0000010000010000010000010000011111100100000100000100000100000100",
}
# Recorded from fastMRI: seed 123, 368 columns, center fraction 0.04, acceleration 8: count and first columns.
RECORDED_WIDE = {
    "random": (44, [13, 65, 74, 87, 118]),
    "equispaced": (59, [6, 14, 22, 30]),
    "equispaced_fraction": (47, [2, 13, 25, 36, 48]),
    "magic": (59, [7, 15, 23]),
    "magic_fraction": (44, [11, 23, 35]),
}
# Recorded from this package, with the settings of the first table: fastMRI has no such mask.
RECORDED_HERE = {"gaussian": "0000000000000001101000100001011111110100100100000000000100000000"}
KINDS = sorted([*RECORDED, *RECORDED_HERE])
WITH_OFFSET = ["equispaced", "equispaced_fraction", "magic", "magic_fraction"]


def text_of(mask: torch.Tensor) -> str:
    return "".join("01"[int(value)] for value in mask[0, 0])


@pytest.mark.parametrize("kind", sorted(RECORDED))
def test_bit_identical_with_fastmri(kind: str) -> None:
    sample = create_mask(kind, [0.08], [4])(64, seed=seed_from_name("file1000001.h5"))
    assert sample.mask.dtype == torch.bool
    assert sample.mask.shape == (1, 1, 64)
    assert text_of(sample.mask) == RECORDED[kind]
    assert sample.acceleration == 4
    assert sample.center_fraction == 0.08
    assert sample.num_calibration_lines == 5
    assert sample.effective_acceleration == pytest.approx(64 / RECORDED[kind].count("1"))


def test_gaussian_is_the_same_everywhere() -> None:
    sample = create_mask("gaussian", [0.08], [4])(64, seed=seed_from_name("file1000001.h5"))
    assert text_of(sample.mask) == RECORDED_HERE["gaussian"]


@pytest.mark.parametrize("kind", sorted(RECORDED))
def test_bit_identical_with_fastmri_wide(kind: str) -> None:
    sample = create_mask(kind, [0.04], [8])(368, seed=123)
    count, first = RECORDED_WIDE[kind]
    columns = torch.nonzero(sample.mask[0, 0])[:, 0].tolist()
    assert (len(columns), columns[: len(first)]) == (count, first)
    assert sample.num_calibration_lines == 15
    assert set(range(177, 192)) <= set(columns)


@pytest.mark.parametrize("kind", KINDS)
def test_one_of_several_pairs_is_drawn_from_the_same_stream(kind: str) -> None:
    both = create_mask(kind, [0.08, 0.04], [4, 8])
    seen = set()
    for seed in range(20):
        rng = np.random.RandomState(seed)
        choice = rng.randint(2)
        sample = both(100, seed=seed)
        assert sample.acceleration == (4, 8)[choice]
        assert sample.center_fraction == (0.08, 0.04)[choice]
        seen.add(sample.acceleration)
        if kind == "equispaced":  # the next draw of the stream is the offset
            offset = rng.randint(0, high=sample.acceleration)
            assert sample.mask[0, 0, offset :: sample.acceleration].all()
        if kind == "random":
            low = sample.num_calibration_lines
            probability = (100 / sample.acceleration - low) / (100 - low)
            drawn = rng.uniform(size=100) < probability
            drawn[(100 - low + 1) // 2 :][:low] = True
            assert sample.mask[0, 0].tolist() == drawn.tolist()
    assert seen == {4, 8}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pair", [(0.08, 4), (0.04, 8)])
def test_a_chosen_acceleration_is_as_of_a_mask_with_that_pair_alone(kind: str, pair: tuple[float, int]) -> None:
    both, alone = create_mask(kind, [0.08, 0.04], [4, 8]), create_mask(kind, [pair[0]], [pair[1]])
    for seed in range(10):
        chosen, expected = both(100, seed=seed, acceleration=pair[1]), alone(100, seed=seed)
        assert torch.equal(chosen.mask, expected.mask)
        assert chosen[1:] == expected[1:]


@pytest.mark.parametrize("kind", KINDS)
def test_height_makes_no_difference_to_masks_of_columns(kind: str) -> None:
    mask = create_mask(kind, [0.08], [4])
    alone, pair = mask(96, seed=3), mask((50, 96), seed=3)
    assert pair.mask.shape == (1, 1, 96)
    assert torch.equal(alone.mask, pair.mask)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [64, 65, 368])
def test_the_calibration_region_is_found(kind: str, width: int) -> None:
    sample = create_mask(kind, [0.08], [4])(width, seed=1)
    start = (width - sample.num_calibration_lines + 1) // 2
    lines = set(range(start, start + sample.num_calibration_lines))
    run = torch.nonzero(calibration_mask(sample.mask[None], "run")[0, 0, 0])[:, 0].tolist()
    assert lines <= set(run)
    assert width // 2 in lines


@pytest.mark.parametrize("kind", KINDS)
def test_each_mask_knows_its_kind(kind: str) -> None:
    assert create_mask(kind, [0.08], [4]).kind == kind


@pytest.mark.parametrize(("kind", "tolerance"), [("random", 0.02), ("equispaced_fraction", 0.02), ("gaussian", 0)])
@pytest.mark.parametrize(("fraction", "acceleration"), [(0.08, 4), (0.04, 8)])
def test_mean_number_of_lines_meets_the_acceleration(
    kind: str, tolerance: float, fraction: float, acceleration: int
) -> None:
    mask = create_mask(kind, [fraction], [acceleration])
    samples = [mask(368, seed=seed) for seed in range(300)]
    for sample in samples[:20]:
        assert sample.effective_acceleration == pytest.approx(368 / int(sample.mask.sum()))
    lines = np.mean([int(sample.mask.sum()) for sample in samples])
    assert lines == pytest.approx(368 / acceleration, rel=tolerance)


@pytest.mark.parametrize("width", [64, 65, 100, 101])
@pytest.mark.parametrize("acceleration", [3, 4, 5, 8])
def test_magic_samples_no_column_and_its_mirror_image(width: int, acceleration: int) -> None:
    for offset in range(acceleration):
        columns = torch.nonzero(MagicMask([0], [acceleration], offset)(width, seed=0).mask[0, 0])[:, 0].tolist()
        lines = {column - width // 2 for column in columns}
        assert not lines & {-line for line in lines}
        for side in (1, -1):
            distances = sorted(side * line for line in lines if side * line > 0)
            assert set(np.diff(distances)) == {acceleration}
            assert distances[-1] + acceleration > width // 2 - 1, "the pattern must reach the edge"


def test_magic_fills_the_gaps_by_symmetry() -> None:
    """At acceleration 4 samples and mirror images together are every second line."""
    for offset in range(4):
        columns = torch.nonzero(MagicMask([0], [4], offset)(64, seed=0).mask[0, 0])[:, 0].tolist()
        lines = {column - 32 for column in columns}
        both = sorted(abs(line) for line in lines)
        assert set(np.diff(both)) == {2}
        assert min(both) <= 3


def test_gaussian_density_falls_to_half_at_the_stated_width() -> None:
    counts = sum(GaussianMask([0], [20])(401, seed=seed).mask[0, 0].int() for seed in range(2000))
    position = (torch.arange(401) - 200) / 200.5
    center = counts[position.abs() < 0.1].float().mean()
    half = counts[((position.abs() - 0.35).abs()) < 0.05].float().mean()
    # drawing without replacement flattens the density a little
    assert half / center == pytest.approx(0.5, abs=0.05)
    assert counts[position.abs() > 0.9].float().mean() < 0.02 * center


def test_a_wide_gaussian_draws_evenly() -> None:
    counts = sum(GaussianMask([0], [4], fwhm=100)(40, seed=seed).mask[0, 0].int() for seed in range(2000))
    assert counts.float().mean() == 500
    assert counts.min() > 500 * 0.85
    assert counts.max() < 500 * 1.15


@pytest.mark.parametrize("fwhm", [0, 0.01, -1, float("nan"), float("inf")])
def test_an_impossible_gaussian_is_refused(fwhm: float) -> None:
    with pytest.raises(ValueError, match=r"fwhm is .* at least 0\.1"):
        GaussianMask([0.08], [4], fwhm=fwhm)


@pytest.mark.parametrize("kind", WITH_OFFSET)
def test_a_given_offset_gives_one_of_the_drawn_masks_and_no_other(kind: str) -> None:
    drawn = {text_of(create_mask(kind, [0], [4])(96, seed=seed).mask) for seed in range(200)}
    spacing = len(drawn)
    given = [create_mask(kind, [0], [4], offset) for offset in range(spacing)]
    assert {text_of(mask(96, seed=0).mask) for mask in given} == drawn
    assert all(torch.equal(mask(96, seed=1).mask, mask(96, seed=2).mask) for mask in given)
    too_far = create_mask(kind, [0], [4], spacing)
    with pytest.raises(ValueError, match=rf"offset {spacing} is not below {spacing}, .* from 0 to {spacing - 1}"):
        too_far(96, seed=0)


def test_offsets_begin_where_they_say() -> None:
    for offset in range(4):
        assert torch.nonzero(EquispacedMask([0], [4], offset)(64, seed=0).mask[0, 0])[0] == offset
        assert torch.nonzero(EquispacedFractionMask([0], [4], offset)(64, seed=0).mask[0, 0])[0] == offset


@pytest.mark.parametrize("offset", [-1, 1.5, True, "2"])
def test_impossible_offsets_are_refused(offset: object) -> None:
    with pytest.raises(ValueError, match="expected a whole number of at least 0"):
        EquispacedMask([0.08], [4], offset)
    with pytest.raises(ValueError, match="a random mask has no offset, got 2"):
        create_mask("random", [0.08], [4], 2)


def test_equispaced_has_its_calibration_lines_on_top() -> None:
    for seed in range(10):
        sample = EquispacedMask([0.08], [4])(368, seed=seed)
        offset = int(torch.nonzero(sample.mask[0, 0])[0])
        assert offset < 4
        expected = torch.zeros(368, dtype=torch.bool)
        expected[offset::4] = True
        expected[(368 - 29 + 1) // 2 :][:29] = True
        assert torch.equal(sample.mask[0, 0], expected)
        assert sample.effective_acceleration < 4


def test_same_seed_same_mask_and_the_global_generator_is_left_alone() -> None:
    mask = RandomMask([0.08], [4])
    before = np.random.get_state()[1].tolist()  # noqa: NPY002 - this is the state that must not change
    assert torch.equal(mask(200, seed=5).mask, mask(200, seed=5).mask)
    assert not torch.equal(mask(200, seed=5).mask, mask(200, seed=6).mask)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_large_seeds_use_all_their_bits() -> None:
    mask = RandomMask([0.08], [4])
    high = mask(200, seed=2**40 + 7).mask
    assert not torch.equal(high, mask(200, seed=2**41 + 7).mask)
    assert not torch.equal(high, mask(200, seed=7).mask)
    assert torch.equal(high, mask(200, seed=[7, 2**8]).mask)
    assert mask(200, seed=keyed_seed(0, 1, "a.h5", 2)).mask.any()


def test_full_sampling() -> None:
    for mask in (RandomMask([0.08], [1]), EquispacedMask([0.08], [1])):
        sample = mask(30, seed=0)
        assert sample.mask.all()
        assert sample.effective_acceleration == 1


@pytest.mark.parametrize("mask_class", [RandomMask, EquispacedFractionMask, GaussianMask, MagicFractionMask])
def test_calibration_lines_that_use_up_the_budget_are_refused(mask_class) -> None:
    mask = mask_class([0.3], [4])
    with pytest.raises(ValueError, match=r"30 calibration lines.*acceleration 4 of 100 columns allows 25 lines.*lower"):
        mask(100, seed=0)
    with pytest.raises(ValueError, match="25 calibration lines"):
        mask_class([0.25], [4])(100, seed=0)
    assert EquispacedMask([0.3], [4])(100, seed=0).mask.sum() >= 30
    assert MagicMask([0.3], [4])(100, seed=0).mask.sum() >= 30


def test_magic_fraction_places_a_calibration_line() -> None:
    sample = MagicFractionMask([0], [4])(64, seed=0)
    assert sample.num_calibration_lines == 1
    assert sample.mask[0, 0, 32]


@pytest.mark.parametrize(
    ("fractions", "accelerations"),
    [([], []), ([0.08], [4, 8]), ([1.0], [4]), ([-0.1], [4]), ([0.08], [0]), ([0.08], [4.5]), ([float("nan")], [4])],
)
@pytest.mark.parametrize("kind", KINDS)
def test_impossible_settings_are_refused(kind: str, fractions: list[float], accelerations: list[int]) -> None:
    with pytest.raises(ValueError, match="center fraction"):
        create_mask(kind, fractions, accelerations)


def test_unusable_calls_are_refused() -> None:
    mask = RandomMask([0.08, 0.04], [4, 8])
    with pytest.raises(ValueError, match=r"no acceleration 6; choose one of \[4, 8\]"):
        mask(100, seed=0, acceleration=6)
    for shape in (0, (10, 0), (1, 10, 20), ()):
        with pytest.raises(ValueError, match="at least 1 column"):
            mask(shape, seed=0)
    with pytest.raises(ValueError, match="negative"):
        mask(100, seed=-1)
    with pytest.raises(ValueError, match="at least one"):
        mask(100, seed=[])
    with pytest.raises(ValueError, match=r"2\*\*32"):
        mask(100, seed=[2**32])
    with pytest.raises(ValueError, match=r"'spiral'.*equispaced.*magic.*poisson"):
        create_mask("spiral", [0.08], [4])


def test_repr_names_the_settings() -> None:
    text = repr(RandomMask([0.08, 0.04], [4, 8]))
    assert text == "RandomMask(center_fractions=[0.08, 0.04], accelerations=[4, 8])"
    assert repr(MagicMask([0.08], [4], 1)) == "MagicMask(center_fractions=[0.08], accelerations=[4], offset=1)"
