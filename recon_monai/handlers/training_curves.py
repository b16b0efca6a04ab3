"""Curves of a training beside its loss: gradients, learned weights, speed, and what the network waits for."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys
from torch import nn

from recon_monai.networks import ASPIN

__all__ = ["TrainingCurves", "learned_weights"]

_CONSISTENCY = "data_consistency_weight"
_AGGREGATION = "aggregation_weight"


class TrainingCurves:
    """Draws in TensorBoard what a loss does not show.

    Every so many iterations, means since the last point:

    * ``gradient_norm``: before it is clipped, of the last update (of trainers that tell it as ``gradient_norm``);
    * ``items_per_second``: slices or patches, of this process;
    * ``share_waiting_for_data``: of the time, in which the network waited for the next batch; what loading costs
      beyond what workers hide.

    At the end of each epoch, `learned_weights` of the network.

    Goes to the end of the trainer's handlers: what those before it do within an iteration counts as its time, what
    happens between iterations (validation, checkpoints) does not count.

    Args:
        curves: a ``CurveWriter`` or TensorBoard's ``SummaryWriter``.
        network: whose weights are drawn; None for none.
        interval: iterations between two points.

    Raises:
        ValueError: if the interval is below 1.
    """

    def __init__(self, curves: Any, network: nn.Module | None = None, interval: int = 10) -> None:
        if interval < 1:
            raise ValueError(f"the interval of curves is {interval}, expected at least 1")
        self.curves = curves
        self.network = network
        self.interval = interval
        self._asked = self._got = math.nan
        self._forget()

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self._forget())
        engine.add_event_handler(Events.GET_BATCH_STARTED, self._ask)
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self._get)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._iteration_completed)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._epoch_completed)

    def _forget(self) -> None:
        self._waited = self._worked = 0.0
        self._items = 0

    def _ask(self, engine: Engine) -> None:
        self._asked = time.perf_counter()

    def _get(self, engine: Engine) -> None:
        self._got = time.perf_counter()

    def _iteration_completed(self, engine: Engine) -> None:
        state: Any = engine.state
        now = time.perf_counter()
        self._waited += self._got - self._asked
        self._worked += now - self._got
        self._items += _batch_size(state.output, state.batch)
        if state.iteration % self.interval:
            return
        norm = getattr(engine, "gradient_norm", None)
        if norm is not None:
            self.curves.add_scalar("gradient_norm", float(norm), state.iteration)
        whole = self._waited + self._worked
        if whole > 0:
            if self._items:
                self.curves.add_scalar("items_per_second", self._items / whole, state.iteration)
            self.curves.add_scalar("share_waiting_for_data", self._waited / whole, state.iteration)
        self._forget()

    def _epoch_completed(self, engine: Engine) -> None:
        if self.network is not None:
            for name, value in learned_weights(self.network).items():
                self.curves.add_scalar(name, value, engine.state.iteration)


def learned_weights(network: nn.Module) -> dict[str, float]:
    """What a reconstruction network learned beside its convolutions.

    Args:
        network: any; wrapped for several processes or not.

    Returns:
        * ``data_consistency/NN``: weight of the data consistency of each cascade;
        * ``aggregation/NN``: weight of what comes from the cascades before;
        * ``aspin_gamma/ANATOMY`` and ``aspin_beta/ANATOMY``: root mean square distance of the affine maps from where
          they began (1 and 0), over all channels and layers: how far apart the anatomies have been moved.
    """
    found: dict[str, float] = {}
    inner = network.module if isinstance(network, nn.parallel.DistributedDataParallel) else network
    for kind, attribute in (("data_consistency", _CONSISTENCY), ("aggregation", _AGGREGATION)):
        weights = [weight for name, weight in inner.named_parameters() if name.rpartition(".")[2] == attribute]
        found |= {f"{kind}/{number:02d}": float(weight.detach().mean()) for number, weight in enumerate(weights)}
    layers = [module for module in inner.modules() if isinstance(module, ASPIN)]
    if layers:
        anatomies = [str(name) for name in getattr(inner, "anatomies", range(len(layers[0].gamma)))]
        for index, anatomy in enumerate(anatomies):
            for name, start in (("gamma", 1.0), ("beta", 0.0)):
                values = torch.cat([getattr(layer, name)[index].detach().flatten() for layer in layers])
                found[f"aspin_{name}/{anatomy}"] = float((values.float() - start).square().mean().sqrt())
    return found


def _batch_size(output: Any, batch: Any) -> int:
    """Items of a batch, by what the trainer put out, else by the batch; 0 if neither tells."""
    for place in (output, batch):
        if isinstance(place, Mapping):
            value = place.get(CommonKeys.IMAGE, place.get(CommonKeys.PRED))
            if isinstance(value, torch.Tensor) and value.ndim:
                return len(value)
    return len(batch) if isinstance(batch, list) else 0
