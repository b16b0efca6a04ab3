"""A U-Net that may answer with nothing, and follows the scale of its image."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from recon_monai.networks import ScaledUNet, UNet

Maker = Callable[..., torch.Tensor]


def test_it_is_the_unet_at_unit_root_mean_square(random_kspace: Maker) -> None:
    torch.manual_seed(0)
    network = ScaledUNet(2, 2).double()
    image = 7 * random_kspace(2, 1, 16, 32, dtype=torch.complex128)
    for one, made in zip(image, network(image), strict=True):
        parts = torch.cat([one.real, one.imag])
        scale = parts.square().mean().sqrt()
        expected = scale * network.unet(parts[None] / scale)[0]
        torch.testing.assert_close(made, torch.complex(expected[:1], expected[1:]))


def test_a_zero_start_makes_zeros_and_learns(random_kspace: Maker) -> None:
    torch.manual_seed(0)
    network = ScaledUNet(2, 2, zero_start=True)
    image = random_kspace(1, 1, 20, 24)
    assert not network(image).any()
    assert ScaledUNet(2, 2)(image).any()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    course = []
    for _ in range(2):
        loss = (network(image) - image).abs().square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        course.append(float(loss.detach()))
    assert course[1] < course[0]
    assert network(image).any()


def test_its_weights_are_those_of_a_unet_and_no_denoiser(random_kspace: Maker) -> None:
    unet, network = UNet(2, 2, 3, 1), ScaledUNet(3, 1)
    network.unet.load_state_dict(unet.state_dict())
    with pytest.raises(ValueError, match="expected complex images"):
        network(torch.ones(1, 1, 8, 8))
