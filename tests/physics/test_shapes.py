from __future__ import annotations

import pytest
import torch

from recon_monai.physics import center_crop_or_pad, crop_readout, fft2c, ifft2c, truncate_kspace


@pytest.mark.parametrize("full", [8, 9])
@pytest.mark.parametrize("wanted", [4, 5, 8])
def test_crop_starts_at_half_the_difference(full: int, wanted: int) -> None:
    x = torch.arange(full * full).reshape(1, full, full)
    start = (full - wanted) // 2
    assert torch.equal(center_crop_or_pad(x, (wanted, wanted)), x[:, start : start + wanted, start : start + wanted])


@pytest.mark.parametrize("small", [(4, 5), (5, 4), (8, 9)])
@pytest.mark.parametrize("large", [(8, 9), (9, 10)])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.float64, torch.bool])
def test_crop_undoes_padding(small: tuple[int, int], large: tuple[int, int], dtype: torch.dtype) -> None:
    x = torch.ones(2, 3, *small).to(dtype)
    padded = center_crop_or_pad(x, large)
    assert padded.shape == (2, 3, *large)
    assert padded.dtype == dtype
    assert torch.equal(center_crop_or_pad(padded, small), x)
    assert int((padded != 0).sum()) == x.numel()


def test_crop_and_pad_at_once() -> None:
    x = torch.arange(12.0).reshape(2, 6)
    expected = torch.tensor([[0, 0], [2, 3], [8, 9], [0, 0]])
    assert torch.equal(center_crop_or_pad(x, torch.tensor([4, 2])), expected.float())


@pytest.mark.parametrize("full", [(16, 12), (15, 13), (16, 13)])
@pytest.mark.parametrize("size", [(8, 6), (7, 5), (8, 5), (1, 1)])
def test_truncation_of_a_band_limited_image_resamples_it(full: tuple[int, int], size: tuple[int, int]) -> None:
    """Sum of two waves of a frequency that the small matrix still holds, evaluated on both grids."""
    fast = 1 if min(size) > 2 else 0

    def image(matrix: tuple[int, int]) -> torch.Tensor:
        y, x = ((torch.arange(number, dtype=torch.float64) - number // 2) / number for number in matrix)
        wave = 3 + torch.cos(2 * torch.pi * fast * y[:, None]) + 1j * torch.sin(2 * torch.pi * fast * x)
        return wave.to(torch.complex128)

    small = ifft2c(truncate_kspace(fft2c(image(full)), size))
    torch.testing.assert_close(small, image(size))


def test_truncation_is_differentiable_and_keeps_the_batch() -> None:
    kspace = torch.randn(2, 3, 6, 5, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(lambda k: truncate_kspace(k, (3, 4)), kspace.requires_grad_())
    torch.testing.assert_close(truncate_kspace(kspace, (6, 5)), kspace)
    torch.testing.assert_close(truncate_kspace(kspace, (3, 4))[1], truncate_kspace(kspace[1], (3, 4)))


def test_impossible_sizes_are_refused() -> None:
    x = torch.zeros(1, 4, 4)
    with pytest.raises(ValueError, match=r"\(5, 4\) is larger.*\(4, 4\)"):
        truncate_kspace(x, (5, 4))
    for function in (center_crop_or_pad, truncate_kspace):
        with pytest.raises(ValueError, match="two positive integers"):
            function(x, (0, 4))
        with pytest.raises(ValueError, match="two positive integers"):
            function(x, (4, 4, 4))
        with pytest.raises(ValueError, match=r"shape \(4,\)"):
            function(torch.zeros(4), (2, 2))


def dft(size: int) -> torch.Tensor:
    """Matrix of the centered orthonormal transform from image to k-space."""
    index = torch.arange(size, dtype=torch.float64) - size // 2
    return torch.exp(-2j * torch.pi * index[:, None] * index / size) / size**0.5


@pytest.mark.parametrize(("height", "first", "rows"), [(12, 2, 8), (12, 3, 7), (11, 0, 6), (9, 4, 5), (9, 0, 9)])
def test_readout_is_cropped_by_the_matrices_of_both_lengths(height: int, first: int, rows: int) -> None:
    generator = torch.Generator().manual_seed(0)
    kspace = torch.randn(2, height, 5, dtype=torch.complex128, generator=generator)
    expected = dft(rows) @ (dft(height).conj().T @ kspace)[:, first : first + rows]
    torch.testing.assert_close(crop_readout(kspace, first, rows), expected, rtol=0, atol=1e-12)


def test_rows_that_do_not_exist_are_refused() -> None:
    kspace = torch.zeros(1, 8, 4, dtype=torch.complex64)
    for first, rows in ((-1, 4), (5, 4), (0, 0)):
        with pytest.raises(ValueError, match="expected complex k-space"):
            crop_readout(kspace, first, rows)
    with pytest.raises(ValueError, match=r"got torch\.float32"):
        crop_readout(kspace.real, 0, 4)
