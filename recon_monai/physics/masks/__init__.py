"""Seeded undersampling masks; those that fastMRI has are bit-identical with its own.

A mask seeded by a file's name samples the same columns as in the fastMRI challenge (Zbontar et al. 2018,
arXiv:1811.08839; Muckley et al. 2021, arXiv:2012.06318), so that results compare. ``docs/masks.md`` shows all of them.
"""

from __future__ import annotations

from recon_monai.physics.masks.base import ColumnMask, SampledMask, SamplingMask, seed_from_name
from recon_monai.physics.masks.equispaced import EquispacedFractionMask, EquispacedMask, MagicFractionMask, MagicMask
from recon_monai.physics.masks.factory import MaskKind, create_mask
from recon_monai.physics.masks.mixed import MixedMask
from recon_monai.physics.masks.poisson import PoissonMask
from recon_monai.physics.masks.random import GaussianMask, RandomMask

__all__ = [
    "ColumnMask",
    "EquispacedFractionMask",
    "EquispacedMask",
    "GaussianMask",
    "MagicFractionMask",
    "MagicMask",
    "MaskKind",
    "MixedMask",
    "PoissonMask",
    "RandomMask",
    "SampledMask",
    "SamplingMask",
    "create_mask",
    "seed_from_name",
]
