"""The multi-level densely connected super-resolution network, mDCSRN."""

from __future__ import annotations

import contextlib
from typing import Literal, get_args

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from recon_monai.networks.architecture import RecordedModule
from recon_monai.networks.blocks.dense_block import DenseBlock, LevelBlock, PointwiseConv, VolumeNorm
from recon_monai.networks.blocks.running_statistics import keep_running_statistics
from recon_monai.networks.blocks.volume_conv import VolumeConv
from recon_monai.networks.inputs import as_volume
from recon_monai.networks.precision import full_precision, small_map_precision

__all__ = ["MDCSRN", "VolumeCheckpointing", "run_block"]

VolumeCheckpointing = Literal["none", "blocks"]


class MDCSRN(RecordedModule):
    """Super-resolution of volumes that lie on the high-resolution grid already.

    Chen et al. 2018 (MICCAI, "Efficient and Accurate MRI Super-Resolution using a Generative Adversarial Network and 3D
    Multi-Level Densely Connected Network"), the variant b4u4: a convolution, dense blocks, 1x1x1 convolutions that
    compress all features so far to the input of the next block, and one that makes the image of all of them. The
    defaults have 411,648 parameters.

    The last convolution stays in the precision of its weights under autocast: an image in bfloat16 would have eight
    bits of intensity.

    Args:
        blocks: number of dense blocks.
        units: units of a block.
        growth: channels that a unit adds.
        first_channels: channels of the first convolution, and of the input of each block.
        norm: ``"batch"`` as in the paper, ``"instance"`` or ``"group"``, see `DenseUnit`. With batch normalization,
            batches of two patches train other statistics than those that inference uses.
        residual: let the network make what is added to its input instead of the image itself. It starts as the
            identity.
        checkpointing: ``"none"``, or ``"blocks"``: keep only what blocks pass on, and compute the rest again for the
            gradient.

    Raises:
        ValueError: if a size is below 1, or for an unknown option.

    Examples:
        >>> import torch
        >>> from recon_monai.networks import MDCSRN
        >>> sum(parameter.numel() for parameter in MDCSRN().parameters())
        411648
        >>> network = MDCSRN(blocks=1, units=2, growth=4, first_channels=8, residual=True).eval()
        >>> interpolated = torch.rand(1, 1, 16, 16, 16)  # on the fine grid already
        >>> torch.allclose(network(interpolated), interpolated, atol=1e-6)  # before training
        True
    """

    def __init__(
        self,
        blocks: int = 4,
        units: int = 4,
        growth: int = 16,
        first_channels: int = 32,
        *,
        norm: VolumeNorm = "batch",
        residual: bool = False,
        checkpointing: VolumeCheckpointing = "none",
    ) -> None:
        super().__init__()
        sizes = {"blocks": blocks, "units": units, "growth": growth, "first_channels": first_channels}
        if min(sizes.values()) < 1:
            raise ValueError(f"sizes of MDCSRN must be at least 1, got {sizes}.")
        if checkpointing not in get_args(VolumeCheckpointing):
            raise ValueError(f"unknown checkpointing {checkpointing!r}; use one of {get_args(VolumeCheckpointing)}.")
        self.architecture = {**sizes, "norm": norm, "residual": residual}
        self.residual = residual
        self.checkpointing = checkpointing
        self.stem = VolumeConv(1, first_channels)
        nn.init.kaiming_normal_(self.stem.weight)
        made = first_channels + units * growth
        self.levels = nn.ModuleList(
            LevelBlock(
                first_channels + index * made,
                first_channels,
                DenseBlock(first_channels, units, growth, norm),
                compress=index > 0,
            )
            for index in range(blocks)
        )
        self.head = PointwiseConv(first_channels + blocks * made, 1)
        if residual:
            nn.init.zeros_(self.head.weight)

    def __prepare_scriptable__(self) -> nn.Module:
        """What ``torch.jit.script`` takes in place of the network; so MONAI's ``ckpt_export`` writes TorchScript."""
        from recon_monai.networks.model_files import as_torchscript

        return as_torchscript(self)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Sharpen volumes.

        Args:
            image: low resolution on the high-resolution grid, real ``(B, 1, D, H, W)``, scaled to a maximum of about 1.

        Returns:
            High resolution, in the scale of the input, same shape; a new tensor.

        Raises:
            ValueError: for any other shape or type.
        """
        image = as_volume(image)
        with small_map_precision(image):
            features = [self.stem(image)]
        for level in self.levels:
            features.append(run_block(level, *features, checkpointing=self.checkpointing))
        with full_precision(image):
            made = self.head(*(part.to(self.head.weight.dtype) for part in features))
            return image + made if self.residual else made


def run_block(block: nn.Module, *features: torch.Tensor, checkpointing: VolumeCheckpointing) -> torch.Tensor:
    """Run a block, or have it run again for the gradient, in which case its running statistics count once.

    Args:
        block: called with the features.
        features: what it takes.
        checkpointing: ``"none"`` or ``"blocks"``.

    Returns:
        What the block returns. Second derivatives work either way.
    """
    with small_map_precision(features[0]):
        if not torch.is_autocast_enabled(features[0].device.type):  # it was on where features were made
            features = tuple(part.to(next(block.parameters()).dtype) for part in features)
        if checkpointing == "none" or not torch.is_grad_enabled():
            return block(*features)
        return checkpoint(
            block,
            *features,
            use_reentrant=False,
            preserve_rng_state=False,  # nothing is drawn
            context_fn=lambda: (contextlib.nullcontext(), keep_running_statistics(block)),
        )
