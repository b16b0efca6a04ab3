"""Time and memory of a call."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

__all__ = ["Effort", "measured_effort"]

_MEGABYTE = 1e6


@dataclass
class Effort:
    """What calls took.

    Attributes:
        seconds: wall time, summed.
        peak_memory_mb: largest memory at any moment of them: on a GPU what the process had allocated there, on the CPU
            what was resident of the whole process, libraries and weights included; None where the system does not say.
    """

    seconds: float = 0.0
    peak_memory_mb: float | None = None


@contextmanager
def measured_effort(effort: Effort, device: torch.device) -> Iterator[None]:
    """Add what a block takes.

    Args:
        effort: that is added to.
        device: whose memory counts; work on a GPU is waited for.
    """
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    else:
        _forget_peak()
    began = time.perf_counter()
    yield
    if on_gpu:
        torch.cuda.synchronize(device)
    effort.seconds += time.perf_counter() - began
    peak = torch.cuda.max_memory_allocated(device) / _MEGABYTE if on_gpu else _resident_peak()
    known = [value for value in (effort.peak_memory_mb, peak) if value is not None]
    effort.peak_memory_mb = max(known, default=None)


def _forget_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # no Linux, or not allowed: `_resident_peak` then says None or an older peak of the same process


def _resident_peak() -> float | None:
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return None if found is None else int(found[1]) * 1024 / _MEGABYTE
