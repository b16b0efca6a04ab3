"""What a universal network took each slice for, written beside its results."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from recon_monai import distributed
from recon_monai.data import atomic_path
from recon_monai.engines.universal import UniversalInferer
from recon_monai.handlers.confusion import ConfusionReport
from recon_monai.handlers.decisions import by_file, file_log_probabilities
from recon_monai.handlers.volume_metrics import merge_rows
from recon_monai.handlers.volumes import VolumeKey, number, slices_of
from recon_monai.networks import UniversalVarNet

__all__ = ["AnatomyRecord"]

_LEAST = 1e-30  # a probability of 0 has no logarithm

logger = logging.getLogger(__name__)


class AnatomyRecord:
    """Writes ``anatomies.csv`` (each slice) and ``anatomies.json`` (each file), and warns where the network was unsure.

    A file is taken for the anatomy with the largest mean log-probability over its slices, and the exponential of that
    mean is its probability; the probabilities of a file need not sum to 1 (see `file_log_probabilities`). The
    ``confusion.md`` of this and of all other evaluations goes by the same rule.

    Where the network found the anatomy itself and files state theirs, ``confusion.csv`` and ``confusion.md`` compare
    the two. Of several processes the main one writes what all of them saw.

    Args:
        output_dir: the folder, made if missing.
        network: the network; knows the names, and how certain is certain.
        inferer: calls it; knows what it found.
    """

    def __init__(self, output_dir: str | Path, network: UniversalVarNet, inferer: UniversalInferer) -> None:
        self.folder = Path(output_dir)
        self.network = network
        self.inferer = inferer
        self._rows: list[dict[str, Any]] = []

    def attach(self, engine: Engine) -> None:
        """Register with an evaluator."""
        engine.add_event_handler(Events.EPOCH_STARTED, lambda _: self._rows.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)

    def _collect(self, engine: Engine) -> None:
        items = [item for item, _ in slices_of(engine, type(self).__name__)]
        for item, probabilities in zip(items, self.inferer.probabilities, strict=True):
            self._rows.append(
                {
                    "file": str(item["file"]),
                    "acceleration": number(item.get("acceleration")),
                    "slice": int(item["slice"]),
                    "stated": str(item.get("anatomy", "unknown")),
                    "found_by": "given" if self.inferer.given else "classifier",
                    "probabilities": probabilities.double().tolist(),
                    "log_probabilities": probabilities.double().clamp(min=_LEAST).log().tolist(),
                }
            )

    def _finish(self, engine: Engine) -> None:
        rows = merge_rows(distributed.gather(self._rows), keys=("file", "acceleration", "slice"))
        if not rows or not distributed.is_main():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_slices(rows)
        files = [self._file(key, own) for key, own in by_file(rows).items()]
        with atomic_path(self.folder / "anatomies.json") as temporary:
            temporary.write_text(json.dumps({"files": files}, indent=2) + "\n", encoding="utf-8")
        for file in files:
            self._log(file)
        self._compare(engine, rows)

    def _decision(self, probabilities: Sequence[float]) -> tuple[str, float, bool]:
        """Name, its probability, and whether that is certain."""
        largest = max(probabilities)
        return self.network.anatomies[probabilities.index(largest)], largest, largest >= self.network.certainty

    def _write_slices(self, rows: Sequence[dict[str, Any]]) -> None:
        names = self.network.anatomies
        with (
            atomic_path(self.folder / "anatomies.csv") as temporary,
            temporary.open("w", newline="", encoding="utf-8") as out,
        ):
            writer = csv.writer(out)
            columns = ["file", "acceleration", "slice", "stated", "found_by", "anatomy", "certain"]
            writer.writerow([*columns, *(f"probability_{name}" for name in names)])
            for row in rows:
                anatomy, _, certain = self._decision(row["probabilities"])
                shown = [f"{value:.6f}" for value in row["probabilities"]]
                writer.writerow([*list(row.values())[:5], anatomy, certain, *shown])

    def _file(self, key: VolumeKey, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        together = file_log_probabilities(rows).exp().tolist()
        decisions = [self._decision(row["probabilities"]) for row in rows]
        anatomy, probability, _ = self._decision(together)
        return {
            "file": key.file,
            "acceleration": key.acceleration,
            "anatomy": anatomy,
            "probability": round(probability, 6),
            "probabilities": {n: round(value, 6) for n, value in zip(self.network.anatomies, together, strict=True)},
            "found_by": rows[0]["found_by"],
            "stated": rows[0]["stated"],
            "slices": len(rows),
            "slices_unsure": sum(not certain for _, _, certain in decisions),
            "slices_of_other_anatomy": sum(name != anatomy for name, _, _ in decisions),
        }

    def _log(self, file: dict[str, Any]) -> None:
        key = VolumeKey(file["file"], file["acceleration"])
        if file["found_by"] == "given":
            logger.info("%s: reconstructed as %s, as given", key, file["anatomy"])
            return
        logger.info("%s: found to be %s (probability %.3f)", key, file["anatomy"], file["probability"])
        if file["slices_unsure"] or file["slices_of_other_anatomy"]:
            shown = ", ".join(f"{name} {value:.2f}" for name, value in file["probabilities"].items())
            logger.warning(
                "%s: the anatomy is unsure (%s): in %d of %d slices anatomies were mixed by their probabilities, and "
                "%d were taken for another one than the rest; judge the result with care, or force one by --anatomy",
                key,
                shown,
                file["slices_unsure"],
                file["slices"],
                file["slices_of_other_anatomy"],
            )

    def _compare(self, engine: Engine, rows: Sequence[dict[str, Any]]) -> None:
        names = self.network.anatomies
        known = [
            {**row, "truth": names.index(row["stated"])}
            for row in rows
            if row["found_by"] == "classifier" and row["stated"] in names
        ]
        if known:
            ConfusionReport(self.folder, names, self.network.certainty).finish(engine, known)
