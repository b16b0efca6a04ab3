"""The refinement network of DIRCN, on real features and on complex images.

Ottesen et al. 2023 (MAGMA, "A densely interconnected network for deep learning accelerated MRI"): a U-Net (Ronneberger
et al. 2015, arXiv:1505.04597) of residual blocks with grouped convolutions and squeeze-and-excitation, whose skip
connections may be joined by those of the network before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from recon_monai.networks.architecture import RecordedModule
from recon_monai.networks.blocks.residual import BottleneckBlock, ConvNormSiLU, ResidualBlock, UpsampleNormSiLU
from recon_monai.networks.blocks.standardization import (
    Statistics,
    as_channels,
    as_complex,
    crop,
    pad,
    padding_to,
    restore,
    standardize,
)
from recon_monai.networks.blocks.unet import PointwiseConv
from recon_monai.networks.precision import full_precision

__all__ = ["NormResXUNet", "ResXUNet"]

_WIDTHS = (1, 2, 4, 8)  # of the levels, in widths at full resolution
_GROUPS = (1, 2, 2, 4)  # of the levels, in groups at full resolution
_MULTIPLE = 2 ** len(_WIDTHS)


class ResXUNet(RecordedModule):
    """U-Net of residual blocks with grouped convolutions.

    Four levels of widths n, 2n, 4n, 8n with a `ResidualBlock` each, in g, 2g, 2g, 4g groups; below them two
    `BottleneckBlock` of 8n. Size is halved by 2x2 convolutions and doubled by transposed ones. Going up, features,
    skip connection and (where there is one) interconnection of a level are brought to its width by a 3x3 convolution
    before its residual block. At full resolution another `BottleneckBlock` follows; a 1x1 convolution ends the network.

    ``encoder[level]`` is the block of a level as of `UNet`, the last one (of index 4) the bottleneck.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        channels: width n at full resolution.
        groups: groups g at full resolution, a divisor of `channels`.
        se_ratio: as of `SqueezeExcitation`; 0: without it.
        interconnections: whether the network takes the features of another one.
        channels_last: memory format of weights and features. Results are the same up to rounding.

    Raises:
        ValueError: if `groups` does not divide `channels`, or for an impossible ratio.
    """

    def __init__(
        self,
        in_channels: int = 2,
        out_channels: int = 2,
        channels: int = 8,
        groups: int = 4,
        se_ratio: float = 1 / 8,
        *,
        interconnections: bool = False,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        if groups < 1 or channels % groups:
            raise ValueError(f"the width of a ResXUNet must be a multiple of its groups, got {channels} and {groups}.")
        self.architecture = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "channels": channels,
            "groups": groups,
            "se_ratio": se_ratio,
            "interconnections": interconnections,
        }
        self.interconnections = interconnections
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        widths = [width * channels for width in _WIDTHS]
        levels = list(zip(widths, [group * groups for group in _GROUPS], strict=True))
        bottom, parts = widths[-1], 3 if interconnections else 2
        self.stem = ConvNormSiLU(in_channels, channels)
        self.downsample = nn.ModuleList(
            ConvNormSiLU(before, after, kernel_size=2, stride=2)
            for before, after in zip(widths, [*widths[1:], bottom], strict=True)
        )
        self.encoder = nn.ModuleList(ResidualBlock(width, group, se_ratio) for width, group in levels)
        self.encoder.append(
            nn.Sequential(*(BottleneckBlock(bottom, bottom // 2, 4 * groups, se_ratio) for _ in range(2)))
        )
        self.upsample = nn.ModuleList(
            UpsampleNormSiLU(before, after)
            for before, after in zip([bottom, *widths[:0:-1]], widths[::-1], strict=True)
        )
        self.merge = nn.ModuleList(ConvNormSiLU(parts * width, width) for width in reversed(widths))
        self.decoder = nn.ModuleList(ResidualBlock(width, group, se_ratio) for width, group in reversed(levels))
        self.decoder[-1] = nn.Sequential(self.decoder[-1], BottleneckBlock(channels, channels, groups, se_ratio))
        self.head = PointwiseConv(channels, out_channels)
        self.to(memory_format=self.memory_format)  # type: ignore[call-overload]

    def forward(
        self, image: torch.Tensor, interconnections: Sequence[torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Apply the network.

        Args:
            image: real, shape ``(B, in_channels, H, W)``, H and W multiples of 16.
            interconnections: the features that another ResXUNet of the same width returned for an image of the same
                size, for a network that takes them. They stay as they are.

        Returns:
            Output ``(B, out_channels, H, W)``, and the features of the way up, from ``(B, 8n, H / 8, W / 8)`` to
            ``(B, n, H, W)``.

        Raises:
            ValueError: if H or W is no such multiple, or interconnections are missing or not taken.
        """
        if any(size % _MULTIPLE for size in image.shape[-2:]):
            raise ValueError(
                f"a ResXUNet needs height and width in multiples of {_MULTIPLE}, got {tuple(image.shape[-2:])}; pad "
                "the image (NormResXUNet does)."
            )
        if (interconnections is not None) != self.interconnections:
            raise ValueError(
                f"this ResXUNet was built with interconnections={self.interconnections}, but was called "
                f"{'without' if interconnections is None else 'with'} the features of another one."
            )
        *skips, current = self.encode(image)
        others = [()] * len(skips) if interconnections is None else [(features,) for features in interconnections]
        features = []
        for upsample, merge, block, skip, other in zip(
            self.upsample, self.merge, self.decoder, reversed(skips), others, strict=True
        ):
            current = block(merge(upsample(current), skip, *other))
            features.append(current)
        return self.head(current), features

    def encode(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Compute the features of each level, from full resolution to the bottleneck (H and W divided by 16)."""
        current = self.stem(image.contiguous(memory_format=self.memory_format))
        features = [self.encoder[0](current)]
        for downsample, block in zip(self.downsample, self.encoder[1:], strict=True):
            features.append(block(downsample(features[-1])))
        return features


class NormResXUNet(nn.Module):
    """ResXUNet on complex images, with real and imaginary parts as channels, independent of the images' scale.

    Each part of each image is brought to mean 0 and (unbiased) standard deviation 1, zero-padded to multiples of 16,
    refined together with the others, cropped, and given the mean and the standard deviation of the newest image. If a
    part of that one is constant, there is nothing to refine, and it comes back as it is.

    Statistics are computed in the precision of the images, also under autocast; the ResXUNet follows autocast.

    Args:
        channels: as of `ResXUNet`.
        groups: as of `ResXUNet`.
        se_ratio: as of `ResXUNet`.
        images: number of complex images that are refined into one.
        interconnections: as of `ResXUNet`.
        channels_last: as of `ResXUNet`.

    Raises:
        ValueError: as of `ResXUNet`.
    """

    def __init__(
        self,
        channels: int = 8,
        groups: int = 4,
        se_ratio: float = 1 / 8,
        *,
        images: int = 1,
        interconnections: bool = False,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        self.unet = ResXUNet(
            2 * images,
            2,
            channels,
            groups,
            se_ratio,
            interconnections=interconnections,
            channels_last=channels_last,
        )

    def forward(self, images: torch.Tensor, interconnections: Sequence[torch.Tensor] | None = None) -> torch.Tensor:
        """Refine complex images into one.

        Args:
            images: as for `refine`.
            interconnections: as for `refine`.

        Returns:
            Complex, shape ``(B, 1, H, W)``.
        """
        return self.refine(images, interconnections)[0]

    def refine(
        self,
        images: torch.Tensor,
        interconnections: Sequence[torch.Tensor] | None = None,
        *,
        newest: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Refine complex images into one, and return the features for the network after this one.

        Args:
            images: complex, shape ``(B, images, H, W)``, the newest first.
            interconnections: as of `ResXUNet.forward`.
            newest: complex image ``(B, 1, H, W)`` whose mean and standard deviation the result gets; None for the first
                of `images`.

        Returns:
            Complex image ``(B, 1, H, W)``, and the features as of `ResXUNet.forward`.
        """
        with full_precision(images):
            normalized, statistics = standardize(as_channels(images))
            if newest is not None:
                statistics = standardize(as_channels(newest))[1]
            mean, deviation = (values[:, :2] for values in statistics)
            padding = padding_to(_MULTIPLE, *images.shape[-2:])
            padded = pad(normalized, padding)
        refined, features = self.unet(padded, interconnections)
        with full_precision(images):
            cropped = crop(refined, padding).to(mean.dtype)
            return as_complex(restore(cropped, Statistics(mean, deviation))), features
