"""Baselines of super-resolution: what plain interpolation makes of the same low resolution."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from monai.transforms import Transform

from recon_monai.physics import (
    LOW_RESOLUTION_RECIPES,
    Grid,
    LowResolutionRecipe,
    resample_to_grid,
    simulate_low_resolution,
)

__all__ = ["BASELINES", "Baseline", "InterpolationBaselinesd", "interpolate", "interpolation_baselines"]

Baseline = Literal["trilinear", "cubic", "sinc"]
BASELINES: tuple[Baseline, ...] = get_args(Baseline)
_METHODS: Mapping[str, Literal["linear", "cubic", "fourier"]] = {
    "trilinear": "linear",
    "cubic": "cubic",
    "sinc": "fourier",
}
_ROUNDING = 1e-6


def interpolate(volume: torch.Tensor, grid_from: Grid, grid_to: Grid, method: Baseline) -> torch.Tensor:
    """A volume on another grid along the same axes.

    Args:
        volume: floating point, ``(..., D, H, W)`` with the shape of ``grid_from`` at the end.
        grid_from: where its voxels lie.
        grid_to: where values are wanted.
        method: ``"trilinear"``, ``"cubic"`` (spline) or ``"sinc"`` (periodic, as zero-filled k-space).

    Returns:
        Volume ``(..., *grid_to.shape)``.

    Raises:
        ValueError: if the method is unknown, or as `resample_to_grid`.
    """
    if method not in _METHODS:
        raise ValueError(f"interpolation is {method!r}, expected one of {', '.join(BASELINES)}")
    return resample_to_grid(volume, grid_from, grid_to, _METHODS[method])


def interpolation_baselines(
    image: torch.Tensor, factor: Sequence[float], methods: Sequence[Baseline] = BASELINES
) -> dict[str, torch.Tensor]:
    """What interpolation makes of a low-resolution image that already lies on the high-resolution grid.

    Samples ``factor`` voxels apart, centered in the field of view, are taken from the image by its Fourier series and
    interpolated again. That is exact for truncated k-space whose samples divide the field of view: there ``"sinc"``
    gives the image back as it was, as zero-filling is sinc interpolation. Slices that were interpolated come back as
    what they were interpolated to at their places.

    Args:
        image: floating point, ``(..., D, H, W)``.
        factor: how many times coarser than the grid the image is along each axis, at least 1; axes of factor 1 are left
            as they are.
        methods: of `interpolate`.

    Returns:
        By method, volumes of the image's shape.

    Raises:
        ValueError: if the factors are not three numbers of at least 1, or a method is unknown.
    """
    factors = [float(one) for one in factor]
    if len(factors) != 3 or not all(math.isfinite(one) and one >= 1 - _ROUNDING for one in factors):
        raise ValueError(f"factor is {factors}, expected three numbers of at least 1, one for each axis")
    size = [int(side) for side in image.shape[-3:]]
    fine = Grid((size[0], size[1], size[2]), torch.eye(4, dtype=torch.float64))
    coarse = _centered(fine, factors)
    samples = resample_to_grid(image, fine, coarse, "fourier")
    return {method: interpolate(samples, coarse, fine, method) for method in methods}


def _centered(fine: Grid, factors: Sequence[float]) -> Grid:
    """As many voxels of ``factors`` fine ones as fit best, about the same middle."""
    counts = [max(1, round(side / one)) for side, one in zip(fine.shape, factors, strict=True)]
    affine = torch.diag(torch.tensor([*factors, 1.0], dtype=torch.float64))
    for axis, (side, count, one) in enumerate(zip(fine.shape, counts, factors, strict=True)):
        affine[axis, 3] = (side - 1) / 2 - one * (count - 1) / 2
    return Grid((counts[0], counts[1], counts[2]), affine)


class InterpolationBaselinesd(Transform):
    """Add the images that plain interpolation makes to an item, for tables that compare with them.

    Where the low resolution was simulated, the scan is simulated again as drawn (recipe, slice axis, noise: what
    ``SimulateLowResolutiond`` writes into the item) and its coarse samples, with the same noise, are interpolated by
    each method, so that baselines start from what the scanner had and not from what one interpolation left of it.
    After truncation magnitudes are taken of the coarse samples, and for ``"sinc"`` where the recipe says. Recipes that
    never leave the fine grid (``gaussian``, mixed spectra), and items without draws, give samples of the image itself,
    see `interpolation_baselines`.

    Args:
        key: the low-resolution image ``(1, D, H, W)`` on the high-resolution grid.
        target: keys of the high-resolution volume on the same scale; the first one that an item has counts.
        factor: key of the three numbers that say how many times coarser the image is.
        methods: names of methods, which become the keys of the images; none leaves items as they are.
        recipes: by name, where they are not those of ``LOW_RESOLUTION_RECIPES``: the ``recipes`` of the
            ``SimulateLowResolutiond``.

    Raises:
        ValueError: if a method is unknown.
    """

    def __init__(
        self,
        key: str = "image",
        target: Sequence[str] = ("target", "label"),
        factor: str = "factor",
        methods: Sequence[Baseline] = BASELINES,
        recipes: Mapping[str, LowResolutionRecipe] | None = None,
    ) -> None:
        unknown = [method for method in methods if method not in BASELINES]
        if unknown:
            raise ValueError(f"interpolation is {unknown[0]!r}, expected some of {', '.join(BASELINES)}")
        self.key = key
        self.target = tuple(target)
        self.factor = factor
        self.methods = tuple(methods)
        self.recipes = {**LOW_RESOLUTION_RECIPES, **(recipes or {})}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the images.

        Args:
            data: the item.

        Returns:
            A new item.

        Raises:
            KeyError: if the item lacks the image or its factors.
            ValueError: as `interpolation_baselines`; names the file. Factors are not known (NaN) of low resolution that
                was measured apart from the high one.
        """
        for key in (self.key, self.factor):
            if key not in data:
                raise KeyError(f"baselines need {key!r}, this item has {sorted(map(str, data))}")
        item: dict[Hashable, Any] = dict(data)
        if not self.methods:
            return item
        try:
            item.update(self._scanned_again(data) or self._sampled(data))
        except ValueError as error:
            raise ValueError(f"{data.get('file', 'an item')}: no interpolation to compare with: {error}") from error
        return item

    def _sampled(self, data: Mapping[Hashable, Any]) -> dict[str, torch.Tensor]:
        factor = [float(one) for one in data[self.factor]]
        return interpolation_baselines(_plain(data[self.key]), factor, self.methods)

    def _scanned_again(self, data: Mapping[Hashable, Any]) -> dict[str, torch.Tensor] | None:
        """Images by method, or None where there is nothing to scan or the scan has no coarse samples."""
        recipe = self.recipes.get(str(data.get("recipe")))
        target = next((data[key] for key in self.target if key in data), None)
        drawn = all(name in data for name in ("slice_axis", "noise_level", "noise_seed", "spacing"))
        if recipe is None or target is None or not drawn or recipe.mode not in ("truncate", "thick_slices"):
            return None
        images: dict[str, torch.Tensor] = {}
        for method in self.methods:
            way = _METHODS[method]
            images[method] = simulate_low_resolution(
                _plain(target),
                dataclasses.replace(recipe, interpolations=(way,)),
                spacing=[float(step) for step in data["spacing"]],
                slice_axis=int(data["slice_axis"]),
                interpolation=way,
                noise=float(data["noise_level"]),
                generator=torch.Generator().manual_seed(int(data["noise_seed"])),
            ).volume
        return images


def _plain(image: torch.Tensor) -> torch.Tensor:
    plain = image.as_tensor() if hasattr(image, "as_tensor") else image
    return plain.detach().cpu()
