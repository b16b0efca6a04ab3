from __future__ import annotations

import numpy as np
import pytest
import torch

from recon_monai.physics import decenter, decenter_mask, fft2c, ifft2c, recenter

SIZES = [(8, 6), (7, 5), (8, 5), (7, 6), (1, 4), (1, 1), (64, 33)]


def draw(*shape: int, dtype: torch.dtype = torch.complex128) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("size", SIZES)
def test_matches_numpy(size: tuple[int, int]) -> None:
    image = draw(2, 3, *size)
    axes = (-2, -1)
    shifted = np.fft.ifftshift(image.numpy(), axes=axes)
    expected = np.fft.fftshift(np.fft.fft2(shifted, axes=axes, norm="ortho"), axes=axes)
    np.testing.assert_allclose(fft2c(image).numpy(), expected, rtol=0, atol=1e-13)
    back = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(expected, axes=axes), axes=axes, norm="ortho"), axes=axes)
    np.testing.assert_allclose(ifft2c(torch.from_numpy(expected)).numpy(), back, rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", SIZES)
def test_matches_the_written_out_sum(size: tuple[int, int]) -> None:
    matrices = []
    for number in size:
        place = torch.arange(number, dtype=torch.float64) - number // 2
        matrices.append(torch.exp(-2j * torch.pi * place[:, None] * place / number) / number**0.5)
    image = draw(*size)
    torch.testing.assert_close(fft2c(image), matrices[0] @ image @ matrices[1].T, rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", SIZES)
def test_is_unitary(size: tuple[int, int]) -> None:
    x, y = draw(*size), draw(2, *size)[1]
    torch.testing.assert_close(
        torch.vdot(fft2c(x).flatten(), y.flatten()), torch.vdot(x.flatten(), ifft2c(y).flatten())
    )
    torch.testing.assert_close(ifft2c(fft2c(x)), x)
    torch.testing.assert_close(torch.linalg.vector_norm(fft2c(x)), torch.linalg.vector_norm(x))


def test_a_constant_has_only_dc_and_a_point_in_the_middle_no_phase() -> None:
    constant = torch.ones(6, 5, dtype=torch.complex128)
    expected = torch.zeros_like(constant)
    expected[3, 2] = 30**0.5
    torch.testing.assert_close(fft2c(constant), expected)
    torch.testing.assert_close(fft2c(expected), constant)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.complex64, 1e-6), (torch.complex128, 1e-14)])
def test_decentered_kspace_needs_a_plain_fft(size: tuple[int, int], dtype: torch.dtype, tolerance: float) -> None:
    kspace = draw(2, 3, *size, dtype=dtype)
    plain = decenter(kspace)
    assert plain.dtype == dtype
    torch.testing.assert_close(torch.fft.ifft2(plain, norm="ortho"), ifft2c(kspace), rtol=0, atol=tolerance)
    torch.testing.assert_close(recenter(plain), kspace, rtol=0, atol=tolerance)
    torch.testing.assert_close(recenter(torch.fft.fft2(kspace, norm="ortho")), fft2c(kspace), rtol=0, atol=tolerance)


def test_decenter_of_even_sizes_is_exactly_invertible() -> None:
    kspace = draw(3, 16, 12, dtype=torch.complex64)
    assert torch.equal(recenter(decenter(kspace)), kspace)


def test_decenter_is_accurate_for_large_odd_sizes() -> None:
    kspace = draw(1, 1023, dtype=torch.complex64)
    expected = decenter(kspace.to(torch.complex128))
    torch.testing.assert_close(decenter(kspace).to(torch.complex128), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 1, 1, 7), (2, 1, 1, 8), (2, 1, 5, 7), (2, 1, 6, 8)])
@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
def test_masking_commutes_with_decentering(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    mask = (torch.rand(shape, generator=torch.Generator().manual_seed(1)) > 0.5).to(dtype)
    kspace = draw(2, 3, 5 if shape[-2] == 1 else shape[-2], shape[-1])
    plain = decenter_mask(mask)
    assert plain.dtype == dtype
    assert plain.shape == mask.shape
    torch.testing.assert_close(decenter(kspace) * plain, decenter(kspace * mask))


def test_decenter_mask_of_one_row() -> None:
    mask = torch.tensor([0, 1, 1, 0, 0], dtype=torch.bool)
    assert decenter_mask(mask).tolist() == np.fft.ifftshift(mask.numpy()).tolist()


@pytest.mark.parametrize("function", [fft2c, ifft2c, decenter, recenter])
def test_gradients(function) -> None:
    assert torch.autograd.gradcheck(function, draw(2, 4, 3).requires_grad_())


@pytest.mark.parametrize("function", [fft2c, ifft2c, decenter, recenter])
def test_real_input_is_refused(function) -> None:
    with pytest.raises(TypeError, match=r"complex.*\(1, 4, 4, 2\).*view_as_complex"):
        function(torch.zeros(1, 4, 4, 2))
