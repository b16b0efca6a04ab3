"""The largest singular value of an operator."""

from __future__ import annotations

import torch

from recon_monai.physics.linear.base import LinearOperator
from recon_monai.physics.seeding import keyed_generator

__all__ = ["spectral_norm"]


def spectral_norm(operator: LinearOperator, like: torch.Tensor, iterations: int = 50) -> torch.Tensor:
    """Estimate the largest singular value by power iteration on ``A^H A``.

    The estimate grows to the value from below: where a step needs an upper bound, leave a margin.

    Args:
        operator: ``A``.
        like: a tensor of the domain, shape ``(..., *domain_shape)``; gives dtype, device and batch. Its values do not
            matter; the start is drawn with a fixed seed.
        iterations: number of products with ``A^H A``, at least 1.

    Returns:
        Real, one value for each entry of the batch, shape ``(...)``; 0 for an operator that is zero.

    Raises:
        ValueError: if there is no iteration.
    """
    if iterations < 1:
        raise ValueError(f"iterations is {iterations}, expected at least 1.")
    axes = tuple(range(-len(operator.domain_shape), 0))
    # one start for the whole batch, so that an entry's value does not depend on the others
    start = torch.randn(operator.domain_shape, dtype=like.dtype, generator=keyed_generator("spectral_norm"))
    vector = start.to(like.device).expand_as(like)
    square = torch.zeros(())
    for _ in range(iterations):
        length = _length(vector, axes)
        vector = operator.normal(vector / torch.where(length > 0, length, torch.ones_like(length)))
        square = _length(vector, axes)
    return square.reshape(like.shape[: like.ndim - len(axes)]).sqrt()


def _length(vector: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    return torch.linalg.vector_norm(vector, dim=axes, keepdim=True)
