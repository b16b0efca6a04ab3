"""How well held-out samples are predicted: a metric without reference images."""

from __future__ import annotations

import logging
import math
from typing import Any

import torch
from ignite.engine import Engine, Events

from recon_monai import distributed
from recon_monai.engines.self_supervision import held_out_samples
from recon_monai.handlers.metric_names import metric_prefix
from recon_monai.handlers.volume_metrics import merge_rows
from recon_monai.handlers.volumes import number
from recon_monai.losses import HeldOutLoss

__all__ = ["HeldOutMetrics"]

logger = logging.getLogger(__name__)


class HeldOutMetrics:
    """Minus the loss on held-out samples (the key metric), and their signal-to-error ratio.

    Given to a MONAI engine with ``decollate=False`` as ``key_val_metric={"val_held_out": HeldOutMetrics()}``. Sets

    * ``val_held_out``: minus the mean `HeldOutLoss` of the slices, so that larger is better; -2 is what zeros get;
    * ``val_held_out_db``: mean over slices of ``20 log10(|u|_2 / |u - v|_2)`` of measured u and predicted v.

    Slices with nothing held out are left out.
    """

    _KEY = "held_out"

    def __init__(self) -> None:
        self._prefix = ""
        self._loss = HeldOutLoss()
        self._rows: list[dict[str, Any]] = []

    def attach(self, engine: Engine, name: str | None = None) -> None:
        """Register with an evaluator.

        Args:
            engine: its output has ``pred``, k-space ``(B, coil, H, W)``; its batch comes from ``SplitMeasuredd``.
            name: of the key metric; what stands before ``held_out`` is the prefix of all names.

        Raises:
            ValueError: if the name does not end with ``held_out``.
        """
        self._prefix = metric_prefix(name, self._KEY)
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self._rows.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._complete)

    def _collect(self, engine: Engine) -> None:
        batch: Any = engine.state.batch
        output: Any = engine.state.output
        if not isinstance(batch, dict):
            raise TypeError(f"{type(self).__name__} needs batches as they are, use the engine with decollate=False")
        prediction = output["pred"].detach()
        held_out, mask = held_out_samples(batch, prediction)
        accelerations = batch.get("acceleration", [None] * len(prediction))
        for index in range(len(prediction)):
            one = slice(index, index + 1)
            signal = torch.linalg.vector_norm(held_out[one])
            if signal == 0:
                continue
            error = torch.linalg.vector_norm(torch.where(mask[one], prediction[one] - held_out[one], 0))
            self._rows.append(
                {
                    "file": str(batch["file"][index]),
                    "acceleration": number(accelerations[index]),
                    "slice": int(batch["slice"][index]),
                    "held_out": -float(self._loss(prediction[one], held_out[one], mask[one])),
                    "held_out_db": 20 * math.log10(float(signal) / max(float(error), 1e-30)),
                }
            )

    def _complete(self, engine: Engine) -> None:
        rows = merge_rows(distributed.gather(self._rows), keys=("file", "acceleration", "slice"))
        if not rows:
            raise ValueError(f"{type(self).__name__}: no slice has held-out samples with signal; give files with some")
        values = {name: math.fsum(row[name] for row in rows) / len(rows) for name in ("held_out", "held_out_db")}
        for name, value in values.items():
            engine.state.metrics[f"{self._prefix}{name}"] = value
        logger.info("%d slices: loss %.5g, %.2f dB", len(rows), -values["held_out"], values["held_out_db"])
