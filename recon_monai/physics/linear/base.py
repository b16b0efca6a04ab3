"""The linear operator ``A`` of an inverse problem ``y = A x + n``, its adjoint and its products."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch

__all__ = ["AdjointOperator", "LinearOperator", "ProductOperator"]


class LinearOperator(ABC):
    """A linear map with its adjoint, over the last dimensions of a tensor; all dimensions before them are a batch.

    Tensors are real or complex of any precision. ``A @ B`` is the product (``B`` first), ``A.H`` the adjoint as an
    operator.

    Args:
        domain_shape: shape of ``x`` without the batch.
        range_shape: shape of ``A x`` without the batch.

    Raises:
        ValueError: if a size is below 1.
    """

    def __init__(self, domain_shape: Sequence[int], range_shape: Sequence[int]) -> None:
        self.domain_shape = tuple(int(size) for size in domain_shape)
        self.range_shape = tuple(int(size) for size in range_shape)
        if min((*self.domain_shape, *self.range_shape, 1)) < 1:
            raise ValueError(
                f"{type(self).__name__} got the shapes {self.domain_shape} and {self.range_shape}, expected sizes of "
                "at least 1."
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.domain_shape} -> {self.range_shape})"

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Same as `forward`."""
        return self.forward(x)

    @abstractmethod
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply ``A``.

        Args:
            x: shape ``(..., *domain_shape)``.

        Returns:
            Shape ``(..., *range_shape)``.
        """

    @abstractmethod
    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Apply ``A^H``.

        Args:
            y: shape ``(..., *range_shape)``.

        Returns:
            Shape ``(..., *domain_shape)``.
        """

    def normal(self, x: torch.Tensor) -> torch.Tensor:
        """Apply ``A^H A``.

        Args:
            x: shape ``(..., *domain_shape)``.

        Returns:
            Tensor of the same shape.
        """
        return self.adjoint(self.forward(x))

    @property
    def H(self) -> LinearOperator:  # noqa: N802 - the sign of the adjoint
        """The adjoint as an operator."""
        return AdjointOperator(self)

    def __matmul__(self, other: LinearOperator) -> LinearOperator:
        """The product ``x -> self(other(x))``."""
        return ProductOperator(self, other)

    def _check_domain(self, x: torch.Tensor) -> None:
        self._check(x, self.domain_shape, "x")

    def _check_range(self, y: torch.Tensor) -> None:
        self._check(y, self.range_shape, "y")

    def _check(self, tensor: torch.Tensor, shape: tuple[int, ...], name: str) -> None:
        if tensor.shape[tensor.ndim - len(shape) :] != shape or tensor.ndim < len(shape):
            sizes = ", ".join(map(str, shape))
            raise ValueError(f"{self!r} got {name} of shape {tuple(tensor.shape)}, expected (..., {sizes}).")


class AdjointOperator(LinearOperator):
    """The adjoint of an operator.

    Args:
        operator: ``A``.
    """

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(operator.range_shape, operator.domain_shape)
        self.operator = operator

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply ``A^H``."""
        return self.operator.adjoint(x)

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Apply ``A``."""
        return self.operator.forward(y)

    @property
    def H(self) -> LinearOperator:  # noqa: N802 - the sign of the adjoint
        """``A`` itself."""
        return self.operator


class ProductOperator(LinearOperator):
    """The product ``A B``.

    Args:
        outer: ``A``.
        inner: ``B``, which is applied first.

    Raises:
        ValueError: if the range of ``B`` is not the domain of ``A``.
    """

    def __init__(self, outer: LinearOperator, inner: LinearOperator) -> None:
        if inner.range_shape != outer.domain_shape:
            raise ValueError(
                f"the product of {outer!r} and {inner!r} needs the range of the second, {inner.range_shape}, to be the "
                f"domain of the first, {outer.domain_shape}."
            )
        super().__init__(inner.domain_shape, outer.range_shape)
        self.outer, self.inner = outer, inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply ``A B``."""
        return self.outer.forward(self.inner.forward(x))

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Apply ``B^H A^H``."""
        return self.inner.adjoint(self.outer.adjoint(y))

    def normal(self, x: torch.Tensor) -> torch.Tensor:
        """Apply ``B^H A^H A B`` by the outer operator's own ``A^H A``."""
        return self.inner.adjoint(self.outer.normal(self.inner.forward(x)))
