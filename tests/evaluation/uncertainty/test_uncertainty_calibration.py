"""Calibration of spreads that are right, or wrong in a known way, by construction; ranks against SciPy's."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recon_monai.evaluation.uncertainty import (
    Calibration,
    calibration,
    calibration_curve,
    calibration_figure,
    coverage,
    rank_correlation,
)

PIXELS, SHAPE = 40_000, (4, 100, 100)


def draw(factor: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Spreads over two orders of magnitude, and errors of ``factor`` times as much."""
    rng = np.random.default_rng(seed)
    spread = 10 ** rng.uniform(-3, -1, PIXELS)
    return spread, factor * spread * rng.normal(size=PIXELS)


def judged(spread: np.ndarray, error: np.ndarray, **options: Any) -> Calibration:
    target = np.random.default_rng(1).uniform(1, 2, SHAPE)
    prediction = target + error.reshape(SHAPE)
    everywhere = {"foreground": np.ones(SHAPE, bool), **options}
    return calibration(spread=spread.reshape(SHAPE), prediction=prediction, target=target, **everywhere)


@pytest.mark.parametrize("factor", [0.25, 1.0, 3.0])
def test_the_slope_is_the_factor_between_error_and_spread(factor: float) -> None:
    found = judged(*draw(factor))
    per_bin = PIXELS / 10
    assert np.abs(found.curve.error / found.curve.spread / factor - 1).max() < 5 / math.sqrt(2 * per_bin)
    assert found.curve.slope == pytest.approx(factor, rel=0.02)
    assert list(found.curve.counts) == [per_bin] * 10 and (np.diff(found.curve.spread) > 0).all()
    within = [math.erf(sigmas / factor / math.sqrt(2)) for sigmas in (1, 2)]
    assert [found.coverage_1, found.coverage_2] == pytest.approx(within, abs=0.01)
    assert found.curve.relative_calibration_error == pytest.approx(abs(1 - 1 / factor), abs=0.03)
    mean = float(found.curve.error.mean())
    assert found.curve.expected_calibration_error == pytest.approx(mean * abs(1 - 1 / factor), abs=0.03 * mean)
    assert found.rank_correlation > 0.5


def test_a_spread_that_knows_nothing_has_a_flat_curve() -> None:
    spread, error = draw()
    shuffled = np.random.default_rng(2).permutation(spread)
    found = judged(shuffled, error)
    assert abs(found.rank_correlation) < 0.02
    assert np.ptp(found.curve.error) < 0.3 * found.curve.error.mean()
    assert found.curve.relative_calibration_error > 0.4


def test_a_bias_is_not_covered() -> None:
    spread, error = draw()
    biased = judged(spread, error + 0.2)
    assert biased.coverage_2 < 0.2 and biased.curve.slope > 2


@pytest.mark.parametrize("ties", [False, True])
def test_rank_correlation_is_scipys(ties: bool) -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(3)
    one = rng.normal(size=300)
    other = one + rng.normal(size=300)
    if ties:
        one, other = np.round(one), np.round(2 * other)
    assert rank_correlation(one, other) == pytest.approx(float(stats.spearmanr(one, other).statistic), abs=1e-12)
    assert rank_correlation(one, np.exp(one)) == pytest.approx(1)
    assert math.isnan(rank_correlation(one, np.ones(300)))


def test_the_curve_by_hand() -> None:
    curve = calibration_curve(np.array([4.0, 1.0, 3.0, 2.0, 5.0]), np.array([0.0, -1.0, 4.0, 7.0, 6.0]), bins=2)
    np.testing.assert_allclose(curve.spread, [math.sqrt(14 / 3), math.sqrt(41 / 2)])
    np.testing.assert_allclose(curve.error, [math.sqrt(66 / 3), math.sqrt(36 / 2)])
    assert list(curve.counts) == [3, 2]
    distance = (3 * (math.sqrt(22) - math.sqrt(14 / 3)) + 2 * (math.sqrt(20.5) - math.sqrt(18))) / 5
    assert curve.expected_calibration_error == pytest.approx(distance)
    assert coverage(np.array([1.0, 1.0, 0.0]), np.array([1.0, -1.5, 0.0]), 1) == pytest.approx(2 / 3)


def test_only_the_foreground_counts() -> None:
    """By default that of the target: a bright square, and what is wrong around it is not seen."""
    rng = np.random.default_rng(4)
    target = np.zeros((2, 60, 60))
    target[:, 20:40, 20:40] = 1
    spread = np.full(target.shape, 0.1)
    error = 0.1 * rng.normal(size=target.shape) + 50 * (target == 0)
    found = calibration(spread=torch.from_numpy(spread), prediction=target + error, target=torch.from_numpy(target))
    assert found.numbers()["pixels"] == 2 * 20 * 20
    assert found.numbers()["slope"] == pytest.approx(1, abs=0.1)
    assert found.numbers()["coverage_1"] == found.coverage_1


def test_no_spread_at_all_has_no_slope() -> None:
    found = judged(np.zeros(PIXELS), draw()[1])
    assert math.isnan(found.curve.slope) and math.isnan(found.rank_correlation) and found.coverage_2 == 0
    perfect = judged(np.zeros(PIXELS), np.zeros(PIXELS))
    assert perfect.coverage_1 == 1 and math.isnan(perfect.curve.relative_calibration_error)


def test_the_figure_shows_each_curve_and_the_diagonal(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    found = judged(*draw())
    path = tmp_path / "calibration.png"
    figure = calibration_figure({"noise": found, "mask": judged(*draw(2))}, path)
    lines = figure.axes[0].get_lines()
    np.testing.assert_allclose(lines[0].get_xydata(), np.stack([found.curve.spread, found.curve.error], axis=1))
    diagonal = lines[-1].get_xydata()
    np.testing.assert_allclose(diagonal[:, 0], diagonal[:, 1])
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels[0].startswith("noise: slope 1.0") and labels[1].startswith("mask: slope 2.0")
    assert path.read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(ValueError, match="no calibration to draw"):
        calibration_figure({})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spread": np.ones((1, 8, 9))}, "three arrays .* of one shape"),
        ({"spread": -np.ones((1, 8, 8))}, "a spread is negative"),
        ({"prediction": np.full((1, 8, 8), np.nan)}, "not finite"),
        ({"prediction": np.ones((1, 8, 8), complex)}, "pass magnitudes"),
        ({"foreground": np.zeros((1, 8, 8), bool)}, "is the foreground empty"),
        ({"foreground": np.ones((8, 8), bool)}, "the foreground has shape"),
        ({"bins": 65}, "bins is 65, expected 1 to the number of pixels, 64"),
    ],
)
def test_what_cannot_be_judged_is_refused(options: dict[str, Any], message: str) -> None:
    ones = np.ones((1, 8, 8))
    given = {"spread": ones, "prediction": ones, "target": ones, "foreground": ones > 0, **options}
    with pytest.raises(ValueError, match=message):
        calibration(**given)
