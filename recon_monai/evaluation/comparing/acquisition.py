"""What a reconstruction says of the measured samples, and where it had to guess."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from recon_monai.evaluation.consistency import coil_combination, kspace_residual
from recon_monai.evaluation.null_space import null_space_error
from recon_monai.physics import center_crop_or_pad, fft2c, ifft2c, rss
from recon_monai.solvers.coil_maps import calibration_maps
from recon_monai.transforms.undersampling import check_fully_sampled

__all__ = ["Acquisition", "Agreement", "agreement_of"]

_WEIGHT = 0.01
_TOLERANCE = 1e-3


class Agreement(NamedTuple):
    """A reconstruction against its acquisition, slice by slice.

    Attributes:
        residual: ``(1, h, w)``: magnitude of the coil-combined image of the residual.
        null_space: ``(1, h, w)``: magnitude of the error in the null space.
        squares: squared norms: of the residual, of the samples, of the null-space error, of the target, of the
            target's own residual.
    """

    residual: torch.Tensor
    null_space: torch.Tensor
    squares: tuple[float, float, float, float, float]


class Acquisition:
    """Complete k-space of a slice, its mask and coil maps.

    Where the mask is one of columns, image rows are problems of their own, so that only those of the output are looked
    at, which all methods have, whatever they do with an oversampled readout.

    Args:
        raw: item of the data set.
        item: the same, undersampled.

    Raises:
        ValueError: if k-space was acquired undersampled.
    """

    def __init__(self, raw: Mapping[str, Any], item: Mapping[str, Any]) -> None:
        complete: dict[Any, Any] = dict(raw)
        check_fully_sampled(complete)
        kspace, mask = raw["kspace"], item["mask"]
        rows = min(int(item["output_size"][0]), kspace.shape[-2]) if mask.shape[-2] == 1 else kspace.shape[-2]
        self.size = (rows, int(kspace.shape[-1]))
        full = fft2c(center_crop_or_pad(ifft2c(kspace), self.size)) if rows < kspace.shape[-2] else kspace
        self.mask = mask
        self.measured = full * mask
        self.maps = calibration_maps(full, mask)
        self.phase = coil_combination(full, self.maps)
        self.target = rss(ifft2c(full))
        self.output_size = tuple(int(side) for side in item["output_size"])


def agreement_of(acquisition: Acquisition, image: torch.Tensor) -> Agreement:
    """Residual and null-space error of a magnitude image, read with the phase of the complete scan.

    Args:
        acquisition: of the slice.
        image: ``(1, H, W)``, the whole field of view.

    Returns:
        Maps in the size of the output, and squared norms, to be added over slices.

    Raises:
        ValueError: if the image does not span the field of view.
    """
    own = acquisition
    if image.shape[-1] != own.size[1] or image.shape[-2] < own.size[0]:
        raise ValueError(f"the image has {tuple(image.shape[-2:])} pixels, expected the field of view {own.size}")
    fitted = center_crop_or_pad(image, own.size)
    residual = kspace_residual(fitted, own.measured, own.mask, own.maps, phase=own.phase)
    of_target = kspace_residual(own.target, own.measured, own.mask, own.maps, phase=own.phase)
    weight = 0.0 if len(own.maps) == 1 else _WEIGHT
    unseen = null_space_error(
        fitted, own.target, own.mask, own.maps, phase=own.phase, weight=weight, tolerance=_TOLERANCE
    )
    norm = float(torch.linalg.vector_norm(own.measured))
    return Agreement(
        center_crop_or_pad(residual.image, own.output_size),
        center_crop_or_pad(unseen.image, own.output_size),
        (
            (residual.ratio * norm) ** 2 if norm else 0.0,
            norm**2,
            float(unseen.part.abs().square().sum()),
            float(own.target.square().sum()),
            (of_target.ratio * norm) ** 2 if norm else 0.0,
        ),
    )
