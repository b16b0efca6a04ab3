"""What a call takes, of time and memory."""

from __future__ import annotations

import sys
import time

import pytest
import torch

from recon_monai.evaluation.comparing.effort import Effort, measured_effort

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peaks are forgotten on Linux alone")
CPU = torch.device("cpu")


def taken(megabytes: int, pieces: int = 1) -> float:
    effort = Effort()
    with measured_effort(effort, CPU):
        parts = [torch.ones(megabytes * 250_000 // pieces) for _ in range(pieces)]
        del parts
    assert effort.peak_memory_mb is not None
    return effort.peak_memory_mb


def test_memory_is_what_a_call_adds_whatever_came_before():
    resident = torch.ones(100 * 250_000)  # data that were there
    assert taken(80) == pytest.approx(80, abs=8)
    assert taken(240) == pytest.approx(240, abs=8)  # a greedy method
    assert taken(80) == pytest.approx(80, abs=8)
    for _ in range(2):  # small pieces, which the allocator keeps when they are freed
        assert taken(40, 4000) == pytest.approx(40, abs=8)
    assert float(resident[0]) == 1


def test_calls_add_their_time_and_share_a_peak():
    effort = Effort()
    for megabytes in (40, 10):
        with measured_effort(effort, CPU):
            part = torch.ones(megabytes * 250_000)
            del part
            time.sleep(0.02)
    assert effort.seconds >= 0.04 and effort.peak_memory_mb == pytest.approx(40, abs=8)
