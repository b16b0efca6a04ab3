"""The probability of augmentation over the epochs."""

from __future__ import annotations

import logging

import pytest

from recon_monai.transforms import AugmentationSchedule


@pytest.mark.parametrize(("epoch", "expected"), [(11, 0.033), (20, 0.258), (30, 0.405), (50, 0.539), (99, 0.600)])
def test_values_of_the_original_recipe(epoch, expected):
    """Given to three digits; the second one is 0.25748."""
    assert AugmentationSchedule(10, 0.6, 100).probability(epoch) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize("kind", ["exponential", "linear", "constant"])
def test_none_during_the_delay_and_all_at_the_end(kind):
    schedule = AugmentationSchedule(10, 0.6, 100, kind)
    assert [schedule.probability(epoch) for epoch in (0, 1, 9, 10)] == [0, 0, 0, 0]
    assert schedule.probability(11) > 0
    assert [schedule.probability(epoch) for epoch in (100, 150)] == [0.6, 0.6]


def test_kinds_differ_in_between():
    values = {kind: AugmentationSchedule(0, 0.8, 10, kind).probability(5) for kind in ("linear", "constant")}
    assert values == {"linear": pytest.approx(0.4), "constant": 0.8}
    rise = [AugmentationSchedule(0, 0.8, 10).probability(epoch) for epoch in range(11)]
    assert rise == sorted(rise)
    assert rise[1] / 0.8 == pytest.approx(0.396, abs=1e-3)  # (1 - exp(-.5)) / (1 - exp(-5))
    assert AugmentationSchedule(0, 0.8, 10, decay=1e-6).probability(5) == pytest.approx(0.4)


def test_a_run_that_ends_before_it_starts_is_warned_of_once(caplog):
    with caplog.at_level(logging.WARNING):
        schedule = AugmentationSchedule(10, 0.6, 10)
        assert all(schedule.probability(epoch) == 0 for epoch in range(11))
    assert [record.getMessage() for record in caplog.records] == [
        "augmentation starts after epoch 10, but the run has 10: nothing will be augmented; use a smaller delay, or "
        "strength 0 if none is wanted"
    ]
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        AugmentationSchedule(10, 0.0, 5)
        AugmentationSchedule(10, 0.6, 11)
    assert not caplog.records


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"delay": -1}, "delay is -1"),
        ({"max_epochs": 0}, "max_epochs 0"),
        ({"strength": 1.2}, "strength is 1.2"),
        ({"strength": float("nan")}, "strength is nan"),
        ({"kind": "cosine"}, "kind is 'cosine', expected one of exponential, linear, constant"),
        ({"decay": 0.0}, "decay is 0.0"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        AugmentationSchedule(**{"delay": 1, "strength": 0.5, "max_epochs": 10} | changes)
