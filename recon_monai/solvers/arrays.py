"""What all classical baselines check and convert."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["EXTRA", "check_slice", "to_numpy"]

EXTRA = "baselines"
"""The extra of the package that brings sigpy."""


def check_slice(kspace: torch.Tensor) -> float:
    """Check one slice of k-space and return its largest magnitude."""
    if kspace.ndim != 3 or not kspace.is_complex():
        raise ValueError(f"expected one complex slice (coil, H, W), got {kspace.dtype} of shape {tuple(kspace.shape)}.")
    scale = float(kspace.abs().max())
    if not math.isfinite(scale):
        raise ValueError("k-space holds values that are not finite; repair or leave out this slice.")
    return scale


def to_numpy(tensor: torch.Tensor) -> npt.NDArray[Any]:
    """The tensor as a contiguous array."""
    return np.ascontiguousarray(tensor.detach().cpu().resolve_conj().numpy())
