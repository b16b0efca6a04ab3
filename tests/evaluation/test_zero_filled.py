from __future__ import annotations

import numpy as np
import torch

from recon_monai.evaluation import zero_filled

SIZE = (48, 40)


def nmse(image: torch.Tensor, target: torch.Tensor) -> float:
    return float((image - target).square().sum() / target.square().sum())


def test_zero_filled_is_the_rss_of_the_coil_images(acquire) -> None:
    kspace, _, target = acquire()
    axes = (-2, -1)
    shifted = np.fft.ifft2(np.fft.ifftshift(kspace.numpy(), axes=axes), axes=axes, norm="ortho")
    expected = np.sqrt((np.abs(np.fft.fftshift(shifted, axes=axes)) ** 2).sum(axis=0))
    np.testing.assert_allclose(zero_filled(kspace)[0].numpy(), expected, atol=1e-5)
    torch.testing.assert_close(zero_filled(kspace[None])[0], zero_filled(kspace))
    assert nmse(zero_filled(kspace), target) > 0.01
