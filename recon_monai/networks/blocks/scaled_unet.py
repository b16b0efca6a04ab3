"""A U-Net on a complex image that may answer with nothing: for noise, and for gradients."""

from __future__ import annotations

import torch
from torch import nn

from recon_monai.networks.architecture import RecordedModule
from recon_monai.networks.blocks.standardization import as_channels, as_complex, crop, pad, padding_to
from recon_monai.networks.blocks.unet import UNet
from recon_monai.networks.precision import full_precision

__all__ = ["ScaledUNet"]


class ScaledUNet(RecordedModule):
    """``s N(x / s)``: a U-Net on real and imaginary part, whose scale ``s`` is the root mean square of an image.

    So scaling the image scales the result. `NormUNet` brings each part to its own mean and deviation, and gives both
    back to what it makes: an image comes out even where the U-Net makes zeros. Here zeros stay zeros, as noise and
    gradients need it, and both parts keep their ratio.

    The statistics are computed in the precision of the image, also under autocast; the U-Net follows autocast.

    Args:
        channels: width of the U-Net at full resolution.
        pools: number of poolings.
        zero_start: weights of the last layer are 0 at first, so that an untrained network makes zeros.
        normalization: name for `make_normalization`.
        negative_slope: slope of the leaky ReLU below zero.
        channels_last: memory format inside the U-Net.
    """

    def __init__(
        self,
        channels: int = 9,
        pools: int = 4,
        *,
        zero_start: bool = False,
        normalization: str = "instance",
        negative_slope: float = 0.2,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        self.architecture = {"scale": "root mean square"}
        self.multiple = max(16, 2**pools)
        self.unet = UNet(
            2,
            2,
            channels,
            pools,
            normalization=normalization,
            negative_slope=negative_slope,
            channels_last=channels_last,
        )
        if zero_start:
            for parameter in self.unet.head.parameters():
                nn.init.zeros_(parameter)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Apply the network to images.

        Args:
            image: complex, shape ``(B, 1, H, W)``.

        Returns:
            Complex images of the same shape and dtype.

        Raises:
            ValueError: if images have another form.
        """
        if image.ndim != 4 or image.shape[1] != 1 or not image.is_complex():
            raise ValueError(
                f"expected complex images (B, 1, H, W), got {image.dtype} of shape {tuple(image.shape)}; make real "
                "ones complex with image.to(torch.complex64)."
            )
        with full_precision(image):
            channels = as_channels(image)
            power = channels.square().mean(dim=(-3, -2, -1), keepdim=True)
            empty = power == 0
            scale = torch.where(empty, torch.ones_like(power), power).sqrt().masked_fill(empty, 0)
            padding = padding_to(self.multiple, *image.shape[-2:])
            padded = pad(channels / scale.masked_fill(empty, 1), padding)
        made = self.unet(padded)
        with full_precision(image):
            return as_complex(scale * crop(made, padding).to(channels.dtype))
