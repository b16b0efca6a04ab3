"""The denoiser for plug-and-play, and its training."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from recon_monai.networks import DenoisingUNet
from recon_monai.physics import SenseOperator, keyed_generator, normalize_maps
from recon_monai.solvers import PlugAndPlay, fit_denoiser

Maker = Callable[..., torch.Tensor]


class Zero(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(image)


def discs(count: int, seed: int) -> torch.Tensor:
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, 32),) * 2, indexing="ij")
    places = 1.2 * torch.rand(count, 3, 1, 1, generator=keyed_generator("discs", seed)) - 0.6
    inside = (y - places[:, 0]).square() + (x - places[:, 1]).square() < (0.2 + places[:, 2].abs() / 2).square()
    return inside.float()[:, None]


@pytest.fixture(scope="module")
def trained() -> DenoisingUNet:
    torch.manual_seed(0)
    network = DenoisingUNet(6, 2)
    course = fit_denoiser(network, discs(16, 0), noise=(0.05, 0.2), steps=160, batch_size=4, learning_rate=5e-3)
    assert len(course) == 160
    assert sum(course[-20:]) < 0.5 * sum(course[:20])
    return network


def test_what_the_network_finds_is_taken_away(random_kspace: Maker) -> None:
    image = random_kspace(2, 1, 20, 24, dtype=torch.complex128)
    network = DenoisingUNet(2, 2)
    network.unet = Zero()
    assert torch.equal(network(image), image)
    network.unet = nn.Identity()  # everything is noise
    torch.testing.assert_close(network(image), torch.zeros_like(image), rtol=0, atol=1e-12)
    seen: list[torch.Tensor] = []
    network.unet.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    network(image)
    assert seen[0].shape == (2, 2, 32, 32)
    torch.testing.assert_close(seen[0].square().sum(dim=(1, 2, 3)), torch.full((2,), 2.0 * 20 * 24).double())
    assert not network(0 * image).any()


@pytest.mark.parametrize("scale", [1e-6, 1e5])
def test_scale_and_batch(scale: float, random_kspace: Maker) -> None:
    torch.manual_seed(0)
    network = DenoisingUNet(3, 2).double()
    image = random_kspace(2, 1, 20, 24, dtype=torch.complex128)
    together = network(image)
    torch.testing.assert_close(network(scale * image), scale * together, rtol=1e-7, atol=0)
    torch.testing.assert_close(network(image[1:]), together[1:], rtol=1e-9, atol=1e-12)


def test_gradients_pass_gradcheck(random_kspace: Maker) -> None:
    torch.manual_seed(0)
    network = DenoisingUNet(1, 1).double()
    image = random_kspace(1, 1, 6, 8, dtype=torch.complex128).requires_grad_()
    assert torch.autograd.gradcheck(network, (image,), fast_mode=True)


def test_training_makes_it_a_denoiser_of_images_that_it_has_not_seen(trained: DenoisingUNet) -> None:
    assert not trained.training
    clean = discs(6, 1).to(torch.complex64)
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=keyed_generator("noise"), dtype=clean.dtype)
    with torch.no_grad():
        assert float((trained(noisy) - clean).norm()) < 0.8 * float((noisy - clean).norm())


def test_training_is_reproducible() -> None:
    ends = []
    for _ in range(2):
        torch.manual_seed(0)
        network = DenoisingUNet(2, 1)
        state = torch.get_rng_state()
        fit_denoiser(network, discs(3, 0), steps=3, seed=7)
        assert torch.equal(torch.get_rng_state(), state), "no draw from the global generator"
        ends.append(network.state_dict())
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def test_plugged_in_it_brings_an_undersampled_image_nearer(trained: DenoisingUNet) -> None:
    truth = discs(1, 2)
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, 32),) * 2, indexing="ij")
    places = [(1, 1), (-1, 1), (0, -1)]
    maps = normalize_maps(torch.stack([torch.polar(torch.exp(-((x - a) ** 2) - y * b), b * y) for a, b in places]))
    mask = torch.zeros(1, 1, 1, 32)
    mask[..., ::3] = mask[..., 13:19] = 1
    kspace = SenseOperator(maps[None], mask).forward(truth.to(torch.complex64))
    kspace = kspace + 0.1 * mask * torch.randn(kspace.shape, generator=keyed_generator("n"), dtype=kspace.dtype)
    options = {"iterations": 15, "tolerance": 0.0, "maps": maps}
    without = PlugAndPlay(torch.clone, **options)(kspace, mask)
    found = PlugAndPlay(trained, weight=0.5, **options)(kspace, mask)
    assert float((found - truth).norm()) < 0.9 * float((without - truth).norm())


def test_refuses_what_makes_no_sense() -> None:
    network = DenoisingUNet(2, 1)
    with pytest.raises(ValueError, match="expected complex images"):
        network(torch.ones(1, 1, 8, 8))
    with pytest.raises(ValueError, match="expected training images"):
        fit_denoiser(network, torch.ones(8, 8))
    with pytest.raises(ValueError, match="expected a lowest and a highest"):
        fit_denoiser(network, discs(1, 0), noise=(0.2, 0.1))
    with pytest.raises(ValueError, match="steps 0"):
        fit_denoiser(network, discs(1, 0), steps=0)
