"""What the methods of a gallery share: settings, tuned weights, trained networks."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from recon_monai.data import atomic_path, read_split
from recon_monai.evaluation.gallery.problems import central_slices
from recon_monai.evaluation.gallery.settings import GallerySettings
from recon_monai.evaluation.gallery.store import result_key
from recon_monai.evaluation.gallery.tuned import tuned_settings
from recon_monai.evaluation.gallery.workshop import Trained, Workshop
from recon_monai.evaluation.tuning import tune_settings
from recon_monai.solvers import PlugAndPlay

__all__ = ["Bench"]

_STRENGTHS = (0.003, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
_ITERATIONS = (15, 30, 60, 120)

_logger = logging.getLogger(__name__)


class Bench:
    """Settings, tuned weights and trained networks of a gallery.

    Args:
        output: folder of the gallery.
        dataset_dir: data set whose training part networks are trained on and whose validation part decides.
        settings: sizes.
        tuning: folder of files of `recon-monai tune`; None takes those of the built-in set.
    """

    def __init__(
        self, output: Path, dataset_dir: Path, settings: GallerySettings, tuning: str | Path | None = None
    ) -> None:
        self.output = output
        self.dataset_dir = dataset_dir
        self.settings = settings
        self.tuning = tuning
        self.workshop = Workshop(output / "networks", dataset_dir, settings)

    def tuned(self, method: str) -> dict[str, Any]:
        """Settings of a classical method, see `tuned_settings`."""
        return tuned_settings(method, self.settings.acceleration, self.tuning)

    def plug_and_play(self) -> tuple[Trained, dict[str, Any]]:
        """The denoiser, and maps, strength and iterations that validation slices chose for it.

        They are chosen anew for each denoiser, on the middle slice of each validation file, and kept.
        """
        trained = self.workshop.denoiser()
        path = self.output / "tuning" / "plug_and_play.json"
        kept = json.loads(path.read_text()) if path.is_file() else {}
        key = result_key(trained.key, repr((_STRENGTHS, _ITERATIONS)))
        if kept.get("key") != key:
            methods = {
                strength: PlugAndPlay(trained.network, weight=strength, time_limit=None) for strength in _STRENGTHS
            }
            slices = central_slices(read_split(self.dataset_dir, "val"), self.settings)
            found = tune_settings(methods, slices, _ITERATIONS, ["espirit", "calibration"])
            best = {name: getattr(found.best, name) for name in ("maps", "weight", "iterations")}
            table = [setting._asdict() for setting in found.table]
            kept = {"key": key, "best": best, "slices": found.num_slices, "table": table}
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(kept, indent=2) + "\n")
            _logger.info("plug-and-play: %s maps, strength %g, %d iterations by validation", *best.values())
        return trained, kept["best"]
