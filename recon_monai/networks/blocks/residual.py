"""Residual blocks with grouped convolutions and squeeze-and-excitation.

After He et al. 2016 (CVPR, arXiv:1512.03385), with the grouped convolutions of ResNeXt (Xie et al. 2017, CVPR,
arXiv:1611.05431), as Ottesen et al. 2023 (MAGMA, "A densely interconnected network for deep learning accelerated MRI")
put them together.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from recon_monai.networks.blocks.fused_silu import normalize_add_silu
from recon_monai.networks.blocks.normalization import AffineInstanceNorm
from recon_monai.networks.blocks.squeeze_excitation import SqueezeExcitation
from recon_monai.networks.precision import full_precision

__all__ = ["BottleneckBlock", "ConvNormSiLU", "ResidualBlock", "UpsampleNormSiLU"]


class ConvNormSiLU(nn.Module):
    """Convolution without bias, instance normalization with scale and shift, SiLU.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: of the convolution, odd with a stride of 1; zeros are padded so that the size stays.
        stride: of the convolution; 2 with a kernel of 2 halves the size.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> None:
        super().__init__()
        padding = (kernel_size - 1) // 2
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        self.norm = AffineInstanceNorm(out_channels)

    def forward(self, *features: torch.Tensor) -> torch.Tensor:
        """Map features to features.

        Args:
            *features: tensors ``(B, ..., H, W)`` with `in_channels` channels together. The same as to concatenate
                them, with less memory and fewer copies.

        Returns:
            Tensor of shape ``(B, out_channels, H, W)``, or half of H and W.
        """
        if len(features) == 1:
            convolved = self.conv(features[0])
        else:
            first, *others = self.conv.weight.split([int(part.shape[1]) for part in features], dim=1)
            convolved = F.conv2d(features[0], first, None, self.conv.stride, self.conv.padding)
            for part, weight in zip(features[1:], others, strict=True):
                convolved.add_(F.conv2d(part, weight, None, self.conv.stride, self.conv.padding))
        return normalize_add_silu(convolved, self.norm.weight, self.norm.bias, self.norm.eps)


class UpsampleNormSiLU(nn.Module):
    """2x2 transposed convolution of stride 2 without bias, instance normalization with scale and shift, SiLU.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2, bias=False)
        self.norm = AffineInstanceNorm(out_channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, out_channels, 2 H, 2 W)``."""
        return normalize_add_silu(self.conv(features), self.norm.weight, self.norm.bias, self.norm.eps)


class _Residual(nn.Module):
    """What both blocks end with: normalization, squeeze-and-excitation, sum with the block's input, SiLU.

    A channel that comes out of instance normalization has its shift as mean. So the shifts alone are what is squeezed
    here, and the gates are the same for every image: they are multiplied into the scale and the shift, which gives the
    same result without another pass over the features.
    """

    se: SqueezeExcitation | None

    def _finish(self, features: torch.Tensor, norm: AffineInstanceNorm, identity: torch.Tensor) -> torch.Tensor:
        if self.se is None:
            return normalize_add_silu(features, norm.weight, norm.bias, norm.eps, identity)
        with full_precision(features):
            gates = self.se.gates(norm.bias[None])[0]
            gamma, beta = norm.weight * gates, norm.bias * gates
        return normalize_add_silu(features, gamma, beta, norm.eps, identity)


class ResidualBlock(_Residual):
    """Two 3x3 convolutions, the second of them grouped, beside the identity.

    3x3 convolution, normalization, SiLU, grouped 3x3 convolution, normalization, squeeze-and-excitation; the input is
    added; SiLU. Normalization is by instance with scale and shift; convolutions have no bias.

    Args:
        channels: channels of input and output.
        groups: groups of the second convolution.
        se_ratio: as of `SqueezeExcitation`; 0: without it.
    """

    def __init__(self, channels: int, groups: int = 1, se_ratio: float = 1 / 8) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.norm1 = AffineInstanceNorm(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, groups=groups, bias=False)
        self.norm2 = AffineInstanceNorm(channels)
        self.se = SqueezeExcitation(channels, se_ratio) if se_ratio else None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``(B, channels, H, W)`` to the same shape; the input stays as it is."""
        inner = normalize_add_silu(self.conv1(features), self.norm1.weight, self.norm1.bias, self.norm1.eps)
        return self._finish(self.conv2(inner), self.norm2, features)


class BottleneckBlock(_Residual):
    """A grouped 3x3 convolution between two 1x1 convolutions, beside the identity.

    1x1 convolution, normalization, SiLU, grouped 3x3 convolution, normalization, SiLU, 1x1 convolution, normalization,
    squeeze-and-excitation; the input is added; SiLU. Else as `ResidualBlock`.

    Args:
        channels: channels of input and output.
        inner_channels: channels of the convolution in between.
        groups: its groups.
        se_ratio: as of `SqueezeExcitation`; 0: without it.
    """

    def __init__(self, channels: int, inner_channels: int, groups: int = 1, se_ratio: float = 1 / 8) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, inner_channels, kernel_size=1, bias=False)
        self.norm1 = AffineInstanceNorm(inner_channels)
        self.conv2 = nn.Conv2d(inner_channels, inner_channels, kernel_size=3, padding=1, groups=groups, bias=False)
        self.norm2 = AffineInstanceNorm(inner_channels)
        self.conv3 = nn.Conv2d(inner_channels, channels, kernel_size=1, bias=False)
        self.norm3 = AffineInstanceNorm(channels)
        self.se = SqueezeExcitation(channels, se_ratio) if se_ratio else None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``(B, channels, H, W)`` to the same shape; the input stays as it is."""
        inner = normalize_add_silu(self.conv1(features), self.norm1.weight, self.norm1.bias, self.norm1.eps)
        inner = normalize_add_silu(self.conv2(inner), self.norm2.weight, self.norm2.bias, self.norm2.eps)
        return self._finish(self.conv3(inner), self.norm3, features)
