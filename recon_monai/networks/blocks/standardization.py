"""Complex images as channels of mean 0 and standard deviation 1, and back."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F

from recon_monai.physics import is_recorded

__all__ = ["Padding", "Statistics", "as_channels", "as_complex", "crop", "pad", "padding_to", "restore", "standardize"]

Padding = tuple[int, int, int, int]
"""Left, right, top and bottom."""


class Statistics(NamedTuple):
    """What `standardize` took off each channel, and divided it by.

    Attributes:
        mean: shape ``(B, C, 1, 1)``.
        deviation: (unbiased) standard deviation, 0 for a constant channel; same shape.
    """

    mean: torch.Tensor
    deviation: torch.Tensor


def as_channels(images: torch.Tensor) -> torch.Tensor:
    """Turn complex images ``(B, N, H, W)`` into real channels ``(B, 2 N, H, W)``: real, imaginary part of each."""
    return torch.view_as_real(images).permute(0, 1, 4, 2, 3).flatten(1, 2)


def as_complex(channels: torch.Tensor) -> torch.Tensor:
    """Turn real and imaginary part ``(B, 2, H, W)`` into a complex image ``(B, 1, H, W)``."""
    return torch.view_as_complex(channels.permute(0, 2, 3, 1).contiguous())[:, None]


def standardize(channels: torch.Tensor) -> tuple[torch.Tensor, Statistics]:
    """Bring each channel of each sample to mean 0 and standard deviation 1; a constant channel to 0.

    Args:
        channels: real, shape ``(B, C, H, W)``.

    Returns:
        The channels, and what they were.
    """
    mean = channels.mean(dim=(-2, -1), keepdim=True)
    centered = channels - mean
    variance = centered.square().sum(dim=(-2, -1), keepdim=True) / max(1, channels[0, 0].numel() - 1)
    constant = variance == 0
    divisor = torch.where(constant, torch.ones_like(variance), variance).sqrt()
    return centered / divisor, Statistics(mean, divisor.masked_fill(constant, 0))


def restore(channels: torch.Tensor, statistics: Statistics) -> torch.Tensor:
    """Give channels of mean 0 and standard deviation 1 the statistics of others."""
    return torch.addcmul(statistics.mean, channels, statistics.deviation)


def padding_to(multiple: int, height: int, width: int) -> Padding:
    """Padding that makes both sizes multiples; of an odd number the larger half goes right and to the bottom."""
    columns, rows = -width % multiple, -height % multiple
    return columns // 2, columns - columns // 2, rows // 2, rows - rows // 2


def pad(channels: torch.Tensor, padding: Padding) -> torch.Tensor:
    """Add zeros around an image."""
    return F.pad(channels, padding) if is_recorded() or any(padding) else channels


def crop(channels: torch.Tensor, padding: Padding) -> torch.Tensor:
    """Take off what `pad` added."""
    left, right, top, bottom = padding
    height, width = channels.shape[-2:]
    return channels[..., top : height - bottom, left : width - right]
