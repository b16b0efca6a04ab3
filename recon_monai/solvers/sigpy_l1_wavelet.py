"""L1-wavelet compressed sensing with coil maps (Lustig et al. 2007)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recon_monai.optional import require
from recon_monai.solvers.arrays import EXTRA
from recon_monai.solvers.coil_maps import MapMethod
from recon_monai.solvers.sigpy_base import SigpyReconstruction
from recon_monai.solvers.wavelet import check_wavelet

__all__ = ["L1Wavelet"]


class L1Wavelet(SigpyReconstruction):
    """Compressed sensing with a sparse wavelet transform: the classical reconstruction by sparsity of one slice.

    Minimizes ``1/2 |M F S x - y|^2 + weight |W x|_1`` (Lustig et al. 2007, equation 3, with coil maps ``S``) by
    ``iterations`` steps of FISTA from zero (`sigpy.mri.app.L1WaveletRecon`). K-space is scaled inside so that the
    maximum of the zero-filled RSS image is 1; so the weight is a share of the brightest pixel, and the result follows
    the scale of the data. With maps of unit root sum of squares ``|x|`` is in the scale of the RSS image.

    The step is ``1 / max(sum |S|^2)``, which the largest eigenvalue of the problem never exceeds; sigpy's own estimate
    by power iteration starts from NumPy's global random numbers.

    Args:
        maps: ``"espirit"`` (`espirit_maps`), ``"calibration"`` (`calibration_maps`), or complex maps of the slice,
            shape ``(coil, H, W)``, with unit root sum of squares.
        weight: weight of the L1 norm, at least 0; see `tune_l1_wavelet`.
        iterations: number of steps, at least 1.
        wavelet: name of an orthogonal wavelet of PyWavelets.

    Raises:
        ImportError: if PyWavelets, which comes with sigpy, is missing (the message holds the pip line).
        ValueError: if a setting is out of range or the wavelet is not an orthogonal one.
    """

    def __init__(
        self,
        maps: MapMethod | torch.Tensor = "espirit",
        weight: float = 0.001,
        iterations: int = 50,
        wavelet: str = "db4",
    ) -> None:
        super().__init__(weight, iterations, maps)
        check_wavelet(wavelet)
        self.wavelet = wavelet

    def _app(self, kspace: npt.NDArray[Any], maps: npt.NDArray[Any], sampled: npt.NDArray[Any], iterations: int) -> Any:
        app = require("sigpy.mri.app", extra=EXTRA)
        bound = float((np.abs(maps) ** 2).sum(axis=0).max())
        return app.L1WaveletRecon(
            kspace,
            maps,
            self.weight,
            weights=sampled,
            wave_name=self.wavelet,
            alpha=1 / bound if bound else 1.0,
            max_iter=iterations,
            show_pbar=False,
        )

    def _options(self) -> dict[str, str]:
        return {"wavelet": repr(self.wavelet)}
