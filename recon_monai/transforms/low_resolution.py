"""Pairs of low and high resolution out of high resolution alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from monai.transforms import Transform
from monai.transforms.traits import RandomizableTrait

from recon_monai.physics import (
    LOW_RESOLUTION_RECIPES,
    InterpolationMethod,
    LowResolutionRecipe,
    keyed_generator,
    simulate_low_resolution,
)
from recon_monai.transforms.schedule import EpochAware
from recon_monai.transforms.volume_items import checked_volume, file_of, like, spacing_of

__all__ = ["DEFAULT_MIXTURE", "LowResolutionDraws", "SimulateLowResolutiond"]

MEASURED = "measured"

DEFAULT_MIXTURE: Mapping[str, float] = {
    "inplane2": 0.3,
    "isotropic2": 0.3,
    "thick3mm": 0.1,
    "thick4mm": 0.1,
    "thick5mm": 0.1,
    "thick6mm": 0.1,
}


@dataclasses.dataclass(frozen=True)
class LowResolutionDraws:
    """What was drawn for one volume; the defaults are those of a measured low resolution, where nothing is drawn.

    Args:
        recipe: its name.
        slice_axis: 0, 1 or 2; -1 if unknown.
        interpolation: how coarse samples came to the fine grid.
        alpha: share of the unshifted spectrum, where spectra are mixed; else 0.
        noise_level: standard deviation of the noise in real and imaginary part of the coarse samples.
        noise_seed: of its samples.
    """

    recipe: str = MEASURED
    slice_axis: int = -1
    interpolation: str = "unknown"
    alpha: float = 0.0
    noise_level: float = 0.0
    noise_seed: int = 0


class SimulateLowResolutiond(EpochAware, Transform, RandomizableTrait):
    """Make the low-resolution input of a high-resolution volume, on the same grid, by a recipe drawn for each volume.

    All draws come from a generator keyed by (seed, epoch, file), never from a global one, and are written into the item
    under the names of `LowResolutionDraws`, beside ``factor`` and ``spacing`` (float32, ``(3,)``). Items with a
    ``visit`` (see ``recon_monai.data.VolumeVisit``) draw by that instead of the epoch; items with a ``recipe`` get that
    one. Items that bring their own low resolution pass as they are, with the recipe ``"measured"``.

    Goes after `ScaleToReferenced`, so that noise is relative to the robust maximum, and before `RandomPatchd`: a
    resolution in k-space is one of the whole volume. MONAI's caching data sets stop in front of it.

    Args:
        keys: key of the high-resolution volume ``(C, D, H, W)``.
        output: key of the low-resolution one.
        recipes: probability of each recipe (relative to their sum) by name; or, instead of a number, its settings:
            ``{"probability": 2, "gap": 0.5}`` changes a recipe of `LOW_RESOLUTION_RECIPES`, and a new name with a
            ``mode`` makes one, see `LowResolutionRecipe`. A list of names takes all alike. None for `DEFAULT_MIXTURE`.
        slice_axis: across which axis slices lie: 0, 1, 2, ``"random"`` or ``"coarsest"`` (the one with the largest
            voxels, the last if they are equal).
        noise: standard deviation of the noise; a number, or lowest and highest of a log-uniform draw.
        noise_probability: of adding noise at all.
        interpolation: how coarse samples come to the fine grid, for every recipe that has coarse samples; a network
            that is to be used with one interpolation is trained with that one alone. None draws among those of the
            recipe. Recipes that set others themselves are refused.
        seed: the run's seed.

    Raises:
        ValueError: if a recipe is unknown or wrong, no probability positive, or another argument cannot be used; and on
            items that a recipe does not fit, with the name of file and recipe.
    """

    def __init__(
        self,
        keys: str = "target",
        output: str = "image",
        recipes: Mapping[str, float | Mapping[str, Any]] | Sequence[str] | None = None,
        slice_axis: int | Literal["random", "coarsest"] = "random",
        noise: float | Sequence[float] = 0.0,
        noise_probability: float = 1.0,
        interpolation: InterpolationMethod | None = None,
        seed: int = 0,
    ) -> None:
        EpochAware.__init__(self)
        if slice_axis not in (0, 1, 2, "random", "coarsest"):
            raise ValueError(f"slice_axis is {slice_axis!r}, expected 0, 1, 2, 'random' or 'coarsest'")
        if not 0 <= noise_probability <= 1:
            raise ValueError(f"noise_probability is {noise_probability}, expected from 0 to 1")
        self.key = keys
        self.output = output
        self.recipes, self.probabilities = _parse_recipes(DEFAULT_MIXTURE if recipes is None else recipes)
        if interpolation not in (None, *get_args(InterpolationMethod)):
            known = ", ".join(get_args(InterpolationMethod))
            raise ValueError(f"interpolation is {interpolation!r}, expected one of {known}, or None")
        if interpolation is not None:
            _check_own_interpolations(recipes, interpolation)
            self.recipes = {name: _interpolated(recipe, interpolation) for name, recipe in self.recipes.items()}
        self.slice_axis = slice_axis
        self.noise = _noise_range(noise)
        self.noise_probability = noise_probability
        self.seed = seed

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a new item with the low resolution and the draws."""
        item = dict(data)
        spacing = spacing_of(item, self.key)
        item["spacing"] = torch.tensor(spacing, dtype=torch.float32)
        if self.output in item:
            checked_volume(item, self.output)
            draws = LowResolutionDraws()
            item.setdefault("factor", torch.full((3,), math.nan))
        else:
            draws = self.draw(file_of(item), spacing, visit=item.get("visit"), recipe=item.get("recipe"))
            item[self.output], item["factor"] = self.apply(item, spacing, draws)
        item.update(dataclasses.asdict(draws))
        return item

    def draw(
        self, file: str, spacing: Sequence[float], *, visit: int | None = None, recipe: str | None = None
    ) -> LowResolutionDraws:
        """Draw for one volume.

        Args:
            file: its name.
            spacing: its voxel sizes in mm.
            visit: which draw of many; None for the epoch.
            recipe: name of one that is not to be drawn.

        Returns:
            The draws.

        Raises:
            ValueError: if the recipe is unknown.
        """
        generator = keyed_generator("low_resolution", self.seed, self.epoch if visit is None else int(visit), file)
        chance = torch.rand(6, generator=generator, dtype=torch.float64).tolist()
        noise_seed = int(torch.randint(2**62, (), generator=generator))
        reached = torch.tensor(self.probabilities, dtype=torch.float64).cumsum(0)
        passed = int((reached <= chance[0] * float(reached[-1])).sum())
        name = list(self.recipes)[min(passed, len(self.recipes) - 1)] if recipe is None else recipe
        if name not in self.recipes:
            raise ValueError(f"{file}: the recipe {name!r} is none of {', '.join(self.recipes)}; add it to the recipes")
        chosen = self.recipes[name]
        ways = chosen.interpolations
        alpha = (chance[3] if chosen.alpha is None else chosen.alpha) if chosen.mode == "mixed" else 0.0
        level = 0.0
        if self.noise[1] > 0 and chance[4] < self.noise_probability:
            level = self.noise[0] * (self.noise[1] / self.noise[0]) ** chance[5]
        axis = self._axis(spacing, chance[1])
        return LowResolutionDraws(name, axis, ways[int(chance[2] * len(ways))], alpha, level, noise_seed)

    def apply(
        self, item: Mapping[Hashable, Any], spacing: Sequence[float], draws: LowResolutionDraws
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Simulate as drawn; equal draws give equal results.

        Args:
            item: with the high-resolution volume.
            spacing: its voxel sizes in mm.
            draws: what `draw` returned.

        Returns:
            The low-resolution volume, and the factors ``(3,)``.

        Raises:
            ValueError: if the recipe does not fit the volume.
        """
        volume = checked_volume(item, self.key)
        way = next(known for known in get_args(InterpolationMethod) if known == draws.interpolation)
        try:
            found = simulate_low_resolution(
                volume,
                self.recipes[draws.recipe],
                spacing=spacing,
                slice_axis=draws.slice_axis,
                interpolation=way,
                alpha=draws.alpha,
                noise=draws.noise_level,
                generator=torch.Generator().manual_seed(draws.noise_seed),
            )
        except ValueError as error:
            raise ValueError(f"{file_of(item)}: the recipe {draws.recipe!r} does not fit it: {error}") from error
        return like(found.volume, item[self.key]), torch.tensor(found.factor, dtype=torch.float32)

    def axes(self, spacing: Sequence[float]) -> tuple[int, ...]:
        """Axes across which slices of a volume may lie.

        Args:
            spacing: its voxel sizes in mm.

        Returns:
            Some of 0, 1 and 2.
        """
        return (0, 1, 2) if self.slice_axis == "random" else (self._axis(spacing, 0.0),)

    def _axis(self, spacing: Sequence[float], chance: float) -> int:
        if isinstance(self.slice_axis, int):
            return self.slice_axis
        if self.slice_axis == "random":
            return int(3 * chance)
        return max(range(3), key=lambda axis: (round(spacing[axis], 3), axis))


def _parse_recipes(
    given: Mapping[str, float | Mapping[str, Any]] | Sequence[str],
) -> tuple[dict[str, LowResolutionRecipe], list[float]]:
    entries = given if isinstance(given, Mapping) else dict.fromkeys([given] if isinstance(given, str) else given, 1.0)
    recipes: dict[str, LowResolutionRecipe] = {}
    probabilities = []
    for name, entry in entries.items():
        settings = dict(entry) if isinstance(entry, Mapping) else {"probability": entry}
        probability = float(settings.pop("probability", 1.0))
        if not (math.isfinite(probability) and probability >= 0):
            raise ValueError(
                f"the probability of the recipe {name!r} is {probability}, expected a number of at least 0"
            )
        base = LOW_RESOLUTION_RECIPES.get(name)
        if base is None and not settings:
            known = ", ".join(LOW_RESOLUTION_RECIPES)
            raise ValueError(f"the recipe {name!r} is unknown; choose among {known}, or give its settings with a mode")
        try:
            recipes[name] = LowResolutionRecipe.from_settings(settings, base)
        except ValueError as error:
            raise ValueError(f"the recipe {name!r}: {error}") from error
        probabilities.append(probability)
    if not any(probabilities):
        raise ValueError(f"recipes are {dict(entries)}, expected at least one with a positive probability")
    return recipes, probabilities


def _check_own_interpolations(recipes: Any, interpolation: InterpolationMethod) -> None:
    """What is asked of a single recipe is not to be overruled without a word."""
    for name, settings in recipes.items() if isinstance(recipes, Mapping) else ():
        own = settings.get("interpolations", [interpolation]) if isinstance(settings, Mapping) else [interpolation]
        if list(own) != [interpolation]:
            raise ValueError(
                f"the recipe {name!r} has interpolations {list(own)}, and {interpolation!r} is the one for all "
                "recipes; leave them out, or set the interpolation to None"
            )


def _interpolated(recipe: LowResolutionRecipe, interpolation: InterpolationMethod) -> LowResolutionRecipe:
    if recipe.mode in ("gaussian", "mixed"):
        return recipe  # never leaves the fine grid
    return dataclasses.replace(recipe, interpolations=(interpolation,))


def _noise_range(noise: float | Sequence[float]) -> tuple[float, float]:
    lowest, highest = (noise, noise) if isinstance(noise, int | float) else tuple(noise)
    if not (math.isfinite(highest) and 0 <= lowest <= highest) or (lowest == 0 and highest > 0):
        raise ValueError(f"noise is {noise}, expected a number of at least 0, or lowest and highest, both positive")
    return float(lowest), float(highest)
