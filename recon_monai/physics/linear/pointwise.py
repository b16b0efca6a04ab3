"""Operators that act on each sample by itself: denoising and in-painting."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from recon_monai.physics.linear.base import LinearOperator

__all__ = ["IdentityOperator", "MaskOperator"]


class IdentityOperator(LinearOperator):
    """``A = I``: the inverse problem is denoising.

    Args:
        shape: of the image, without the batch.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__(shape, shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``x``, shape ``(..., *shape)``."""
        self._check_domain(x)
        return x

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Return ``y``, shape ``(..., *shape)``."""
        self._check_range(y)
        return y


class MaskOperator(LinearOperator):
    """``A = M``: keeps some samples and sets the others to zero; the inverse problem is in-painting.

    Args:
        mask: any dtype, non-zero where samples are kept; broadcasts with the image, also over a batch.
        shape: of the image, without the batch; None takes that of the mask.

    Raises:
        ValueError: if the mask does not fit the shape.
    """

    def __init__(self, mask: torch.Tensor, shape: Sequence[int] | None = None) -> None:
        size = tuple(mask.shape if shape is None else shape)
        own = mask.shape[max(0, mask.ndim - len(size)) :]
        trailing = size[len(size) - len(own) :]
        if any(given not in (1, needed) for given, needed in zip(own, trailing, strict=True)):
            raise ValueError(f"a mask of shape {tuple(mask.shape)} does not fit an image of shape {size}.")
        super().__init__(size, size)
        self.mask = mask != 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Set the samples outside the mask to zero.

        Args:
            x: shape ``(..., *shape)``.

        Returns:
            Tensor of the same shape.
        """
        self._check_domain(x)
        return x * self.mask

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Same as `forward`: the operator is an orthogonal projection."""
        return self.forward(y)

    def normal(self, x: torch.Tensor) -> torch.Tensor:
        """Same as `forward`."""
        return self.forward(x)
