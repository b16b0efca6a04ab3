"""The network that fills k-space in: what was measured stays, whatever the weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from recon_monai.networks import KspaceNetwork, SensitivityNetwork, load_weights
from recon_monai.physics import fft2c, ifft2c, rss

Maker = Callable[..., torch.Tensor]


class Square(nn.Module):
    """A refinement that is neither linear nor the same at each place."""

    def forward(self, kspace: torch.Tensor) -> torch.Tensor:
        return kspace * kspace.abs() / 10 + torch.arange(kspace.shape[-1])


@pytest.fixture
def network() -> KspaceNetwork:
    torch.manual_seed(0)
    return KspaceNetwork(2, 3, 2, 2)


def test_measured_samples_stay_exactly(network: KspaceNetwork, random_kspace: Maker, column_mask: Maker) -> None:
    mask = column_mask(32)
    kspace = random_kspace(2, 3, 32, 32)
    found = fft2c(network.reconstruct(kspace, mask).coil_images)
    torch.testing.assert_close(found * mask, kspace * mask)
    assert bool((found[..., ~mask[0, 0, 0]] != 0).all()), "what was not measured is filled in"


def test_fully_sampled_it_is_the_rss_image_whatever_the_weights(network: KspaceNetwork, random_kspace: Maker) -> None:
    kspace = random_kspace(2, 3, 15, 13)
    torch.testing.assert_close(network(kspace, torch.ones(13)), rss(ifft2c(kspace)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weighting", [0.0, 1.5])
def test_repeats_follow_the_equation(weighting: float, random_kspace: Maker, column_mask: Maker) -> None:
    """Written out with the plain transforms, the weight by its formula at each sample."""
    mask = column_mask(20, offset=1)
    measured = random_kspace(1, 3, 15, 20, dtype=torch.complex128) * mask
    maps_by = SensitivityNetwork(2, 2)
    network = KspaceNetwork(2, weighting=weighting, refinement=Square, sensitivity_network=maps_by).double()
    result = network.reconstruct(measured, mask)
    maps = result.sensitivity_maps
    weight = torch.tensor(
        [[(1 + (row - 7) ** 2 + (column - 10) ** 2) ** (weighting / 2) for column in range(20)] for row in range(15)],
        dtype=torch.float64,
    )
    kspace = measured
    for _ in range(2):
        combined = fft2c((maps.conj() * ifft2c(kspace)).sum(1, keepdim=True))
        refined = combined + Square()(combined * weight) / weight
        kspace = torch.where(mask, measured, fft2c(maps * ifft2c(refined)))
    torch.testing.assert_close(result.coil_images, ifft2c(kspace), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(result.image, rss(ifft2c(kspace)), rtol=1e-9, atol=1e-11)


def test_gradients_pass_gradcheck(random_kspace: Maker, column_mask: Maker) -> None:
    torch.manual_seed(0)
    network = KspaceNetwork(2, 1, 1, 1).double()
    mask = column_mask(8, lines=4)
    kspace = random_kspace(1, 2, 6, 8, dtype=torch.complex128).requires_grad_()
    bias = network.refinements[0].unet.head.bias
    assert torch.autograd.gradcheck(lambda k, _: network(k, mask), (kspace, bias), fast_mode=True)


def test_weights_know_their_architecture_and_settings_are_checked(network: KspaceNetwork) -> None:
    load_weights(KspaceNetwork(2, 3, 2, 2), network.state_dict())
    with pytest.raises(ValueError, match=r"weighting=1\.0"):
        load_weights(KspaceNetwork(2, 3, 2, 2, weighting=0), network.state_dict())
    with pytest.raises(ValueError, match="repeats must be at least 1, got 0"):
        KspaceNetwork(0)
    with pytest.raises(ValueError, match="weighting must be a finite number"):
        KspaceNetwork(1, weighting=-1)
