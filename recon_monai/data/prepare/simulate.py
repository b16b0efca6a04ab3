"""From magnitude images to multi-coil k-space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from recon_monai.data.prepare.acquisition import Acquisition, KspaceSlice, cartesian_header
from recon_monai.data.prepare.checks import check_integer, check_number
from recon_monai.data.prepare.measured_coils import MeasuredCoils
from recon_monai.physics import (
    center_crop_or_pad,
    fft2c,
    ifft2c,
    keyed_generator,
    normalize_maps,
    rss,
    simulate_coil_maps,
    simulate_kspace,
    simulate_noise_covariance,
    simulate_phase,
    truncate_kspace,
)

__all__ = ["ImageVolume", "SimulationSettings", "reduced_shape", "select_slices", "simulate_acquisition"]

# A pixel belongs to the object above this fraction of the volume's 99th percentile.
_OBJECT_LEVEL = 0.1
_REFERENCE_PERCENTILE = 99.0


@dataclass(frozen=True)
class ImageVolume:
    """Magnitude images of one volume.

    Args:
        name: stem of the file to be written; with the seed it decides every random draw.
        images: slices `(N, H, W)`, not negative; W becomes the phase-encoding axis.
        voxel_size: distances of rows, columns and slices in mm; NaN where unknown.
    """

    name: str
    images: NDArray[np.float32]
    voxel_size: tuple[float, float, float]


@dataclass(frozen=True)
class SimulationSettings:
    """How images become k-space, and which slices are taken.

    Args:
        coils: number of receiver coils.
        noise: standard deviation of the noise of one coil image (real and imaginary part each), as a fraction of the
            99th percentile of the volume's magnitudes (all voxels, before slices are dropped).
        matrix: largest number of points along the longer axis; k-space beyond is cut off. None keeps the size.
        readout_oversampling: factor by which the readout is oversampled.
        slice_step: every how many slices one is taken.
        max_slices: at most so many slices, from the middle of the stack; None takes all.
        min_foreground: slices with less than this fraction of object pixels are dropped as nearly empty; an object
            pixel is brighter than a tenth of the volume's 99th percentile.
        seed: another seed gives other coils, phases and noise.
    """

    coils: int = 6
    noise: float = 0.01
    matrix: int | None = None
    readout_oversampling: int = 1
    slice_step: int = 1
    max_slices: int | None = None
    min_foreground: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject impossible settings before anything is read."""
        for name in ("coils", "readout_oversampling", "slice_step"):
            check_integer(name, getattr(self, name), 1)
        if self.matrix is not None:
            check_integer("matrix", self.matrix)
            if self.matrix < 16 or self.matrix % 2:
                raise ValueError(f"matrix is {self.matrix}, expected an even number of at least 16")
        if self.max_slices is not None:
            check_integer("max_slices", self.max_slices, 1)
        check_number("noise", self.noise, "a fraction of at least 0, for example 0.01")
        check_number("min_foreground", self.min_foreground, "a fraction between 0 and 1, for example 0.05", maximum=1)
        check_integer("seed", self.seed)


def reduced_shape(shape: tuple[int, int], matrix: int | None) -> tuple[int, int]:
    """Size after k-space truncation: the longer axis has at most `matrix` points, pixels keep their aspect ratio.

    Args:
        shape: `(H, W)` of the image.
        matrix: largest number of points; None keeps the size.

    Returns:
        Even numbers of points, or `shape` itself if nothing is cut.
    """
    longest = max(shape)
    if matrix is None or longest <= matrix:
        return shape
    height, width = (max(2, 2 * round(n * matrix / longest / 2)) for n in shape)
    return height, width


def select_slices(images: NDArray[np.float32], settings: SimulationSettings, reference: float) -> list[int]:
    """Indices of the slices to keep: nearly empty ones are dropped, then every `slice_step`-th is taken.

    Args:
        images: `(N, H, W)`.
        settings: see `SimulationSettings`.
        reference: intensity that the object's level is relative to.

    Returns:
        Increasing indices; may be empty.
    """
    covered = (images > _OBJECT_LEVEL * reference).mean(axis=(1, 2))
    kept = [int(i) for i in np.flatnonzero(covered >= settings.min_foreground)][:: settings.slice_step]
    if settings.max_slices is None or len(kept) <= settings.max_slices:
        return kept
    start = (len(kept) - settings.max_slices) // 2
    return kept[start : start + settings.max_slices]


