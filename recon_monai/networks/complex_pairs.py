"""Complex arithmetic in real numbers, for formats that have no complex ones (ONNX).

Within `complex_pairs`, ``torch.view_as_complex`` returns a `ComplexPair` in place of a complex tensor. What is computed
with it are operations on real tensors, Fourier transforms among them as products with matrices that follow the sizes of
the input. So a network is recorded as it is, without another implementation of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["ComplexPair", "complex_pairs"]


class complex_pairs(TorchFunctionMode):  # noqa: N801 - used like a function
    """Within its ``with`` block, what would be complex tensors are pairs of real ones."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Make pairs; other functions find them by themselves."""
        if func is torch.view_as_complex and not isinstance(args[0], ComplexPair):
            return ComplexPair(args[0][..., 0], args[0][..., 1])
        if func in _SHIFTS:  # of masks; formats do not know it either
            return _shift(*args, **(kwargs or {}), inverse=func is torch.fft.ifftshift)
        return func(*args, **(kwargs or {}))


class ComplexPair:
    """Real and imaginary part in place of a complex64 tensor, with the operations that networks use.

    Args:
        real: floating point.
        imag: of the same shape.
    """

    dtype = torch.complex64

    def __init__(self, real: torch.Tensor, imag: torch.Tensor) -> None:
        self.real = real
        self.imag = imag

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Apply a function of PyTorch to pairs.

        Raises:
            NotImplementedError: for a function that has no form in real numbers here.
        """
        name = getattr(func, "__name__", str(func))
        if name in _SPECIAL:
            return _SPECIAL[name](*args, **(kwargs or {}))
        if name in _OF_EACH_PART:
            return _each(func, *args, **(kwargs or {}))
        raise NotImplementedError(f"complex numbers go through {name}, which has no form in real numbers here")

    @property
    def shape(self) -> torch.Size:
        """Of either part."""
        return self.real.shape

    @property
    def ndim(self) -> int:
        """Of either part."""
        return self.real.ndim

    @property
    def device(self) -> torch.device:
        """Of either part."""
        return self.real.device

    def is_complex(self) -> bool:
        """True, as of the tensor that it stands for."""
        return True

    def conj(self) -> ComplexPair:
        """The complex conjugate."""
        return ComplexPair(self.real, -self.imag)

    def to(self, dtype: torch.dtype) -> ComplexPair:
        """The same: there is one precision."""
        if dtype != self.dtype:
            raise NotImplementedError(f"pairs of real numbers stand for {self.dtype}, not for {dtype}")
        return self

    def split(self, size: int, dim: int = 0) -> list[ComplexPair]:
        """Both parts, split."""
        parts = zip(self.real.split(size, dim), self.imag.split(size, dim), strict=True)
        return [ComplexPair(real, imag) for real, imag in parts]

    def tensor_split(self, sections: int) -> list[ComplexPair]:
        """The pair itself, undivided."""
        if sections != 1:
            raise NotImplementedError(f"a recording takes coils at once, not in {sections} parts")
        return [self]

    def __getattr__(self, name: str) -> Callable[..., ComplexPair]:
        if name not in _METHODS:
            raise AttributeError(f"complex numbers go through {name}, which has no form in real numbers here")
        return lambda *args, **kwargs: _each(lambda part: getattr(part, name)(*args, **kwargs), self)

    def __getitem__(self, index: Any) -> ComplexPair:
        return ComplexPair(self.real[index], self.imag[index])

    def __setitem__(self, index: Any, value: ComplexPair) -> None:
        """Replace all of it, the only assignment that a recording can keep."""
        if index != (slice(None), slice(None)):
            raise NotImplementedError(f"a part {index} of complex numbers is assigned to")
        self.real, self.imag = value.real, value.imag

    def __neg__(self) -> ComplexPair:
        return ComplexPair(-self.real, -self.imag)

    def __add__(self, other: ComplexPair) -> ComplexPair:
        return ComplexPair(self.real + other.real, self.imag + other.imag)

    def __sub__(self, other: ComplexPair) -> ComplexPair:
        return ComplexPair(self.real - other.real, self.imag - other.imag)

    def __mul__(self, other: Any) -> ComplexPair:
        if not isinstance(other, ComplexPair):
            return ComplexPair(self.real * other, self.imag * other)
        return ComplexPair(
            self.real * other.real - self.imag * other.imag, self.real * other.imag + self.imag * other.real
        )

    __rmul__ = __mul__

    def __truediv__(self, divisor: torch.Tensor) -> ComplexPair:
        return ComplexPair(self.real / divisor, self.imag / divisor)

    # intermediate results that nothing else looks at: not in place here
    def add_(self, other: ComplexPair) -> ComplexPair:
        """Add, in place."""
        return self._become(self + other)

    def sub_(self, other: ComplexPair) -> ComplexPair:
        """Subtract, in place."""
        return self._become(self - other)

    def mul_(self, other: Any) -> ComplexPair:
        """Multiply, in place."""
        return self._become(self * other)

    def addcmul_(self, first: ComplexPair, second: ComplexPair) -> ComplexPair:
        """Add a product, in place."""
        return self._become(self + first * second)

    def _become(self, other: ComplexPair) -> ComplexPair:
        self.real, self.imag = other.real, other.imag
        return self


_METHODS = (
    "contiguous",
    "expand",
    "flatten",
    "index_select",
    "permute",
    "repeat",
    "reshape",
    "sum",
    "unsqueeze",
    "view",
)
_OF_EACH_PART = ("empty_like", "zeros_like")


def _each(func: Callable[..., torch.Tensor], pair: ComplexPair, **kwargs: Any) -> ComplexPair:
    return ComplexPair(func(pair.real, **kwargs), func(pair.imag, **kwargs))


def _where(condition: torch.Tensor, one: Any, other: Any) -> ComplexPair:
    def chosen(part: str) -> torch.Tensor:
        return torch.where(condition, _part(one, part), _part(other, part))

    return ComplexPair(chosen("real"), chosen("imag"))


def _part(value: Any, name: str) -> Any:
    if isinstance(value, ComplexPair):
        return getattr(value, name)
    return value if name == "real" else 0.0


def _cat(pairs: Sequence[ComplexPair], dim: int = 0) -> ComplexPair:
    return ComplexPair(torch.cat([pair.real for pair in pairs], dim), torch.cat([pair.imag for pair in pairs], dim))


def _shift(values: Any, dim: Sequence[int], *, inverse: bool) -> Any:
    for axis in dim:
        size = values.shape[axis]
        start = size // 2 if inverse else size - size // 2
        values = values.index_select(axis, (torch.arange(size, device=values.device) + start) % size)
    return values


def _transform(pair: ComplexPair, dim: Sequence[int], norm: str | None, *, sign: int) -> ComplexPair:
    if norm != "ortho":
        raise NotImplementedError(f"Fourier transforms are orthonormal here, not {norm}")
    for axis in dim:
        matrix = _fourier_matrix(pair.shape[axis], sign, pair.device)
        if axis == -1:
            pair = _product(pair, matrix)
        elif axis == -2:
            pair = _product(matrix, pair)
        else:
            raise NotImplementedError(f"Fourier transforms are along the last two dimensions here, not {axis}")
    return pair


def _fourier_matrix(size: Any, sign: int, device: torch.device) -> ComplexPair:
    index = torch.arange(size, device=device)
    # reduced while still an integer, so that the angle is exact for any size
    turns = (index[:, None] * index % size).to(torch.float32) / size
    angle, scale = turns * (2 * math.pi), torch.ones_like(index).sum().to(torch.float32).rsqrt()
    return ComplexPair(angle.cos() * scale, angle.sin() * (sign * scale))


def _product(one: ComplexPair, other: ComplexPair) -> ComplexPair:
    return ComplexPair(one.real @ other.real - one.imag @ other.imag, one.real @ other.imag + one.imag @ other.real)


_LAST_TWO = (-2, -1)
_SHIFTS = (torch.fft.fftshift, torch.fft.ifftshift)
_SPECIAL: dict[str, Callable[..., Any]] = {
    "addcmul": lambda pair, one, other: pair + one * other,
    "cat": _cat,
    "fft_fft2": lambda pair, dim=_LAST_TWO, norm=None: _transform(pair, dim, norm, sign=-1),
    "fft_fftn": lambda pair, dim=_LAST_TWO, norm=None: _transform(pair, dim, norm, sign=-1),
    "fft_ifft2": lambda pair, dim=_LAST_TWO, norm=None: _transform(pair, dim, norm, sign=1),
    "fft_ifftn": lambda pair, dim=_LAST_TWO, norm=None: _transform(pair, dim, norm, sign=1),
    "view_as_real": lambda pair: torch.stack([pair.real, pair.imag], dim=-1),
    "where": _where,
    # Tensor op pair: the tensor is asked first
    "__mul__": lambda tensor, pair: pair * tensor,
    "mul": lambda tensor, pair: pair * tensor,
}
