"""Unrolled gradient descent: with a linear regularizer it is gradient descent on Tikhonov's problem."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn

from recon_monai.networks import ScaledUNet, SensitivityNetwork, UnrolledGradientDescent, load_weights
from recon_monai.physics import CalibrationError, SenseOperator, ifft2c, rss
from recon_monai.solvers import MapEstimator, calibration_maps

Maker = Callable[..., torch.Tensor]


class Times(nn.Module):
    """The regularizer ``factor/2 |x|^2``."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.factor * image


@pytest.fixture
def network() -> UnrolledGradientDescent:
    torch.manual_seed(0)
    return UnrolledGradientDescent(2, 3, 2, 2)


def linear(factor: float, repeats: int) -> UnrolledGradientDescent:
    torch.manual_seed(0)
    maps = SensitivityNetwork(2, 1)
    return UnrolledGradientDescent(repeats, regularizer=partial(Times, factor), sensitivity_network=maps).double()


def test_five_repeats_that_share_a_regularizer_by_default() -> None:
    network = UnrolledGradientDescent()
    assert len(network.steps) == 5
    assert len(network.regularizers) == 1
    assert len(UnrolledGradientDescent(3, 2, 2, 1, shared=False).regularizers) == 3
    parameters = sum(p.numel() for p in network.parameters())
    parts = [*ScaledUNet(9, 4).parameters(), *SensitivityNetwork(4, 4).parameters()]
    assert parameters == sum(p.numel() for p in parts) + 5


def test_with_a_linear_regularizer_it_reaches_tikhonov(random_kspace: Maker, column_mask: Maker) -> None:
    """x <- x - A^H (A x - y) - w x, to the dense solution of (A^H A + w) x = A^H y."""
    weight, mask = 0.3, column_mask(8, lines=4)
    kspace = random_kspace(1, 3, 6, 8, dtype=torch.complex128) * mask
    result = linear(weight, 200).reconstruct(kspace, mask)
    operator = SenseOperator(result.sensitivity_maps, mask)
    basis = torch.eye(48, dtype=torch.complex128).reshape(48, 1, 6, 8)
    matrix = torch.cat([operator.forward(image[None]).flatten()[:, None] for image in basis], dim=1)
    system = matrix.conj().T @ matrix + weight * torch.eye(48, dtype=torch.float64)
    expected = torch.linalg.solve(system, matrix.conj().T @ kspace.flatten())
    torch.testing.assert_close(result.image.flatten(), expected.abs(), rtol=1e-8, atol=1e-10)


def test_repeats_follow_the_equation(random_kspace: Maker, column_mask: Maker) -> None:
    mask = column_mask(20, offset=1)
    kspace = random_kspace(2, 3, 15, 20, dtype=torch.complex128) * mask
    network = linear(0.5, 3)
    network.steps.data = torch.tensor([0.3, 0.9, 0.6], dtype=torch.float64)
    result = network.reconstruct(kspace, mask)
    operator = SenseOperator(result.sensitivity_maps, mask)
    image = operator.adjoint(kspace)
    for step in (0.3, 0.9, 0.6):
        image = image - step * operator.adjoint(operator.forward(image) - kspace) - 0.5 * image
    torch.testing.assert_close(result.image, image.abs(), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(result.coil_images, image * result.sensitivity_maps, rtol=1e-10, atol=1e-12)


def test_without_regularizer_the_data_term_falls_with_every_repeat(random_kspace: Maker, column_mask: Maker) -> None:
    mask = column_mask(16, lines=4)
    kspace = random_kspace(1, 3, 16, 16, dtype=torch.complex128) * mask
    terms = []
    for repeats in range(1, 7):
        coils = linear(0.0, repeats).reconstruct(kspace, mask).coil_images.detach()
        dims = (-2, -1)
        spectrum = torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(coils, dims), norm="ortho"), dims)
        terms.append(float((spectrum * mask - kspace).abs().square().sum()))
    assert all(later < earlier for earlier, later in pairwise(terms))


def test_fully_sampled_and_without_regularizer_it_is_the_image_of_its_maps(random_kspace: Maker) -> None:
    kspace = random_kspace(2, 1, 15, 13, dtype=torch.complex128)
    torch.testing.assert_close(linear(0.0, 3)(kspace), rss(ifft2c(kspace)), rtol=1e-10, atol=1e-12)


def test_untrained_it_is_gradient_descent_and_learns_to_be_more(random_kspace: Maker, column_mask: Maker) -> None:
    mask = column_mask(16, lines=6)
    kspace = random_kspace(1, 3, 16, 16, dtype=torch.complex128) * mask
    torch.manual_seed(0)
    network = UnrolledGradientDescent(3, 2, 2, 1).double()
    plain = UnrolledGradientDescent(
        3, regularizer=partial(Times, 0.0), sensitivity_network=network.sensitivity_network
    ).double()
    torch.testing.assert_close(network(kspace, mask), plain(kspace, mask), rtol=1e-12, atol=0)
    network(kspace, mask).sum().backward()
    head = network.regularizers[0].unet.head
    assert head.weight.grad is not None and bool((head.weight.grad != 0).all())


def test_maps_may_come_without_weights(random_kspace: Maker, column_mask: Maker) -> None:
    mask = column_mask(16, lines=6)
    kspace = random_kspace(2, 3, 16, 16, dtype=torch.complex128) * mask
    network = UnrolledGradientDescent(2, 2, pools=1, sensitivity_network=MapEstimator("calibration")).double()
    result = network.reconstruct(kspace, mask)
    maps = torch.stack([calibration_maps(one, mask[0]) for one in kspace])
    torch.testing.assert_close(result.sensitivity_maps, maps)
    assert not [name for name in network.state_dict() if name.startswith("sensitivity_network")]


def test_gradients_pass_gradcheck(random_kspace: Maker, column_mask: Maker) -> None:
    torch.manual_seed(0)
    network = UnrolledGradientDescent(2, 1, 1, 1, regularizer=partial(ScaledUNet, 1, 1)).double()
    mask = column_mask(8, lines=4)
    kspace = random_kspace(1, 2, 6, 8, dtype=torch.complex128).requires_grad_()
    assert torch.autograd.gradcheck(lambda k, _: network(k, mask), (kspace, network.steps), fast_mode=True)


def test_weights_know_their_architecture_and_settings_are_checked(network: UnrolledGradientDescent) -> None:
    load_weights(UnrolledGradientDescent(2, 3, 2, 2), network.state_dict())
    with pytest.raises(ValueError, match="repeats=2"):
        load_weights(UnrolledGradientDescent(3, 3, 2, 2), network.state_dict())
    with pytest.raises(ValueError, match="repeats must be at least 1, got 0"):
        UnrolledGradientDescent(0)
    with pytest.raises(CalibrationError):
        network(torch.ones(1, 2, 32, 32, dtype=torch.complex64), torch.tensor([1.0, 0.0] * 8 + [0.0] * 16))
