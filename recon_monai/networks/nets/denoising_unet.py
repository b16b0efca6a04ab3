"""A denoiser of complex images, for plug-and-play reconstruction."""

from __future__ import annotations

import torch

from recon_monai.networks.blocks.scaled_unet import ScaledUNet

__all__ = ["DenoisingUNet"]


class DenoisingUNet(ScaledUNet):
    """``D(x) = x - s N(x / s)``: a U-Net that finds the noise (residual learning of Zhang et al. 2017).

    arXiv:1608.03981, with `ScaledUNet`. The network is blind: it is not told the noise level. Nothing bounds its
    Lipschitz constant, so that plug-and-play with it need not converge; see `recon_monai.solvers.plug_and_play`.

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
        super().__init__(
            channels,
            pools,
            normalization=normalization,
            negative_slope=negative_slope,
            channels_last=channels_last,
        )
        self.architecture = {"finds": "noise"}

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Denoise images.

        Args:
            image: complex, shape ``(B, 1, H, W)``.

        Returns:
            Complex images of the same shape and dtype.

        Raises:
            ValueError: if images have another form.
        """
        return image - super().forward(image)