def simulate_acquisition(
    volume: ImageVolume, settings: SimulationSettings, measured: MeasuredCoils | None = None
) -> Acquisition:
    """Simulate a fully sampled multi-coil acquisition of a volume.

    The file's name and the seed decide coil maps and noise covariance, which all slices share; phase and noise are
    drawn anew for every slice, keyed by its index. The maps are normalized (root sum of squares 1), as the images carry
    the shading of their own receiver already. The target is the root sum of squares of the noisy coil images,
    cropped to the image's size, as in fastMRI.

    Args:
        volume: magnitude images.
        settings: see `SimulationSettings`.
        measured: coil maps and noise covariance to use in place of drawn ones, and with them the number of coils. The
            maps are stretched over the field of view; only the proportions of the covariance are used, as
            `settings.noise` sets the level.

    Returns:
        The acquisition, whose slices are simulated as they are asked for.

    Raises:
        ValueError: if the images hold no finite positive signal or no slice is left.
    """
    reference = _reference(volume)
    indices = select_slices(volume.images, settings, reference)
    if not indices:
        raise ValueError(
            f"{volume.name}: no slice of {len(volume.images)} has an object in at least "
            f"{settings.min_foreground:.0%} of its pixels; lower min_foreground or check the input"
        )
    full = volume.images.shape[1], volume.images.shape[2]
    shape = reduced_shape(full, settings.matrix)
    row, column, between = volume.voxel_size
    size = (row * full[0] / shape[0], column * full[1] / shape[1], between * _spacing(indices))
    attributes = {
        "source": "simulated",
        "coils": settings.coils if measured is None else measured.coils,
        "noise": float(settings.noise),
        "slice_indices": np.asarray(indices),
        **({} if measured is None else measured.attributes),
    }
    chosen = replace(volume, images=volume.images[indices])
    slices = _slices(chosen, indices, shape, settings, reference, measured)
    return Acquisition(slices, cartesian_header(shape, size, settings.readout_oversampling), attributes=attributes)


def _reference(volume: ImageVolume) -> float:
    if not np.isfinite(volume.images).all():
        raise ValueError(f"{volume.name}: the images hold NaN or infinite values; repair them first")
    if volume.images.min() < 0:
        raise ValueError(
            f"{volume.name}: the images reach {volume.images.min():.4g}, expected magnitudes of at least 0; "
            "clip or rescale them first"
        )
    reference = float(np.percentile(volume.images, _REFERENCE_PERCENTILE))
    if reference <= 0:
        raise ValueError(f"{volume.name}: 99 % of the voxels are 0; the images hold no object to simulate")
    return reference


def _spacing(indices: Sequence[int]) -> float:
    """Distance of the chosen slices in slices; NaN if it varies."""
    steps = {int(step) for step in np.diff(indices)} or {1}
    return float(steps.pop()) if len(steps) == 1 else float("nan")


def _slices(
    volume: ImageVolume,
    indices: Sequence[int],
    shape: tuple[int, int],
    settings: SimulationSettings,
    reference: float,
    measured: MeasuredCoils | None,
) -> Iterator[KspaceSlice]:
    maps, covariance = _coils(volume.name, shape, settings, measured)
    for index, image in zip(indices, volume.images, strict=True):
        generator = keyed_generator("prepare", settings.seed, volume.name, index)
        kspace = simulate_kspace(
            _truncate(torch.from_numpy(image), shape),
            maps,
            phase=simulate_phase(shape, generator),
            noise_std=settings.noise * reference,
            covariance=covariance,
            readout_oversampling=settings.readout_oversampling,
            generator=generator,
        )
        target = rss(center_crop_or_pad(ifft2c(kspace), shape), dim=0)[0]
        yield kspace.numpy(), target.numpy()


def _coils(
    name: str, shape: tuple[int, int], settings: SimulationSettings, measured: MeasuredCoils | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Coil maps `(coil, H, W)` and noise covariance of mean variance 1, measured where they were."""
    per_file = keyed_generator("prepare", settings.seed, name)
    count = settings.coils if measured is None else measured.coils
    maps = None if measured is None else measured.maps(shape)
    if maps is None:
        maps = normalize_maps(simulate_coil_maps(count, shape, per_file))
    if measured is None or measured.covariance is None:
        return maps, simulate_noise_covariance(count, per_file)
    return maps, measured.covariance / measured.covariance.diagonal().real.mean()


def _truncate(image: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Magnitude image of the central `shape` points of the image's k-space (a lower resolution, with its ringing)."""
    if tuple(image.shape) == shape:
        return image
    return ifft2c(truncate_kspace(fft2c(image.to(torch.complex64)), shape)).abs()
