"""Pre-whitening and coil compression of measured k-space, in this order."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from recon_monai.data.prepare.checks import check_integer
from recon_monai.physics import compress_coils, geometric_compression, infer_mask, prewhiten, svd_compression

__all__ = ["COMPRESSIONS", "RawProcessing"]

logger = logging.getLogger(__name__)

COMPRESSIONS = ("svd", "gcc")


@dataclass(frozen=True)
class RawProcessing:
    """What is done to raw k-space before it is written.

    Args:
        covariance: noise covariance `(coil, coil)` to whiten with; None leaves the noise as it is.
        covariance_from: where it was measured, for the file's attributes.
        compress_coils: number of virtual coils; None keeps the coils.
        compression: `svd` (one matrix for the file) or `gcc` (one for each readout position).
    """

    covariance: torch.Tensor | None = None
    covariance_from: str = ""
    compress_coils: int | None = None
    compression: str = "svd"

    def __post_init__(self) -> None:
        """Reject impossible settings before anything is read."""
        if self.compress_coils is not None:
            check_integer("compress_coils", self.compress_coils, 1)
        if self.compression not in COMPRESSIONS:
            raise ValueError(f"compression is {self.compression!r}, expected one of {', '.join(COMPRESSIONS)}")

    def apply(self, kspace: torch.Tensor, path: Path) -> tuple[torch.Tensor, dict[str, Any]]:
        """Whiten, then compress.

        Args:
            kspace: complex64, shape `(slice, coil, H, W)`; zero where not sampled.
            path: of the file, for messages.

        Returns:
            K-space and attributes that tell what was done.

        Raises:
            ValueError: if the number of coils does not fit, or `gcc` is asked for where the readout is undersampled.
        """
        attributes: dict[str, Any] = {}
        if self.covariance is not None:
            if len(self.covariance) != kspace.shape[1]:
                raise ValueError(
                    f"{path}: has {kspace.shape[1]} coils and the noise was measured with {len(self.covariance)}; "
                    "give a noise or calibration scan of the same coils"
                )
            kspace = _each_slice(prewhiten, kspace, self.covariance)
            attributes |= {"prewhitened": True, "noise_covariance": self.covariance_from}
            logger.info("%s: noise whitened by the covariance of the %s", path, self.covariance_from)
        if self.compress_coils is not None:
            kspace, done = self._compressed(kspace, path)
            attributes |= done
        return kspace, attributes

    def _compressed(self, kspace: torch.Tensor, path: Path) -> tuple[torch.Tensor, dict[str, Any]]:
        acquired, wanted = kspace.shape[1], self.compress_coils
        assert wanted is not None
        if wanted > acquired:
            raise ValueError(f"{path}: has {acquired} coils, which cannot be compressed to {wanted}")
        if self.compression == "gcc" and infer_mask(kspace).shape[-2] != 1:
            raise ValueError(
                f"{path}: not every sample of the readout was acquired, which --compression gcc needs; use svd"
            )
        compress = geometric_compression if self.compression == "gcc" else svd_compression
        matrix, kept = compress(kspace, wanted)
        logger.info(
            "%s: %d coils compressed to %d (%s), %.2f %% of the energy kept",
            path,
            acquired,
            wanted,
            self.compression,
            100 * kept,
        )
        done = {"acquired_coils": acquired, "coil_compression": self.compression, "kept_energy": kept}
        return _each_slice(compress_coils, kspace, matrix), done


def _each_slice(function: Any, kspace: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Apply slice by slice: the double precision in between would not fit in memory for all."""
    return torch.stack([function(one, matrix) for one in kspace])
