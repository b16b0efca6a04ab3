"""L1-wavelet under the name it has among the baselines; it lives in `recon_monai.solvers`."""

from __future__ import annotations

from recon_monai.solvers import L1Wavelet

__all__ = ["L1Wavelet"]
