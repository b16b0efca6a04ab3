"""Hyper-parameters of a run beside its final metrics, in TensorBoard's table of runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ignite.engine import Engine, Events

from recon_monai.engines.command_line import merged_configuration

__all__ = ["HyperParameters"]

_LEFT_OUT = frozenset({"_desc_", "bundle_root", "dry_run", "name", "output_dir", "overwrite", "resume", "run_name"})


class HyperParameters:
    """Writes, when a training ends, its settings and the metrics of the last validation into the tab HPARAMS.

    Metrics are drawn as ``final/NAME``; those of groups (``val_ssim/brain/4x``) are left out.

    Args:
        curves: a ``CurveWriter``.
        evaluator: the validation engine.
        values: settings by name; None takes the numbers, switches and words at the top of the run's configuration as
            it was given on the command line.
    """

    def __init__(self, curves: Any, evaluator: Engine, values: Mapping[str, Any] | None = None) -> None:
        self.curves = curves
        self.evaluator = evaluator
        self.values = values

    def attach(self, engine: Engine) -> None:
        """Register with the trainer."""
        engine.add_event_handler(Events.COMPLETED, self._completed)

    def _completed(self, engine: Engine) -> None:
        found = {
            f"final/{name}": float(value)
            for name, value in self.evaluator.state.metrics.items()
            if "/" not in name and isinstance(value, int | float) and math.isfinite(value)
        }
        settings = merged_configuration() if self.values is None else self.values
        plain = {
            name: value
            for name, value in (settings or {}).items()
            if name not in _LEFT_OUT and isinstance(value, bool | int | float | str) and not str(value).startswith("$")
        }
        if found and plain:
            self.curves.add_hyper_parameters(plain, found, engine.state.iteration)
            self.curves.flush()
