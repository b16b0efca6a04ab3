"""Transforms whose draws depend on the epoch, also inside worker processes."""

from __future__ import annotations

from typing import Any

import torch
from monai.transforms import Compose

__all__ = ["EpochAware", "set_epoch"]


class EpochAware:
    """Mixin of transforms keyed by the epoch.

    The epoch lives in shared memory, so that workers which outlive an epoch (``persistent_workers``) see it change;
    a plain attribute would stay what it was when the workers started.
    """

    def __init__(self) -> None:
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    @property
    def epoch(self) -> int:
        """The current epoch, 0 before training starts."""
        return int(self._epoch)

    @epoch.setter
    def epoch(self, value: int) -> None:
        self._epoch.fill_(int(value))


def set_epoch(transform: Any, epoch: int) -> int:
    """Tell every epoch-aware transform in a chain which epoch it is.

    Args:
        transform: a transform, or a (nested) ``Compose`` of them.
        epoch: the epoch, counted from 1 as Ignite does.

    Returns:
        How many transforms were told.
    """
    if isinstance(transform, Compose):
        return sum(set_epoch(part, epoch) for part in transform.transforms)
    if isinstance(transform, EpochAware):
        transform.epoch = epoch
        return 1
    return 0
