"""The volume metrics as MONAI ``Metric`` classes, for ``IgniteMetricHandler`` and hand-written loops.

They take whole volumes ``(B, 1, D, H, W)`` (or a list of ``(1, D, H, W)``), because data range and error are defined
per volume. To evaluate slices that arrive one by one, use ``recon_monai.handlers.VolumeMetrics``.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.metrics import CumulativeIterationMetric
from torch import Tensor

from recon_monai.metrics import functional
from recon_monai.metrics.foreground import (
    DEFAULT_FOREGROUND_FRACTION,
    ForegroundSSIMResult,
    Region,
    foreground_ssim_result,
    foreground_threshold,
)

__all__ = ["ForegroundSSIM", "VolumeMetric", "VolumeNMSE", "VolumeNRMSE", "VolumePSNR", "VolumeSSIM"]

logger = logging.getLogger(__name__)


class VolumeMetric(CumulativeIterationMetric):
    """One value per volume, kept until ``aggregate`` takes their mean. Subclasses say how to compute one value."""

    @abstractmethod
    def _compute_volume(self, prediction: Tensor, target: Tensor, data_range: float | None) -> float:
        """The metric of one volume ``(D, H, W)``."""

    def _compute_tensor(
        self, y_pred: Tensor, y: Tensor | None = None, data_range: Sequence[float] | Tensor | None = None, **kwargs: Any
    ) -> Tensor:
        """Values of a batch of volumes.

        Args:
            y_pred: real ``(B, 1, D, H, W)``.
            y: target, same shape.
            data_range: one value per volume; None takes the maximum of each target.
            kwargs: none is known.

        Returns:
            float64 ``(B, 1)``.

        Raises:
            TypeError: if there is an unknown argument.
            ValueError: if there is no target, or a shape or the number of data ranges is wrong.
        """
        if kwargs:
            raise TypeError(f"{self} got unknown arguments {sorted(kwargs)}")
        if y is None:
            raise ValueError(f"{self} compares with a target and got none")
        if y_pred.ndim != 5 or y_pred.shape[1] != 1:
            raise ValueError(f"{self} expects volumes (B, 1, D, H, W), got {tuple(y_pred.shape)}")
        if y_pred.shape != y.shape:
            raise ValueError(f"prediction {tuple(y_pred.shape)} and target {tuple(y.shape)} differ in shape")
        ranges = [None] * len(y_pred) if data_range is None else [float(value) for value in data_range]
        if len(ranges) != len(y_pred):
            raise ValueError(f"data_range needs one value per volume ({len(y_pred)}), got {len(ranges)}")
        values = [
            self._compute_volume(prediction[0], target[0], value)
            for prediction, target, value in zip(y_pred, y, ranges, strict=True)
        ]
        return torch.tensor(values, dtype=torch.float64)[:, None]

    def _compute_list(
        self, y_pred: Any, y: Any = None, data_range: Sequence[float] | Tensor | None = None, **kwargs: Any
    ) -> Tensor:
        """As ``_compute_tensor`` for a list of volumes ``(1, D, H, W)``, which may differ in size."""
        if y is None:
            raise ValueError(f"{self} compares with a target and got none")
        ranges = [None] * len(y_pred) if data_range is None else [[float(value)] for value in data_range]
        parts = [
            self._compute_tensor(prediction.detach()[None], target.detach()[None], value, **kwargs)
            for prediction, target, value in zip(y_pred, y, ranges, strict=True)
        ]
        return torch.cat(parts)

    def aggregate(self) -> Tensor:
        """Mean over the volumes whose value is defined.

        Returns:
            float64 scalar; NaN if no value is defined. Values that are NaN are left out, and that is logged.

        Raises:
            ValueError: if no volume was given.
        """
        values = self.get_buffer()
        if values is None:
            raise ValueError(f"{self} has seen no volume; call it before aggregate()")
        undefined = int(values.isnan().sum())
        if undefined:
            logger.warning("%s: %d of %d volumes have no defined value and are left out", self, undefined, len(values))
        return values.nanmean()


class VolumeSSIM(VolumeMetric):
    """SSIM of volumes: uniform window 7, sample covariance, data range = volume maximum.

    Args:
        spatial_dims: 2 for the mean over slices (fastMRI), 3 for a window of 7x7x7.

    Examples:
        >>> import torch
        >>> from recon_monai.metrics import VolumeSSIM
        >>> metric, target = VolumeSSIM(), torch.rand(1, 1, 3, 32, 32)  # one volume of three slices
        >>> _ = metric(target, target)
        >>> float(metric.aggregate())
        1.0
    """

    def __init__(self, spatial_dims: int = 2) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims

    def _compute_volume(self, prediction: Tensor, target: Tensor, data_range: float | None) -> float:
        return functional.ssim(
            prediction=prediction, target=target, data_range=data_range, spatial_dims=self.spatial_dims
        )


class VolumePSNR(VolumeMetric):
    """PSNR of volumes in dB, peak = volume maximum."""

    def _compute_volume(self, prediction: Tensor, target: Tensor, data_range: float | None) -> float:
        return functional.psnr(prediction=prediction, target=target, data_range=data_range)


class VolumeNMSE(VolumeMetric):
    """NMSE of volumes, ``|prediction - target|^2 / |target|^2``."""

    def _compute_volume(self, prediction: Tensor, target: Tensor, data_range: float | None) -> float:
        return functional.nmse(prediction=prediction, target=target)


class VolumeNRMSE(VolumeMetric):
    """NRMSE of volumes, the square root of NMSE."""

    def _compute_volume(self, prediction: Tensor, target: Tensor, data_range: float | None) -> float:
        return functional.nrmse(prediction=prediction, target=target)


class ForegroundSSIM(VolumeMetric):
    """SSIM of the foreground of volumes; see ``recon_monai.metrics.foreground_ssim`` for the convention.

    Args:
        threshold: absolute threshold of the mask; None takes it from ``preset``, ``anatomy`` and ``fraction``.
        region: ``"masked_image"`` or ``"inside_mask"``.
        anatomy: of all volumes, where the preset or the fraction needs one.
        preset: ``"relative"`` or ``"snu"``.
        fraction: of the volume's maximum, one for all or one per anatomy.

    Attributes:
        results: per volume since the last ``reset``, in order: value, threshold used, values per slice, empty masks.
    """

    def __init__(
        self,
        *,
        threshold: float | None = None,
        region: Region = "masked_image",
        anatomy: str | None = None,
        preset: str = "relative",
        fraction: float | Mapping[str, float] = DEFAULT_FOREGROUND_FRACTION,
    ) -> None:
        self.results: list[ForegroundSSIMResult] = []
        super().__init__()
        self.threshold = threshold
        self.region: Region = region
        self.anatomy = anatomy
        self.preset = preset
        self.fraction = fraction

    def reset(self) -> None:
        """Forget all volumes."""
        super().reset()
        self.results = []

    def _compute_volume(self, prediction: Tensor, target: Tensor, data_range: float | None) -> float:
        threshold = self.threshold
        if threshold is None:
            threshold = foreground_threshold(
                target=target, anatomy=self.anatomy, preset=self.preset, fraction=self.fraction
            )
        result = foreground_ssim_result(
            prediction=prediction, target=target, threshold=threshold, region=self.region, data_range=data_range
        )
        self.results.append(result)
        return result.value
