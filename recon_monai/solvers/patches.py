"""Overlapping patches of periodic images, and their mean put back."""

from __future__ import annotations

from functools import lru_cache

import torch

from recon_monai.physics import LinearOperator

__all__ = ["PatchOperator"]


class PatchOperator(LinearOperator):
    """All patches of a two-dimensional image at a distance, wrapped around its borders.

    Args:
        shape: of the image, without the batch; all but two axes of length 1.
        size: of the patches, which are square; no larger than the image.
        stride: distance of neighboring patches, at most their size, so that every sample lies in one at least.

    Attributes:
        counts: number of patches that each sample lies in, int64, shape ``shape``.

    Raises:
        ValueError: if the image has more than two axes, or patches do not fit into or do not cover it.
    """

    def __init__(self, shape: tuple[int, ...], size: int, stride: int = 1) -> None:
        height, width = shape[-2:] if len(shape) > 1 else (0, 0)
        if not 1 <= stride <= size <= min(height, width) or any(n != 1 for n in shape[:-2]):
            raise ValueError(
                f"patches of {size} samples {stride} apart do not cover an image of shape {tuple(shape)}, expected a "
                "stride of at most the size, and one image (1, H, W) no smaller than a patch."
            )
        self._index = _patch_index(height, width, size, stride)
        super().__init__(shape, tuple(self._index.shape))
        self.counts = torch.bincount(self._index.flatten(), minlength=height * width).reshape(shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Cut the patches.

        Args:
            x: real or complex, shape ``(..., *shape)``.

        Returns:
            Shape ``(..., patches, size**2)``.
        """
        self._check_domain(x)
        flat = x.reshape(*x.shape[: x.ndim - len(self.domain_shape)], -1)
        return flat[..., self._index.to(x.device)]

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Add the patches up.

        Args:
            y: real or complex, shape ``(..., patches, size**2)``.

        Returns:
            Shape ``(..., *shape)``.
        """
        self._check_range(y)
        batch = y.shape[:-2]
        flat = torch.zeros(*batch, self.counts.numel(), dtype=y.dtype, device=y.device)
        flat = flat.index_add(-1, self._index.flatten().to(y.device), y.reshape(*batch, -1))
        return flat.reshape(*batch, *self.domain_shape)

    def mean(self, patches: torch.Tensor) -> torch.Tensor:
        """Mean of what the patches say of each sample: the inverse of `forward`.

        Args:
            patches: real or complex, shape ``(..., patches, size**2)``.

        Returns:
            Shape ``(..., *shape)``.
        """
        return self.adjoint(patches) / self.counts.to(patches.device)


@lru_cache(maxsize=4)
def _patch_index(height: int, width: int, size: int, stride: int) -> torch.Tensor:
    """Place in the flattened image of each sample of each patch, ``(patches, size**2)``."""
    inside = torch.arange(size)
    rows = (torch.arange(0, height, stride)[:, None] + inside) % height
    columns = (torch.arange(0, width, stride)[:, None] + inside) % width
    index = rows[:, None, :, None] * width + columns[None, :, None, :]
    return index.reshape(-1, size**2)
