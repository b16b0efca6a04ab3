"""The end-to-end variational network (Sriram et al. 2020, MICCAI, arXiv:2004.06688).

What the cascades change is kept as two images instead of the k-space of all coils, which is exact; see `VarNetCascade`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from recon_monai.networks.blocks.data_consistency import combine_measured, combine_sampled, correct_measured
from recon_monai.networks.blocks.sensitivity import SensitivityNetwork
from recon_monai.networks.blocks.unet import NormUNet
from recon_monai.networks.inputs import as_complex_kspace, as_sampling_mask
from recon_monai.networks.nets.reconstruction import Reconstruction, ReconstructionNetwork
from recon_monai.networks.precision import full_precision
from recon_monai.physics import decenter_mask, rss

__all__ = ["Checkpointing", "VarNet", "VarNetCascade"]

Checkpointing = Literal["none", "sensitivity", "all"]


class Acquisition(NamedTuple):
    """What was measured, in the form that the cascades use it in.

    Attributes:
        image: measured coil images combined by the maps, complex, shape ``(B, 1, H, W)``.
        energy: sum of squared magnitudes of the maps (1, and 0 where there is no signal), real, same shape.
        maps: complex coil sensitivity maps, shape ``(B, coil, H, W)``.
        sampled: de-centered mask as real numbers, shape ``(B, 1, 1, W)`` or ``(B, 1, H, W)``.
    """

    image: torch.Tensor
    energy: torch.Tensor
    maps: torch.Tensor
    sampled: torch.Tensor


class VarNetCascade(nn.Module):
    """One iteration: a step towards the measured data, and a step by a refinement network.

    ``k <- k - eta M (k - k0) - F S R(S^H F^-1 k)`` with measured k-space ``k0``, mask ``M``, Fourier transform ``F``,
    coil maps ``S``, refinement network ``R`` and the learned weight ``eta`` (Sriram et al. 2020, equation 7).

    From ``k0`` on, iterations take ``F S p`` away where nothing was measured and ``F S q`` where something was, with
    ``p <- p + r`` and ``q <- (1 - eta) q + r`` for the refinement ``r``. These two images stand for the k-space of all
    coils.

    Args:
        refinement: network from a complex image ``(B, 1, H, W)``, and the anatomy where one is given, to another.
    """

    def __init__(self, refinement: nn.Module) -> None:
        super().__init__()
        self.refinement = refinement
        self.data_consistency_weight = nn.Parameter(torch.ones(1))

    def forward(
        self, change: torch.Tensor | None, acquisition: Acquisition, anatomy: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Improve the estimate.

        Args:
            change: complex images ``p`` and ``q``, shape ``(B, 2, H, W)``; None for zeros, before the first iteration.
            acquisition: what was measured.
            anatomy: weights ``(B, anatomies)`` of the anatomies, for a refinement network that goes by them.

        Returns:
            The next ``p`` and ``q``, complex, shape ``(B, 2, H, W)``.
        """
        image, energy, maps, sampled = acquisition
        with full_precision(image):
            if change is None:
                change = torch.zeros_like(image).repeat(1, 2, 1, 1)
            else:
                missing, measured = change.split(1, dim=1)
                image = image - energy * missing - combine_sampled(measured - missing, maps, sampled)
        refined = self.refinement(image) if anatomy is None else self.refinement(image, anatomy)
        with full_precision(image):
            kept = 1 - self.data_consistency_weight
            return torch.cat([change[:, :1] + refined, torch.addcmul(refined, change[:, 1:], kept)], dim=1)


