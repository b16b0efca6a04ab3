"""A weighted sum of losses of images, chosen by name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from recon_monai.losses.perceptual import PerceptualLoss
from recon_monai.losses.total_variation import TotalVariationLoss

__all__ = ["IMAGE_LOSSES", "ImageLoss"]

IMAGE_LOSSES = ("l1", "l2", "huber", "total_variation", "perceptual")


class ImageLoss(nn.Module):
    """Sum of losses by name: ``{"l1": 1.0, "total_variation": 0.001}``.

    ``"l1"``, ``"l2"`` and ``"huber"`` are PyTorch's ``L1Loss``, ``MSELoss`` and ``HuberLoss``, means over all voxels;
    ``"total_variation"`` is `TotalVariationLoss` of the prediction, ``"perceptual"`` a `PerceptualLoss`.

    Args:
        weights: of each loss; those of weight 0 are not computed.
        delta: where the Huber loss turns from quadratic to linear, in the scale of the images.
        perceptual: the perceptual loss, where it has a weight.

    Raises:
        ValueError: if a name is unknown, a weight negative or none positive, or the perceptual loss is missing.
    """

    def __init__(
        self, weights: Mapping[str, float], *, delta: float = 1.0, perceptual: PerceptualLoss | None = None
    ) -> None:
        super().__init__()
        unknown = [name for name in weights if name not in IMAGE_LOSSES]
        if unknown or not all(weight >= 0 for weight in weights.values()) or not any(weights.values()):
            raise ValueError(
                f"weights are {dict(weights)}, expected some of {', '.join(IMAGE_LOSSES)}, none negative and not all 0"
            )
        self.weights = {name: float(weight) for name, weight in weights.items() if weight}
        if ("perceptual" in self.weights) != (perceptual is not None):
            raise ValueError(
                f"the perceptual loss has the weight {self.weights.get('perceptual', 0)} and is {perceptual!r}; give "
                "a PerceptualLoss and its weight, or neither"
            )
        made: dict[str, nn.Module] = {
            "l1": nn.L1Loss(),
            "l2": nn.MSELoss(),
            "huber": nn.HuberLoss(delta=delta),
            "total_variation": TotalVariationLoss(),
        }
        if perceptual is not None:
            made["perceptual"] = perceptual
        self.losses = nn.ModuleDict({name: made[name] for name in self.weights})

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The sum.

        Args:
            prediction: shape ``(B, C, ...)``.
            target: same shape.

        Returns:
            A scalar.
        """
        parts = [weight * self.losses[name](prediction, target) for name, weight in self.weights.items()]
        return torch.stack(parts).sum()
