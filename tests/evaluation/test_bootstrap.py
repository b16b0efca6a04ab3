from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from recon_monai.evaluation import paired_gain


def test_interval_is_scipys_percentile_bootstrap() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(31, 3, 20), rng.normal(30, 3, 20)
    found = paired_gain(list(ours), list(theirs), resamples=20_000)
    wanted = stats.bootstrap((ours - theirs,), np.mean, method="percentile", n_resamples=20_000, rng=1)
    width = wanted.confidence_interval.high - wanted.confidence_interval.low
    assert found.mean == pytest.approx(np.mean(ours - theirs))
    assert found.low == pytest.approx(wanted.confidence_interval.low, abs=0.03 * width)
    assert found.high == pytest.approx(wanted.confidence_interval.high, abs=0.03 * width)
    assert found.subjects == 20
    assert found == paired_gain(list(ours), list(theirs), resamples=20_000)
    assert found != paired_gain(list(ours), list(theirs), resamples=20_000, seed=1)


def test_pairs_matter_and_differences_between_subjects_do_not() -> None:
    base = np.linspace(10, 50, 12)
    gain = paired_gain(list(base + 0.5), list(base))
    assert (gain.mean, gain.low, gain.high) == (pytest.approx(0.5),) * 3
    assert gain.is_certain
    assert not paired_gain(list(base[::-1] + 0.5), list(base)).is_certain


def test_undefined_pairs_are_left_out() -> None:
    found = paired_gain([1.0, math.nan, 3.0, math.inf], [0.0, 1.0, 1.0, math.inf], resamples=100)
    assert (found.mean, found.subjects) == (1.5, 2)
    alone = paired_gain([2.0], [1.0])
    assert (alone.mean, alone.subjects, alone.is_certain) == (1.0, 1, False)
    assert math.isnan(alone.low) and math.isnan(alone.high)
    assert math.isnan(paired_gain([], []).mean)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="one pair per subject"):
        paired_gain([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="between 0 and 1"):
        paired_gain([1.0], [1.0], confidence=1.0)
    with pytest.raises(ValueError, match="at least one resample"):
        paired_gain([1.0], [1.0], resamples=0)
