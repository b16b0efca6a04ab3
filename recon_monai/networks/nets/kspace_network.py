"""A network that fills k-space in (Han et al. 2020, IEEE Trans Med Imaging, arXiv:1805.03779).

Theirs takes the coils as channels, and so one number of coils. Here coils are combined by their maps, as in `VarNet`,
and what the network sees is the k-space of the combined image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from recon_monai.networks.blocks.sensitivity import SensitivityNetwork
from recon_monai.networks.blocks.unet import NormUNet
from recon_monai.networks.inputs import as_complex_kspace, as_sampling_mask
from recon_monai.networks.nets.reconstruction import Reconstruction, ReconstructionNetwork
from recon_monai.networks.precision import full_precision
from recon_monai.physics import expand, fft2c, ifft2c, reduce, rss

__all__ = ["KspaceNetwork"]


class KspaceNetwork(ReconstructionNetwork):
    """``k <- k0 + (1 - M) F S F^-1 (z + R(z))`` with ``z = F S^H F^-1 k``, a fixed number of times.

    The refinement network ``R`` sees k-space ``z`` of the image that the coil maps ``S`` combine, and what it adds
    fills the samples outside the mask; measured ones ``k0`` are kept exactly. With all of them measured, the result is
    the RSS image whatever the weights.

    K-space falls by orders of magnitude from its center. So the network sees it times ``(1 + |k|^2)^(weighting / 2)``,
    with ``|k|`` in cycles per field of view, and its output is divided by that (Han et al. 2020, section III-C, weight
    it for the same reason).

    Physics stays in the precision of the input under autocast. Scaling the input scales the output.

    Args:
        repeats: number of repeats; each has weights of its own.
        channels: width of the U-Net ``R`` at full resolution.
        sensitivity_channels: width of the U-Net for the coil maps.
        pools: number of poolings in these U-Nets.
        weighting: exponent, at least 0; 0 leaves k-space as it is.
        refinement: makes ``R``, in place of ``NormUNet(channels, pools)``; maps complex ``(B, 1, H, W)`` to the same.
        sensitivity_network: network for the coil maps, in place of ``SensitivityNetwork(sensitivity_channels,
            pools)``; called as ``network(kspace, mask)``. It must not use samples outside the mask.

    Raises:
        ValueError: for no repeat, or a weighting out of range.
    """

    def __init__(
        self,
        repeats: int = 2,
        channels: int = 9,
        sensitivity_channels: int = 4,
        pools: int = 4,
        *,
        weighting: float = 1.0,
        refinement: Callable[[], nn.Module] | None = None,
        sensitivity_network: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if repeats < 1:
            raise ValueError(f"repeats must be at least 1, got {repeats}.")
        if not (math.isfinite(weighting) and weighting >= 0):
            raise ValueError(f"weighting must be a finite number of at least 0, got {weighting}.")
        self.architecture = {"repeats": repeats, "weighting": float(weighting)}
        self.weighting = float(weighting)
        make_refinement = refinement or partial(NormUNet, channels, pools)
        self.sensitivity_network = sensitivity_network or SensitivityNetwork(sensitivity_channels, pools)
        self.refinements = nn.ModuleList(make_refinement() for _ in range(repeats))

    def reconstruct(self, kspace: torch.Tensor, mask: torch.Tensor | None = None) -> Reconstruction:
        """See `ReconstructionNetwork.reconstruct`."""
        kspace = as_complex_kspace(kspace)
        mask = as_sampling_mask(mask, kspace)
        maps = self.sensitivity_network(kspace, mask)
        with full_precision(kspace):
            coil_images = ifft2c(torch.where(mask, kspace, torch.zeros_like(kspace)))
            weight = self._weight(kspace)
        for refinement in self.refinements:
            with full_precision(kspace):
                combined = fft2c(reduce(coil_images, maps))
            added = refinement(combined * weight)
            with full_precision(kspace):
                filled = fft2c(expand(ifft2c(combined + added / weight), maps))
                coil_images = ifft2c(torch.where(mask, kspace, filled))
        with full_precision(kspace):
            return Reconstruction(rss(coil_images), coil_images, maps)

    def _weight(self, kspace: torch.Tensor) -> torch.Tensor:
        rows, columns = (
            (torch.arange(size, device=kspace.device) - size // 2).square().to(kspace.real.dtype)
            for size in kspace.shape[-2:]
        )
        return (1 + rows[:, None] + columns) ** (self.weighting / 2)
