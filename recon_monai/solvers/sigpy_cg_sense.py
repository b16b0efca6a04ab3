"""CG-SENSE: conjugate gradients on the Tikhonov-regularized SENSE problem (Pruessmann et al. 2001)."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch

from recon_monai.optional import require
from recon_monai.solvers.arrays import EXTRA
from recon_monai.solvers.coil_maps import MapMethod
from recon_monai.solvers.sigpy_base import SigpyReconstruction

__all__ = ["CGSense"]


class CGSense(SigpyReconstruction):
    """CG-SENSE: the classical parallel-imaging reconstruction of one slice.

    Solves ``min_x |M F S x - y|^2 + weight |x|^2`` by ``iterations`` steps of conjugate gradients from zero
    (`sigpy.mri.app.SenseRecon`). K-space is scaled to a maximum of 1 inside, so neither the weight nor the precision
    depends on the scale of the data. With maps of unit root sum of squares ``|x|`` is in the scale of the RSS image.

    Args:
        weight: Tikhonov weight, at least 0; see `tune_cg_sense`.
        iterations: number of conjugate-gradient steps, at least 1; early stopping regularizes too.
        maps: ``"espirit"`` (`espirit_maps`), ``"calibration"`` (`calibration_maps`), or complex maps of the slice,
            shape ``(coil, H, W)``, with unit root sum of squares.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(self, weight: float = 0.01, iterations: int = 10, maps: MapMethod | torch.Tensor = "espirit") -> None:
        super().__init__(weight, iterations, maps)

    def _scale(self, kspace: torch.Tensor) -> float:
        return 1.0  # a quadratic problem; its weights were tuned against k-space of maximum 1

    def _app(self, kspace: npt.NDArray[Any], maps: npt.NDArray[Any], sampled: npt.NDArray[Any], iterations: int) -> Any:
        app = require("sigpy.mri.app", extra=EXTRA)
        return app.SenseRecon(kspace, maps, lamda=self.weight, weights=sampled, max_iter=iterations, show_pbar=False)
