"""Coil maps under the name they have among the baselines; they live in `recon_monai.solvers`."""

from __future__ import annotations

from recon_monai.solvers.coil_maps import MAPS, MapMethod, calibration_maps, check_methods, espirit_maps

__all__ = ["MAPS", "MapMethod", "calibration_maps", "check_methods", "espirit_maps"]
