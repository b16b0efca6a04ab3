"""The multi-coil acquisition as a linear operator."""

from __future__ import annotations

import torch

from recon_monai.physics.coils import expand, reduce
from recon_monai.physics.fourier import decenter_mask, fft2c, ifft2c
from recon_monai.physics.linear.base import LinearOperator

__all__ = ["SenseOperator"]


class SenseOperator(LinearOperator):
    """The multi-coil acquisition ``A x = M F S x`` (SENSE, Pruessmann et al. 1999).

    Args:
        maps: complex coil sensitivity maps ``S``, shape ``(B, coil, H, W)`` or ``(coil, H, W)``.
        mask: sampling ``M``, zeros and ones of any dtype, shape ``(B, 1, 1, W)`` or ``(B, 1, H, W)`` (or any shape
            that broadcasts with the maps); None means fully sampled.

    The domain has shape ``(1, H, W)``, the range ``(coil, H, W)``. With normalized maps the norm is at most 1.

    Examples:
        >>> import torch
        >>> from recon_monai.physics import SenseOperator, normalize_maps
        >>> maps = normalize_maps(torch.randn(1, 4, 16, 16, dtype=torch.complex64))
        >>> operator = SenseOperator(maps, mask=torch.arange(16) % 2 == 0)
        >>> x, y = torch.randn(1, 1, 16, 16, dtype=torch.complex64), torch.randn(1, 4, 16, 16, dtype=torch.complex64)
        >>> left = torch.vdot(operator.forward(x).flatten(), y.flatten())
        >>> right = torch.vdot(x.flatten(), operator.adjoint(y).flatten())
        >>> torch.allclose(left, right, rtol=1e-3, atol=1e-3)
        True
    """

    def __init__(self, maps: torch.Tensor, mask: torch.Tensor | None = None) -> None:
        coils, height, width = maps.shape[-3:]
        super().__init__((1, height, width), (coils, height, width))
        self.maps = maps
        self.mask = None if mask is None else mask != 0
        self._plain_mask = None if self.mask is None else decenter_mask(self.mask)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Acquire an image.

        Args:
            x: complex image, shape ``(B, 1, H, W)``.

        Returns:
            Masked centered k-space, shape ``(B, coil, H, W)``.
        """
        self._check_domain(x)
        return self._sample(fft2c(expand(x, self.maps)), self.mask)

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        """Apply ``A^H``.

        Args:
            y: complex centered k-space, shape ``(B, coil, H, W)``; samples outside the mask are ignored.

        Returns:
            Complex image, shape ``(B, 1, H, W)``.
        """
        self._check_range(y)
        return reduce(ifft2c(self._sample(y, self.mask)), self.maps)

    def normal(self, x: torch.Tensor) -> torch.Tensor:
        """Apply ``A^H A`` without any shift: those of `forward` and `adjoint` cancel.

        Args:
            x: complex image, shape ``(B, 1, H, W)``.

        Returns:
            Complex image of the same shape.
        """
        self._check_domain(x)
        kspace = torch.fft.fft2(expand(x, self.maps), norm="ortho")
        return reduce(torch.fft.ifft2(self._sample(kspace, self._plain_mask), norm="ortho"), self.maps)

    @staticmethod
    def _sample(kspace: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        return kspace if mask is None else kspace * mask
