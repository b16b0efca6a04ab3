"""Tell epoch-aware transforms which epoch it is."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events

from recon_monai.transforms import set_epoch

__all__ = ["EpochNotifier"]


class EpochNotifier:
    """Sets the epoch in a data set's transforms before its first item is loaded.

    Args:
        dataset: a data set with a ``transform``.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Pass the engine's epoch on."""
        set_epoch(self.dataset.transform, engine.state.epoch)
