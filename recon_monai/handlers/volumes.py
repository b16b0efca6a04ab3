"""Slices that arrive one by one from an engine, collected into volumes and handed out once each."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from ignite.engine import Engine, Events
from torch import Tensor

__all__ = [
    "CollectedVolume",
    "MeasuringHandler",
    "VolumeCollector",
    "VolumeHandler",
    "VolumeKey",
    "find_image",
    "group_name",
    "number",
]

Item = Mapping[Hashable, Any]
Incomplete = Literal["raise", "warn"]

_METADATA = (
    "file",
    "path",
    "num_slices",
    "anatomy",
    "acquisition",
    "source",
    "acceleration",
    "effective_acceleration",
    "center_fraction",
    "maximum",
    "voxel_size",
)

logger = logging.getLogger(__name__)


class VolumeKey(NamedTuple):
    """What makes a volume: a file may come several times, once per acceleration."""

    file: str
    acceleration: int | float | None

    def __str__(self) -> str:
        return self.file if self.acceleration is None else f"{self.file} ({self.acceleration:g}x)"


@dataclass(frozen=True)
class CollectedVolume:
    """A complete volume.

    Attributes:
        key: file and acceleration.
        images: name to ``(slices, h, w)`` on the CPU; optional images that no slice has are missing.
        slices: their numbers in the file.
        metadata: fields of the item of the first slice (file, anatomy, source, ...), those it has.
    """

    key: VolumeKey
    images: dict[str, Tensor]
    slices: tuple[int, ...]
    metadata: dict[str, Any]


class VolumeCollector:
    """Collect slices by file and acceleration; each volume is handed out once, when its last slice has come.

    Slices may come in any order and volumes interleaved; a volume may be some slices of its file (``num_slices`` of the
    item counts them), and is stacked in the order of their numbers. Images are kept on the CPU, and only until the
    volume is complete.

    Args:
        required: names of images every slice must have, in the output or the item; ``"target"`` is the engine's
            ``label``.
        optional: names of images that all slices of a volume have or none has.
    """

    def __init__(self, required: Sequence[str], optional: Sequence[str] = ()) -> None:
        self.required = tuple(required)
        self.optional = tuple(optional)
        self._pending: dict[VolumeKey, dict[int, tuple[dict[str, Tensor], dict[str, Any]]]] = {}
        self._complete: set[VolumeKey] = set()

    def clear(self) -> None:
        """Forget all slices, as at the start of an epoch."""
        self._pending.clear()
        self._complete.clear()

    def add(self, item: Item, output: Item) -> CollectedVolume | None:
        """Take one slice.

        Args:
            item: the slice's item: ``file``, ``slice``, ``num_slices``, perhaps ``acceleration``.
            output: what the engine made of it: images ``(1, h, w)``.

        Returns:
            The volume if this was its last missing slice.

        Raises:
            KeyError: if the item lacks a field, or a required image is missing.
            ValueError: if a slice comes twice, or does not fit its volume.
        """
        for name in ("file", "slice", "num_slices"):
            if name not in item:
                raise KeyError(
                    f"items need {name!r} to be collected into volumes, this one has {sorted(map(str, item))}"
                )
        key = VolumeKey(str(item["file"]), number(item.get("acceleration")))
        index, num_slices = int(item["slice"]), int(item["num_slices"])
        slices = self._pending.setdefault(key, {})
        if key in self._complete or index in slices:
            raise ValueError(
                f"slice {index} of {key} came twice; give each slice of a file and acceleration once per epoch"
            )
        images = self._images(item, output, f"slice {index} of {key}")
        slices[index] = images, {name: item[name] for name in _METADATA if item.get(name) is not None}
        if len(slices) < num_slices:
            return None
        del self._pending[key]
        self._complete.add(key)
        return _stack(key, slices)

    def incomplete(self) -> str | None:
        """One line about the volumes that lack slices, or None if there are none."""
        lines = []
        for key, slices in self._pending.items():
            if slices:
                metadata = next(iter(slices.values()))[1]
                found = _shortened(sorted(slices))
                lines.append(f"{key} has slices {found} only, of {int(metadata['num_slices'])}")
        if not lines:
            return None
        return f"{len(lines)} volumes are incomplete at the end of the epoch: {'; '.join(lines)}"

    def _images(self, item: Item, output: Item, where: str) -> dict[str, Tensor]:
        images = {}
        for name in (*self.required, *self.optional):
            image = find_image(name, item, output)
            if image is None:
                if name in self.required:
                    found = f"output {sorted(map(str, output))}, item {sorted(map(str, item))}"
                    raise KeyError(f"{where} has no image {name!r}: {found}")
                continue
            if image.ndim != 3 or image.shape[0] != 1:
                raise ValueError(f"{where}: {name} must be (1, h, w), got {tuple(image.shape)}")
            images[name] = image[0].cpu()
        return images


class VolumeHandler(ABC):
    """An Ignite handler that is called once per completed volume and once per epoch.

    Needs the engine's batch and output as lists of items, as MONAI's engines leave them (``decollate=True``).

    Args:
        required: see ``VolumeCollector``.
        optional: see ``VolumeCollector``.
        incomplete: what to do when slices of a volume are missing at the end of an epoch: ``"raise"`` (after finishing
            the work on complete volumes) or ``"warn"``, for runs that are cut short on purpose.

    Raises:
        ValueError: if ``incomplete`` is something else.
    """

    def __init__(self, required: Sequence[str], optional: Sequence[str] = (), incomplete: Incomplete = "raise") -> None:
        if incomplete not in ("raise", "warn"):
            raise ValueError(f"incomplete must be 'raise' or 'warn', got {incomplete!r}")
        self.incomplete = incomplete
        self._collector = VolumeCollector(required, optional)

    def attach(self, engine: Engine) -> None:
        """Hook into the engine's epochs and iterations.

        Args:
            engine: Ignite engine, usually an evaluator.
        """
        engine.add_event_handler(Events.EPOCH_STARTED, self._epoch_started)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._iteration_completed)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._epoch_completed)

    @abstractmethod
    def start(self, engine: Engine) -> None:
        """Called at the start of an epoch.

        Args:
            engine: the engine.
        """

    @abstractmethod
    def take(self, engine: Engine, volume: CollectedVolume) -> None:
        """Called once for each completed volume.

        Args:
            engine: the engine.
            volume: the volume.
        """

    @abstractmethod
    def finish(self, engine: Engine) -> None:
        """Called at the end of an epoch, after the last volume.

        Args:
            engine: the engine.
        """

    def _epoch_started(self, engine: Engine) -> None:
        self._collector.clear()
        self.start(engine)

    def _iteration_completed(self, engine: Engine) -> None:
        for item, output in slices_of(engine, type(self).__name__):
            volume = self._collector.add(item, output)
            if volume is not None:
                self.take(engine, volume)

    def _epoch_completed(self, engine: Engine) -> None:
        problem = self._collector.incomplete()
        if problem:
            problem = f"{type(self).__name__}: {problem}"
            logger.warning(problem)
        self.finish(engine)
        if problem and self.incomplete == "raise":
            raise RuntimeError(f"{problem}; give whole files, or use incomplete='warn' for a run cut short on purpose")


class MeasuringHandler(VolumeHandler):
    """A volume handler that compares with targets; volumes without one are left out and named in the log.

    Args:
        required: see ``VolumeCollector``.
        incomplete: see ``VolumeHandler``.
    """

    def __init__(self, required: Sequence[str], incomplete: Incomplete = "raise") -> None:
        super().__init__(required, optional=("target",), incomplete=incomplete)
        self._without_target: list[str] = []

    def start(self, engine: Engine) -> None:
        """Forget the volumes of the epoch before."""
        self._without_target = []

    def take(self, engine: Engine, volume: CollectedVolume) -> None:
        """Measure one volume if it has a target.

        Raises:
            ValueError: if a metric refuses it; names the file.
        """
        if "target" not in volume.images:
            self._without_target.append(str(volume.key))
            return
        try:
            self.measure(volume)
        except ValueError as error:
            raise ValueError(f"{volume.key}: {error}") from error

    def finish(self, engine: Engine) -> None:
        """Name the volumes that were left out."""
        if self._without_target:
            names = ", ".join(self._without_target[:5])
            count = len(self._without_target)
            logger.warning("%s: %d volumes have no target and are left out: %s", type(self).__name__, count, names)

    @abstractmethod
    def measure(self, volume: CollectedVolume) -> None:
        """Called once for each completed volume that has a target.

        Args:
            volume: the volume.
        """


def slices_of(engine: Engine, who: str) -> list[tuple[Item, Item]]:
    """Items and outputs of the iteration.

    Args:
        engine: the engine after an iteration.
        who: named in the error.

    Returns:
        Pairs of item and output, one per slice.

    Raises:
        TypeError: if batch or output is not a list.
    """
    batch, output = engine.state.batch, engine.state.output
    if not isinstance(batch, list) or not isinstance(output, list):
        raise TypeError(
            f"{who} needs batch and output as lists of items, got {type(batch).__name__} and {type(output).__name__}; "
            "use the engine with decollate=True"
        )
    return list(zip(batch, output, strict=True))


def find_image(name: str, item: Item, output: Item) -> Tensor | None:
    """An image by name, from the output or else the item.

    Args:
        name: the key; ``"target"`` also looks for the engine's ``label``.
        item: the slice's item.
        output: the engine's output for it.

    Returns:
        A plain detached tensor, or None.
    """
    for source, key in ((output, "label"), (output, name), (item, name)):
        if key == "label" and name != "target":
            continue
        image = source.get(key)
        if isinstance(image, Tensor):
            # MONAI's MetaTensor would carry its bookkeeping through all arithmetic
            return (image.as_tensor() if hasattr(image, "as_tensor") else image).detach()
    return None


def group_name(metadata: Mapping[str, Any], group_by: Sequence[str]) -> str:
    """The group of a volume as text, for example ``brain/4x``.

    Args:
        metadata: its fields.
        group_by: names of fields.

    Returns:
        The values joined by ``/``; ``unknown`` where there is none.
    """
    parts = []
    for field in group_by:
        value = metadata.get(field)
        if field == "acceleration":
            nominal = number(value)
            parts.append("unknown" if nominal is None else f"{nominal:g}x")
        else:
            parts.append("unknown" if value is None else str(value))
    return "/".join(parts)


def number(value: Any) -> int | float | None:
    """A Python number from a number, a 0-d tensor or array, or None.

    Args:
        value: the number.

    Returns:
        int if it is a whole number, else float; None for None.
    """
    if value is None:
        return None
    result = float(value)
    return int(result) if result.is_integer() else result


def _stack(key: VolumeKey, slices: Mapping[int, tuple[dict[str, Tensor], dict[str, Any]]]) -> CollectedVolume:
    order = sorted(slices)
    first, metadata = slices[order[0]]
    expected = {name: tuple(image.shape) for name, image in first.items()}
    for index in order:
        shapes = {name: tuple(image.shape) for name, image in slices[index][0].items()}
        if shapes != expected:
            raise ValueError(
                f"slice {index} of {key} has images {shapes} and slice {order[0]} has {expected}; they must be alike"
            )
    volumes = {name: torch.stack([slices[index][0][name] for index in order]) for name in first}
    return CollectedVolume(key, volumes, tuple(order), metadata)


def _shortened(numbers: Sequence[int], most: int = 8) -> str:
    shown = ", ".join(str(n) for n in numbers[:most])
    return shown if len(numbers) <= most else f"{shown}, ... ({len(numbers)} in all)"
