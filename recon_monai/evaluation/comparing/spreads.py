"""Spread of a reconstruction over simulated acquisitions, and how well it predicts the error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from recon_monai.evaluation.comparing.settings import ComparisonSettings
from recon_monai.evaluation.comparing.slice_methods import SliceMethod
from recon_monai.evaluation.uncertainty import calibration, estimate_noise, mask_bootstrap, noise_bootstrap
from recon_monai.physics import center_crop_or_pad

__all__ = ["calibration_numbers", "slice_spread"]


def slice_spread(
    method: SliceMethod, item: Mapping[str, Any], common: Mapping[str, Any], settings: ComparisonSettings
) -> torch.Tensor:
    """Standard deviation of the image of a slice.

    Noise is estimated once, from the samples that all methods share.

    Args:
        method: that reconstructs.
        item: prepared by the method.
        common: the same slice, undersampled and nothing else.
        settings: how many replicas, and of what.

    Returns:
        ``(1, h, w)`` in the size of the output.
    """
    call = method.call(item)
    key = (settings.seed, str(item["file"]), int(item["slice"]))
    if settings.bootstrap_by == "mask":
        found = mask_bootstrap(call, item["kspace"], item["mask"], replicas=settings.bootstrap, key=key)
    else:
        noise = estimate_noise(common["kspace"], common["mask"]).covariance
        found = noise_bootstrap(
            call, item["kspace"], item["mask"], covariance=noise, replicas=settings.bootstrap, key=key
        )
    height, width = (int(side) for side in item["output_size"])
    return center_crop_or_pad(found.std.cpu(), (height, width))


def calibration_numbers(spread: torch.Tensor, image: torch.Tensor, target: torch.Tensor) -> dict[str, Any]:
    """The calibration of a file, relative to the maximum of its target, so that files can be put together.

    Args:
        spread: ``(slices, h, w)``.
        image: same shape.
        target: same shape.

    Returns:
        The numbers of `Calibration`, and its curve: ``spread``, ``error`` and ``counts`` of each bin.
    """
    largest = float(target.max()) or 1.0
    found = calibration(spread=spread / largest, prediction=image / largest, target=target / largest)
    curve = {name: values.tolist() for name, values in found.curve._asdict().items()}
    return {**found.numbers(), **curve}
