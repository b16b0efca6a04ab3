"""Losses of resolution: block means, truncated k-space, thick slices."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from recon_monai.physics.interpolation import apply_matrix
from recon_monai.physics.linear.base import LinearOperator
from recon_monai.physics.slices import SliceProfile, slice_matrix
from recon_monai.physics.spectrum import truncate_spectrum

__all__ = ["BlockDownsampling", "KspaceTruncation", "SliceProfileOperator"]


class BlockDownsampling(LinearOperator):
    """Mean over blocks of samples, one coarse sample for each block.

    Args:
        factor: length of a block for each of the last dimensions.
        shape: of the fine image, without the batch.

    Raises:
        ValueError: if a factor does not divide its axis.
    """

    def __init__(self, factor: Sequence[int], shape: Sequence[int]) -> None:
        fine = tuple(shape)
        lead = len(fine) - len(factor)
        if not factor or lead < 0 or any(f < 1 or n % f for f, n in zip(factor, fine[max(lead, 0) :], strict=False)):
            raise ValueError(
                f"blocks of {tuple(factor)} do not tile an image of shape {fine}, expected factors that divide its "
                "last dimensions; crop or pad it."
            )
        coarse = tuple(n // f for f, n in zip(factor, fine[lead:], strict=True))
        super().__init__(fine, (*fine[:lead], *coarse))
        self.factor = tuple(int(f) for f in factor)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take the means.

        Args:
            x: real or complex, shape ``(..., *shape)``.

        Returns:
            Coarse samples, shape ``(..., *range_shape)``.
        """
        self._check_domain(x)
        count = len(self.factor)
        coarse = self.range_shape[len(self.range_shape) - count :]
        blocks = [size for pair in zip(coarse, self.factor, strict=True) for size in pair]
        means = tuple(range(-2 * count + 1, 0, 2))
        return x.reshape(*x.shape[: x.ndim - count], *blocks).mean(dim=means)

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Spread each coarse sample evenly over its block.

        Args:
            y: real or complex, shape ``(..., *range_shape)``.

        Returns:
            Shape ``(..., *shape)``.
        """
        self._check_range(y)
        for axis, factor in zip(range(-len(self.factor), 0), self.factor, strict=True):
            y = y.repeat_interleave(factor, dim=axis) / factor
        return y


class KspaceTruncation(LinearOperator):
    """The middle of k-space on the same grid (`truncate_spectrum`), as a shorter scan leaves it.

    It is its own adjoint. Its range lies on the fine grid, as the inputs of the super-resolution networks do; it holds
    no more than the coarse samples, since zero-filling is one to one.

    Args:
        keep: per axis a fraction of the samples (floats) or their number (ints); one value for all axes.
        shape: of the image, without the batch.
        axes: the axes, counted from the end.

    Raises:
        ValueError: if ``keep`` or ``axes`` cannot be used.
    """

    def __init__(
        self, keep: float | Sequence[float], shape: Sequence[int], axes: int | Sequence[int] = (-3, -2, -1)
    ) -> None:
        super().__init__(shape, shape)
        self.keep = keep
        self.axes = (axes,) if isinstance(axes, int) else tuple(axes)
        if any(not -len(self.domain_shape) <= axis < 0 for axis in self.axes):
            raise ValueError(
                f"axes are {self.axes}, expected axes of {self.domain_shape} counted from the end, as in (-2, -1)."
            )
        truncate_spectrum(torch.zeros(self.domain_shape), keep, self.axes)  # refuses what cannot be used

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Truncate the spectrum.

        Args:
            x: real or complex, shape ``(..., *shape)``.

        Returns:
            Tensor of the same shape and dtype.
        """
        self._check_domain(x)
        if x.is_complex():  # the filter is real
            return torch.complex(self.forward(x.real), self.forward(x.imag))
        return truncate_spectrum(x, self.keep, self.axes)

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Same as `forward`: windows symmetric about DC are real, symmetric filters."""
        return self.forward(y)


class SliceProfileOperator(LinearOperator):
    """Thick slices along one axis (`thick_slices`).

    Args:
        shape: of the volume, without the batch.
        axis: the slice axis, counted from the end.
        spacing: distance of voxels along it in mm.
        thickness: full width of the profile at half its height in mm, above ``spacing``.
        gap: between slices in mm; negative where slices overlap.
        profile: ``"box"``, ``"gaussian"`` or ``"trapezoid"``.

    Attributes:
        positions: centers of the slices along the axis, in voxels, float64 ``(n,)``.

    Raises:
        ValueError: if a length cannot be used, the axis is not one of the shape, or the profile is unknown.
    """

    def __init__(
        self,
        shape: Sequence[int],
        axis: int,
        spacing: float,
        thickness: float,
        gap: float = 0.0,
        profile: SliceProfile = "box",
    ) -> None:
        if not -len(shape) <= axis < 0:
            raise ValueError(f"axis is {axis}, expected an axis of {tuple(shape)} counted from the end, such as -1.")
        self.axis = axis
        self._matrix, self.positions = slice_matrix(shape[axis], spacing, thickness, gap, profile)
        coarse = list(shape)
        coarse[axis] = len(self.positions)
        super().__init__(shape, coarse)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Integrate over the slice profiles.

        Args:
            x: real or complex, shape ``(..., *shape)``.

        Returns:
            Slices, shape ``(..., *range_shape)``.
        """
        self._check_domain(x)
        return apply_matrix(x, self.axis, self._matrix)

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Spread each slice over its profile.

        Args:
            y: real or complex, shape ``(..., *range_shape)``.

        Returns:
            Shape ``(..., *shape)``.
        """
        self._check_range(y)
        return apply_matrix(y, self.axis, self._matrix.mT)
