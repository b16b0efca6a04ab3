"""Linear operators of the acquisition."""

from __future__ import annotations

import torch

from recon_monai.physics.coils import expand, reduce
from recon_monai.physics.fourier import decenter_mask, fft2c, ifft2c

__all__ = ["SenseOperator"]


class SenseOperator:
    """The multi-coil acquisition ``A x = M F S x`` (SENSE, Pruessmann et al. 1999).

    Args:
        maps: complex coil sensitivity maps ``S``, shape ``(B, coil, H, W)`` or ``(coil, H, W)``.
        mask: sampling ``M``, zeros and ones of any dtype, shape ``(B, 1, 1, W)`` or ``(B, 1, H, W)`` (or any shape
            that broadcasts with the maps); None means fully sampled.
    """

    def __init__(self, maps: torch.Tensor, mask: torch.Tensor | None = None) -> None:
        self.maps = maps
        self.mask = None if mask is None else mask != 0
        self._plain_mask = None if self.mask is None else decenter_mask(self.mask)

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Same as `forward`."""
        return self.forward(image)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Acquire an image.

        Args:
            image: complex, shape ``(B, 1, H, W)``.

        Returns:
            Masked centered k-space, shape ``(B, coil, H, W)``.
        """
        return self._sample(fft2c(expand(image, self.maps)), self.mask)

    def adjoint(self, kspace: torch.Tensor) -> torch.Tensor:
        """Apply ``A^H``.

        Args:
            kspace: complex centered k-space, shape ``(B, coil, H, W)``; samples outside the mask are ignored.

        Returns:
            Complex image, shape ``(B, 1, H, W)``.
        """
        return reduce(ifft2c(self._sample(kspace, self.mask)), self.maps)

    def normal(self, image: torch.Tensor) -> torch.Tensor:
        """Apply ``A^H A`` without any shift: those of `forward` and `adjoint` cancel.

        Args:
            image: complex, shape ``(B, 1, H, W)``.

        Returns:
            Complex image of the same shape.
        """
        kspace = torch.fft.fft2(expand(image, self.maps), norm="ortho")
        return reduce(torch.fft.ifft2(self._sample(kspace, self._plain_mask), norm="ortho"), self.maps)

    @staticmethod
    def _sample(kspace: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        return kspace if mask is None else kspace * mask