class VarNet(ReconstructionNetwork):
    """End-to-end variational network: coil maps from the calibration lines, then cascades on multi-coil k-space.

    ``VarNet(12, 18, 8)`` is the network of the paper (29.9 million parameters), the default a sixth of it.

    K-space, coil maps and data consistency stay in the precision of the input under autocast, which acts on the
    U-Nets alone. Scaling the input scales the output. Empty slices and empty coils give zeros.

    Args:
        num_cascades: number of cascades; each has weights of its own.
        channels: width of the U-Net of a cascade at full resolution.
        sensitivity_channels: width of the U-Net for the coil maps.
        pools: number of poolings in these U-Nets.
        refinement: makes the refinement network of a cascade, in place of ``NormUNet(channels, pools)``; called once
            per cascade. Maps complex ``(B, 1, H, W)`` to the same.
        sensitivity_network: network for the coil maps, in place of ``SensitivityNetwork(sensitivity_channels,
            pools)``; called as ``network(kspace, mask, checkpointing=...)``. It must not use samples outside the mask.
        checkpointing: what is computed again in the backward pass instead of kept: ``"none"``, the coil maps
            (``"sensitivity"``: with many coils the largest single part of the memory, for little time), or these and
            every cascade (``"all"``: the least memory, for one more forward pass). Gradients are the same.

    Raises:
        ValueError: for no cascade, or an unknown `checkpointing`.

    Examples:
        >>> import torch
        >>> from recon_monai.networks import VarNet
        >>> kspace = torch.randn(1, 4, 48, 40, dtype=torch.complex64)  # batch, coil, H, W
        >>> mask = torch.arange(40) % 4 == 0
        >>> mask[16:24] = True  # calibration lines
        >>> network = VarNet(num_cascades=2, channels=4, sensitivity_channels=2, pools=2)
        >>> result = network.reconstruct(kspace * mask, mask)
        >>> result.image.shape, result.coil_images.shape, result.sensitivity_maps.shape
        (torch.Size([1, 1, 48, 40]), torch.Size([1, 4, 48, 40]), torch.Size([1, 4, 48, 40]))
    """

    def __init__(
        self,
        num_cascades: int = 8,
        channels: int = 9,
        sensitivity_channels: int = 4,
        pools: int = 4,
        *,
        refinement: Callable[[], nn.Module] | None = None,
        sensitivity_network: nn.Module | None = None,
        checkpointing: Checkpointing = "none",
    ) -> None:
        super().__init__()
        if num_cascades < 1:
            raise ValueError(f"num_cascades must be at least 1, got {num_cascades}.")
        if checkpointing not in get_args(Checkpointing):
            raise ValueError(f"unknown checkpointing {checkpointing!r}; use one of {get_args(Checkpointing)}.")
        self.architecture = {"num_cascades": num_cascades}
        self.checkpointing = checkpointing
        make_refinement = refinement or partial(NormUNet, channels, pools)
        self.sensitivity_network = sensitivity_network or SensitivityNetwork(sensitivity_channels, pools)
        self.cascades = nn.ModuleList(VarNetCascade(make_refinement()) for _ in range(num_cascades))

    def reconstruct(self, kspace: torch.Tensor, mask: torch.Tensor | None = None) -> Reconstruction:
        """See `ReconstructionNetwork.reconstruct`."""
        kspace = as_complex_kspace(kspace)
        return self._iterate(kspace, as_sampling_mask(mask, kspace))

    def _iterate(self, kspace: torch.Tensor, mask: torch.Tensor, anatomy: torch.Tensor | None = None) -> Reconstruction:
        """Maps, cascades and coil images from checked input."""
        maps = self.sensitivity_network(kspace, mask, checkpointing=self.checkpointing != "none")
        with full_precision(kspace):
            image, energy = combine_measured(kspace, mask, maps)
            acquisition = Acquisition(image, energy, maps, decenter_mask(mask).to(energy.dtype))
        change: Any = None
        for cascade in self.cascades:
            if self.checkpointing == "all":
                change = checkpoint(cascade, change, acquisition, anatomy, use_reentrant=False)
            else:
                change = cascade(change, acquisition, anatomy)
        with full_precision(kspace):
            missing, measured = change.split(1, dim=1)
            coil_images = correct_measured(kspace, mask, missing, measured - missing, maps, acquisition.sampled)
            return Reconstruction(rss(coil_images), coil_images, maps)
