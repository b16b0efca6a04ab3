"""Recipes by which a high-resolution volume becomes the low-resolution one that a faster scan would have given."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

import torch

from recon_monai.physics.interpolation import InterpolationMethod, interpolate_axis
from recon_monai.physics.slices import SliceProfile, slice_matrix, thick_slices
from recon_monai.physics.spectrum import gaussian_apodization, mixed_spectrum, truncate_spectrum

__all__ = ["LOW_RESOLUTION_RECIPES", "LowResolution", "LowResolutionRecipe", "simulate_low_resolution"]

RecipeMode = Literal["truncate", "gaussian", "thick_slices", "mixed"]
RecipeAxes = Literal["in_plane", "all"]
Magnitude = Literal["fine", "coarse"]


@dataclass(frozen=True)
class LowResolutionRecipe:
    """What happens to the resolution. Plain JSON gives one by `from_settings`.

    Args:
        mode: ``"truncate"`` (middle of k-space), ``"gaussian"`` (apodization, then truncation), ``"thick_slices"``, or
            ``"mixed"`` (reproduction only, see `mixed_spectrum`).
        axes: which axes of k-space: those in the plane of the slices, or all three. Thick slices concern the other
            one.
        keep: fraction of k-space that is kept per axis.
        sigma: width of the Gaussian as a fraction of the Nyquist frequency.
        thickness: of slices in mm.
        gap: between slices in mm.
        profile: of slices.
        alpha: share of the mixed spectrum that is not shifted; None lets the caller draw it.
        interpolations: how the coarse samples may be brought back to the fine grid; the caller chooses one.
            ``"fourier"`` is zero-filling.
        magnitude: where truncated k-space that is zero-filled loses its phase: on the ``"fine"`` grid, as on a scanner
            that zero-fills, or of the ``"coarse"`` samples, which are then interpolated: what becomes of a volume that
            was stored at its resolution. Other interpolations, and slices, start from coarse magnitudes anyway.

    Raises:
        ValueError: if an entry is none of these or out of range.
    """

    mode: RecipeMode
    axes: RecipeAxes = "in_plane"
    keep: float = 1.0
    sigma: float = 0.0
    thickness: float = 0.0
    gap: float = 0.0
    profile: SliceProfile = "box"
    alpha: float | None = None
    interpolations: tuple[InterpolationMethod, ...] = ("fourier",)
    magnitude: Magnitude = "fine"

    def __post_init__(self) -> None:
        choices = {"mode": RecipeMode, "axes": RecipeAxes, "profile": SliceProfile, "magnitude": Magnitude}
        for name, kind in choices.items():
            if getattr(self, name) not in get_args(kind):
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected one of {get_args(kind)}")
        unknown = [way for way in self.interpolations if way not in get_args(InterpolationMethod)]
        if unknown or not self.interpolations:
            raise ValueError(
                f"interpolations are {self.interpolations}, expected some of {get_args(InterpolationMethod)}"
            )
        if self.mode in ("gaussian", "mixed") and set(self.interpolations) != {"fourier"}:
            raise ValueError(f"the mode {self.mode!r} stays on its grid, expected no interpolations but 'fourier'")
        if self.magnitude == "coarse" and self.mode in ("gaussian", "mixed"):
            raise ValueError(f"the mode {self.mode!r} stays on its grid, expected the magnitude 'fine'")
        needed = {"truncate": "keep", "gaussian": "sigma", "thick_slices": "thickness", "mixed": "keep"}[self.mode]
        if not (math.isfinite(getattr(self, needed)) and getattr(self, needed) > 0):
            raise ValueError(f"{needed} is {getattr(self, needed)}, expected a positive number for {self.mode!r}")
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep is {self.keep}, expected a fraction above 0 and at most 1")

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], base: LowResolutionRecipe | None = None) -> LowResolutionRecipe:
        """Make a recipe of plain settings.

        Args:
            settings: by the names of the fields.
            base: what is not set; None asks for ``mode``.

        Returns:
            The recipe.

        Raises:
            ValueError: if a name is not that of a field, ``mode`` is missing or a value cannot be used.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(settings) - set(known))
        if unknown or (base is None and "mode" not in settings):
            raise ValueError(f"a recipe is set by {known}, of which mode is required; got {dict(settings)}")
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()
        }
        return dataclasses.replace(base, **values) if base is not None else cls(**values)

    def factor(self, spacing: Sequence[float], slice_axis: int) -> tuple[float, float, float]:
        """How many times coarser each axis becomes.

        Args:
            spacing: of the fine voxels in mm.
            slice_axis: 0, 1 or 2.

        Returns:
            Per axis, 1 where nothing is lost. With a Gaussian, the frequency of half its height counts as the new
            Nyquist frequency.
        """
        factors = [1.0, 1.0, 1.0]
        if self.mode == "thick_slices":
            factors[slice_axis] = (self.thickness + self.gap) / spacing[slice_axis]
        else:
            left = self.keep
            if self.mode == "gaussian":
                left = min(left, self.sigma * math.sqrt(2 * math.log(2)))
            for axis in self.k_space_axes(slice_axis):
                factors[axis] = max(1.0, 1 / left)
        return factors[0], factors[1], factors[2]

    def check(self, spacing: Sequence[float], shape: Sequence[int], slice_axis: int) -> None:
        """Find out whether a volume can be scanned like this, without one.

        Args:
            spacing: of its voxels in mm.
            shape: ``(D, H, W)``.
            slice_axis: 0, 1 or 2.

        Raises:
            ValueError: if it cannot.
        """
        if self.mode == "thick_slices":
            slice_matrix(shape[slice_axis], spacing[slice_axis], self.thickness, self.gap, self.profile)

    def k_space_axes(self, slice_axis: int) -> list[int]:
        """The axes, 0 to 2, that lose resolution in k-space."""
        return [axis for axis in range(3) if self.axes == "all" or axis != slice_axis]


