"""The table of an evaluation, written as CSV and Markdown."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine

from recon_monai import distributed
from recon_monai.data.writers import atomic_path
from recon_monai.evaluation.tables import csv_text, summarize, summary_markdown
from recon_monai.handlers.volume_metrics import call_metric, merge_rows
from recon_monai.handlers.volumes import CollectedVolume, Incomplete, MeasuringHandler, number
from recon_monai.metrics import SSIM_CONVENTION, nmse, nrmse, psnr, ssim

__all__ = ["EvaluationTable"]

CONVENTION = (
    f"SSIM {SSIM_CONVENTION}; PSNR with peak = volume maximum; NMSE = |error|^2 / |target|^2, NRMSE its square root; "
    "per slice the data range is that of its volume"
)
FOREGROUND_CONVENTION = (
    "; foreground SSIM: both images masked by the target's foreground, threshold as logged, undefined slices left out"
)
_METRICS: Mapping[str, Callable[..., float]] = {"ssim": ssim, "psnr": psnr, "nmse": nmse, "nrmse": nrmse}
_FIELDS = ("anatomy", "acquisition", "source")

logger = logging.getLogger(__name__)


class EvaluationTable(MeasuringHandler):
    """SSIM, PSNR, NMSE and NRMSE per slice and per volume for several methods, summarized per group.

    Writes at the end of an epoch, replacing what was there (of several processes, the main one for all):

    * ``slices.csv`` and ``volumes.csv``: one row per slice or volume and method;
    * ``summary.csv``: means over volumes per source, anatomy and acceleration, the shares of slices where each method
      beats the baseline in SSIM and NMSE, its mean PSNR margin over volumes, the effective acceleration;
    * ``summary.md``: the same to read, simulated and measured data in separate tables, with convention and notice.

    Args:
        output_dir: folder of the files; made when needed.
        methods: name of a method to the key of its image ``(1, h, w)`` in output or item; the network's own (key
            ``pred``) is listed last.
        baseline: the method others are compared with; None compares none.
        title: heading of ``summary.md``.
        volume_metrics: name to function of further metrics of whole volumes, called as by ``VolumeMetrics``, for
            example ``foreground_ssim``; they are in ``volumes.csv`` and the summaries.
        incomplete: see ``VolumeHandler``.

    Raises:
        ValueError: if the baseline is not one of the methods.
    """

    def __init__(
        self,
        output_dir: str | Path,
        methods: Mapping[str, str] | None = None,
        baseline: str | None = "zero_filled",
        title: str = "Evaluation",
        volume_metrics: Mapping[str, Callable[..., float]] | None = None,
        incomplete: Incomplete = "raise",
    ) -> None:
        chosen = methods or {"zero_filled": "zero_filled", "reconstruction": "pred"}
        self.methods = dict(sorted(chosen.items(), key=lambda method: method[1] == "pred"))  # overlays add at the end
        if baseline is not None and baseline not in self.methods:
            raise ValueError(f"the baseline {baseline!r} is not one of the methods {list(self.methods)}")
        super().__init__(required=tuple(self.methods.values()), incomplete=incomplete)
        self.output_dir = Path(output_dir)
        self.baseline = baseline
        self.title = title
        self.volume_metrics = dict(volume_metrics or {})
        self._volumes: list[dict[str, Any]] = []
        self._slices: list[dict[str, Any]] = []

    def start(self, engine: Engine) -> None:
        """Forget the rows of the epoch before."""
        super().start(engine)
        self._volumes, self._slices = [], []

    def measure(self, volume: CollectedVolume) -> None:
        """Compute the rows of one volume and its slices, for all methods."""
        for method, key in self.methods.items():
            self._measure(volume, method, key)

    def finish(self, engine: Engine) -> None:
        """Write and log the tables."""
        super().finish(engine)
        order = ("source", "anatomy", "file", "acceleration", "method")
        self._volumes = merge_rows(distributed.gather(self._volumes), keys=order)
        self._slices = merge_rows(distributed.gather(self._slices), keys=(*order, "slice"))
        if not distributed.is_main():
            return
        if not self._volumes:
            logger.warning("no complete volume with a target was seen; no table is written to %s", self.output_dir)
            return
        metrics = [*_METRICS, *self.volume_metrics]
        convention = CONVENTION + (FOREGROUND_CONVENTION if "foreground_ssim" in metrics else "")
        summary = summarize(self._volumes, self._slices, metrics=metrics, baseline=self.baseline)
        page = summary_markdown(
            summary, metrics=metrics, baseline=self.baseline, convention=convention, title=self.title
        )
        described = [{**row, "convention": convention} for row in summary]
        self._write("slices.csv", csv_text(self._slices))
        self._write("volumes.csv", csv_text(self._volumes))
        self._write("summary.csv", csv_text(described))
        self._write("summary.md", page)
        logger.info("evaluation of %d volumes, in %s:\n%s", _count(self._volumes), self.output_dir.resolve(), page)

    def _measure(self, volume: CollectedVolume, method: str, key: str) -> None:
        prediction, target = volume.images[key], volume.images["target"]
        data_range = float(target.max())
        fields = {
            "file": volume.key.file,
            **{name: str(volume.metadata.get(name, "unknown")) for name in _FIELDS},
            "acceleration": volume.key.acceleration,
            "effective_acceleration": number(volume.metadata.get("effective_acceleration")),
            "center_fraction": number(volume.metadata.get("center_fraction")),
            "method": method,
        }
        for index, number_in_file in enumerate(volume.slices):
            one = {"prediction": prediction[index : index + 1], "target": target[index : index + 1]}
            values = {name: metric(**one, data_range=data_range) for name, metric in _METRICS.items()}
            self._slices.append({"slice": number_in_file, **fields, **values})
        whole = {"prediction": prediction, "target": target}
        values = {name: metric(**whole) for name, metric in _METRICS.items()}
        for name, metric in self.volume_metrics.items():
            values[name] = call_metric(metric, **whole, anatomy=volume.metadata.get("anatomy"))
        self._volumes.append({"slices": len(target), **fields, **values})

    def _write(self, name: str, text: str) -> None:
        with atomic_path(self.output_dir / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _count(rows: list[dict[str, Any]]) -> int:
    return len({(row["file"], row["acceleration"]) for row in rows})
