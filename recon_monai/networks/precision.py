"""Where automatic mixed precision may act: in the convolutions, never in the physics."""

from __future__ import annotations

import torch

__all__ = ["full_precision"]


def full_precision(like: torch.Tensor) -> torch.autocast:
    """Switch automatic mixed precision off within a ``with`` block.

    Fourier transforms, coil maps, data consistency and intensity statistics work on values of 1e-4 and below, where
    half precision underflows. Operations in the block run in the precision of their inputs.

    Args:
        like: a tensor on the device of the computation.

    Returns:
        The context manager.
    """
    return torch.autocast(like.device.type, enabled=False)
