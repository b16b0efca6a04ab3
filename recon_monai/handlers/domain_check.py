"""A word where data are unlike anything the weights were trained on."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from torch import Tensor

from recon_monai.handlers.volumes import number, slices_of
from recon_monai.physics import MixedMask, PoissonMask, infer_mask

__all__ = ["DomainCheck"]

logger = logging.getLogger(__name__)


class DomainCheck:
    """Warns, once for each kind of difference, when a slice's acquisition was never trained.

    Compares with the record beside the weights (``model.json``, written by ``TrainingCheckpoint``): acceleration, kind
    of mask, number of coils, contrast and anatomy. Networks give an image for anything; that it looks like one says
    nothing about its being right.

    Args:
        weights: the file of the weights.
    """

    def __init__(self, weights: str | Path) -> None:
        self.weights = Path(weights)
        self._known: dict[str, Any] | None = None
        self._said: set[str] = set()

    def attach(self, engine: Engine) -> None:
        """Register with the evaluator."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._compare)

    def _start(self, engine: Engine) -> None:
        self._said = set()
        candidates = (self.weights.with_suffix(".json"), self.weights.with_name("model.json"))
        record = next((file for file in candidates if file.is_file()), None)
        self._known = None if record is None else json.loads(record.read_text())
        if self._known is None or "accelerations" not in self._known:
            self._known = None
            logger.warning(
                "%s has no record beside it (%s) of what it was trained on, so data unlike that go unnoticed",
                self.weights,
                candidates[0].name,
            )

    def _compare(self, engine: Engine) -> None:
        if self._known is None:
            return
        for item, _ in slices_of(engine, type(self).__name__):
            for difference in _differences(item, self._known):
                if difference not in self._said:
                    self._said.add(difference)
                    logger.warning("%s: %s; judge the result with care", item["file"], difference)


def _differences(item: Mapping[Any, Any], known: Mapping[str, Any]) -> Iterator[str]:
    for field, plural, noun in (("anatomy", "anatomies", "anatomy"), ("acquisition", "acquisitions", "contrast")):
        value = str(item.get(field, "unknown"))
        if value not in known[plural]:
            yield f"the {noun} {value} was never trained (trained: {_words(known[plural])})"
    coils = int(item["kspace"].shape[0])
    if not min(known["coils"]) <= coils <= max(known["coils"]):
        yield f"{coils} coils were never trained (trained: {_words(known['coils'])})"
    smallest, largest = known.get("image_sizes", (0, float("inf")))
    size = [int(side) for side in item["output_size"]] if "output_size" in item else []
    if size and not (smallest <= min(size) and max(size) <= largest):
        shown = " x ".join(map(str, size))
        yield f"images of {shown} pixels were never trained (trained: sides of {smallest} to {largest})"
    yield from _differences_of_sampling(item, known)


def _differences_of_sampling(item: Mapping[Any, Any], known: Mapping[str, Any]) -> Iterator[str]:
    acceleration, kind = number(item.get("acceleration")), item.get("mask_kind")
    exact = kind not in (None, "columns", "2-D")
    if kind is None:
        acceleration, kind = _sampling_of(item["kspace"])
    if acceleration is not None and not any(_matches(acceleration, one, exact) for one in known["accelerations"]):
        yield f"acceleration {acceleration:g} was never trained (trained: {_words(known['accelerations'])})"
    kinds = str(known["mask"]).split(MixedMask.SEPARATOR)
    column_kinds = [trained for trained in kinds if trained != PoissonMask.kind]
    # a file's own mask may follow any pattern; all that can be seen of columns is whether they are regular
    regular = bool(column_kinds) and all(trained.startswith("equispaced") for trained in column_kinds)
    covered = {*kinds, *(["columns"] if column_kinds else []), *(["2-D"] if len(column_kinds) < len(kinds) else [])}
    if kind not in covered:
        yield f"masks of the kind {kind} were never trained (trained: {known['mask']})"
    elif kind == "columns" and regular and _is_irregular(item):
        yield f"irregularly spaced columns were never trained (trained: {known['mask']})"


def _matches(acceleration: float, trained: float, exact: bool) -> bool:
    """What a file's mask amounts to differs from its nominal acceleration by the calibration lines."""
    return acceleration == trained if exact else abs(acceleration - trained) <= 0.2 * trained


def _is_irregular(item: Mapping[Any, Any]) -> bool:
    """Whether the columns outside the fully sampled middle are unevenly spaced."""
    mask = item.get("mask")
    if mask is None:
        return False
    columns = mask.as_tensor() if hasattr(mask, "as_tensor") else mask
    places = columns.flatten().nonzero().flatten()
    gaps = places.diff()
    gaps = gaps[gaps > 1]
    # fractional spacings round to two neighboring numbers, and the middle cuts two gaps short
    return len(gaps) > 4 and int(gaps.sort().values[2:].max() - gaps.sort().values[2:].min()) > 1


def _sampling_of(kspace: Tensor) -> tuple[float | None, str]:
    """Acceleration and kind of k-space ``(coil, H, W)`` that comes without a mask, from its zeros."""
    rows = (kspace != 0).any(dim=0).any(dim=-1)  # a partial readout is no undersampling
    if not bool(rows.any()):
        return None, "columns"
    mask = infer_mask(kspace[:, rows])
    return round(mask.numel() / int(mask.sum())), "columns" if mask.shape[-2] == 1 else "2-D"


def _words(values: Any) -> str:
    return ", ".join(str(value) for value in values)
