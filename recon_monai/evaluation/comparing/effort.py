"""Time and memory of a call."""

from __future__ import annotations

import ctypes
import re
import sys
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
        peak_memory_mb: the most that a call added to what was in use before it, so without libraries, data and weights:
            resident memory of the process on the CPU, what it has allocated on a GPU; None where the system does not
            say.
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
        before: float | None = torch.cuda.memory_allocated(device) / _MEGABYTE
    else:
        before = _fresh_peak()
    began = time.perf_counter()
    yield
    if on_gpu:
        torch.cuda.synchronize(device)
    effort.seconds += time.perf_counter() - began
    peak = torch.cuda.max_memory_allocated(device) / _MEGABYTE if on_gpu else _resident("VmHWM")
    if before is not None and peak is not None:
        effort.peak_memory_mb = max(effort.peak_memory_mb or 0.0, peak - before)


def _fresh_peak() -> float | None:
    """Forget earlier peaks and what is free but was kept; resident memory, None where peaks cannot be forgotten."""
    if not sys.platform.startswith("linux"):
        return None
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
    if trim is not None:
        trim(0)  # what an earlier method left would else be taken again without being seen
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return _resident("VmRSS")


def _resident(value: str) -> float | None:
    """Resident memory of this process now (VmRSS) or at its peak (VmHWM)."""
    found = re.search(rf"^{value}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return None if found is None else int(found[1]) * 1024 / _MEGABYTE
