"""What all networks of several repeats with data consistency share: which samples count, batches, scale, precision."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from degenerate_inputs import DEGENERATE

from recon_monai.networks import KspaceNetwork, ReconstructionNetwork, UnrolledGradientDescent

Maker = Callable[..., torch.Tensor]

NETWORKS: dict[str, Callable[[], ReconstructionNetwork]] = {
    "unrolled": partial(UnrolledGradientDescent, 2, 3, 2, 2),
    "unrolled, not shared": partial(UnrolledGradientDescent, 2, 3, 2, 2, shared=False),
    "k-space": partial(KspaceNetwork, 2, 3, 2, 2),
}


@pytest.fixture(params=list(NETWORKS))
def network(request: pytest.FixtureRequest) -> ReconstructionNetwork:
    torch.manual_seed(0)
    return NETWORKS[request.param]()


def test_samples_outside_the_mask_are_not_used(
    network: ReconstructionNetwork, random_kspace: Maker, column_mask: Maker
) -> None:
    mask = column_mask(32)
    full = random_kspace(1, 3, 32, 32)
    torch.testing.assert_close(network(full, mask), network(full * mask, mask), rtol=0, atol=0)
    torch.testing.assert_close(network(torch.view_as_real(full), mask.flatten()), network(full, mask))
    torch.testing.assert_close(network(full * mask), network(full, mask))


def test_coils_in_another_order_give_the_same_image(
    network: ReconstructionNetwork, random_kspace: Maker, column_mask: Maker
) -> None:
    kspace, mask = random_kspace(1, 4, 32, 32), column_mask(32)
    with torch.no_grad():
        torch.testing.assert_close(network(kspace[:, [2, 0, 3, 1]], mask), network(kspace, mask), rtol=1e-3, atol=1e-4)


def test_batch_equals_one_by_one_with_masks_of_their_own(
    network: ReconstructionNetwork, random_kspace: Maker, column_mask: Maker
) -> None:
    network = network.double()
    masks = torch.cat([column_mask(32, offset=0, lines=4), column_mask(32, offset=3, lines=10)])
    kspace = random_kspace(2, 3, 24, 32, dtype=torch.complex128) * masks
    together = network(kspace, masks)
    for index in range(2):
        part = slice(index, index + 1)
        torch.testing.assert_close(together[part], network(kspace[part], masks[part]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-8, 1e6])
def test_output_scales_with_the_input(
    network: ReconstructionNetwork, scale: float, random_kspace: Maker, column_mask: Maker
) -> None:
    kspace, mask = random_kspace(1, 3, 32, 32), column_mask(32)
    with torch.no_grad():
        expected, scaled = network(kspace, mask), network(kspace * scale, mask) / scale
    assert float((scaled - expected).norm() / expected.norm()) < 1e-4


@pytest.mark.parametrize("case", DEGENERATE)
def test_finite_with_finite_gradients(
    case: str, network: ReconstructionNetwork, random_kspace: Maker, column_mask: Maker
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


def test_autocast_acts_on_the_unets_alone(
    network: ReconstructionNetwork, random_kspace: Maker, column_mask: Maker
) -> None:
    inside: list[torch.dtype] = []
    parts = network.refinements if isinstance(network, KspaceNetwork) else network.regularizers
    for part in parts:
        part.unet.register_forward_hook(lambda module, args, output: inside.append(output.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = network.reconstruct(random_kspace(1, 3, 32, 32) * 1e-5, column_mask(32))
    assert inside == [torch.bfloat16] * 2
    assert [x.dtype for x in result] == [torch.float32, torch.complex64, torch.complex64]
