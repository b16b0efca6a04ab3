"""Inference of the middle of a volume alone, for measurements that would take too long on all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from recon_monai.inferers.seamless import SeamlessInferer
from recon_monai.inferers.windows import check_volume, plain

__all__ = ["CentralBlockInferer"]


class CentralBlockInferer(SeamlessInferer):
    """`SeamlessInferer` that gives the network the middle of the volume only; elsewhere the answer is the input.

    What lies outside the block must not be measured: `CenterSpatialCropd` with the same size leaves it out.

    Args:
        block: voxels of the middle along each axis, or None or -1 for the whole volume.
        context: voxels around the block that the network sees, too.
        options: see `SeamlessInferer`.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(self, block: int | None = None, context: int = 16, **options: Any) -> None:
        super().__init__(**options)
        if block is not None and block != -1 and block < 1:
            raise ValueError(f"block is {block}, expected at least 1 voxel, or -1 for the whole volume")
        if context < 0:
            raise ValueError(f"context is {context}, expected 0 or more voxels")
        self.block = None if block == -1 else block
        self.context = context

    def count(self, shape: Sequence[int]) -> int:
        """How many windows a volume has, see `SeamlessInferer`."""
        return super().count([part.stop - part.start for part in self._region(shape)])

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Run the network over the middle of a volume.

        Args:
            inputs: as for `SeamlessInferer`.
            network: as for `SeamlessInferer`, with as many channels out as in.
            args: handed on to the network.
            kwargs: handed on to the network.

        Returns:
            The input with its middle sharpened.

        Raises:
            ValueError: as `SeamlessInferer`.
        """
        if self.block is None:
            return super().__call__(inputs, network, *args, **kwargs)
        check_volume(inputs)
        everything = slice(None)
        region = (everything, everything, *self._region(inputs.shape[2:]))
        middle = super().__call__(plain(inputs)[region], network, *args, **kwargs)
        answer = inputs.to(middle.device, middle.dtype, copy=True)
        answer[region] = middle
        return answer

    def _region(self, shape: Sequence[int]) -> tuple[slice, ...]:
        if self.block is None:
            return tuple(slice(0, size) for size in shape)
        side = self.block + 2 * self.context
        starts = [max(0, (size - side) // 2) for size in shape]
        return tuple(slice(start, min(start + side, size)) for start, size in zip(starts, shape, strict=True))
