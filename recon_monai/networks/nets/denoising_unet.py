"""A denoiser of complex images, for plug-and-play reconstruction."""

from __future__ import annotations

import torch

from recon_monai.networks.architecture import RecordedModule
from recon_monai.networks.blocks.standardization import as_channels, as_complex, crop, pad, padding_to
from recon_monai.networks.blocks.unet import UNet
from recon_monai.networks.precision import full_precision

__all__ = ["DenoisingUNet"]


class DenoisingUNet(RecordedModule):
    """``D(x) = x - s N(x / s)``: a U-Net that finds the noise (residual learning of Zhang et al. 2017).

    arXiv:1608.03981, with `UNet` on real and imaginary part. The scale ``s`` is the root mean square of an image, both
    parts alike (`NormUNet` scales each for itself and adds the image's means, which noise does not have). So scaling
    the image scales the result. The network is blind: it is not told the noise level. Nothing bounds its Lipschitz
    constant, so that plug-and-play with it need not converge; see `recon_monai.solvers.plug_and_play`.

    Args:
        channels: width of the U-Net at full resolution.
        pools: number of poolings.
        normalization: name for `make_normalization`.
        negative_slope: slope of the leaky ReLU below zero.
        channels_last: memory format inside the U-Net.
    """

    def __init__(
        self,
        channels: int = 9,
        pools: int = 3,
        *,
        normalization: str = "instance",
        negative_slope: float = 0.2,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        self.architecture = {"finds": "noise"}
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

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Denoise images.

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
        noise = self.unet(padded)
        with full_precision(image):
            return image - as_complex(scale * crop(noise, padding).to(channels.dtype))
