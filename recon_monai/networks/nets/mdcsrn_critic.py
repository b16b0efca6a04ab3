"""The critic of mDCSRN-WGAN-GP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import nn

from recon_monai.networks.architecture import RecordedModule
from recon_monai.networks.inputs import as_volume
from recon_monai.networks.nets.mdcsrn import VolumeCheckpointing, run_block
from recon_monai.networks.precision import full_precision

__all__ = ["CriticNorm", "CriticPreset", "CriticStage", "MDCSRNCritic"]

CriticPreset = Literal["paper31m", "slide17m"]
CriticNorm = Literal["group", "layer"]

# normalization and kernel size
_PRESETS: dict[str, tuple[CriticNorm, int]] = {"paper31m": ("layer", 3), "slide17m": ("layer", 1)}
_HIDDEN = 1024
# width in multiples of the first one, and stride
_STAGES = ((1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2))


class CriticStage(nn.Sequential):
    """Convolution, normalization, leaky ReLU."""

    def __init__(self, conv: nn.Conv3d, norm: nn.Module, slope: float) -> None:
        super().__init__()
        self.conv = conv
        self.norm = norm
        self.activation = _leaky_relu(slope)


class MDCSRNCritic(RecordedModule):
    """Scores how much a patch looks like high resolution: eight convolutions, mean over space, two linear layers.

    The layout is that of SRGAN's discriminator (Ledig et al. 2017) in three dimensions, as Chen et al. 2018 (MICCAI)
    use it for mDCSRN. The score of a sample depends on this sample alone, as the gradient penalty asks for (Gulrajani
    et al. 2017, section 4); batch normalization is no choice therefore.

    The default normalizes all channels of a sample together and takes patches of any size (14,578,881 parameters;
    3,779,169 with width 32). The presets reproduce published counts at patches of 64 x 64 x 64 by normalization with a
    scale and shift for every position, which are most of their parameters: ``"paper31m"`` (31,155,777) and
    ``"slide17m"`` (17,628,929), whose convolutions see single voxels, most of which its strides leave out.

    Args:
        preset: ``"paper31m"`` (3x3x3 convolutions) or ``"slide17m"`` (1x1x1 without bias after the first), both with
            norm ``"layer"`` unless `norm` says otherwise; None: 3x3x3 and norm ``"group"``.
        width: channels of the first convolution.
        slope: of the leaky ReLU, at least 0 and below 1; with 1 it would be no activation.
        norm: ``"group"`` (one group) or ``"layer"`` (a scale and shift for every position); None: as the preset.
        patch_size: voxels along each axis, for ``"layer"`` only.
        checkpointing: as of `MDCSRN`, for each convolution.

    Raises:
        ValueError: for an unknown option, or a width, slope or patch size that makes no sense.
    """

    def __init__(
        self,
        preset: CriticPreset | None = None,
        width: int = 64,
        slope: float = 0.2,
        norm: CriticNorm | None = None,
        patch_size: int | Sequence[int] = 64,
        *,
        checkpointing: VolumeCheckpointing = "none",
    ) -> None:
        super().__init__()
        if preset not in {None, *_PRESETS}:
            raise ValueError(f"unknown preset {preset!r} of the critic; use one of {sorted(_PRESETS)}, or None.")
        usual_norm, kernel_size = _PRESETS[preset] if preset else ("group", 3)
        norm = norm or usual_norm
        if norm not in get_args(CriticNorm):
            raise ValueError(
                f"unknown normalization {norm!r} of the critic; use one of {get_args(CriticNorm)}: the gradient "
                "penalty needs scores that depend on one sample each."
            )
        if checkpointing not in get_args(VolumeCheckpointing):
            raise ValueError(f"unknown checkpointing {checkpointing!r}; use one of {get_args(VolumeCheckpointing)}.")
        if width < 1 or not 0 <= slope < 1:
            raise ValueError(f"expected a width of at least 1 and a slope in [0, 1), got {width} and {slope}.")
        self.patch_size = _three(patch_size) if norm == "layer" else None
        self.architecture = {"width": width, "kernel_size": kernel_size, "norm": norm, "slope": slope}
        self.architecture["patch_size"] = None if self.patch_size is None else list(self.patch_size)
        self.checkpointing = checkpointing
        self.stages = nn.ModuleList([CriticStage(nn.Conv3d(1, width, 3, padding=1), nn.Identity(), slope)])
        channels = width
        shape: tuple[int, ...] | None = self.patch_size
        for multiple, stride in _STAGES:
            conv = nn.Conv3d(
                channels, multiple * width, kernel_size, stride, padding=kernel_size // 2, bias=kernel_size > 1
            )
            channels = multiple * width
            shape = shape and tuple(-(-size // stride) for size in shape)
            own = nn.GroupNorm(1, channels) if shape is None else nn.LayerNorm((channels, *shape))
            self.stages.append(CriticStage(conv, own, slope))
        self.head = nn.Sequential(nn.Linear(channels, _HIDDEN), _leaky_relu(slope), nn.Linear(_HIDDEN, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Score patches.

        Args:
            image: real ``(B, 1, D, H, W)``, in the scale of the generator's output.

        Returns:
            Scores ``(B,)``, higher for what looks like high resolution, in the precision of the weights also under
            autocast: their differences are small.

        Raises:
            ValueError: for any other shape or type, or patches of another size where the normalization has one.
        """
        features = as_volume(image)
        if self.patch_size is not None and tuple(features.shape[2:]) != self.patch_size:
            raise ValueError(
                f"this critic was built for patches of {self.patch_size}, got {tuple(features.shape[2:])}; give its "
                "patch_size, or norm='group' for patches of any size."
            )
        for stage in self.stages:
            features = run_block(stage, features, checkpointing=self.checkpointing)
        with full_precision(features):
            pooled = features.to(next(self.head.parameters()).dtype).mean(dim=(2, 3, 4))
            return self.head(pooled)[:, 0]


def _leaky_relu(slope: float) -> nn.LeakyReLU:
    return nn.LeakyReLU(slope, inplace=slope > 0)  # a slope of 0 has no gradient in place


def _three(patch_size: int | Sequence[int]) -> tuple[int, int, int]:
    sizes = (patch_size,) * 3 if isinstance(patch_size, int) else tuple(patch_size)
    if len(sizes) != 3 or min(sizes) < 1:
        raise ValueError(f"expected a patch size of one or three numbers of at least 1, got {patch_size}.")
    return sizes
