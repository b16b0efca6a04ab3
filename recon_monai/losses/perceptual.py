"""A perceptual loss by the features of a network that was trained here."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["PerceptualLoss"]


class PerceptualLoss(nn.Module):
    """Difference of the features that a trained network makes of prediction and target (Johnson et al. 2016,
    arXiv:1603.08155, section 3.2).

    ``sum_l weight_l * mean |f_l(prediction) - f_l(target)|^2 / mean |f_l(target)|^2``: the division, which is not
    Johnson's, makes layers of any scale comparable; 1 is the error of features of 0. MONAI's ``PerceptualLoss`` takes
    networks of photographs or of other modalities from the net; this one any network at hand: a generator of
    super-resolution, a critic, a classifier.

    The network is copied, frozen and kept in evaluation mode, so that it may be the one that is being trained, as it is
    now. Its weights are no parameters that an optimizer should get.

    Args:
        features: the network, called with images.
        layers: names of its modules (``features.named_modules()``) whose outputs are compared, such as
            ``["levels.0", "levels.1"]`` of `MDCSRN`.
        weights: of each layer; None for 1 each.

    Raises:
        ValueError: if there is no layer, one is unknown, or there are not as many weights.
    """  # noqa: D205

    def __init__(self, features: nn.Module, layers: Sequence[str], weights: Sequence[float] | None = None) -> None:
        super().__init__()
        known = dict(features.named_modules())
        unknown = [name for name in layers if name not in known]
        if unknown or not layers:
            raise ValueError(
                f"layers are {list(layers)}, expected some of {type(features).__name__}'s: "
                f"{', '.join(name for name in known if name)}"
            )
        if weights is not None and len(weights) != len(layers):
            raise ValueError(f"{len(weights)} weights for {len(layers)} layers, expected one for each")
        self.features = copy.deepcopy(features).requires_grad_(False).eval()
        self.layers = list(layers)
        self.weights = [1.0] * len(layers) if weights is None else [float(weight) for weight in weights]

    def train(self, mode: bool = True) -> PerceptualLoss:
        """Stay in evaluation mode: running statistics must not follow the images."""
        super().train(mode)
        self.features.eval()
        return self

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compare features.

        Args:
            prediction: images that the network takes.
            target: same shape.

        Returns:
            A scalar.

        Raises:
            ValueError: if the shapes differ.
            RuntimeError: if the network did not run one of the layers, or it makes something else than a tensor.
        """
        if prediction.shape != target.shape:
            raise ValueError(f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} differ in shape")
        with torch.no_grad():
            wanted = self._features(target)
        parts = []
        for weight, found, expected in zip(self.weights, self._features(prediction), wanted, strict=True):
            power = expected.square().mean()
            scale = torch.where(power > 0, power, torch.ones_like(power))
            parts.append(weight * (found - expected).square().mean() / scale)
        return torch.stack(parts).sum()

    def _features(self, image: Tensor) -> list[Tensor]:
        found: dict[str, Any] = {}
        modules = dict(self.features.named_modules())

        def keep(name: str) -> Any:
            return lambda module, inputs, output: found.__setitem__(name, output)

        hooks = [modules[name].register_forward_hook(keep(name)) for name in self.layers]
        try:
            self.features(image.as_subclass(Tensor))
        finally:
            for hook in hooks:
                hook.remove()
        missing = [name for name in self.layers if not isinstance(found.get(name), Tensor)]
        if missing:
            raise RuntimeError(
                f"{type(self.features).__name__} made no tensor in {missing}; choose layers that it runs and whose "
                "output is one tensor"
            )
        return [found[name].to(torch.promote_types(found[name].dtype, torch.float32)) for name in self.layers]
