"""What a trained VarNet computes last, as the anatomy classifier of the original design sees it."""

from __future__ import annotations

import torch
from torch import nn

from recon_monai.networks.blocks import ASPIN, UNet
from recon_monai.networks.nets.varnet import VarNet

__all__ = ["check_varnet", "last_unet_output"]


def last_unet_output(network: nn.Module, kspace: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Run a trained VarNet and read the raw output of the U-Net in its last cascade.

    Args:
        network: a `VarNet` whose cascades refine by a `NormUNet`; it is not trained by this.
        kspace: as for `VarNet.reconstruct`.
        mask: as for `VarNet.reconstruct`.

    Returns:
        Real and imaginary part in the normalized and padded domain of the U-Net, shape ``(B, 2, h, w)``.
    """
    outputs: list[torch.Tensor] = []
    unet = network.cascades[-1].refinement.unet  # type: ignore[index,union-attr]
    hook = unet.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    try:
        with torch.no_grad():
            network(kspace, mask)
    finally:
        hook.remove()
    return outputs[-1]


def check_varnet(varnet: nn.Module) -> None:
    """Refuse a network whose last U-Net cannot be read, or that needs to know the anatomy.

    Args:
        varnet: to be a `VarNet` without anatomies whose cascades refine by a `NormUNet`.

    Raises:
        ValueError: if it is none.
    """
    plain = isinstance(varnet, VarNet) and not any(isinstance(module, ASPIN) for module in varnet.modules())
    if not plain or not isinstance(getattr(varnet.cascades[-1].refinement, "unet", None), UNet):  # type: ignore[index,union-attr]
        raise ValueError(
            f"varnet is {type(varnet).__name__}, expected a VarNet that knows no anatomies, whose cascades refine by a "
            "NormUNet."
        )
