"""Calling a network that finds the anatomy itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from recon_monai.engines.batch import ReconstructionInferer
from recon_monai.networks import UniversalVarNet

__all__ = ["UniversalInferer"]


class UniversalInferer(ReconstructionInferer):
    """Reconstruct with a `UniversalVarNet`, and keep what it took each slice for.

    Args:
        anatomy: force this anatomy on all slices; None goes by what the batch gives, and else lets the network find it.

    Attributes:
        probabilities: of each anatomy, for each slice of the last batch, ``(B, anatomies)`` on the CPU; one-hot where
            the anatomy was given.
        given: whether the anatomy of the last batch was given, not found.
    """

    def __init__(self, anatomy: str | None = None) -> None:
        super().__init__()
        self.anatomy = anatomy
        self.probabilities = torch.empty(0, 0)
        self.given = False

    def __call__(
        self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, anatomy: Tensor | None = None, **kwargs: Any
    ) -> Tensor:
        """Reconstruct one batch, see `ReconstructionInferer`.

        Args:
            inputs: undersampled k-space ``(B, coil, H, W)``.
            network: the `UniversalVarNet`.
            args: passed on to the network.
            anatomy: of each slice, index ``(B,)``; None if the batch does not say.
            kwargs: as of `ReconstructionInferer`.

        Returns:
            The magnitude image ``(B, 1, h, w)``.

        Raises:
            TypeError: if the network is another one.
            ValueError: if the network does not know the anatomy, or as of `ReconstructionInferer`.
        """
        if not isinstance(network, UniversalVarNet):
            raise TypeError(f"the network is {type(network).__name__}, expected UniversalVarNet")
        wanted = anatomy if self.anatomy is None else self.anatomy

        def reconstruct(kspace: Tensor, mask: Tensor | None, *arguments: Any, **options: Any) -> Tensor:
            result = network.reconstruct(kspace, mask, wanted, *arguments, **options)
            self.probabilities = result.anatomy_probabilities.detach().cpu()
            return result.image

        self.given = wanted is not None
        return super().__call__(inputs, reconstruct, *args, **kwargs)
