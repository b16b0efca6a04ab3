"""The numbers of a row, by the functions that training and evaluation use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from recon_monai.evaluation.downstream import STRUCTURES, downstream_check
from recon_monai.evaluation.evaluation_table import CONVENTION, FOREGROUND_CONVENTION
from recon_monai.handlers.volume_metrics import call_metric
from recon_monai.metrics import foreground_ssim, nmse, psnr, quality_3d, quality_convention, sharpness, ssim

__all__ = ["CONVENTIONS", "convention_of", "downstream_numbers", "slice_numbers", "volume_numbers"]

_OF_KSPACE = CONVENTION + FOREGROUND_CONVENTION
_MORE_OF_VOLUMES = (
    "; NMSE the square of NRMSE; foreground SSIM 2-D, in slices across the last axis, both images "
    "masked by the target's foreground"
)
CONVENTIONS = {
    "metrics of k-space": _OF_KSPACE,
    "metrics of volumes": quality_convention() + _MORE_OF_VOLUMES,
    "sharpness": "gradient energy over that of the target, within the plane for slices: 1 is as sharp, noise counts",
    "k-space residual": (
        "norm of M F S x - y over that of y; magnitudes x get the phase of the complete scan's coil combination, S are "
        "maps of its calibration lines; never 0 where there is noise; the target's own in kspace_residual_target"
    ),
    "null-space error": (
        "norm of the part of the error that was not measured over that of the target; one coil: outside the mask; "
        "several: directions measured with energy below about 0.01"
    ),
    "seconds": (
        "of the reconstruction of the file, coil maps included, reading and metrics not; for slices after a call that "
        "does not count"
    ),
    "memory": (
        "the most that a call added to what was in use before it, so without libraries, data and weights: resident "
        "memory of the process on the CPU, allocated on a GPU"
    ),
}
_DOWNSTREAM = {"dice": "Dice", "volume_difference": "volume difference", "average_surface_distance": "distance (mm)"}


def convention_of(data: str, block: int | None = None) -> str:
    """How the metrics of a row are defined.

    Args:
        data: of the row: simulated, raw or volume.
        block: voxels of the middle of a volume that are measured; None for all.

    Returns:
        One line.
    """
    return quality_convention(block) + _MORE_OF_VOLUMES if data == "volume" else _OF_KSPACE


def slice_numbers(prediction: torch.Tensor, target: torch.Tensor, anatomy: str) -> dict[str, float]:
    """Metrics of a reconstructed file, as `VolumeMetrics` and `EvaluationTable` compute them.

    Args:
        prediction: ``(slices, h, w)``.
        target: same shape.
        anatomy: of the file.

    Returns:
        ``ssim``, ``psnr``, ``nmse``, ``foreground_ssim`` and ``sharpness``.
    """
    images = {"prediction": prediction, "target": target}
    metrics = {"ssim": ssim, "psnr": psnr, "nmse": nmse, "foreground_ssim": foreground_ssim}
    values = {name: call_metric(metric, **images, anatomy=anatomy) for name, metric in metrics.items()}
    return {**values, "sharpness": sharpness(**images, axes=(1, 2))}


def volume_numbers(prediction: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
    """Metrics of a super-resolved volume, as `SuperResolutionMetrics` computes them, and its foreground SSIM.

    Most of a volume is air, in which every method is right; the foreground SSIM leaves it out.

    Args:
        prediction: ``(D, H, W)`` on the scale on which the target's robust maximum is 1.
        target: same shape.

    Returns:
        ``ssim``, ``psnr``, ``nmse``, ``sharpness`` and ``foreground_ssim``.
    """
    found = quality_3d(prediction=prediction, target=target)
    image, wanted = (volume.clamp(0, 1).permute(2, 0, 1) for volume in (prediction, target))
    foreground = foreground_ssim(prediction=image, target=wanted, data_range=1.0)
    return {"nmse": found.pop("nrmse") ** 2, **found, "foreground_ssim": foreground}


def downstream_numbers(
    prediction: np.ndarray, target: np.ndarray, spacing: Sequence[float]
) -> dict[str, float | str | None] | None:
    """The downstream check as flat numbers, and its pitfalls as one text.

    Args:
        prediction: ``(slices, H, W)``.
        target: same shape and scale.
        spacing: of slices, rows and columns in mm; the first does not matter for one slice.

    Returns:
        Numbers by name and ``pitfalls``; None where the size of a voxel is not known.
    """
    steps = [float(step) for step in spacing]
    if len(prediction) == 1:
        steps[0] = steps[1]
    if not all(math.isfinite(step) and step > 0 for step in steps):
        return None
    found = downstream_check(prediction=torch.from_numpy(prediction), target=torch.from_numpy(target), spacing=steps)
    numbers: dict[str, float | str | None] = {}
    for structure in STRUCTURES:
        for measure, label in _DOWNSTREAM.items():
            numbers[f"{structure}, {label}"] = found["target_thresholds"][structure][measure]
        numbers[f"{structure}, Dice, own thresholds"] = found["own_thresholds"][structure]["dice"]
    numbers["pitfalls"] = _pitfalls(found["pitfalls"]["target_thresholds"])
    return numbers


def _pitfalls(found: dict[str, Any]) -> str:
    return " ".join(f"{structure}: {sentence}" for structure, lines in found.items() for sentence in lines)
