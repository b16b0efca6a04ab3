from __future__ import annotations

import numpy as np
import pytest
import torch

from recon_monai.physics import expand, normalize_maps, reduce, rss


def draw(*shape: int, dtype: torch.dtype = torch.complex128) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(sum(shape)))


def test_values_against_numpy() -> None:
    maps, images, image = draw(2, 3, 4, 5), draw(2, 3, 4, 5) + 1, draw(2, 1, 4, 5)
    np.testing.assert_allclose(expand(image, maps).numpy(), image.numpy() * maps.numpy())
    combined = np.einsum("bchw,bchw->bhw", images.numpy(), maps.numpy().conj())[:, None]
    np.testing.assert_allclose(reduce(images, maps).numpy(), combined)
    np.testing.assert_allclose(rss(images).numpy(), np.sqrt((np.abs(images.numpy()) ** 2).sum(1, keepdims=True)))


def test_one_slice_is_as_in_a_batch() -> None:
    maps, images = draw(2, 3, 4, 5), draw(2, 3, 5, 4).reshape(2, 3, 4, 5)
    torch.testing.assert_close(reduce(images[0], maps[0]), reduce(images, maps)[0])
    torch.testing.assert_close(rss(images[0]), rss(images)[0])
    torch.testing.assert_close(rss(images, dim=1), rss(images))
    torch.testing.assert_close(normalize_maps(maps[0]), normalize_maps(maps)[0])


def test_reduce_is_the_adjoint_of_expand() -> None:
    maps, x, y = draw(2, 3, 4, 5), draw(2, 1, 4, 5), draw(2, 3, 5, 4).reshape(2, 3, 4, 5)
    left = torch.vdot(expand(x, maps).flatten(), y.flatten())
    torch.testing.assert_close(left, torch.vdot(x.flatten(), reduce(y, maps).flatten()))


def test_reduce_inverts_expand_for_normalized_maps() -> None:
    maps, image = normalize_maps(draw(2, 3, 4, 5)), draw(2, 1, 4, 5)
    torch.testing.assert_close(reduce(expand(image, maps), maps), image)


def test_rss_of_real_images() -> None:
    images = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)
    assert rss(images).item() == pytest.approx(5)
    assert rss(draw(1, 2, 3, 3).to(torch.complex64)).dtype == torch.float32


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.complex64, 1e-6), (torch.complex128, 1e-14)])
@pytest.mark.parametrize("scale", [1e-12, 1e-5, 1, 1e6])
def test_maps_have_unit_energy_where_there_is_signal(dtype: torch.dtype, tolerance: float, scale: float) -> None:
    raw = draw(2, 4, 6, 5, dtype=dtype) * scale
    raw[0, :, 2:4, 1] = 0
    raw[1, 1:] = 0  # one live coil
    raw[1, 0, 0, 0] = 0
    energy = normalize_maps(raw).abs().square().sum(dim=1)
    expected = (raw.abs().amax(dim=1) > 0).to(energy.dtype)
    assert 0 < expected.mean() < 1
    torch.testing.assert_close(energy, expected, rtol=0, atol=tolerance)


def test_normalization_keeps_the_phase() -> None:
    raw = draw(1, 3, 4, 4)
    torch.testing.assert_close(normalize_maps(raw).angle(), raw.angle())


def test_an_energy_that_cannot_be_represented_counts_as_zero() -> None:
    raw = torch.full((1, 2, 1, 1), 1e-21, dtype=torch.complex64)
    assert rss(raw).item() == 0
    assert normalize_maps(raw).abs().max() == 0


@pytest.mark.parametrize("function", [rss, normalize_maps])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_gradient_is_finite_and_zero_at_zero(function, dtype: torch.dtype) -> None:
    raw = draw(1, 3, 4, 4, dtype=dtype)
    raw[..., :2, :] = 0
    raw.requires_grad_()
    result = function(raw)
    (result.real * torch.linspace(1, 2, result.numel()).reshape(result.shape)).sum().backward()
    assert torch.isfinite(torch.view_as_real(raw.grad)).all()
    assert (raw.grad[..., :2, :] == 0).all()
    assert (raw.grad[..., 2:, :] != 0).all()


def test_gradients() -> None:
    images, maps, image = (draw(1, 2, 3, 2 + i).requires_grad_() for i in (0, 0, 0))
    assert torch.autograd.gradcheck(rss, images)
    assert torch.autograd.gradcheck(normalize_maps, images)
    assert torch.autograd.gradcheck(reduce, (images, maps))
    assert torch.autograd.gradcheck(expand, (image[:, :1], maps))
    assert torch.autograd.gradgradcheck(normalize_maps, images)


def test_values_that_are_not_finite_stay_visible() -> None:
    images = torch.ones(1, 2, 3, 3, dtype=torch.complex64)
    images[0, 1, 1, 1] = float("nan")
    assert rss(images).isnan().sum() == 1
    assert normalize_maps(images).isnan().any(dim=1).sum() == 1
