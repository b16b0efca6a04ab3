"""Super-resolution: the volumes that are compared on, and the methods."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import CenterSpatialCrop

from recon_monai.data import VolumeDataset
from recon_monai.evaluation.comparing.bundles import LoadedBundle
from recon_monai.evaluation.comparing.described import MethodRecord
from recon_monai.evaluation.comparing.effort import Effort, measured_effort
from recon_monai.evaluation.comparing.measures import downstream_numbers, volume_numbers
from recon_monai.evaluation.comparing.settings import ComparisonSettings, fingerprint_of
from recon_monai.evaluation.comparing.spreads import calibration_numbers
from recon_monai.evaluation.comparing.store import CaseImages
from recon_monai.evaluation.comparing.volume_labels import VolumeLabels
from recon_monai.evaluation.comparing.words import MethodWord
from recon_monai.evaluation.interpolation import BASELINES, InterpolationBaselinesd
from recon_monai.evaluation.uncertainty.replicas import spread_of
from recon_monai.physics import LOW_RESOLUTION_RECIPES, KspaceTruncation, keyed_seed
from recon_monai.solvers import total_variation
from recon_monai.transforms import LowResolutionDraws, ScaleToReferenced, SimulateLowResolutiond

__all__ = [
    "BundleSuperResolution",
    "VolumeCase",
    "VolumeMethod",
    "VolumeReader",
    "find_volume_cases",
    "make_volume_method",
    "resolve_case",
    "total_variation_volume",
]

TUNED = Path(__file__).with_name("tuning") / "total_variation_3d.json"
_DRAWS = tuple(field.name for field in fields(LowResolutionDraws))


@dataclass(frozen=True, eq=False)
class VolumeCase:
    """One volume at one low resolution.

    Attributes:
        dataset: that reads it, without a transform.
        entry: of the data set.
    """

    dataset: VolumeDataset
    entry: dict[str, Any]

    @property
    def path(self) -> Path:
        """The file, or the folder of a series."""
        return Path(self.entry["path"])

    @property
    def name(self) -> str:
        """For messages and the names of files."""
        return f"{self.entry['file'].split('.')[0]}_{self.entry.get('recipe', 'measured')}"


def find_volume_cases(folder: Path, settings: ComparisonSettings) -> list[VolumeCase]:
    """The cases of a folder of volumes.

    Args:
        folder: see `recon_monai.data.VolumeDataset`.
        settings: which part, how many, which recipes.

    Returns:
        The cases, all recipes of a volume after each other.
    """
    split = "all" if folder.is_file() else settings.split
    dataset = VolumeDataset(
        folder, split, interpolation="fourier", recipes=settings.recipes, max_volumes=settings.max_files
    )
    return [VolumeCase(dataset, entry) for entry in dataset.data]


class VolumeReader:
    """A volume at low resolution.

    Args:
        case: the volume and its recipe.
        settings: how low resolution is simulated.
        labels: what it shows.

    Attributes:
        fields: what the rows of all methods share.
        item: as the methods get it.
        target: ``(D, H, W)``, what is measured of it.
        shown: ``(S, H, W)``: central slices of the target, as they are drawn.
        attributes: of the image file.
    """

    def __init__(self, case: VolumeCase, settings: ComparisonSettings, labels: VolumeLabels) -> None:
        self.case = case
        self.settings = settings
        self.low_resolution = SimulateLowResolutiond(**settings.low_resolution())
        scale = ScaleToReferenced(("image", "target"), "target", allow_missing_keys=True)
        loaded: dict[Any, Any] = case.dataset.load(case.entry)
        self.item: dict[Any, Any] = self.low_resolution(scale(loaded))
        self.crop = None if settings.block is None else CenterSpatialCrop(settings.block)
        self.target = self.measured(plain_volume(self.item["target"]))
        self.shown = self.slices(self.target)
        spacing = [float(step) for step in self.item["spacing"]]
        self.fields = {
            "file": case.entry["file"],
            "subject": case.entry["subject"],
            "anatomy": labels.anatomy,
            "contrast": labels.contrast,
            "data": "volume",
            "acceleration": str(self.item["recipe"]),
            "effective_acceleration": None,
            "coils": None,
        }
        self.spacing = (spacing[2], spacing[1], spacing[0])
        self.attributes = {
            "spacing": self.spacing,
            "file": case.entry["file"],
            "anatomy": labels.anatomy or "",
            "contrast": labels.contrast or "",
            "acceleration": str(self.item["recipe"]),
            "first_slice": int(self.item["target"].shape[3]) // 2 - self.target.shape[2] // 2 + self._first,
        }

    @property
    def _first(self) -> int:
        return max(0, (self.target.shape[2] - self.settings.shown_slices) // 2)

    def measured(self, volume: torch.Tensor) -> torch.Tensor:
        """What is measured of a volume ``(1, D, H, W)``, without its first axis."""
        return (volume if self.crop is None else plain_volume(self.crop(volume)))[0]

    def slices(self, volume: torch.Tensor) -> np.ndarray:
        """Central slices along the last axis, the second axis of the volume upward, ``(S, H, D)``."""
        chosen = volume[..., self._first : self._first + self.settings.shown_slices]
        return np.ascontiguousarray(np.rot90(chosen.permute(2, 0, 1).numpy(), axes=(1, 2)))


class VolumeMethod(ABC):
    """Makes the high resolution of a volume.

    Attributes:
        record: what a table says of it.
    """

    record: MethodRecord

    def prepare(self, reader: VolumeReader) -> Mapping[Any, Any]:
        """The item that `resolve` takes; not timed."""
        return reader.item

    @abstractmethod
    def resolve(self, item: Mapping[Any, Any]) -> torch.Tensor:
        """The volume ``(1, D, H, W)`` in the scale of the item, on the CPU."""


def make_volume_method(word: MethodWord, settings: ComparisonSettings) -> VolumeMethod:
    """Make a method by its name.

    Args:
        word: of the kind ``"volumes"``.
        settings: how low resolution is simulated.

    Returns:
        The method.
    """
    return _Interpolation(word, settings) if word.word in BASELINES else _TotalVariation(word)


class _Interpolation(VolumeMethod):
    def __init__(self, word: MethodWord, settings: ComparisonSettings) -> None:
        self.name = word.word
        recipes = SimulateLowResolutiond(**settings.low_resolution()).recipes
        self.interpolate = InterpolationBaselinesd(
            target=("target",),
            methods=[word.word],  # type: ignore[list-item]
            recipes=recipes,
        )
        self.record = MethodRecord(
            word.name, "interpolation", f"{word.word} interpolation of the coarse samples", None, None, word.word
        )

    def resolve(self, item: Mapping[Any, Any]) -> torch.Tensor:
        return plain_volume(self.interpolate(item)[self.name])


class _TotalVariation(VolumeMethod):
    """The volume of least total variation among those that agree with the coarse samples."""

    def __init__(self, word: MethodWord) -> None:
        text = TUNED.read_text(encoding="utf-8")
        self.weights: dict[str, float] = {recipe: float(one) for recipe, one in json.loads(text)["weights"].items()}
        detail = "total variation of the volume, truncated k-space as acquisition, weight by recipe as tuned"
        self.record = MethodRecord(
            word.name, "classical", detail, None, "validation part of the built-in volumes", fingerprint_of(text)
        )

    def resolve(self, item: Mapping[Any, Any]) -> torch.Tensor:
        recipe = str(item["recipe"])
        if recipe not in self.weights:
            raise ValueError(
                f"total_variation_3d was tuned for {', '.join(self.weights)}, not for {recipe!r}; leave the recipe or "
                "the method out"
            )
        return total_variation_volume(
            plain_volume(item["image"]), recipe, int(item["slice_axis"]), self.weights[recipe]
        )


def total_variation_volume(
    image: torch.Tensor, recipe: str, slice_axis: int, weight: float, iterations: int = 20
) -> torch.Tensor:
    """Super-resolution of truncated k-space by total variation.

    Args:
        image: the zero-filled volume ``(1, D, H, W)``, on the scale on which its robust maximum is 1.
        recipe: name of one that truncates k-space.
        slice_axis: across which axis slices lie.
        weight: of the total variation.
        iterations: of the solver, which begins at the image.

    Returns:
        The volume, same shape.

    Raises:
        ValueError: if the recipe is another one.
    """
    settings = LOW_RESOLUTION_RECIPES[recipe]
    if settings.mode != "truncate":
        raise ValueError(f"the recipe {recipe!r} does not truncate k-space, which is what this method undoes")
    axes = [axis - 3 for axis in settings.k_space_axes(slice_axis)]
    volume = image[0]
    operator = KspaceTruncation(settings.keep, volume.shape, axes)
    found = total_variation(operator, volume, weight, step=1.0, start=volume, iterations=iterations, inner_iterations=4)
    return found.image[None]


class BundleSuperResolution(VolumeMethod):
    """A bundle's evaluation.

    Args:
        bundle: loaded.
    """

    def __init__(self, bundle: LoadedBundle) -> None:
        self.bundle = bundle
        self.record = bundle.record()

    def prepare(self, reader: VolumeReader) -> Mapping[Any, Any]:
        """See `VolumeMethod`; by the bundle's own preprocessing.

        Raises:
            ValueError: if that made another low resolution than the other methods get.
        """
        case = reader.case
        item = dict(self.bundle.preprocessing(case.dataset.load(case.entry)))
        changed = [name for name in _DRAWS if item[name] != reader.item[name]]
        if changed or not torch.allclose(
            reader.measured(plain_volume(item["target"])), reader.target, rtol=1e-4, atol=1e-5
        ):
            raise ValueError(
                f"its preprocessing made another low resolution ({', '.join(changed) or 'scale'} differ), expected "
                "that of the other methods"
            )
        return item

    def resolve(self, item: Mapping[Any, Any]) -> torch.Tensor:
        """See `VolumeMethod`."""
        return self.bundle.infer({key: _tensor(value) for key, value in item.items()})


def resolve_case(
    method: VolumeMethod, reader: VolumeReader, settings: ComparisonSettings
) -> tuple[dict[str, Any], CaseImages]:
    """Super-resolve a volume and measure it.

    Args:
        method: that resolves.
        reader: of the case.
        settings: what is measured.

    Returns:
        The numbers of the row, and what is shown.
    """
    effort = Effort()
    item = method.prepare(reader)
    with measured_effort(effort, torch.device(settings.device)):
        whole = method.resolve(item)
    volume = reader.measured(whole)
    numbers: dict[str, Any] = {"seconds": effort.seconds, "peak_memory_mb": effort.peak_memory_mb}
    numbers |= volume_numbers(volume, reader.target)
    image = reader.slices(volume)
    maps: dict[Any, np.ndarray] = {}
    if settings.downstream:
        numbers["downstream"] = downstream_numbers(image, reader.shown, reader.spacing)
    if settings.bootstrap:
        spread = _spread(method, reader, settings)
        maps["spread"] = reader.slices(spread)
        numbers["calibration"] = calibration_numbers(spread, volume, reader.target)
    return numbers, CaseImages(image, maps)


def _spread(method: VolumeMethod, reader: VolumeReader, settings: ComparisonSettings) -> torch.Tensor:
    """Standard deviation over low resolutions that differ in their noise alone, of what is measured."""
    item = method.prepare(reader)
    draws = LowResolutionDraws(**{name: item[name] for name in _DRAWS})
    if draws.noise_level <= 0 or settings.bootstrap_by != "noise":
        raise ValueError(
            "the spread of a super-resolution is over the noise of its acquisition, and there is none; simulate some "
            "(--noise 0.01), or leave --bootstrap out"
        )
    spacing = [float(step) for step in item["spacing"]]

    def images(numbers: range) -> torch.Tensor:
        resolved = []
        for number in numbers:
            seed = keyed_seed("compare", settings.seed, str(item["file"]), number)
            drawn = replace(draws, noise_seed=seed)
            image, _ = reader.low_resolution.apply(item, spacing, drawn)
            resolved.append(method.resolve({**item, **asdict(drawn), "image": image}))
        return torch.stack(resolved)

    return reader.measured(spread_of(images, replicas=settings.bootstrap, description="noise bootstrap").std)


def plain_volume(volume: torch.Tensor) -> torch.Tensor:
    """A plain tensor of a MONAI one."""
    return volume.as_tensor() if hasattr(volume, "as_tensor") else volume


def _tensor(value: Any) -> Any:
    return plain_volume(value) if isinstance(value, torch.Tensor) else value
