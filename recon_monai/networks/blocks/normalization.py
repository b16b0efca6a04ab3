"""Normalization layers, by name, so that a configuration can choose one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from recon_monai.networks.blocks.aspin import ASPIN

__all__ = ["AffineInstanceNorm", "InstanceNorm", "make_normalization"]


class InstanceNorm(nn.Module):
    """Instance normalization without affine parameters (Ulyanov et al. 2016, arXiv:1607.08022).

    Each channel of each sample gets mean 0 and variance 1 (biased variance, `eps` added to it). This is the
    arithmetic of `torch.nn.InstanceNorm2d` by way of group normalization with one channel per group, whose kernel is
    several times faster; and a constant map of a single pixel gives 0 where `InstanceNorm2d` refuses it.

    Args:
        channels: number of channels.
        eps: added to the variance.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.channels = channels
        self.eps = eps

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Normalize features.

        Args:
            features: shape ``(B, channels, H, W)``.

        Returns:
            A new tensor of the same shape and memory format.
        """
        # The kernel reads one channel after the other: on channels-last features two copies and the kernel take a
        # fraction of the time of the kernel alone.
        normalized = torch.group_norm(features.contiguous(), self.channels, eps=self.eps)
        if features.is_contiguous():
            return normalized
        return normalized.contiguous(memory_format=torch.channels_last)

    def extra_repr(self) -> str:
        """Describe the layer in the printed network."""
        return f"{self.channels}, eps={self.eps}"


class AffineInstanceNorm(nn.Module):
    """Instance normalization with a learned scale and shift for each channel.

    The arithmetic of ``torch.nn.InstanceNorm2d(channels, affine=True)``; see `InstanceNorm`.

    Args:
        channels: number of channels.
        eps: added to the variance.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Normalize features.

        Args:
            features: shape ``(B, channels, H, W)``.

        Returns:
            A new tensor of the same shape, contiguous.
        """
        return torch.group_norm(features.contiguous(), len(self.weight), self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Describe the layer in the printed network."""
        return f"{len(self.weight)}, eps={self.eps}"


_PLAIN: dict[str, Callable[[int], nn.Module]] = {"instance": InstanceNorm}


def make_normalization(name: str, channels: int, num_anatomies: int = 0) -> nn.Module:
    """Make a normalization layer by its name.

    Args:
        name: ``"instance"``, or ``"aspin"`` (see `ASPIN`).
        channels: number of channels that the layer sees.
        num_anatomies: for ``"aspin"``.

    Returns:
        A module from ``(B, channels, H, W)`` (for ``"aspin"`` and the anatomy) to a new tensor of the same shape.

    Raises:
        ValueError: for an unknown name, or ``"aspin"`` without anatomies.
    """
    if name == "aspin":
        return ASPIN(num_anatomies, channels)
    if name not in _PLAIN:
        raise ValueError(f"unknown normalization {name!r}; use one of {sorted([*_PLAIN, 'aspin'])}.")
    return _PLAIN[name](channels)
