"""A plain U-Net on the zero-filled image."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from degenerate_inputs import DEGENERATE
from torch import nn

from recon_monai.networks import ImageUNet, load_weights
from recon_monai.physics import ifft2c, rss

Maker = Callable[..., torch.Tensor]


@pytest.fixture
def network() -> ImageUNet:
    torch.manual_seed(0)
    return ImageUNet(3, 2)


class Constant(nn.Module):
    """In place of the U-Net: the same number everywhere."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.full_like(image, self.value)


def test_the_network_gets_the_standardized_image_and_its_output_goes_back(random_kspace: Maker) -> None:
    kspace = random_kspace(2, 3, 17, 22, dtype=torch.complex128)
    zero_filled = rss(ifft2c(kspace))
    mean, deviation = zero_filled.mean(dim=(-2, -1), keepdim=True), zero_filled.std(dim=(-2, -1), keepdim=True)
    for residual, expected in (
        (True, zero_filled + 0.5 * deviation),
        (False, (mean + 0.5 * deviation).expand(2, 1, 17, 22)),
    ):
        network = ImageUNet(2, 1, residual=residual)
        network.unet = Constant(0.5)
        torch.testing.assert_close(network(kspace), expected)
    seen: list[torch.Tensor] = []
    network.unet.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    network(kspace)
    assert seen[0].shape == (2, 1, 32, 32)
    torch.testing.assert_close(seen[0].sum(dim=(-2, -1)), torch.zeros(2, 1, dtype=torch.float64), rtol=0, atol=1e-9)
    torch.testing.assert_close(
        seen[0].square().sum(dim=(-2, -1)), torch.full((2, 1), 17 * 22 - 1.0, dtype=torch.float64)
    )


def test_the_mask_only_hides_samples(network: ImageUNet, random_kspace: Maker, column_mask: Maker) -> None:
    mask = column_mask(32)
    full = random_kspace(1, 3, 32, 32)
    torch.testing.assert_close(network(full, mask), network(full * mask), rtol=0, atol=0)
    torch.testing.assert_close(network(torch.view_as_real(full), mask.flatten()), network(full, mask), rtol=0, atol=0)


def test_batch_equals_one_by_one(random_kspace: Maker) -> None:
    torch.manual_seed(0)
    network = ImageUNet(3, 2).double()
    kspace = random_kspace(2, 3, 24, 32, dtype=torch.complex128)
    alone = torch.cat([network(kspace[:1]), network(kspace[1:])])
    torch.testing.assert_close(network(kspace), alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-8, 1e6])
def test_output_scales_with_the_input(network: ImageUNet, scale: float, random_kspace: Maker) -> None:
    kspace = random_kspace(1, 3, 32, 32)
    with torch.no_grad():
        expected, scaled = network(kspace), network(kspace * scale) / scale
    assert float((scaled - expected).norm() / expected.norm()) < 1e-4


@pytest.mark.parametrize("case", DEGENERATE)
def test_finite_with_finite_gradients(case: str, network: ImageUNet, random_kspace: Maker, column_mask: Maker) -> None:
    kspace, mask = DEGENERATE[case](random_kspace, column_mask)
    kspace.requires_grad_()
    image = network(kspace, mask)
    assert image.shape == (len(kspace), 1, *kspace.shape[-2:])
    empty = (kspace == 0).flatten(1).all(dim=1)
    assert not image[empty].any()
    assert bool((image >= 0).all())
    image.sum().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()
    assert torch.isfinite(torch.view_as_real(kspace.grad)).all()


def test_gradients_pass_gradcheck(random_kspace: Maker) -> None:
    torch.manual_seed(0)
    network = ImageUNet(1, 1).double()
    kspace = random_kspace(1, 2, 6, 8, dtype=torch.complex128).requires_grad_()
    assert torch.autograd.gradcheck(network, (kspace,), fast_mode=True)


def test_autocast_acts_on_the_unet_alone(network: ImageUNet, random_kspace: Maker) -> None:
    inside: list[torch.dtype] = []
    network.unet.register_forward_hook(lambda module, args, output: inside.append(output.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        image = network(random_kspace(1, 3, 32, 32) * 1e-5)
    assert inside == [torch.bfloat16]
    assert image.dtype == torch.float32


def test_it_learns_what_is_missing(network: ImageUNet, random_kspace: Maker, column_mask: Maker) -> None:
    """One image by heart: the gradient points where the loss falls."""
    kspace, mask = random_kspace(1, 2, 16, 16), column_mask(16, lines=4)
    target = rss(ifft2c(kspace))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for _ in range(60):
        loss = (network(kspace, mask) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]


def test_weights_know_their_architecture(network: ImageUNet) -> None:
    load_weights(ImageUNet(3, 2), network.state_dict())
    with pytest.raises(ValueError, match="residual=True"):
        load_weights(ImageUNet(3, 2, residual=False), network.state_dict())
    with pytest.raises(ValueError, match="channels=3"):
        load_weights(ImageUNet(4, 2), network.state_dict())
