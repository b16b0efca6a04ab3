from __future__ import annotations

import pytest
import torch

from recon_monai.physics import SenseOperator, normalize_maps

MATRICES = [(6, 8), (5, 7), (6, 7)]


def make(size: tuple[int, int], mask_rows: int, dtype: torch.dtype = torch.complex128):
    generator = torch.Generator().manual_seed(3)
    maps = normalize_maps(torch.randn(2, 3, *size, dtype=dtype, generator=generator))
    mask = torch.rand(2, 1, mask_rows, size[1], generator=generator) > 0.5
    image = torch.randn(2, 1, *size, dtype=dtype, generator=generator)
    kspace = torch.randn(2, 3, *size, dtype=dtype, generator=generator)
    return SenseOperator(maps, mask), maps, mask, image, kspace


@pytest.mark.parametrize("size", MATRICES)
@pytest.mark.parametrize("two_d", [False, True])
def test_adjoint_and_normal(size: tuple[int, int], two_d: bool) -> None:
    operator, _, mask, image, kspace = make(size, size[0] if two_d else 1)
    left = torch.vdot(operator(image).flatten(), kspace.flatten())
    torch.testing.assert_close(left, torch.vdot(image.flatten(), operator.adjoint(kspace).flatten()))
    torch.testing.assert_close(operator.normal(image), operator.adjoint(operator.forward(image)))
    assert (operator(image) * ~mask == 0).all()


def test_forward_against_the_written_out_sum() -> None:
    operator, maps, mask, image, _ = make((5, 6), 1)
    matrices = []
    for number in (5, 6):
        place = torch.arange(number, dtype=torch.float64) - number // 2
        matrices.append(torch.exp(-2j * torch.pi * place[:, None] * place / number) / number**0.5)
    expected = mask * torch.einsum("yh,xw,bchw->bcyx", matrices[0], matrices[1], maps * image)
    torch.testing.assert_close(operator(image), expected)


def test_adjoint_equals_the_adjoint_by_autograd() -> None:
    operator, _, _, image, kspace = make((5, 6), 1)
    image.requires_grad_()
    (gradient,) = torch.autograd.grad(operator(image), image, grad_outputs=kspace)
    torch.testing.assert_close(gradient, operator.adjoint(kspace))


def test_without_a_mask_the_normal_operator_is_the_identity() -> None:
    _, maps, _, image, _ = make((5, 6), 1)
    operator = SenseOperator(maps)
    torch.testing.assert_close(operator.normal(image), image)
    torch.testing.assert_close(operator.adjoint(operator(image)), image)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.uint8])
def test_masks_of_other_types(dtype: torch.dtype) -> None:
    operator, maps, mask, image, _ = make((5, 6), 1)
    torch.testing.assert_close(SenseOperator(maps, mask.to(dtype))(image), operator(image))


def test_one_slice_is_as_in_a_batch() -> None:
    operator, maps, mask, image, kspace = make((5, 6), 1, torch.complex64)
    one = SenseOperator(maps[1], mask[1])
    torch.testing.assert_close(one(image[1]), operator(image)[1])
    torch.testing.assert_close(one.adjoint(kspace[1]), operator.adjoint(kspace)[1])
    torch.testing.assert_close(one.normal(image[1]), operator.normal(image)[1])


def test_gradients() -> None:
    generator = torch.Generator().manual_seed(1)
    maps, image, kspace = (
        torch.randn(1, coils, 3, 4, dtype=torch.complex128, generator=generator).requires_grad_() for coils in (2, 1, 2)
    )
    mask = torch.tensor([True, False, True, True])
    assert torch.autograd.gradcheck(lambda x, s: SenseOperator(s, mask)(x), (image, maps))
    assert torch.autograd.gradcheck(lambda x, s: SenseOperator(s, mask).normal(x), (image, maps))
    assert torch.autograd.gradcheck(lambda y, s: SenseOperator(s, mask).adjoint(y), (kspace, maps))
