"""Squeeze-and-excitation: each channel is multiplied by a weight that all channels' means decide on."""

from __future__ import annotations

import torch
from monai.networks.blocks import ChannelSELayer

__all__ = ["SqueezeExcitation"]


class SqueezeExcitation(ChannelSELayer):
    """Squeeze-and-excitation (Hu et al. 2018, CVPR, arXiv:1709.01507), in 1, 2 or 3 dimensions.

    Mean of each channel, linear map to ``max(1, int(ratio * channels))`` numbers, ReLU, linear map to one number per
    channel, sigmoid; each channel is multiplied by its number. The layer is MONAI's, whose own reduction is the other
    way round (``int(channels // r)``, an error where that is 0) and cannot express every ratio.

    Args:
        channels: number of channels.
        ratio: inner width in parts of `channels`, above 0 and at most 1.
        spatial_dims: number of dimensions of the image.

    Raises:
        ValueError: for a ratio outside these bounds.

    Examples:
        >>> import torch
        >>> from recon_monai.networks import SqueezeExcitation
        >>> layer = SqueezeExcitation(channels=16, ratio=1 / 8, spatial_dims=3)
        >>> features = torch.randn(2, 16, 4, 4, 4)
        >>> gates = layer.gates(features.mean(dim=(2, 3, 4)))
        >>> torch.allclose(layer(features), features * gates[..., None, None, None])
        True
    """

    def __init__(self, channels: int, ratio: float = 1 / 8, spatial_dims: int = 2) -> None:
        if not 0 < ratio <= 1:
            raise ValueError(f"the ratio of squeeze-and-excitation must be above 0 and at most 1, got {ratio}.")
        reduced = max(1, int(ratio * channels))
        super().__init__(spatial_dims, channels, r=channels / (reduced + 0.5))  # MONAI rounds reduced + 0.5 down

    def gates(self, means: torch.Tensor) -> torch.Tensor:
        """Compute what channels are multiplied by.

        Args:
            means: of each channel, shape ``(B, channels)``.

        Returns:
            Numbers between 0 and 1, same shape.
        """
        return self.fc(means)
