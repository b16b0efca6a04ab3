"""Coil maps and noise of a real coil array, from a scan of a homogeneous phantom, a noise scan or given maps."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recon_monai.data.prepare.raw import RawSettings, read_kspace
from recon_monai.physics import (
    CoilMapFit,
    center_crop_or_pad,
    fit_coil_maps,
    ifft2c,
    infer_mask,
    noise_covariance,
    normalize_maps,
    rss,
)

__all__ = ["MeasuredCoils", "measure_coils"]

logger = logging.getLogger(__name__)

_OBJECT_LEVEL = 0.1  # of the 99th percentile
_EDGE = 0.015  # of the field of view: pixels so near to the object's border are blurred by the point spread
_GAP = 0.05  # of the field of view: so near to the object its ringing can outweigh the noise
_SMALLEST_OBJECT = 0.05  # of the field of view
_SAMPLES_PER_COIL = 20
_LARGEST_RESIDUAL = 0.5  # of maps fitted to noise it is above 1
_MAP_LEVEL = 1e-3  # of the largest root sum of squares: given maps are masked below


@dataclass(frozen=True)
class MeasuredCoils:
    """A measured coil array.

    Args:
        coils: number of coils.
        covariance: noise covariance `(coil, coil)`, complex128; None if it was not measured.
        fit: smooth maps for every matrix; None if maps were not measured.
        given: maps `(coil, H, W)` of one matrix, used as they are for that matrix.
        attributes: say in the files where maps and covariance come from.
    """

    coils: int
    covariance: torch.Tensor | None = None
    fit: CoilMapFit | None = None
    given: torch.Tensor | None = None
    attributes: dict[str, Any] = field(default_factory=dict)

    def maps(self, shape: tuple[int, int]) -> torch.Tensor | None:
        """Maps of unit root sum of squares.

        Args:
            shape: `(H, W)`; the field of view is that of the measurement.

        Returns:
            Complex64 `(coil, H, W)`, or None if maps were not measured.
        """
        if self.given is not None and tuple(self.given.shape[1:]) == shape:
            return self.given
        return None if self.fit is None else self.fit.sample(shape)


def measure_coils(
    settings: RawSettings,
    *,
    calibration_scan: Path | None = None,
    noise_scan: Path | None = None,
    coil_maps: Path | None = None,
    key: str | None = None,
    with_maps: bool = True,
) -> MeasuredCoils:
    """Estimate coil maps and noise covariance from what was measured.

    Maps come from the images of the calibration scan (of its middle slice, if it has several), see `fit_coil_maps`,
    or from given maps. The covariance comes from the noise scan, else from the calibration scan's images outside the
    object; a filter of the receiver that depends on the position only changes its scale. With given maps alone it is
    not measured.

    Args:
        settings: layout of the calibration and the noise scan.
        calibration_scan: fully sampled k-space of a homogeneous phantom.
        noise_scan: k-space without signal; samples that are zero in all coils are ignored.
        coil_maps: complex array `(coil, H, W)`, zero where unknown.
        key: name of the array in `.npz` files.
        with_maps: whether maps are needed; without, the calibration scan gives the covariance only.

    Returns:
        The coil array.

    Raises:
        ValueError: if a file cannot be used, or the files are of different numbers of coils.
    """
    if calibration_scan is not None and coil_maps is not None:
        raise ValueError("--calibration_scan and --coil_maps both give coil maps; give one of them")
    fit, given, covariance, attributes = None, None, None, {}
    counts: dict[Path, int] = {}
    if coil_maps is not None:
        fit, given = _read_maps(coil_maps, key)
        counts[coil_maps] = len(fit.coefficients)
        attributes["coil_maps"] = "given"
    if calibration_scan is not None:
        images = _images(calibration_scan, settings, key)
        counts[calibration_scan] = images.shape[1]
        if with_maps:
            fit = _maps_of_phantom(images[len(images) // 2], calibration_scan)
            attributes["coil_maps"] = "calibration scan"
        if noise_scan is None:
            covariance = _covariance(_background(images, calibration_scan), calibration_scan)
            attributes["noise_covariance"] = "calibration scan"
    if noise_scan is not None:
        kspace = read_kspace(noise_scan, settings, key=key)
        counts[noise_scan] = kspace.shape[1]
        samples = kspace.transpose(0, 1).flatten(1)
        covariance = _covariance(samples[:, (samples != 0).any(dim=0)], noise_scan)
        attributes["noise_covariance"] = "noise scan"
    if len(set(counts.values())) > 1:
        raise ValueError(
            f"{', '.join(f'{path} has {count} coils' for path, count in counts.items())}; give files of one coil array"
        )
    return MeasuredCoils(next(iter(counts.values())), covariance, fit, given, attributes)


def _images(path: Path, settings: RawSettings, key: str | None) -> torch.Tensor:
    """Coil images `(slice, coil, H, W)`, the readout cropped to the field of view."""
    kspace = read_kspace(path, settings, key=key)
    if not bool(infer_mask(kspace).all()):
        raise ValueError(f"{path}: some samples are zero, expected a fully sampled calibration scan")
    height = settings.cropped_readout(kspace.shape[-2], path)
    return center_crop_or_pad(ifft2c(kspace), (height, kspace.shape[-1]))


def _object(image: torch.Tensor) -> torch.Tensor:
    return image > _OBJECT_LEVEL * float(np.percentile(image.numpy(), 99))


def _maps_of_phantom(images: torch.Tensor, path: Path) -> CoilMapFit:
    inside = ~_widened(~_object(rss(images)[0]), _EDGE)
    covered = float(inside.float().mean())
    if covered < _SMALLEST_OBJECT:
        raise ValueError(
            f"{path}: the object covers {covered:.1%} of the image, expected a homogeneous phantom that fills at least "
            f"{_SMALLEST_OBJECT:.0%}; check the axes"
        )
    fit = _fitted(images, inside, path)
    logger.info(
        "%s: coil maps of %d coils fitted to the phantom (%.0f %% of the image), %.1f %% rms off, noise included",
        path,
        len(images),
        100 * covered,
        100 * fit.residual,
    )
    return fit


def _fitted(images: torch.Tensor, known: torch.Tensor, path: Path) -> CoilMapFit:
    fit = fit_coil_maps(images, known)
    if fit.residual > _LARGEST_RESIDUAL:
        raise ValueError(
            f"{path}: smooth coil maps leave {fit.residual:.0%} of it unexplained, expected the maps or a homogeneous "
            "phantom of a coil array, with little noise; check the file and its axes"
        )
    return fit


def _background(images: torch.Tensor, path: Path) -> torch.Tensor:
    """Samples `(coil, N)` of the images away from the object."""
    samples = torch.cat([one[:, ~_widened(_object(rss(one)[0]), _GAP)] for one in images], dim=1)
    num_coils = images.shape[1]
    if samples.shape[1] < _SAMPLES_PER_COIL * num_coils:
        raise ValueError(
            f"{path}: {samples.shape[1]} pixels lie outside the object, expected at least "
            f"{_SAMPLES_PER_COIL * num_coils} for the noise of {num_coils} coils; measure it with --noise_scan"
        )
    return samples


def _covariance(samples: torch.Tensor, path: Path) -> torch.Tensor:
    num_coils, count = samples.shape
    if count < _SAMPLES_PER_COIL * num_coils:
        raise ValueError(
            f"{path}: holds {count} noise samples, expected at least {_SAMPLES_PER_COIL * num_coils} for {num_coils} "
            "coils; give a longer noise scan"
        )
    covariance = noise_covariance(samples)
    variances = covariance.diagonal().real
    silent = torch.nonzero(variances < 1e-6 * variances.max()).flatten().tolist()
    if silent:
        raise ValueError(f"{path}: coil {silent[0]} has no noise (it is disconnected); leave it out of all arrays")
    correlation = (covariance / (variances[:, None] * variances).sqrt()).abs() - torch.eye(num_coils)
    logger.info(
        "%s: noise covariance of %d coils from %d samples, standard deviations differ by a factor of %.2f, largest "
        "correlation %.2f",
        path,
        num_coils,
        count,
        float((variances.max() / variances.min()).sqrt()),
        float(correlation.max()),
    )
    return covariance


def _read_maps(path: Path, key: str | None) -> tuple[CoilMapFit, torch.Tensor | None]:
    """Smooth maps, and the maps themselves if they cover the whole image."""
    settings = RawSettings(axes=("coil", "readout", "phase"))
    maps = read_kspace(path, settings, key=key)[0]
    root = rss(maps)[0]
    known = root > _MAP_LEVEL * root.max()
    fit = _fitted(normalize_maps(maps), known, path)
    complete = bool(known.all())
    logger.info(
        "%s: maps of %d coils, %d x %d, %s; smooth maps for other sizes are %.2f %% rms off",
        path,
        *maps.shape,
        "complete" if complete else f"known in {known.float().mean():.0%} of the image and extrapolated beyond",
        100 * fit.residual,
    )
    return fit, normalize_maps(maps) if complete else None


def _widened(mask: torch.Tensor, share: float) -> torch.Tensor:
    """The mask and all pixels nearer to it than a share of the field of view, at least one pixel."""
    reach = [max(1, round(share * size)) for size in mask.shape]
    pooled = torch.nn.functional.max_pool2d(
        mask.float()[None, None], [2 * r + 1 for r in reach], stride=1, padding=reach
    )
    return pooled[0, 0] > 0
