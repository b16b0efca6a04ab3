"""The U-Net of the end-to-end variational network, on real features and on complex images.

Architecture after Ronneberger et al. 2015 (arXiv:1505.04597) as modified by Zbontar et al. 2018 (arXiv:1811.08839,
section 5.2): instance normalization, leaky ReLU, average pooling, transposed convolutions, no dropout.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import nn

from recon_monai.networks.architecture import RecordedModule
from recon_monai.networks.blocks.aspin import ASPIN
from recon_monai.networks.blocks.fused import normalize_and_activate
from recon_monai.networks.blocks.normalization import make_normalization
from recon_monai.networks.blocks.standardization import (
    as_channels,
    as_complex,
    crop,
    pad,
    padding_to,
    restore,
    standardize,
)
from recon_monai.networks.precision import full_precision

__all__ = ["AspinPlacement", "ConvBlock", "NormUNet", "UNet", "UpsampleBlock"]

AspinPlacement = Literal["all", "bottleneck", "input"]


class ConvBlock(nn.Module):
    """Twice: 3x3 convolution without bias, normalization, leaky ReLU.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, and in between.
        normalization: name for `make_normalization`.
        num_anatomies: for the normalization ``"aspin"``.
        negative_slope: slope of the leaky ReLU below zero.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        normalization: str = "instance",
        num_anatomies: int = 0,
        negative_slope: float = 0.2,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.norm1 = make_normalization(normalization, out_channels, num_anatomies)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.norm2 = make_normalization(normalization, out_channels, num_anatomies)
        self.negative_slope = negative_slope

    def forward(
        self, features: torch.Tensor, skip: torch.Tensor | None = None, anatomy: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Map features to features.

        Args:
            features: shape ``(B, in_channels, H, W)``, or less channels with `skip`.
            skip: the remaining channels, shape ``(B, ..., H, W)``. The same as to concatenate them to `features`, with
                less memory and fewer copies.
            anatomy: as for `ASPIN.forward`, where it is used.

        Returns:
            Tensor of shape ``(B, out_channels, H, W)``.
        """
        features = self.conv1(features) if skip is None else self._convolve_both(features, skip)
        features = normalize_and_activate(self.norm1, features, self.negative_slope, anatomy)
        return normalize_and_activate(self.norm2, self.conv2(features), self.negative_slope, anatomy)

    def _convolve_both(self, features: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        weights = self.conv1.weight.split([int(features.shape[1]), int(skip.shape[1])], dim=1)
        result = F.conv2d(features, weights[0], padding=self.conv1.padding)
        return result.add_(F.conv2d(skip, weights[1], padding=self.conv1.padding))


class UpsampleBlock(nn.Module):
    """2x2 transposed convolution of stride 2 without bias, normalization, leaky ReLU.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        normalization: name for `make_normalization`.
        num_anatomies: for the normalization ``"aspin"``.
        negative_slope: slope of the leaky ReLU below zero.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        normalization: str = "instance",
        num_anatomies: int = 0,
        negative_slope: float = 0.2,
    ) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2, bias=False)
        self.norm = make_normalization(normalization, out_channels, num_anatomies)
        self.negative_slope = negative_slope

    def forward(self, features: torch.Tensor, anatomy: torch.Tensor | None = None) -> torch.Tensor:
        """Map ``(B, in_channels, H, W)``, and the anatomy where it is used, to ``(B, out_channels, 2 H, 2 W)``."""
        return normalize_and_activate(self.norm, self.conv(features), self.negative_slope, anatomy)


