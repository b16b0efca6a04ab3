"""Where automatic mixed precision may act: in the convolutions, never in the physics."""

from __future__ import annotations

import contextlib
import functools
import logging

import torch

from recon_monai.physics import is_recorded

__all__ = ["bfloat16_autocast", "emulates_bfloat16", "full_precision", "small_map_precision"]

_SMALL = 8

logger = logging.getLogger(__name__)


def full_precision(like: torch.Tensor) -> contextlib.AbstractContextManager[object]:
    """Switch automatic mixed precision off within a ``with`` block.

    Fourier transforms, coil maps, data consistency and intensity statistics work on values of 1e-4 and below, where
    half precision underflows. Operations in the block run in the precision of their inputs.

    Args:
        like: a tensor on the device of the computation.

    Returns:
        The context manager.
    """
    return contextlib.nullcontext() if is_recorded() else torch.autocast(like.device.type, enabled=False)


def small_map_precision(features: torch.Tensor) -> contextlib.AbstractContextManager[object]:
    """Switch automatic mixed precision off within a ``with`` block where the processor cannot be trusted with it.

    On the CPU, gradients of bfloat16 convolutions of volumes of one to three voxels per axis come from memory that was
    never written (PyTorch 2.13; a neighbor of the wrong results of its issue 169688), and at times the process ends.
    Volumes of eight and more are sound. GPUs are not concerned.

    Args:
        features: what a convolution is to take, shape ``(B, C, D, H, W)``.

    Returns:
        The context manager.
    """
    if is_recorded():
        return contextlib.nullcontext()
    small = features.device.type == "cpu" and min(features.shape[2:]) < _SMALL
    return full_precision(features) if small else contextlib.nullcontext()


def bfloat16_autocast(device: str, *, enabled: bool) -> torch.autocast:
    """Automatic mixed precision in bfloat16; says once where that is slower instead of faster.

    Args:
        device: type of the device, ``"cpu"`` or ``"cuda"``.
        enabled: whether it is wanted.

    Returns:
        The context manager.
    """
    if enabled and emulates_bfloat16(device):
        _warn_of_emulation()
    return torch.autocast(device, dtype=torch.bfloat16, enabled=enabled)


def emulates_bfloat16(device: str) -> bool:
    """Whether a device has no arithmetic for bfloat16, so that PyTorch makes it up at a small part of the speed.

    Args:
        device: type of the device, ``"cpu"`` or ``"cuda"``.

    Returns:
        True for processors without AVX-512 or an equal of it. GPUs are not asked: those of the last years have it.
    """
    return device == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported()


@functools.cache
def _warn_of_emulation() -> None:
    logger.warning(
        "amp: this processor has no arithmetic for bfloat16, which PyTorch emulates at a small part of the speed "
        "(convolutions of volumes: a fiftieth); --amp False is the faster choice here"
    )
