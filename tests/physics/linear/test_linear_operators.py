"""Properties that every linear operator has, and each one against an independent oracle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.ndimage
import torch
from skimage.measure import block_reduce

from recon_monai.physics import (
    BlockDownsampling,
    BlurOperator,
    GradientOperator,
    IdentityOperator,
    KspaceTruncation,
    LinearOperator,
    MaskOperator,
    SenseOperator,
    SliceProfileOperator,
    keyed_generator,
    normalize_maps,
    spectral_norm,
    thick_slices,
)

SHAPE = (1, 6, 9)
VOLUME = (1, 4, 6, 8)


def random(*shape: int, dtype: torch.dtype = torch.complex128) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=keyed_generator("operators", *shape))


def sense() -> SenseOperator:
    mask = torch.rand(1, 1, 9, generator=keyed_generator("mask")) < 0.6
    return SenseOperator(normalize_maps(random(3, 6, 9)), mask)


OPERATORS: dict[str, Callable[[], LinearOperator]] = {
    "identity": lambda: IdentityOperator(SHAPE),
    "mask": lambda: MaskOperator(random(6, 9, dtype=torch.float64) > 0, SHAPE),
    "mask of its own shape": lambda: MaskOperator(torch.eye(5)),
    "blur": lambda: BlurOperator(random(3, 4, dtype=torch.float64), SHAPE),
    "gaussian blur": lambda: BlurOperator.gaussian((0.8, 1.2, 0.7), VOLUME),
    "blocks": lambda: BlockDownsampling((2, 3), SHAPE),
    "blocks of a volume": lambda: BlockDownsampling((2, 1, 4), VOLUME),
    "truncation": lambda: KspaceTruncation((4, 5), SHAPE, (-2, -1)),
    "truncation of a volume": lambda: KspaceTruncation(0.5, VOLUME),
    "thick slices": lambda: SliceProfileOperator(VOLUME, -3, 1.0, 2.5, profile="trapezoid"),
    "overlapping slices": lambda: SliceProfileOperator(VOLUME, -1, 1.0, 3.0, -1.0, "gaussian"),
    "gradient": lambda: GradientOperator(SHAPE),
    "gradient of a volume": lambda: GradientOperator(VOLUME, (-3, -1)),
    "sense": sense,
    "product": lambda: BlockDownsampling((3, 3), SHAPE) @ BlurOperator.gaussian(1.0, SHAPE),
    "adjoint": lambda: BlockDownsampling((2, 3), SHAPE).H,
    "regularized sense": lambda: sense() @ GradientOperator(SHAPE).H @ GradientOperator(SHAPE),
}
# the dtypes that each is defined for: SENSE needs phases
CASES = [
    pytest.param(make, dtype, id=f"{name}, {'complex' if dtype.is_complex else 'real'}")
    for name, make in OPERATORS.items()
    for dtype in (torch.complex128, torch.float64)
    if dtype.is_complex or "sense" not in name
]


def inner(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.vdot(a.flatten(), b.flatten())


@pytest.mark.parametrize(("make", "dtype"), CASES)
def test_adjoint_normal_and_shapes(make, dtype: torch.dtype) -> None:
    operator = make()
    x, y = random(2, *operator.domain_shape, dtype=dtype), random(2, *operator.range_shape, dtype=dtype)
    image, back = operator(x), operator.adjoint(y)
    assert (image.shape, image.dtype) == (y.shape, dtype)
    assert (back.shape, back.dtype) == (x.shape, dtype)
    torch.testing.assert_close(inner(image, y), inner(x, back))
    torch.testing.assert_close(operator.normal(x), operator.adjoint(image))
    torch.testing.assert_close(operator.H(y), back)
    torch.testing.assert_close(operator.H.adjoint(x), image)
    assert image.abs().max() > 0.1


@pytest.mark.parametrize(("make", "dtype"), CASES)
def test_linear_and_the_same_in_any_batch(make, dtype: torch.dtype) -> None:
    operator = make()
    x = random(3, 2, *operator.domain_shape, dtype=dtype)
    together = operator(x)
    assert together.shape == (3, 2, *operator.range_shape)
    torch.testing.assert_close(operator(x[1, 1]), together[1, 1])
    torch.testing.assert_close(operator(2 * x[0] - 3 * x[1]), 2 * together[0] - 3 * together[1])


@pytest.mark.parametrize(("make", "dtype"), CASES)
def test_the_spectral_norm_is_the_largest_singular_value(make, dtype: torch.dtype) -> None:
    operator = make()
    size = int(np.prod(operator.domain_shape))
    basis = torch.eye(size, dtype=dtype).reshape(size, *operator.domain_shape)
    matrix = operator(basis).reshape(size, -1).T.numpy()
    largest = np.linalg.svd(matrix, compute_uv=False)[0]
    found = spectral_norm(operator, random(2, *operator.domain_shape, dtype=dtype), 500)
    assert found.shape == (2,)
    np.testing.assert_allclose(found, largest, rtol=1e-3)
    assert (found <= largest * (1 + 1e-9)).all()


def test_gradients_flow_through_each_operator() -> None:
    for name, make in OPERATORS.items():
        operator = make()
        x = random(1, *operator.domain_shape).requires_grad_()
        y = random(1, *operator.range_shape)
        (gradient,) = torch.autograd.grad(operator(x), x, grad_outputs=y)
        torch.testing.assert_close(gradient, operator.adjoint(y), msg=name)


@pytest.mark.parametrize("size", [(3, 3), (1, 5), (5, 3)])
def test_blur_against_scipy(size: tuple[int, int]) -> None:
    kernel, image = random(*size, dtype=torch.float64), random(6, 9, dtype=torch.float64)
    expected = scipy.ndimage.convolve(image.numpy(), kernel.numpy(), mode="wrap")
    np.testing.assert_allclose(BlurOperator(kernel, SHAPE)(image[None])[0], expected, atol=1e-12)


def test_gaussian_blur_against_scipy() -> None:
    image = random(1, 40, 33, dtype=torch.float64)
    expected = scipy.ndimage.gaussian_filter(image[0].numpy(), (1.5, 2.0), mode="wrap", radius=(6, 8))
    np.testing.assert_allclose(BlurOperator.gaussian((1.5, 2.0), image.shape)(image)[0], expected, atol=1e-12)
    single = BlurOperator.gaussian((1.5, 2.0), image.shape)(image.float())
    np.testing.assert_allclose(single[0], expected, atol=1e-5)


def test_block_means_against_scikit_image() -> None:
    image = random(4, 6, 8, dtype=torch.float64)
    expected = block_reduce(image.numpy(), (2, 1, 4), np.mean)
    np.testing.assert_allclose(BlockDownsampling((2, 1, 4), (4, 6, 8))(image), expected, atol=1e-13)


@pytest.mark.parametrize("keep", [3, 5])
def test_truncation_keeps_the_middle_of_k_space(keep: int) -> None:
    image = random(1, 6, 9)
    spectrum = np.fft.fftshift(np.fft.fft(image.numpy(), axis=-1), axes=-1)
    spectrum[..., : 4 - keep // 2] = spectrum[..., 4 + keep // 2 + 1 :] = 0
    expected = np.fft.ifft(np.fft.ifftshift(spectrum, axes=-1), axis=-1)
    found = KspaceTruncation(keep, SHAPE, -1)(image)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    torch.testing.assert_close(KspaceTruncation(keep, SHAPE, -1)(found), found)  # a projection


def test_slices_are_those_of_the_simulation() -> None:
    volume = random(2, *VOLUME, dtype=torch.float64)
    expected = thick_slices(volume, -2, 1.0, 2.0, 0.5, "gaussian")
    operator = SliceProfileOperator(VOLUME, -2, 1.0, 2.0, 0.5, "gaussian")
    torch.testing.assert_close(operator(volume), expected.volume)
    torch.testing.assert_close(operator.positions, expected.positions)


def test_gradient_against_numpy() -> None:
    image = random(1, 6, 9).numpy()
    found = GradientOperator(SHAPE)(torch.from_numpy(image)).numpy()
    wrapped = np.pad(image, ((0, 0), (0, 1), (0, 1)), mode="wrap")
    np.testing.assert_allclose(found[0], np.diff(wrapped, axis=1)[..., :-1], atol=1e-14)
    np.testing.assert_allclose(found[1], np.diff(wrapped, axis=2)[:, :-1], atol=1e-14)


def test_a_mask_for_each_item_and_the_zero_operator() -> None:
    mask = random(2, *SHAPE, dtype=torch.float64) > 0
    x = random(2, *SHAPE)
    operator = MaskOperator(mask, SHAPE)
    torch.testing.assert_close(operator(x), torch.where(mask, x, torch.zeros_like(x)))
    nothing = MaskOperator(torch.zeros(SHAPE))
    assert torch.equal(spectral_norm(nothing, x), torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IdentityOperator((2, 0)), "expected sizes of at least 1"),
        (lambda: MaskOperator(torch.ones(4), (1, 6)), r"mask of shape \(4,\) does not fit an image of shape \(1, 6\)"),
        (lambda: BlurOperator(torch.ones(7, 3), SHAPE), r"expected a real one that fits"),
        (lambda: BlurOperator(torch.ones(3, dtype=torch.complex64), SHAPE), "kernel is torch.complex64"),
        (lambda: BlurOperator.gaussian(0.0, SHAPE), "sigma is 0.0, expected a positive"),
        (lambda: BlurOperator.gaussian((1.0,) * 4, SHAPE), "expected one for each last axis"),
        (lambda: BlockDownsampling((4, 3), SHAPE), r"blocks of \(4, 3\) do not tile"),
        (lambda: BlockDownsampling((1, 1, 1, 1), SHAPE), "do not tile"),
        (lambda: KspaceTruncation(0.0, SHAPE), "keep is 0.0, expected a fraction"),
        (lambda: KspaceTruncation(0.5, SHAPE, (0, 1)), "expected axes of"),
        (lambda: SliceProfileOperator(VOLUME, 1, 1.0, 2.0), "axis is 1, expected an axis of"),
        (lambda: SliceProfileOperator(VOLUME, -1, 1.0, 0.5), "slices of 0.5 mm cannot be made"),
        (lambda: GradientOperator(SHAPE, (-1, -1)), "expected different axes"),
        (lambda: IdentityOperator(SHAPE) @ IdentityOperator(VOLUME), "needs the range of the second"),
        (lambda: IdentityOperator(SHAPE)(torch.zeros(6, 9)), r"got x of shape \(6, 9\), expected \(..., 1, 6, 9\)"),
        (lambda: GradientOperator(SHAPE).adjoint(torch.zeros(6, 9)), "got y of shape"),
        (lambda: spectral_norm(IdentityOperator(SHAPE), torch.zeros(SHAPE), 0), "expected at least 1"),
    ],
)
def test_what_cannot_be_used_is_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
