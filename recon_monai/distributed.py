"""The processes of one run: none of them if a command was started plainly, several under ``torchrun``.

Everything here works in a single process too, where it does nothing, so that callers need not ask.
"""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist

__all__ = [
    "agree",
    "average",
    "gather",
    "is_main",
    "rank",
    "share",
    "start",
    "stop",
    "total",
    "wait",
    "world_size",
]

ItemT = TypeVar("ItemT")

LAST_EXCHANGE_SECONDS = 0.2  # a thread that waits for Python's lock gets it within milliseconds, on a busy machine tens

logger = logging.getLogger(__name__)


def _running() -> bool:
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """Number of this process in the run, from 0."""
    return dist.get_rank() if _running() else 0


def world_size() -> int:
    """How many processes the run has."""
    return dist.get_world_size() if _running() else 1


def is_main() -> bool:
    """Whether this is the one process that writes what belongs to the whole run."""
    return rank() == 0


def start() -> torch.device:
    """Join the processes that ``torchrun`` (or Slurm with its variables) started, and choose this one's device.

    NCCL where there are GPUs, gloo on CPU. Processes other than the main one log warnings only. Without ``torchrun``'s
    variables this is a run of one process.

    Returns:
        The GPU of this process's ``LOCAL_RANK``, or the CPU.

    Raises:
        RuntimeError: if a node has fewer GPUs than processes.
    """
    local = int(os.environ.get("LOCAL_RANK", 0))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        if local >= torch.cuda.device_count():
            raise RuntimeError(
                f"process {local} of this node has no GPU: {torch.cuda.device_count()} are visible; start torchrun "
                f"with --nproc_per_node={torch.cuda.device_count()}"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    if "RANK" in os.environ and "WORLD_SIZE" in os.environ and not _running():
        if device.type == "cuda":
            dist.init_process_group("nccl", device_id=device)
        else:
            dist.init_process_group("gloo")
        logger.info("%d processes, backend %s", world_size(), dist.get_backend())
    if not is_main():
        logging.getLogger().setLevel(logging.WARNING)
    return device


def stop() -> None:
    """Leave the run's processes, together: every process has to call it.

    A thread of the gloo backend needs Python's lock to let go of the tensor of its last exchange. If it asks for the
    lock while the interpreter shuts down, the process aborts ("terminate called without an active exception") after all
    work is done. Therefore the threads get time for it, and those of a group that nothing holds any more are ended.
    """
    if not _running():
        return
    dist.barrier()
    dist.destroy_process_group()
    gc.collect()
    time.sleep(LAST_EXCHANGE_SECONDS)


def wait() -> None:
    """Wait until all processes are here."""
    if _running():
        dist.barrier()


def gather(items: list[ItemT]) -> list[ItemT]:
    """Put the lists of all processes one after the other.

    Args:
        items: this process's list of plain Python values; lists of different length are fine.

    Returns:
        The joined list, the same in every process.
    """
    if world_size() == 1:
        return list(items)
    parts: list[Any] = [None] * world_size()
    dist.all_gather_object(parts, items)
    return [item for part in parts for item in part]


def total(values: list[float], device: torch.device) -> list[float]:
    """Sum numbers over the processes.

    Args:
        values: this process's numbers.
        device: where the sum is computed; NCCL wants the GPU.

    Returns:
        The sums, the same in every process.
    """
    if world_size() == 1:
        return list(values)
    summed = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(summed)
    return [float(value) for value in summed]


def average(tensors: Sequence[torch.Tensor], weight: float) -> None:
    """Replace tensors by their weighted mean over the processes, in place.

    Args:
        tensors: of floating point; the same number of them with the same shapes in every process.
        weight: of this process's values, such as the number of its samples.
    """
    if world_size() == 1 or not tensors:
        return
    [whole] = total([weight], tensors[0].device)
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        alike = [tensor.detach() for tensor in tensors if tensor.dtype == dtype]
        joined = torch.cat([tensor.reshape(-1) for tensor in alike]) * (weight / whole)
        dist.all_reduce(joined)
        for tensor, mean in zip(alike, joined.split([tensor.numel() for tensor in alike]), strict=True):
            tensor.copy_(mean.view_as(tensor))


def share(tensors: Sequence[torch.Tensor]) -> None:
    """Replace tensors by those of the main process, in place.

    Args:
        tensors: the same number of them with the same shapes in every process.
    """
    if world_size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor.detach(), src=0)


def agree(value: ItemT) -> ItemT:
    """The main process's value, in every process.

    Args:
        value: a plain Python value; only the main process's counts.
    """
    if world_size() == 1:
        return value
    values: list[Any] = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]