class PointwiseConv(nn.Conv2d):
    """1x1 convolution with bias.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``(B, in_channels, H, W)`` to ``(B, out_channels, H, W)``."""
        if features.device.type != "cpu" or not features.is_contiguous(memory_format=torch.channels_last):
            return super().forward(features)
        # With few channels PyTorch has no fast kernel for it on a CPU; a matrix product takes two thirds of the time.
        return F.linear(features.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class UNet(RecordedModule):
    """U-Net whose width doubles with each of its `pools` levels.

    ``decode(encode(image))`` is the whole network. ``encoder[level]`` is the block of a level (0 at full resolution,
    `pools` at the bottleneck): what it returns is ``encode(image)[level]``, and a forward hook on it reads the
    features of a network in use.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        channels: width at full resolution.
        pools: number of poolings.
        normalization: name for `make_normalization`, of all layers that are not anatomy-specific.
        num_anatomies: number of anatomies with parameters of their own; 0: a network without such.
        aspin_placement: which layers are `ASPIN` if there are anatomies: ``"all"``, ``"bottleneck"`` (the last one of
            the bottleneck) or ``"none"``.
        negative_slope: slope of the leaky ReLU below zero.
        channels_last: memory format of weights and features. Results are the same up to rounding.

    Raises:
        ValueError: for an unknown normalization or placement.
    """

    def __init__(
        self,
        in_channels: int = 2,
        out_channels: int = 2,
        channels: int = 9,
        pools: int = 4,
        *,
        normalization: str = "instance",
        num_anatomies: int = 0,
        aspin_placement: str = "all",
        negative_slope: float = 0.2,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        if aspin_placement not in ("all", "bottleneck", "none"):
            raise ValueError(f"unknown placement of ASPIN {aspin_placement!r}; use 'all', 'bottleneck' or 'none'.")
        self.architecture = {
            "in_channels": in_channels,
            "out_channels": out_channels,
            "channels": channels,
            "pools": pools,
            "normalization": normalization,
            "negative_slope": negative_slope,
        }
        self.pools = pools
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        general = "aspin" if num_anatomies > 0 and aspin_placement == "all" else normalization
        conv_block = partial(
            ConvBlock,
            normalization=general,
            num_anatomies=num_anatomies,
            negative_slope=negative_slope,
        )
        upsample_block = partial(
            UpsampleBlock,
            normalization=general,
            num_anatomies=num_anatomies,
            negative_slope=negative_slope,
        )
        widths = [channels * 2**level for level in range(pools + 1)]
        ascent = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.encoder = nn.ModuleList(
            conv_block(before, after) for before, after in zip([in_channels, *widths], widths, strict=False)
        )
        if num_anatomies > 0 and aspin_placement == "bottleneck":
            self.encoder[-1].norm2 = make_normalization("aspin", widths[-1], num_anatomies)
        self.upsample = nn.ModuleList(upsample_block(below, width) for below, width in ascent)
        self.decoder = nn.ModuleList(conv_block(2 * width, width) for _, width in ascent)
        self.head = PointwiseConv(channels, out_channels)
        self.to(memory_format=self.memory_format)  # type: ignore[call-overload]

    def forward(self, image: torch.Tensor, anatomy: torch.Tensor | None = None) -> torch.Tensor:
        """Apply the network.

        Args:
            image: real, shape ``(B, in_channels, H, W)``, H and W multiples of ``2**pools``.
            anatomy: as for `ASPIN.forward`; needed by a network with anatomy-specific layers.

        Returns:
            Real, shape ``(B, out_channels, H, W)``.

        Raises:
            ValueError: if H or W is no such multiple, or the anatomy is needed and missing.
        """
        return self.decode(self.encode(image, anatomy), anatomy)

    def encode(self, image: torch.Tensor, anatomy: torch.Tensor | None = None) -> list[torch.Tensor]:
        """Compute the features of each level.

        Args:
            image: as for `forward`.
            anatomy: as for `forward`.

        Returns:
            ``pools + 1`` tensors, of level ``l`` with shape ``(B, channels * 2**l, H / 2**l, W / 2**l)``; the last is
            the bottleneck.

        Raises:
            ValueError: if H or W is not a multiple of ``2**pools``.
        """
        if any(size % 2**self.pools for size in image.shape[-2:]):
            raise ValueError(
                f"a U-Net of {self.pools} poolings needs height and width in multiples of {2**self.pools}, got "
                f"{tuple(image.shape[-2:])}; pad the image (NormUNet does)."
            )
        features: list[torch.Tensor] = []
        current = image.contiguous(memory_format=self.memory_format)
        for block in self.encoder:
            features.append(block(F.avg_pool2d(current, 2) if features else current, anatomy=anatomy))
            current = features[-1]
        return features

    def decode(self, features: list[torch.Tensor], anatomy: torch.Tensor | None = None) -> torch.Tensor:
        """Compute the output from the features that `encode` returned."""
        *skips, current = features
        for upsample, block, skip in zip(self.upsample, self.decoder, reversed(skips), strict=True):
            current = block(upsample(current, anatomy), skip, anatomy)
        return self.head(current)


class NormUNet(nn.Module):
    """U-Net on a complex image, with real and imaginary part as channels, independent of the image's scale.

    Each part is brought to mean 0 and (unbiased) standard deviation 1, zero-padded to multiples of
    ``max(16, 2**pools)``, refined, cropped, and brought back to its mean and standard deviation (Sriram et al. 2020,
    arXiv:2004.06688, section 3). A constant part has nothing to refine and comes back as it is.

    Statistics are computed in the precision of the image, also under autocast; the U-Net follows autocast.

    Args:
        channels: width of the U-Net at full resolution.
        pools: number of poolings.
        normalization: name for `make_normalization`, inside the U-Net.
        num_anatomies: number of anatomies with parameters of their own; 0: a network without such.
        aspin_placement: where `ASPIN` acts if there are anatomies: on ``"all"`` instance normalizations of the U-Net,
            at the ``"bottleneck"``, or on the ``"input"`` of the U-Net, where convolution and normalization that follow
            leave little of it.
        negative_slope: slope of the leaky ReLU below zero.
        channels_last: memory format inside the U-Net.

    Raises:
        ValueError: for an unknown normalization or placement.
    """

    def __init__(
        self,
        channels: int = 9,
        pools: int = 4,
        *,
        normalization: str = "instance",
        num_anatomies: int = 0,
        aspin_placement: AspinPlacement = "all",
        negative_slope: float = 0.2,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        if aspin_placement not in get_args(AspinPlacement):
            raise ValueError(f"unknown aspin_placement {aspin_placement!r}; use one of {get_args(AspinPlacement)}.")
        on_input = num_anatomies > 0 and aspin_placement == "input"
        self.aspin = ASPIN(num_anatomies, 2) if on_input else None
        self.unet = UNet(
            2,
            2,
            channels,
            pools,
            normalization=normalization,
            num_anatomies=num_anatomies,
            aspin_placement="none" if on_input else aspin_placement,
            negative_slope=negative_slope,
            channels_last=channels_last,
        )
        self.multiple = max(16, 2**pools)

    def forward(self, image: torch.Tensor, anatomy: torch.Tensor | None = None) -> torch.Tensor:
        """Refine a complex image.

        Args:
            image: complex, shape ``(B, 1, H, W)``.
            anatomy: as for `ASPIN.forward`; needed by a network with anatomy-specific layers.

        Returns:
            Complex, of the same shape and dtype.
        """
        with full_precision(image):
            channels = as_channels(image)
            normalized, statistics = standardize(channels)
            padding = padding_to(self.multiple, *image.shape[-2:])
            if self.aspin is not None:
                normalized = self.aspin(normalized, anatomy)
            padded = pad(normalized, padding)
        refined = self.unet(padded, anatomy)
        with full_precision(image):
            return as_complex(restore(crop(refined, padding).to(channels.dtype), statistics))
