"""Tell epoch-aware transforms which epoch it is."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events

from recon_monai.data import SliceBatchSampler, VolumeBatchSampler
from recon_monai.transforms import set_epoch

__all__ = ["EpochNotifier"]


class EpochNotifier:
    """Tells a data set's transforms and the batch sampler which epoch begins, before its first item is loaded.

    Args:
        dataset: a data set with a ``transform``.
        sampler: a sampler with an ``epoch``, if the order depends on it.
    """

    def __init__(self, dataset: Any, sampler: SliceBatchSampler | VolumeBatchSampler | None = None) -> None:
        self.dataset = dataset
        self.sampler = sampler

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Pass the engine's epoch on."""
        set_epoch(self.dataset.transform, engine.state.epoch)
        if self.sampler is not None:
            self.sampler.epoch = engine.state.epoch
