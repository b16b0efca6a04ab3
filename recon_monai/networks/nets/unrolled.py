"""Gradient descent with a learned regularizer, unrolled (Hammernik et al. 2018; Aggarwal et al. 2019).

"Learning a Variational Network for Reconstruction of Accelerated MRI Data", Magn Reson Med, arXiv:1704.00447: the
gradient of the regularizer is learned. "MoDL", IEEE Trans Med Imaging, arXiv:1712.02862: all repeats share it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from recon_monai.networks.blocks.data_consistency import combine_measured, combine_sampled
from recon_monai.networks.blocks.scaled_unet import ScaledUNet
from recon_monai.networks.blocks.sensitivity import SensitivityNetwork
from recon_monai.networks.inputs import as_complex_kspace, as_sampling_mask
from recon_monai.networks.nets.reconstruction import Reconstruction, ReconstructionNetwork
from recon_monai.networks.precision import full_precision
from recon_monai.physics import decenter_mask, rss

__all__ = ["UnrolledGradientDescent"]


class UnrolledGradientDescent(ReconstructionNetwork):
    """``x <- x - eta A^H (A x - y) - R(x)``, a fixed number of times from ``A^H y``, with ``A = M F S``.

    The network ``R`` stands for the gradient of a regularizer, times its weight and the step; each repeat has a step
    ``eta`` of its own towards the data. Unlike in `VarNet` the estimate is one image, combined by the coil maps, so
    data are kept as far as steps and maps allow, and the result is the magnitude of that image.

    ``R`` begins as 0, so that an untrained network is gradient descent towards the data, with the maps it is given:
    those of an untrained `SensitivityNetwork` are no maps yet. Where trainings are short, give maps that need none, as
    `recon_monai.solvers.MapEstimator` makes them.

    K-space, coil maps and data consistency stay in the precision of the input under autocast. Scaling the input scales
    the output, where it scales that of ``R``.

    Args:
        repeats: number of repeats.
        channels: width of the U-Net ``R`` at full resolution.
        sensitivity_channels: width of the U-Net for the coil maps.
        pools: number of poolings in these U-Nets.
        shared: all repeats have the same ``R``; else each has its own.
        regularizer: makes ``R``, in place of ``ScaledUNet(channels, pools, zero_start=True)``; maps complex
            ``(B, 1, H, W)`` to the same.
        sensitivity_network: network for the coil maps, in place of ``SensitivityNetwork(sensitivity_channels,
            pools)``; called as ``network(kspace, mask)``. It must not use samples outside the mask.

    Raises:
        ValueError: for no repeat.
    """

    def __init__(
        self,
        repeats: int = 5,
        channels: int = 9,
        sensitivity_channels: int = 4,
        pools: int = 4,
        *,
        shared: bool = True,
        regularizer: Callable[[], nn.Module] | None = None,
        sensitivity_network: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if repeats < 1:
            raise ValueError(f"repeats must be at least 1, got {repeats}.")
        self.architecture = {"repeats": repeats, "shared": shared}
        make_regularizer = regularizer or partial(ScaledUNet, channels, pools, zero_start=True)
        self.sensitivity_network = sensitivity_network or SensitivityNetwork(sensitivity_channels, pools)
        self.regularizers = nn.ModuleList(make_regularizer() for _ in range(1 if shared else repeats))
        self.steps = nn.Parameter(torch.ones(repeats))

    def reconstruct(self, kspace: torch.Tensor, mask: torch.Tensor | None = None) -> Reconstruction:
        """See `ReconstructionNetwork.reconstruct`; coil images are the image times the maps."""
        kspace = as_complex_kspace(kspace)
        mask = as_sampling_mask(mask, kspace)
        maps = self.sensitivity_network(kspace, mask)
        with full_precision(kspace):
            measured, energy = combine_measured(kspace, mask, maps)
            sampled = decenter_mask(mask).to(energy.dtype)
        image = measured
        for repeat, step in enumerate(self.steps):
            slope = self.regularizers[repeat % len(self.regularizers)](image)
            with full_precision(kspace):
                image = image - step * (combine_sampled(image, maps, sampled) - measured) - slope
        with full_precision(kspace):
            return Reconstruction(rss(image), image * maps, maps)
