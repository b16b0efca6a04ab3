"""The order of updates of generator and critic."""

from __future__ import annotations

from collections import Counter
from itertools import cycle, islice
from typing import Any

import pytest

from recon_monai.engines import UpdateSchedule


def written_out(
    steps: int, *, pretrain: int = 0, critic_only: int = 0, critic: int = 7, every: int = 0, extra: int = 0
) -> str:
    """The order as one would write it down, one letter for each step."""
    order = "p" * pretrain + "c" * critic_only
    turns = cycle("c" * critic + "g")
    while len(order) < steps:
        order += "".join(islice(turns, every or steps)) + "c" * extra
    return order[:steps]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pretrain": 5, "critic_only": 3, "critic": 2},
        {"pretrain": 4, "critic": 1, "every": 5, "extra": 3},
        {"critic_only": 2, "critic": 3, "every": 4, "extra": 1},
        {"pretrain": 2, "critic_only": 10, "critic": 7, "every": 50, "extra": 20},
        {"pretrain": 400},
    ],
    ids=str,
)
def test_the_order_is_the_one_written_out(options: dict[str, int]) -> None:
    schedule = UpdateSchedule(
        options.get("pretrain", 0),
        options.get("critic_only", 0),
        options.get("critic", 7),
        options.get("every", 0),
        options.get("extra", 0),
    )
    expected = written_out(300, **options)
    assert "".join(schedule.kind(step)[0] for step in range(300)) == expected
    for steps in (0, 1, 2, 7, 8, 13, 70, 71, 299, 300):
        counts = Counter(expected[:steps])
        assert schedule.counts(steps) == {"pretraining": counts["p"], "critic": counts["c"], "generator": counts["g"]}


def test_the_published_order_trains_the_generator() -> None:
    """250,000 steps of pretraining, 10,000 of the critic, seven to one, 200 extra after every 500: then 300,000 more.

    In the published code the generator was never updated again.
    """
    schedule = UpdateSchedule(250_000, 10_000, 7, 500, 200)
    counts = schedule.counts(560_000)
    rounds, rest = divmod(300_000, 700)
    assert counts["generator"] == (rounds * 500 + min(rest, 500)) // 8 == 26_800
    assert counts["pretraining"] == 250_000
    assert sum(counts.values()) == 560_000


def test_settings_are_checked() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"pretrain_steps": -1}, "pretrain_steps is -1, expected a whole number of at least 0"),
        ({"critic_steps": 0}, "critic_steps is 0, expected a whole number of at least 1"),
        ({"critic_only_steps": 2.5}, r"critic_only_steps is 2.5, expected a whole number"),
        ({"critic_steps": True}, "critic_steps is True"),
        ({"extra_critic_every": 500}, "extra_critic_every is 500 and extra_critic_steps 0; give both"),
    ]
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            UpdateSchedule(**options)
