from __future__ import annotations

import numpy as np
import pytest
import torch

from recon_monai.physics import (
    EquispacedFractionMask,
    EquispacedMask,
    RandomMask,
    create_mask,
    keyed_seed,
    seed_from_name,
)

# Recorded from fastMRI: seed = code points of "file1000001.h5", 64 columns, center fraction 0.08, acceleration 4.
RECORDED = {
    "random": "0001001100010001100000000000001111110010000000001010100001000000",
    "equispaced": "0001000100010001000100010001001111110001000100010001000100010001",
    "equispaced_fraction": "0001000010000010000100001000001111110000010000100001000001000010",
}
# Recorded from fastMRI: seed 123, 368 columns, center fraction 0.04, acceleration 8: count and first columns.
RECORDED_WIDE = {
    "random": (44, [13, 65, 74, 87, 118]),
    "equispaced": (59, [6, 14, 22, 30]),
    "equispaced_fraction": (47, [2, 13, 25, 36, 48]),
}
KINDS = sorted(RECORDED)


@pytest.mark.parametrize("kind", KINDS)
def test_bit_identical_with_fastmri(kind: str) -> None:
    sample = create_mask(kind, [0.08], [4])(64, seed=seed_from_name("file1000001.h5"))
    assert sample.mask.dtype == torch.bool
    assert sample.mask.shape == (1, 1, 64)
    assert "".join("01"[int(value)] for value in sample.mask[0, 0]) == RECORDED[kind]
    assert sample.acceleration == 4
    assert sample.center_fraction == 0.08
    assert sample.num_calibration_lines == 5
    assert sample.effective_acceleration == pytest.approx(64 / RECORDED[kind].count("1"))


@pytest.mark.parametrize("kind", KINDS)
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


@pytest.mark.parametrize(("kind", "tolerance"), [("random", 0.02), ("equispaced_fraction", 0.02)])
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


@pytest.mark.parametrize("mask_class", [RandomMask, EquispacedFractionMask])
def test_calibration_lines_that_use_up_the_budget_are_refused(mask_class) -> None:
    mask = mask_class([0.3], [4])
    with pytest.raises(ValueError, match=r"30 calibration lines.*acceleration 4 of 100 columns allows 25 lines.*lower"):
        mask(100, seed=0)
    with pytest.raises(ValueError, match="25 calibration lines"):
        mask_class([0.25], [4])(100, seed=0)
    assert EquispacedMask([0.3], [4])(100, seed=0).mask.sum() >= 30


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
    with pytest.raises(ValueError, match="at least 1 column"):
        mask(0, seed=0)
    with pytest.raises(ValueError, match="negative"):
        mask(100, seed=-1)
    with pytest.raises(ValueError, match="at least one"):
        mask(100, seed=[])
    with pytest.raises(ValueError, match=r"2\*\*32"):
        mask(100, seed=[2**32])
    with pytest.raises(ValueError, match=r"'magic'.*equispaced"):
        create_mask("magic", [0.08], [4])


def test_repr_names_the_settings() -> None:
    text = repr(RandomMask([0.08, 0.04], [4, 8]))
    assert text == "RandomMask(center_fractions=[0.08, 0.04], accelerations=[4, 8])"
