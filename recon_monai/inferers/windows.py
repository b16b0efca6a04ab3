"""What both inferers share: sizes of windows, the border to the network, the progress bar."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from tqdm.auto import tqdm

from recon_monai import distributed
from recon_monai.networks.precision import bfloat16_autocast

__all__ = ["check_volume", "plain", "predict", "progress_bar", "window_sides"]


def window_sides(window: int | Sequence[int]) -> tuple[int, int, int]:
    """The sides of a window.

    Args:
        window: one size in voxels for all axes, or one for each.

    Returns:
        Three sizes.

    Raises:
        ValueError: if that is not one or three whole numbers of at least 1.
    """
    sides = (window,) * 3 if isinstance(window, int) else tuple(int(side) for side in window)
    if len(sides) != 3 or min(sides) < 1:
        raise ValueError(f"window is {window!r}, expected a size in voxels or three of them, each at least 1")
    return sides[0], sides[1], sides[2]


def check_volume(inputs: torch.Tensor) -> None:
    """Refuse what is not a batch of real volumes.

    Args:
        inputs: expected ``(B, C, D, H, W)``, a real floating type.

    Raises:
        ValueError: says what was given.
    """
    if inputs.ndim != 5 or 0 in inputs.shape or not inputs.is_floating_point():
        raise ValueError(
            f"expected volumes (B, C, D, H, W) of a floating type, got {inputs.dtype} of shape {tuple(inputs.shape)}"
        )


def plain(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor without MONAI's metadata, which would be carried through every window."""
    return tensor.as_tensor() if hasattr(tensor, "as_tensor") else tensor


def predict(
    network: Callable[..., Any], windows: torch.Tensor, *args: Any, amp: bool = False, **kwargs: Any
) -> torch.Tensor:
    """Give a network windows of its own and take its answer in the precision of the volume.

    The network gets a copy and gives one, so that neither its operations in place can reach the volume, nor the weights
    of the windows what the network keeps.

    Args:
        network: called with the windows ``(n, C, d, h, w)``.
        windows: may be views of a volume.
        args: handed on.
        amp: run the network in bfloat16.
        kwargs: handed on.

    Returns:
        Tensor of the same spatial shape and type as ``windows``.

    Raises:
        ValueError: if the answer is no tensor of that size.
    """
    with bfloat16_autocast(windows.device.type, enabled=True) if amp else contextlib.nullcontext():
        answer = network(windows.clone(), *args, **kwargs)
    if not isinstance(answer, torch.Tensor) or answer.shape[2:] != windows.shape[2:] or len(answer) != len(windows):
        found = f"shape {tuple(answer.shape)}" if isinstance(answer, torch.Tensor) else type(answer).__name__
        raise ValueError(f"the network made {found} of windows {tuple(windows.shape)}, expected images of that size")
    return plain(answer).to(windows.dtype, copy=True, memory_format=torch.contiguous_format)


def progress_bar(total: int, shown: bool) -> Any:
    """A bar over windows; where standard error is a file, a line every 30 seconds.

    Args:
        total: how many there are.
        shown: whether it is wanted; only the main process of several shows it.

    Returns:
        A tqdm bar, to be used as context manager.
    """
    interactive = sys.stderr.isatty()
    return tqdm(
        total=total,
        unit="window",
        desc="super-resolution",
        mininterval=0.5 if interactive else 30.0,
        maxinterval=1.0 if interactive else 30.0,
        disable=not (shown and distributed.is_main()),
    )
