"""The end-to-end variational network (Sriram et al. 2020, MICCAI, arXiv:2004.06688).

All cascades work on k-space that was de-centered once, so that plain Fourier transforms do without shifts. And where
the mask consists of whole columns, as in 1-D undersampling, data consistency commutes with the Fourier transform
along the columns: the cascades then need the transform along the rows only, and the other one is done once, too.
Both are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple, get_args

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from recon_monai.networks.architecture import RecordedModule
from recon_monai.networks.blocks.sensitivity import SensitivityNetwork
from recon_monai.networks.blocks.unet import NormUNet
from recon_monai.networks.inputs import as_complex_kspace, as_sampling_mask
from recon_monai.networks.precision import full_precision
from recon_monai.physics import decenter, decenter_mask, expand, reduce, rss

__all__ = ["Checkpointing", "Reconstruction", "VarNet", "VarNetCascade"]

Checkpointing = Literal["none", "sensitivity", "all"]


class Reconstruction(NamedTuple):
    """What a reconstruction network computes.

    Attributes:
        image: magnitude image, real, shape ``(B, 1, H, W)``.
        coil_images: complex images of the coils, shape ``(B, coil, H, W)``; `image` is their root sum of squares.
        sensitivity_maps: complex coil sensitivity maps, shape ``(B, coil, H, W)``.
    """

    image: torch.Tensor
    coil_images: torch.Tensor
    sensitivity_maps: torch.Tensor


class VarNetCascade(nn.Module):
    """One iteration: a step towards the measured data, and a step by a refinement network.

    ``k <- k - eta M (k - k0) - F S R(S^H F^-1 k)`` with measured k-space ``k0``, mask ``M``, Fourier transform ``F``,
    coil maps ``S``, refinement network ``R`` and the learned weight ``eta`` (Sriram et al. 2020, equation 7).

    Args:
        refinement: network from a complex image ``(B, 1, H, W)`` to another.
    """

    def __init__(self, refinement: nn.Module) -> None:
        super().__init__()
        self.refinement = refinement
        self.data_consistency_weight = nn.Parameter(torch.ones(1))

    def forward(
        self, kspace: torch.Tensor, measured: torch.Tensor, sampled: torch.Tensor, maps: torch.Tensor
    ) -> torch.Tensor:
        """Improve k-space.

        K-space here is de-centered, and transformed along the dimensions that the mask varies along only: both for a
        2-D mask, W for a mask of columns.

        Args:
            kspace: complex current estimate, shape ``(B, coil, H, W)``.
            measured: complex measured k-space, zero where not sampled, same shape.
            sampled: de-centered mask as real numbers, shape ``(B, 1, 1, W)`` or ``(B, 1, H, W)``.
            maps: complex coil sensitivity maps, shape ``(B, coil, H, W)``.

        Returns:
            Complex next estimate, shape ``(B, coil, H, W)``.
        """
        dims = _encoded_dims(sampled)
        with full_precision(kspace):
            image = reduce(torch.fft.ifftn(kspace, dim=dims, norm="ortho"), maps)
        refined = self.refinement(image)
        with full_precision(kspace):
            # k - w (k - k0) is an interpolation by w; its real form is one pass over memory.
            weight = (self.data_consistency_weight * sampled)[..., None]
            consistent = torch.lerp(torch.view_as_real(kspace), torch.view_as_real(measured), weight)
            correction = torch.fft.fftn(expand(refined, maps), dim=dims, norm="ortho")
            return torch.view_as_complex(consistent) - correction


class VarNet(RecordedModule):
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
            pools)``; called as ``network(kspace, mask, checkpointing=...)``.
        checkpointing: what is computed again in the backward pass instead of kept: ``"none"``, the coil maps
            (``"sensitivity"``: with many coils the largest single part of the memory, for little time), or these and
            every cascade (``"all"``: the least memory, for one more forward pass). Gradients are the same.

    Raises:
        ValueError: for no cascade, or an unknown `checkpointing`.
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

    def forward(self, kspace: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Reconstruct magnitude images.

        Args:
            kspace: as for `reconstruct`.
            mask: as for `reconstruct`.

        Returns:
            Real, shape ``(B, 1, H, W)``.
        """
        return self.reconstruct(kspace, mask).image

    def reconstruct(self, kspace: torch.Tensor, mask: torch.Tensor | None = None) -> Reconstruction:
        """Reconstruct magnitude images, and return the coil images and maps with them.

        Args:
            kspace: centered k-space, complex ``(B, coil, H, W)`` or real ``(B, coil, H, W, 2)``; samples outside the
                mask are not used.
            mask: sampling mask of any dtype, shape ``(W,)``, ``(1, 1, W)``, ``(B, 1, 1, W)`` or ``(B, 1, H, W)``;
                None infers it from the zeros of k-space.

        Returns:
            The reconstruction, in the scale of the input.

        Raises:
            CalibrationError: if the center of k-space was not sampled.
            ValueError: if shapes do not fit.
        """
        kspace = as_complex_kspace(kspace)
        mask = as_sampling_mask(mask, kspace)
        kspace = torch.where(mask, kspace, torch.zeros_like(kspace))
        maps = self.sensitivity_network(kspace, mask, checkpointing=self.checkpointing != "none")
        sampled = decenter_mask(mask).to(kspace.real.dtype)
        measured = decenter(kspace)
        if _encoded_dims(sampled) == (-1,):
            measured = torch.fft.ifft(measured, dim=-2, norm="ortho")
        estimate = measured
        for cascade in self.cascades:
            if self.checkpointing == "all":
                estimate = checkpoint(cascade, estimate, measured, sampled, maps, use_reentrant=False)
            else:
                estimate = cascade(estimate, measured, sampled, maps)
        with full_precision(kspace):
            coil_images = torch.fft.ifftn(estimate, dim=_encoded_dims(sampled), norm="ortho")
            return Reconstruction(rss(coil_images), coil_images, maps)


def _encoded_dims(sampled: torch.Tensor) -> tuple[int, ...]:
    """Dimensions that a mask varies along, and that cascades therefore keep in k-space."""
    return (-1,) if sampled.shape[-2] == 1 else (-2, -1)
