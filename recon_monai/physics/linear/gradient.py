"""The discrete gradient of an image."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from recon_monai.physics.linear.base import LinearOperator

__all__ = ["GradientOperator"]


class GradientOperator(LinearOperator):
    """Periodic differences of neighbors along some axes.

    Component ``k`` of sample ``i`` is ``x[i + 1] - x[i]`` along the ``k``-th axis, the sample after the last one being
    the first: the field of view of MRI is periodic, and sigpy's differences are. The squared norm is at most four times
    the number of axes.

    Args:
        shape: of the image, without the batch.
        axes: the axes, counted from the end.

    Raises:
        ValueError: if the axes are not different axes of the shape.
    """

    def __init__(self, shape: Sequence[int], axes: Sequence[int] = (-2, -1)) -> None:
        if not axes or len(set(axes)) != len(axes) or any(not -len(shape) <= axis < 0 for axis in axes):
            raise ValueError(
                f"axes are {tuple(axes)}, expected different axes of {tuple(shape)} counted from the end, as (-2, -1)."
            )
        super().__init__(shape, (len(axes), *shape))
        self.axes = tuple(axes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take the differences.

        Args:
            x: real or complex, shape ``(..., *shape)``.

        Returns:
            Shape ``(..., axes, *shape)``.
        """
        self._check_domain(x)
        return torch.stack([x.roll(-1, axis) - x for axis in self.axes], dim=-len(self.domain_shape) - 1)

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Minus the divergence.

        Args:
            y: real or complex, shape ``(..., axes, *shape)``.

        Returns:
            Shape ``(..., *shape)``.
        """
        self._check_range(y)
        parts = y.unbind(dim=-len(self.range_shape))
        terms = [part.roll(1, axis) - part for part, axis in zip(parts, self.axes, strict=True)]
        return torch.stack(terms).sum(dim=0)
