from __future__ import annotations

from collections import Counter

import pytest
import torch

from recon_monai.physics import EquispacedFractionMask, MagicMask, MixedMask, PoissonMask

COLUMNS = EquispacedFractionMask([0.08, 0.04], [4, 8])
DISC = PoissonMask([0.1, 0.1], [4, 12])


def test_draws_what_the_chosen_mask_draws_alone() -> None:
    mixed = MixedMask([COLUMNS, DISC])
    for seed in range(20):
        drawn = mixed((32, 40), seed=seed, acceleration=4)
        alone = {"equispaced_fraction": COLUMNS, "poisson": DISC}[drawn.kind]((32, 40), seed=seed, acceleration=4)
        torch.testing.assert_close(drawn.mask, alone.mask, rtol=0, atol=0)
        assert drawn[1:] == alone[1:]


def test_draws_as_often_as_the_weights_say() -> None:
    mixed = MixedMask([COLUMNS, DISC], [3, 1])
    kinds = Counter(mixed((16, 40), seed=seed).kind for seed in range(400))
    assert kinds["equispaced_fraction"] / 400 == pytest.approx(0.75, abs=0.065)  # three standard deviations
    assert set(kinds) == {"equispaced_fraction", "poisson"}


def test_an_acceleration_that_one_mask_has_chooses_it() -> None:
    mixed = MixedMask([COLUMNS, DISC])
    assert {mixed((32, 40), seed=seed, acceleration=8).kind for seed in range(12)} == {"equispaced_fraction"}
    assert {mixed((32, 40), seed=seed, acceleration=12).kind for seed in range(12)} == {"poisson"}
    with pytest.raises(ValueError, match=r"no mask of .* has acceleration 5; choose one of \[4, 8, 12\]"):
        mixed((32, 40), seed=0, acceleration=5)


def test_the_same_seed_gives_the_same_mask() -> None:
    mixed = MixedMask([COLUMNS, DISC])
    for seed in (0, 2**40, [1, 2, 3]):
        assert torch.equal(mixed((32, 40), seed=seed).mask, mixed((32, 40), seed=seed).mask)


def test_describes_itself() -> None:
    mixed = MixedMask([COLUMNS, DISC])
    assert mixed.kind == "equispaced_fraction+poisson"
    assert mixed.pairs == [(0.08, 4), (0.04, 8), (0.1, 4), (0.1, 12)]
    assert "PoissonMask" in repr(mixed)


@pytest.mark.parametrize(
    ("masks", "weights", "message"),
    [
        ([], None, "at least one"),
        ([COLUMNS, EquispacedFractionMask([0.1], [5])], None, "different kinds"),
        ([COLUMNS, MagicMask([0.1], [5])], [1], "positive weights"),
        ([COLUMNS, MagicMask([0.1], [5])], [1, 0], "positive weights"),
    ],
)
def test_refuses_what_is_no_mixture(masks: list, weights: list | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MixedMask(masks, weights)
