"""A word where volumes are unlike anything that super-resolution weights were trained on."""

from __future__ import annotations

import logging
from pathlib import Path

from ignite.engine import Engine, Events

from recon_monai.data import volume_facts
from recon_monai.engines.super_resolution_domain import (
    differences_from_training,
    differences_of_preparation,
    read_domain,
    uncompared_contrast,
    uncompared_resolution,
)
from recon_monai.handlers.volumes import Item, slices_of

__all__ = ["VolumeDomainCheck"]

logger = logging.getLogger(__name__)


class VolumeDomainCheck:
    """Warns, once for each kind of difference, when volumes of an evaluation were never trained.

    Compares with the record beside the weights (``<name of the weights>.json`` or ``model.json``, written by
    ``TrainingCheckpoint``): voxel size, how much coarser the low resolution is (where that is known), contrast (where
    names or headers say it; else that is said), the interpolation to the fine grid, and the scale of intensities.
    ``SuperResolver`` does the same for scans.

    Args:
        weights: the file of the weights.
        interpolation: how the evaluation brings coarse samples to the fine grid; None is not compared.
        scale: by what the evaluation divides intensities, as of ``ScaleToReferenced``; None is not compared.
        percentile: of that scale.
        frame: which volume of 4-D files, as of ``VolumeDataset``.
        series: which DICOM series, as of ``VolumeDataset``.

    Raises:
        ValueError: if the record is no JSON.
    """

    def __init__(
        self,
        weights: str | Path,
        interpolation: str | None = None,
        scale: str | float | None = None,
        percentile: float = 99.9,
        frame: int | None = None,
        series: str | None = None,
    ) -> None:
        self.weights = Path(weights)
        self.interpolation = interpolation
        self.scale = scale
        self.percentile = percentile
        self.frame = frame
        self.series = series
        self.domain = read_domain(weights)
        self._contrasts: dict[str, str | None] = {}
        self._said: set[str] = set()

    def attach(self, engine: Engine) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._compare)

    def _start(self, engine: Engine) -> None:
        self._said = set()
        if self.domain is None:
            logger.warning(
                "%s has no record beside it (%s) of what it was trained on, so data unlike that go unnoticed",
                self.weights,
                self.weights.with_suffix(".json").name,
            )
            return
        for difference in differences_of_preparation(
            self.domain, interpolation=self.interpolation, scale=self.scale, percentile=self.percentile
        ):
            logger.warning("%s: %s", self.weights, difference)
        unknown = uncompared_resolution(self.domain)
        if unknown is not None:
            logger.warning("%s: %s", self.weights, unknown)

    def _compare(self, engine: Engine) -> None:
        if self.domain is None:
            return
        for item, _ in slices_of(engine, type(self).__name__):
            contrast = self._contrast(item)
            found = differences_from_training(
                self.domain,
                spacing=[float(step) for step in item["spacing"]],
                factor=[float(one) for one in item["factor"]],
                contrast=contrast,
            )
            for difference in found:
                self._say(f"{difference}; judge the result with care", item)
            uncompared = uncompared_contrast(self.domain, contrast)
            if uncompared is not None:
                self._say(uncompared, item)

    def _say(self, text: str, item: Item) -> None:
        if text not in self._said:
            self._said.add(text)
            logger.warning("%s: %s", item["file"], text)

    def _contrast(self, item: Item) -> str | None:
        path = str(item["path"])
        if path not in self._contrasts:
            self._contrasts[path] = volume_facts(path, frame=self.frame, series=self.series).contrast
        return self._contrasts[path]
