"""From k-space to the inverse problem of one slice, and from its solution to a magnitude image."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch

from recon_monai.physics import LinearOperator, SenseOperator, infer_mask, low_resolution_maps
from recon_monai.solvers.solution import Solution

__all__ = ["MapEstimator", "SliceReconstruction"]

MapEstimator = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""``maps(kspace, mask)`` of one slice ``(coil, H, W)``, with unit root sum of squares or 0."""


class SliceReconstruction(ABC):
    """A reconstruction with coil maps that is called as the networks are, one slice after the other.

    K-space is scaled inside so that the maximum of the zero-filled image is 1: weights, strengths and learning rates do
    not depend on the scale of the data, and the result follows it.

    Args:
        maps: estimates the coil maps of a slice; None takes `recon_monai.physics.low_resolution_maps`. These hold the
            phase of the low-resolution image, so that the image to find is nearly real and positive, as are the
            images that denoisers and generators learn from.
    """

    def __init__(self, maps: MapEstimator | None = None) -> None:
        self.maps = maps or _low_resolution

    @abstractmethod
    def solve(self, operator: LinearOperator, data: torch.Tensor) -> Solution:
        """Solve one inverse problem.

        Args:
            operator: ``A``.
            data: ``y``, shape ``(1, *range_shape)``; scaled so that ``A^H y`` has a maximum of about 1.

        Returns:
            The solution, image of shape ``(1, *domain_shape)``.
        """

    def __call__(self, kspace: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Reconstruct one slice (or each slice of a batch in turn).

        Args:
            kspace: complex centered k-space, shape ``(coil, H, W)`` or ``(B, coil, H, W)``; samples outside the mask
                are not used.
            mask: sampling mask, shape ``(1, 1, W)`` or ``(1, H, W)``, with ``B`` in front for a batch; None infers it
                from the zeros of k-space.

        Returns:
            Real magnitude image on k-space's device, shape ``(1, H, W)`` or ``(B, 1, H, W)``.

        Raises:
            CalibrationError: if the center of k-space was not sampled.
            ValueError: if k-space has the wrong shape or holds values that are not finite.
        """
        if kspace.ndim == 4:
            masks = [None] * len(kspace) if mask is None else mask.expand(len(kspace), *mask.shape[-3:])
            return torch.stack([self(one, its_mask) for one, its_mask in zip(kspace, masks, strict=True)])
        if kspace.ndim != 3 or not kspace.is_complex():
            raise ValueError(
                f"expected complex k-space (coil, H, W) or (B, coil, H, W), got {kspace.dtype} of shape "
                f"{tuple(kspace.shape)}."
            )
        largest = float(kspace.detach().abs().max())
        if not math.isfinite(largest):
            raise ValueError("k-space holds values that are not finite; repair or leave out this slice.")
        sampled = infer_mask(kspace) if mask is None else (mask != 0).to(kspace.device)
        measured = torch.where(sampled, kspace.detach(), torch.zeros_like(kspace))
        if not bool((measured != 0).any()):
            return torch.zeros_like(kspace[:1].real)
        measured = measured / largest
        operator = SenseOperator(self.maps(measured, sampled)[None], sampled[None])
        data = measured[None]
        scale = float(operator.adjoint(data).abs().max())
        image = self.solve(operator, data / scale).image
        return image[0].abs().to(kspace.real.dtype) * (scale * largest)


def _low_resolution(kspace: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return low_resolution_maps(kspace[None], mask[None])[0]