class LowResolution(NamedTuple):
    """A simulated scan.

    Attributes:
        volume: on the fine grid, ``(..., D, H, W)``.
        factor: how many times coarser each axis was.
    """

    volume: torch.Tensor
    factor: tuple[float, float, float]


def _thick(millimeters: int) -> LowResolutionRecipe:
    return LowResolutionRecipe(
        mode="thick_slices", thickness=float(millimeters), interpolations=("linear", "cubic", "fourier")
    )


# Lines are fractions, so that recipes fit any matrix: 20 lines of 320 at either end leave 0.875, 80 leave 0.5.
LOW_RESOLUTION_RECIPES: Mapping[str, LowResolutionRecipe] = MappingProxyType(
    {
        "inplane2": LowResolutionRecipe("truncate", "in_plane", keep=0.5, interpolations=("fourier", "cubic")),
        "isotropic2": LowResolutionRecipe("truncate", "all", keep=0.5, interpolations=("fourier", "cubic")),
        "inplane5": LowResolutionRecipe("truncate", "in_plane", keep=0.2),
        "mild20": LowResolutionRecipe("truncate", "in_plane", keep=0.875),
        "gaussian": LowResolutionRecipe("gaussian", "all", sigma=0.4),
        **{f"thick{millimeters}mm": _thick(millimeters) for millimeters in range(2, 7)},
        "slide1": LowResolutionRecipe("mixed", "in_plane", keep=0.875),
        "slide2": LowResolutionRecipe("gaussian", "in_plane", keep=0.875, sigma=0.4),
        "slide3": LowResolutionRecipe("truncate", "in_plane", keep=0.5),
        "slide4": LowResolutionRecipe("truncate", "in_plane", keep=0.5),
        "slide5": LowResolutionRecipe("mixed", "in_plane", keep=0.5),
    }
)
"""Named recipes.

* ``inplane2``, ``isotropic2``: half of k-space along two or three axes; the first is that of the mDCSRN paper (Chen et
  al. 2018, MICCAI). ``inplane5``: a fifth along two axes, 25 times less data. ``mild20`` leaves 20 of 320 lines out at
  either end.
* ``thick2mm`` to ``thick6mm``: slices without gap. ``gaussian``: apodization alone.
* ``slide1`` to ``slide5``: five variants that were once presented, for reproduction. 1 and 5 mix spectra, which no
  scanner does (see `mixed_spectrum`); 3 differs from 4 by a linear phase, which a magnitude does not show. For 3 and 4
  no number of lines was given; half of each axis is kept, as in 5.
"""


