"""Handlers for engines whose items are whole volumes: super-resolution, where nothing has to be collected."""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor

from recon_monai import distributed
from recon_monai.handlers.metric_names import metric_prefix
from recon_monai.handlers.volume_metrics import merge_rows
from recon_monai.handlers.volumes import Item, find_image, slices_of
from recon_monai.metrics import quality_3d

__all__ = ["SuperResolutionMetrics", "WholeVolumeHandler"]

_FIELDS = ("file", "subject", "recipe")
_PLACE = ("subject", "file", "recipe")
_METRICS = ("ssim", "psnr", "nrmse", "sharpness")

logger = logging.getLogger(__name__)


class WholeVolumeHandler(ABC):
    """An Ignite handler that measures each item of an engine, a volume, against its target.

    Needs the engine's batch and output as lists of items, as MONAI's engines leave them (``decollate=True``).

    Args:
        images: names of the images to measure, each ``(1, D, H, W)`` in the output or the item, on the scale on which
            the target's robust maximum is 1.

    Attributes:
        rows: one dictionary per volume and image: ``file``, ``subject``, ``recipe``, ``image`` (its name) and
            ``ssim``, ``psnr``, ``nrmse``, ``sharpness`` by ``recon_monai.metrics.quality_3d``. Plain numbers and
            strings, so that rows of several processes can be gathered.
    """

    def __init__(self, images: Sequence[str]) -> None:
        self.images = tuple(images)
        self.rows: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Hook into the engine's epochs and iterations.

        Args:
            engine: Ignite engine, usually an evaluator.
        """
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._measure)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)

    @abstractmethod
    def finish(self, engine: Engine) -> None:
        """Called at the end of an epoch, when ``rows`` holds those of all processes.

        Args:
            engine: the engine.
        """

    def _start(self, engine: Engine) -> None:
        self.rows = []

    def _measure(self, engine: Engine) -> None:
        for item, output in slices_of(engine, type(self).__name__):
            target = _volume("target", item, output)
            fields = {name: str(item.get(name, "unknown")) for name in _FIELDS}
            for name in self.images:
                try:
                    quality = quality_3d(prediction=_volume(name, item, output), target=target)
                except ValueError as error:
                    raise ValueError(f"{fields['file']}: {name} cannot be measured: {error}") from error
                self.rows.append({**fields, "image": name, **quality})

    def _finish(self, engine: Engine) -> None:
        rows = merge_rows(distributed.gather(self.rows), keys=("subject", "file", "recipe", "image"))
        if distributed.world_size() > 1:  # images as they were asked for, as in one process
            rows.sort(key=lambda row: (*(row[name] for name in _PLACE), self.images.index(row["image"])))
        self.rows = rows
        if not self.rows:
            raise ValueError(f"{type(self).__name__}: no volume was seen; give the engine at least one with a target")
        self.finish(engine)


class SuperResolutionMetrics(WholeVolumeHandler):
    """3-D SSIM, PSNR, NRMSE and sharpness of super-resolved volumes, their means, and their means per recipe.

    Given to a MONAI engine as ``key_val_metric={"val_psnr": SuperResolutionMetrics(key="psnr")}``. At the end of an
    epoch it sets ``engine.state.metrics["val_psnr"]`` (the key metric), ``["val_ssim"]``, ... to means over volumes,
    ``["val_psnr/thick4mm"]``, ... to those of each recipe of low resolution, and ``engine.state.metric_details`` to the
    values ``(volumes, 1)``. Undefined values are left out of the means.

    Args:
        key: the metric that the engine compares; the name it is attached under must end with it.
        prediction: name of the image to measure.

    Raises:
        ValueError: if ``key`` is not one of the metrics.
    """

    def __init__(self, key: str = "psnr", prediction: str = "pred") -> None:
        if key not in _METRICS:
            raise ValueError(f"the key metric {key!r} is not one of the metrics {list(_METRICS)}")
        super().__init__([prediction])
        self.key = key
        self._prefix = ""

    def attach(self, engine: Engine, name: str | None = None) -> None:
        """Hook into the engine.

        Args:
            engine: the evaluator.
            name: name of the key metric, for example ``val_psnr``; what stands before ``psnr`` is the prefix of all
                names. None uses ``key``.

        Raises:
            ValueError: if the name does not end with the key.
        """
        self._prefix = metric_prefix(name, self.key)
        super().attach(engine)

    def finish(self, engine: Engine) -> None:
        """Set the engine's metrics."""
        state: Any = engine.state
        if getattr(state, "metric_details", None) is None:
            state.metric_details = {}
        recipes = list(dict.fromkeys(row["recipe"] for row in self.rows))
        for name in _METRICS:
            label = f"{self._prefix}{name}"
            state.metrics[label] = _mean(self.rows, name)
            state.metric_details[label] = torch.tensor([row[name] for row in self.rows], dtype=torch.float64)[:, None]
            for recipe in recipes:
                chosen = [row for row in self.rows if row["recipe"] == recipe]
                state.metrics[f"{label}/{recipe}"] = _mean(chosen, name)
        values = "  ".join(f"{name} {state.metrics[f'{self._prefix}{name}']:.5g}" for name in _METRICS)
        logger.info("all (%d volumes): %s", len(self.rows), values)


def _volume(name: str, item: Item, output: Item) -> Tensor:
    """``(D, H, W)`` of an item."""
    image = find_image(name, item, output)
    where = str(item.get("file", "an item"))
    if image is None:
        raise KeyError(
            f"{where} has no image {name!r}: output {sorted(map(str, output))}, item {sorted(map(str, item))}"
        )
    if image.ndim != 4 or image.shape[0] != 1:
        raise ValueError(f"{where}: {name} must be (1, D, H, W), got {tuple(image.shape)}")
    return image[0].cpu()


def _mean(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    defined = [row[name] for row in rows if not math.isnan(row[name])]
    # fsum is exact, so the order in which processes finished does not matter
    return math.fsum(defined) / len(defined) if defined else math.nan
