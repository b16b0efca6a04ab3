"""One variational network for every anatomy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from recon_monai.networks.blocks import ASPIN, AspinPlacement, NormUNet
from recon_monai.networks.inputs import as_complex_kspace, as_sampling_mask
from recon_monai.networks.nets.anatomy_classifier import AnatomyClassifier
from recon_monai.networks.nets.anatomy_names import checked_names
from recon_monai.networks.nets.varnet import Checkpointing, VarNet

__all__ = ["Anatomy", "UniversalReconstruction", "UniversalVarNet"]

Anatomy = str | Sequence[str] | torch.Tensor | None
"""One name for all samples, one name each, indices ``(B,)``, weights ``(B, anatomies)``; None: to be found."""


class UniversalReconstruction(NamedTuple):
    """What `UniversalVarNet` computes.

    Attributes:
        image: magnitude image, real, shape ``(B, 1, H, W)``.
        coil_images: complex images of the coils, shape ``(B, coil, H, W)``; `image` is their root sum of squares.
        sensitivity_maps: complex coil sensitivity maps, shape ``(B, coil, H, W)``.
        anatomy_probabilities: of each anatomy, shape ``(B, anatomies)``: the classifier's, or what was given.
    """

    image: torch.Tensor
    coil_images: torch.Tensor
    sensitivity_maps: torch.Tensor
    anatomy_probabilities: torch.Tensor


class UniversalVarNet(VarNet):
    """End-to-end variational network whose normalization goes by the anatomy, which it finds in k-space itself.

    All anatomies share the convolutions; each has an affine map of its own in the instance normalizations (`ASPIN`, Liu
    et al. 2021, arXiv:2103.05214). Where the anatomy is not given, a classifier finds it from k-space: its decision if
    it is sure of it, else all anatomies' parameters mixed by their probabilities. Before training the network is
    exactly the `VarNet` with the same convolutions.

    Args:
        anatomies: names of the anatomies, in the order of indices and probabilities. They travel with the weights.
        num_cascades: as of `VarNet`.
        channels: as of `VarNet`.
        sensitivity_channels: as of `VarNet`.
        pools: as of `VarNet`.
        aspin_placement: where the anatomy acts, see `NormUNet`.
        refinement: makes the refinement network of a cascade in place of ``NormUNet(channels, pools,
            aspin_placement=...)``; called as ``refinement(num_anatomies=...)`` once per cascade.
        sensitivity_network: as of `VarNet`; it is the same for all anatomies.
        classifier: finds the anatomy, called as ``classifier(kspace, mask)``, returns logits ``(B, anatomies)``;
            in place of ``AnatomyClassifier(anatomies=anatomies)``. One that has no names gets these, in place.
        certainty: a decision whose probability is below this is unsure, and anatomies are mixed. 0 always decides.
        checkpointing: as of `VarNet`.

    Raises:
        ValueError: for no, equal or unusable names, a classifier of other anatomies, a certainty outside 0 to 1, or as
            of `VarNet`.

    Examples:
        >>> import torch
        >>> from recon_monai.networks import UniversalVarNet
        >>> kspace = torch.randn(1, 4, 48, 40, dtype=torch.complex64)  # batch, coil, H, W
        >>> mask = torch.arange(40) % 4 == 0
        >>> mask[16:24] = True  # calibration lines
        >>> network = UniversalVarNet(["brain", "knee"], num_cascades=1, channels=4, sensitivity_channels=2, pools=2)
        >>> network(kspace * mask, mask).shape  # the classifier says which anatomy
        torch.Size([1, 1, 48, 40])
        >>> network.reconstruct(kspace * mask, mask, "knee").anatomy_probabilities  # or it is given
        tensor([[0., 1.]])
    """

    def __init__(
        self,
        anatomies: Sequence[str],
        num_cascades: int = 8,
        channels: int = 9,
        sensitivity_channels: int = 4,
        pools: int = 4,
        *,
        aspin_placement: AspinPlacement = "all",
        refinement: Callable[..., nn.Module] | None = None,
        sensitivity_network: nn.Module | None = None,
        classifier: AnatomyClassifier | None = None,
        certainty: float = 0.9,
        checkpointing: Checkpointing = "none",
    ) -> None:
        names = checked_names(anatomies)
        if not 0 <= certainty <= 1:
            raise ValueError(f"certainty must be between 0 and 1, got {certainty}.")
        make_refinement = refinement or partial(NormUNet, channels, pools, aspin_placement=aspin_placement)
        super().__init__(
            num_cascades,
            channels,
            sensitivity_channels,
            pools,
            refinement=partial(make_refinement, num_anatomies=len(names)),
            sensitivity_network=sensitivity_network,
            checkpointing=checkpointing,
        )
        self.classifier = classifier or AnatomyClassifier(anatomies=names)
        self.classifier.name_outputs(names)
        self.certainty = certainty
        self.architecture["anatomies"] = list(names)

    @property
    def anatomies(self) -> tuple[str, ...]:
        """Names of the anatomies, in the order of indices and probabilities."""
        return tuple(self.architecture["anatomies"])

    def forward(self, kspace: torch.Tensor, mask: torch.Tensor | None = None, anatomy: Anatomy = None) -> torch.Tensor:
        """Reconstruct magnitude images.

        Args:
            kspace: as for `reconstruct`.
            mask: as for `reconstruct`.
            anatomy: as for `reconstruct`.

        Returns:
            Real, shape ``(B, 1, H, W)``.
        """
        return self.reconstruct(kspace, mask, anatomy).image

    def reconstruct(  # type: ignore[override]
        self, kspace: torch.Tensor, mask: torch.Tensor | None = None, anatomy: Anatomy = None
    ) -> UniversalReconstruction:
        """Reconstruct magnitude images, and return the coil images, the maps and the anatomy with them.

        Args:
            kspace: centered k-space, complex ``(B, coil, H, W)`` or real ``(B, coil, H, W, 2)``; samples outside the
                mask are not used.
            mask: sampling mask as of `VarNet.reconstruct`; None infers it from the zeros of k-space.
            anatomy: a name for all samples, or a name, an index or (``(B, anatomies)``) weights for each; None lets the
                classifier find it.

        Returns:
            The reconstruction, in the scale of the input.

        Raises:
            CalibrationError: if the center of k-space was not sampled.
            ValueError: if shapes do not fit, or the anatomy is unknown.
        """
        kspace = as_complex_kspace(kspace)
        mask = as_sampling_mask(mask, kspace)
        if anatomy is None:
            probabilities = self.classifier(kspace, mask).softmax(dim=1)
            weights = self._decided(probabilities)
        else:
            probabilities = weights = self._weights(anatomy, kspace)
        return UniversalReconstruction(*self._iterate(kspace, mask, weights), probabilities)

    def set_anatomies(self, anatomies: Sequence[str]) -> None:
        """Give the network other anatomies, in place.

        Anatomies that it has keep their parameters. A new one starts with the mean over those that were there, and is
        never chosen by the classifier until its output is trained (see `AnatomyClassifier`).

        Args:
            anatomies: all names from now on, in their order.

        Raises:
            ValueError: for no, equal or unusable names.
        """
        names = checked_names(anatomies)
        before = self.anatomies
        sources = [before.index(name) if name in before else None for name in names]
        for module in self.modules():
            if isinstance(module, ASPIN):
                module.select(sources)
        self.classifier.select_outputs(sources, names)
        self.architecture["anatomies"] = list(names)

    def anatomy_parameters(self, anatomy: str) -> list[nn.Parameter]:
        """The parameters that only one anatomy uses, without the classifier's.

        Args:
            anatomy: one of `anatomies`.

        Raises:
            ValueError: if it is none of them.
        """
        position = self._index(anatomy)
        layers = [module for module in self.modules() if isinstance(module, ASPIN)]
        return [values[position] for layer in layers for values in (layer.gamma, layer.beta)]

    def _decided(self, probabilities: torch.Tensor) -> torch.Tensor:
        """One-hot weights where the classifier is sure, else its probabilities."""
        largest, index = probabilities.max(dim=1, keepdim=True)
        hard = F.one_hot(index[:, 0], probabilities.shape[1]).to(probabilities.dtype)
        return torch.where(largest >= self.certainty, hard, probabilities)

    def _weights(self, anatomy: str | Sequence[str] | torch.Tensor, kspace: torch.Tensor) -> torch.Tensor:
        """Weights ``(B, anatomies)`` of the anatomy that was given."""
        batch, count = len(kspace), len(self.anatomies)
        if isinstance(anatomy, str):
            anatomy = [anatomy] * batch
        if not isinstance(anatomy, torch.Tensor):
            anatomy = torch.tensor([self._index(name) for name in anatomy])
        anatomy = anatomy.to(kspace.device)
        if anatomy.shape == (batch,) and not anatomy.is_floating_point():
            if not bool(((anatomy >= 0) & (anatomy < count)).all()):
                raise ValueError(f"anatomy {anatomy.tolist()} is no index into {', '.join(self.anatomies)}.")
            anatomy = F.one_hot(anatomy.long(), count)
        if anatomy.shape != (batch, count):
            raise ValueError(
                f"anatomy has the shape {tuple(anatomy.shape)}, expected one name or index for each of {batch} "
                f"samples, or weights ({batch}, {count})."
            )
        weights = anatomy.to(kspace.real.dtype)
        if not bool(((weights >= 0) & weights.isfinite()).all() and ((weights.sum(dim=1) - 1).abs() < 1e-3).all()):
            raise ValueError(f"the weights of anatomies are {weights.tolist()}, expected numbers from 0 on with sum 1.")
        return weights

    def _index(self, name: str) -> int:
        if name not in self.anatomies:
            raise ValueError(
                f"the anatomy {name!r} is unknown to this network, which knows {', '.join(self.anatomies)}; give one "
                "of these, or none to let the classifier decide."
            )
        return self.anatomies.index(name)