def simulate_low_resolution(
    volume: torch.Tensor,
    recipe: LowResolutionRecipe,
    *,
    spacing: Sequence[float],
    slice_axis: int = 2,
    interpolation: InterpolationMethod | None = None,
    alpha: float | None = None,
    noise: float = 0.0,
    generator: torch.Generator | None = None,
) -> LowResolution:
    """Scan a volume at a lower resolution and bring the result back to its grid.

    The coarse samples are those of a magnitude image: complex Gaussian noise is added to them, the absolute value taken
    (Gudbjartsson and Patz, "The Rician distribution of noisy MRI data", MRM 1995), and then they are interpolated. With
    ``"fourier"`` after truncation that is zero-filling, and the absolute value is taken on the fine grid, as scanners
    do it, unless the recipe's ``magnitude`` is ``"coarse"``. The noise of the coarse samples is the same for each
    interpolation. Phase is not simulated: the volume counts as real.

    Args:
        volume: magnitude, real, shape ``(..., D, H, W)``.
        recipe: how.
        spacing: of its voxels in mm along the three axes.
        slice_axis: 0, 1 or 2.
        interpolation: one of the recipe's; None takes its first.
        alpha: for recipes that leave it open.
        noise: standard deviation of real and imaginary part in the coarse samples, in the units of the volume.
        generator: source of the noise; required if there is any.

    Returns:
        The low-resolution volume on the same grid, of the same dtype, and the factors.

    Raises:
        ValueError: if the recipe cannot be applied to this spacing, or something it needs was not given.

    Examples:
        >>> import torch
        >>> from recon_monai.physics import LOW_RESOLUTION_RECIPES, simulate_low_resolution
        >>> volume = torch.rand(16, 16, 16)
        >>> recipe = LOW_RESOLUTION_RECIPES["isotropic2"]
        >>> low = simulate_low_resolution(volume, recipe, spacing=(1.0, 1.0, 1.0))
        >>> low[0].shape
        torch.Size([16, 16, 16])
    """
    method = interpolation or recipe.interpolations[0]
    if method not in recipe.interpolations:
        raise ValueError(f"interpolation is {method!r}, the recipe allows {recipe.interpolations}")
    if slice_axis not in (0, 1, 2) or len(spacing) != 3 or volume.ndim < 3:
        raise ValueError(
            f"expected a volume (..., D, H, W), three spacings and a slice axis from 0 to 2, got shape "
            f"{tuple(volume.shape)}, spacing {list(spacing)} and axis {slice_axis}"
        )
    scanner = _Receiver(noise, generator)
    axes = [axis - 3 for axis in recipe.k_space_axes(slice_axis)]
    if recipe.mode == "thick_slices":
        low = _thick_slices(volume, recipe, float(spacing[slice_axis]), slice_axis - 3, method, scanner)
    elif recipe.mode == "mixed":
        share = recipe.alpha if alpha is None else alpha
        if share is None:
            raise ValueError("the recipe mixes spectra and leaves alpha open, expected a number from 0 to 1")
        low = scanner.receive(mixed_spectrum(volume, share, axes, keep=recipe.keep))
    elif recipe.mode == "gaussian":
        low = scanner.receive(volume, lambda signal: _limit(signal, recipe, axes))
    elif method == "fourier" and recipe.magnitude == "fine":
        steps = _steps(volume, recipe.keep, axes)
        low = scanner.receive_zero_filled(truncate_spectrum(volume, recipe.keep, axes), steps)
    else:
        low = _coarse(volume, recipe.keep, axes, method, scanner)
    return LowResolution(low, recipe.factor(spacing, slice_axis))


