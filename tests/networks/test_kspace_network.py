"""The network that fills k-space in: what was measured stays, whatever the weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from degenerate_inputs import DEGENERATE
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


def test_samples_outside_the_mask_are_not_used(
    network: KspaceNetwork, random_kspace: Maker, column_mask: Maker
) -> None:
    mask = column_mask(32)
    full = random_kspace(1, 3, 32, 32)
    torch.testing.assert_close(network(full, mask), network(full * mask, mask), rtol=0, atol=0)
    torch.testing.assert_close(network(torch.view_as_real(full), mask.flatten()), network(full, mask))


def test_coils_in_another_order_give_the_same_image(
    network: KspaceNetwork, random_kspace: Maker, column_mask: Maker
) -> None:
    kspace, mask = random_kspace(1, 4, 32, 32), column_mask(32)
    with torch.no_grad():
        torch.testing.assert_close(network(kspace[:, [2, 0, 3, 1]], mask), network(kspace, mask), rtol=1e-3, atol=1e-4)


def test_batch_equals_one_by_one_with_masks_of_their_own(random_kspace: Maker, column_mask: Maker) -> None:
    torch.manual_seed(0)
    network = KspaceNetwork(2, 3, 2, 2).double()
    masks = torch.cat([column_mask(32, offset=0, lines=4), column_mask(32, offset=3, lines=10)])
    kspace = random_kspace(2, 3, 24, 32, dtype=torch.complex128) * masks
    together = network(kspace, masks)
    for index in range(2):
        part = slice(index, index + 1)
        torch.testing.assert_close(together[part], network(kspace[part], masks[part]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-8, 1e6])
def test_output_scales_with_the_input(
    network: KspaceNetwork, scale: float, random_kspace: Maker, column_mask: Maker
) -> None:
    kspace, mask = random_kspace(1, 3, 32, 32), column_mask(32)
    with torch.no_grad():
        expected, scaled = network(kspace, mask), network(kspace * scale, mask) / scale
    assert float((scaled - expected).norm() / expected.norm()) < 1e-4


@pytest.mark.parametrize("case", DEGENERATE)
def test_finite_with_finite_gradients(
    case: str, network: KspaceNetwork, random_kspace: Maker, column_mask: Maker
) -> None:
    kspace, mask = DEGENERATE[case](random_kspace, column_mask)
    kspace.requires_grad_()
    result = network.reconstruct(kspace, mask)
    assert result.image.shape == (len(kspace), 1, *kspace.shape[-2:])
    empty = (kspace == 0).flatten(1).all(dim=1)
    assert not result.image[empty].any()
    result.image.sum().backward()
    for parameter in network.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()
    assert torch.isfinite(torch.view_as_real(kspace.grad)).all()


def test_gradients_pass_gradcheck(random_kspace: Maker, column_mask: Maker) -> None:
    torch.manual_seed(0)
    network = KspaceNetwork(2, 1, 1, 1).double()
    mask = column_mask(8, lines=4)
    kspace = random_kspace(1, 2, 6, 8, dtype=torch.complex128).requires_grad_()
    bias = network.refinements[0].unet.head.bias
    assert torch.autograd.gradcheck(lambda k, _: network(k, mask), (kspace, bias), fast_mode=True)


def test_autocast_acts_on_the_unets_alone(network: KspaceNetwork, random_kspace: Maker, column_mask: Maker) -> None:
    inside: list[torch.dtype] = []
    for refinement in network.refinements:
        refinement.unet.register_forward_hook(lambda module, args, output: inside.append(output.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = network.reconstruct(random_kspace(1, 3, 32, 32) * 1e-5, column_mask(32))
    assert inside == [torch.bfloat16] * 2
    assert [x.dtype for x in result] == [torch.float32, torch.complex64, torch.complex64]


def test_weights_know_their_architecture_and_settings_are_checked(network: KspaceNetwork) -> None:
    load_weights(KspaceNetwork(2, 3, 2, 2), network.state_dict())
    with pytest.raises(ValueError, match=r"weighting=1\.0"):
        load_weights(KspaceNetwork(2, 3, 2, 2, weighting=0), network.state_dict())
    with pytest.raises(ValueError, match="repeats must be at least 1, got 0"):
        KspaceNetwork(0)
    with pytest.raises(ValueError, match="weighting must be a finite number"):
        KspaceNetwork(1, weighting=-1)
