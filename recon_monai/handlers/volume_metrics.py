"""Metrics of whole volumes in an engine that sees slices, also per group."""

from __future__ import annotations

import functools
import inspect
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine
from torch import Tensor

from recon_monai import distributed
from recon_monai.handlers.metric_names import metric_prefix
from recon_monai.handlers.volumes import CollectedVolume, Incomplete, MeasuringHandler, group_name

__all__ = ["VolumeMetrics", "call_metric", "merge_rows"]

logger = logging.getLogger(__name__)


class VolumeMetrics(MeasuringHandler):
    """Metrics per volume, their means, and their means per group.

    Given to a MONAI engine as ``key_val_metric={"val_ssim": VolumeMetrics(metrics={"ssim": ssim, ...}, key="ssim")}``.
    Each volume is measured as soon as it is complete. At the end of an epoch it sets

    * ``engine.state.metrics["val_ssim"]`` (the key metric) and ``["val_psnr"]``, ...: means over volumes;
    * ``engine.state.metrics["val_ssim/brain/4x"]``, ...: means over the volumes of each group;
    * ``engine.state.metric_details["val_ssim"]``, ...: float64 ``(volumes, 1)``, in the order of ``rows``.

    Values that are NaN are left out of the means and counted in the log; if all values of a metric are NaN, so is the
    mean. Volumes without a target are left out too.

    Args:
        metrics: name to function, called as ``function(prediction=..., target=...)`` with volumes ``(slices, h, w)``;
            functions with a parameter ``anatomy`` get it too.
        key: the metric that the engine compares; the name it is attached under must end with it.
        group_by: fields of the items to group by; empty for no groups.
        prediction: name of the image to measure.
        incomplete: see ``VolumeHandler``.

    Attributes:
        rows: one dictionary per measured volume of the epoch: ``file``, ``acceleration``, ``group`` and each metric.
            Plain numbers and strings, so that rows of several processes can be gathered.

    Raises:
        ValueError: if ``key`` is not one of the metrics.
    """

    def __init__(
        self,
        metrics: Mapping[str, Callable[..., float]],
        key: str,
        group_by: Sequence[str] = ("anatomy", "acceleration"),
        prediction: str = "pred",
        incomplete: Incomplete = "raise",
    ) -> None:
        if key not in metrics:
            raise ValueError(f"the key metric {key!r} is not one of the metrics {sorted(metrics)}")
        super().__init__(required=(prediction,), incomplete=incomplete)
        self.metrics = dict(metrics)
        self.key = key
        self.group_by = tuple(group_by)
        self.prediction = prediction
        self.rows: list[dict[str, Any]] = []
        self._prefix = ""

    def attach(self, engine: Engine, name: str | None = None) -> None:
        """Hook into the engine.

        Args:
            engine: the evaluator.
            name: name of the key metric, for example ``val_ssim``; what stands before ``ssim`` is the prefix of all
                names. None uses ``key``.

        Raises:
            ValueError: if the name does not end with the key.
        """
        self._prefix = metric_prefix(name, self.key)
        super().attach(engine)

    def start(self, engine: Engine) -> None:
        """Forget the volumes of the epoch before."""
        super().start(engine)
        self.rows = []

    def measure(self, volume: CollectedVolume) -> None:
        """Compute the row of one volume.

        Raises:
            ValueError: if a metric refuses it; names the metric.
        """
        row: dict[str, Any] = {**volume.key._asdict(), "group": group_name(volume.metadata, self.group_by)}
        for name, function in self.metrics.items():
            images = {"prediction": volume.images[self.prediction], "target": volume.images["target"]}
            try:
                row[name] = call_metric(function, **images, anatomy=volume.metadata.get("anatomy"))
            except ValueError as error:
                raise ValueError(f"{name} cannot be computed: {error}") from error
        self.rows.append(row)

    def finish(self, engine: Engine) -> None:
        """Set the engine's metrics.

        Raises:
            ValueError: if no volume had a target.
        """
        super().finish(engine)
        self.rows = merge_rows(distributed.gather(self.rows), keys=("file", "acceleration"))
        if not self.rows:
            raise ValueError(
                f"no complete volume with a target was seen, so {self._prefix}{self.key} has no value; metrics need "
                "files with targets (use the inference configuration for files without)"
            )
        state: Any = engine.state
        if getattr(state, "metric_details", None) is None:
            state.metric_details = {}
        groups: dict[str, list[dict[str, Any]]] = {}
        for row in self.rows:
            groups.setdefault(row["group"], []).append(row)
        for name in self.metrics:
            label = f"{self._prefix}{name}"
            values = [row[name] for row in self.rows]
            state.metrics[label] = _mean(values, label)
            state.metric_details[label] = torch.tensor(values, dtype=torch.float64)[:, None]
            if self.group_by:
                for group, rows in groups.items():
                    state.metrics[f"{label}/{group}"] = _mean([row[name] for row in rows])
        self._log(engine, groups)

    def _log(self, engine: Engine, groups: Mapping[str, Sequence[Any]]) -> None:
        counts = {"": len(self.rows)} | (
            {f"/{group}": len(rows) for group, rows in groups.items()} if self.group_by else {}
        )
        for suffix, count in counts.items():
            values = "  ".join(
                f"{name} {engine.state.metrics[f'{self._prefix}{name}{suffix}']:.5g}" for name in self.metrics
            )
            logger.info("%s (%d volumes): %s", suffix.strip("/") or "all", count, values)


def call_metric(function: Callable[..., float], *, prediction: Tensor, target: Tensor, anatomy: str | None) -> float:
    """Call a metric of a volume, with its anatomy if the metric has a parameter for it that is not set yet.

    Args:
        function: called as ``function(prediction=..., target=...)``.
        prediction: ``(slices, h, w)``.
        target: same shape.
        anatomy: of the volume.

    Returns:
        The metric.
    """
    is_set = isinstance(function, functools.partial) and "anatomy" in function.keywords
    extra = {"anatomy": anatomy} if "anatomy" in inspect.signature(function).parameters and not is_set else {}
    return float(function(prediction=prediction, target=target, **extra))


def merge_rows(rows: Sequence[dict[str, Any]], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of several processes as one would have them: each once, in an order that does not depend on who made them.

    Args:
        rows: gathered rows; two processes may have measured the same volume.
        keys: the fields that tell rows apart.

    Returns:
        The rows as they are in a run of one process, else sorted.
    """
    if distributed.world_size() == 1:
        return list(rows)
    unique = {tuple(row[key] for key in keys): row for row in rows}
    return [unique[key] for key in sorted(unique, key=lambda key: [(value is not None, value) for value in key])]


def _mean(values: Sequence[float], label: str | None = None) -> float:
    """Mean of the defined values; with a label, undefined ones are logged."""
    defined = [value for value in values if not math.isnan(value)]
    if label is not None and len(defined) < len(values):
        logger.warning(
            "%s: %d of %d volumes have no defined value (NaN) and are left out",
            label,
            len(values) - len(defined),
            len(values),
        )
    # fsum is exact, so the order in which processes finished does not matter
    return math.fsum(defined) / len(defined) if defined else math.nan