class _Receiver:
    """Adds noise and takes magnitudes."""

    def __init__(self, noise: float, generator: torch.Generator | None) -> None:
        if not (math.isfinite(noise) and noise >= 0) or (noise > 0 and generator is None):
            raise ValueError(f"noise is {noise}, expected at least 0, and a generator if above")
        self.noise = noise
        self.generator = generator

    def receive(self, signal: torch.Tensor, limit: Any = None) -> torch.Tensor:
        """Magnitude of signal and noise, both after a linear limit of the resolution."""
        limited = signal if limit is None else limit(signal)
        if self.noise == 0:
            return limited.abs()
        real, imaginary = (self._limited_noise(signal, limit) for _ in range(2))
        return torch.hypot(limited + real, imaginary)

    def receive_zero_filled(self, signal: torch.Tensor, steps: Mapping[int, float]) -> torch.Tensor:
        """Magnitude of a band-limited signal and of the noise of its coarse samples, as `receive` draws it for these.

        Args:
            signal: on the fine grid.
            steps: distance of the coarse samples in fine ones, by axis.
        """
        if self.noise == 0:
            return signal.abs()
        shape = list(signal.shape)
        for axis, step in steps.items():
            shape[axis] = round(signal.shape[axis] / step)
        parts = []
        for _ in range(2):
            part = self._limited_noise(signal.new_empty(shape), None)
            for axis, step in steps.items():
                places = _fine(signal.shape[axis], step)
                part = interpolate_axis(part, axis, places, "fourier")
                # between samples of an even number the highest frequency is weaker, and so is the noise
                weights = interpolate_axis(torch.eye(shape[axis], dtype=torch.float64), -1, places, "fourier")
                part = part / float(weights.square().sum(dim=0).mean().sqrt())
            parts.append(part)
        return torch.hypot(signal + parts[0], parts[1])

    def _limited_noise(self, like: torch.Tensor, limit: Any) -> torch.Tensor:
        noise = torch.randn(like.shape, generator=self.generator, dtype=torch.float32).to(like)
        if limit is not None:
            noise = limit(noise)
            # what the limit takes from white noise it takes from all samples alike
            noise = noise / noise.square().mean().sqrt()
        return self.noise * noise


def _limit(signal: torch.Tensor, recipe: LowResolutionRecipe, axes: list[int]) -> torch.Tensor:
    if recipe.mode == "gaussian":
        signal = gaussian_apodization(signal, recipe.sigma, axes)
    return truncate_spectrum(signal, recipe.keep, axes)


def _coarse(
    volume: torch.Tensor, keep: float, axes: list[int], method: InterpolationMethod, scanner: _Receiver
) -> torch.Tensor:
    """Truncate, sample on the coarse grid over the same field of view, and interpolate back."""
    signal = truncate_spectrum(volume, keep, axes)
    steps = _steps(volume, keep, axes)
    for axis, step in steps.items():
        coarse = torch.arange(round(volume.shape[axis] / step), dtype=torch.float64)
        signal = interpolate_axis(signal, axis, (coarse + 0.5) * step - 0.5, "fourier")
    signal = scanner.receive(signal)
    for axis, step in steps.items():
        signal = interpolate_axis(signal, axis, _fine(volume.shape[axis], step), method)
    return signal


def _steps(volume: torch.Tensor, keep: float, axes: list[int]) -> dict[int, float]:
    """Distance of the coarse samples in fine ones, by axis, over the same field of view."""
    return {axis: volume.shape[axis] / max(1, round(volume.shape[axis] * keep)) for axis in axes}


def _fine(size: int, step: float) -> torch.Tensor:
    """Where the fine samples of an axis lie among the coarse ones."""
    return (torch.arange(size, dtype=torch.float64) + 0.5) / step - 0.5


def _thick_slices(
    volume: torch.Tensor,
    recipe: LowResolutionRecipe,
    spacing: float,
    axis: int,
    method: InterpolationMethod,
    scanner: _Receiver,
) -> torch.Tensor:
    slices, positions = thick_slices(volume, axis, spacing, recipe.thickness, recipe.gap, recipe.profile)
    step = (recipe.thickness + recipe.gap) / spacing
    fine = torch.arange(volume.shape[axis], dtype=torch.float64)
    return interpolate_axis(scanner.receive(slices), axis, (fine - positions[0]) / step, method)
