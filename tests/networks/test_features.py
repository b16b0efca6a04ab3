"""Features of the cascades, by hooks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from recon_monai.networks import FeatureTap, VarNet

Maker = Callable[..., torch.Tensor]


def make_network(checkpointing: str = "none", cascades: int = 3) -> VarNet:
    torch.manual_seed(0)
    return VarNet(cascades, 2, 2, 2, checkpointing=checkpointing)


def hooks(network: torch.nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules())


def test_level_one_of_the_original_has_18_channels_at_half_resolution(random_kspace: Maker) -> None:
    network = VarNet(1)
    for level, shape in [(1, (18, 16, 8)), (-1, (144, 2, 1)), (0, (9, 32, 16))]:
        with FeatureTap(network, level) as tap, torch.no_grad():
            network(random_kspace(2, 2, 32, 16))
        assert [tuple(features.shape) for features in tap.features] == [(2, *shape)]


@pytest.mark.parametrize("level", [0, 1, 2, -1])
def test_features_are_those_of_the_encoder_in_the_order_of_the_cascades(random_kspace: Maker, level: int) -> None:
    """The U-Nets' inputs, caught by hooks of their own, encoded again."""
    network = make_network()
    inputs = []
    for cascade in network.cascades:
        cascade.refinement.unet.register_forward_pre_hook(lambda module, args: inputs.append(args[0].clone()))
    kspace = random_kspace(2, 2, 16, 16)
    with torch.no_grad():
        with FeatureTap(network, level) as tap:
            assert len(tap) == 3
            network(kspace)
        expected = [
            cascade.refinement.unet.encode(image)[level]
            for cascade, image in zip(network.cascades, inputs, strict=True)
        ]
    assert len(tap.features) == 3
    for found, wanted in zip(tap.features, expected, strict=True):
        assert torch.equal(found, wanted)


def test_the_image_is_the_same_and_features_are_not_overwritten_later(random_kspace: Maker) -> None:
    network = make_network()
    kspace = random_kspace(1, 2, 16, 16)
    copies = []
    for cascade in network.cascades:
        cascade.refinement.unet.encoder[1].register_forward_hook(lambda module, args, out: copies.append(out.clone()))
    expected = network(kspace)
    copies.clear()
    with FeatureTap(network) as tap:
        image = network(kspace)
    image.sum().backward()
    assert torch.equal(image, expected)
    assert all(torch.equal(found, copy) for found, copy in zip(tap.features, copies, strict=True))


@pytest.mark.parametrize("level", [1, -1])
@pytest.mark.parametrize("inside", [True, False])
def test_checkpointing_changes_neither_features_nor_gradients(random_kspace: Maker, level: int, inside: bool) -> None:
    """Whether the backward pass, which runs the cascades again, falls into the block or comes after it."""
    kspace = random_kspace(2, 2, 16, 16, dtype=torch.complex128)

    def run(checkpointing: str) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        network = make_network(checkpointing).double()
        with FeatureTap(network, level) as tap:
            image = network(kspace)
            loss = image.square().mean() + sum((f.abs() ** 3).mean() for f in tap.features)
            if inside:
                loss.backward()
        if not inside:
            loss.backward()
        features = tap.features
        assert len(features) == 3
        return features, [parameter.grad for parameter in network.parameters() if parameter.grad is not None]

    features, gradients = run("all")
    expected_features, expected_gradients = run("none")
    torch.testing.assert_close(features, expected_features, rtol=0, atol=0)
    assert len(gradients) == len(expected_gradients) > 0
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-10, atol=1e-14)


def test_gradients_of_features_alone_reach_what_made_them(random_kspace: Maker) -> None:
    """Of the last cascade's: its encoder up to the level, all of the cascades before, nothing behind."""
    network = make_network("all", cascades=2)
    with FeatureTap(network, 1) as tap:
        network(random_kspace(1, 2, 16, 16))
    (tap.features[-1].abs() ** 3).mean().backward()
    last = network.cascades[1].refinement.unet
    assert bool(last.encoder[1].conv2.weight.grad.any())
    assert last.encoder[2].conv1.weight.grad is None
    assert last.head.weight.grad is None
    assert bool(network.cascades[0].refinement.unet.head.weight.grad.any())


def test_each_call_starts_anew(random_kspace: Maker) -> None:
    network = make_network()
    first, second = random_kspace(1, 2, 16, 16, seed=1), random_kspace(2, 2, 16, 16, seed=2)
    with torch.no_grad():
        with FeatureTap(network) as tap:
            network(first)
            network(second)
        with FeatureTap(network) as other:
            network(second)
    assert len(tap.features) == 3
    assert all(torch.equal(a, b) for a, b in zip(tap.features, other.features, strict=True))


def test_hooks_are_removed_also_after_an_error(random_kspace: Maker) -> None:
    network = make_network()
    before = hooks(network)
    tap = FeatureTap(network)
    with tap:
        assert hooks(network) == before + 5
        network(random_kspace(1, 2, 16, 16))
        with pytest.raises(RuntimeError, match="in use already"):
            tap.__enter__()
    assert hooks(network) == before
    with pytest.raises(ValueError, match="k-space must be complex"), FeatureTap(network):
        network(torch.zeros(1, 2, 16, 16))
    assert hooks(network) == before


def test_what_cannot_be_collected_is_said(random_kspace: Maker) -> None:
    with pytest.raises(ValueError, match=r"Conv2d has no U-Net encoders .* as VarNet has"):
        FeatureTap(torch.nn.Conv2d(1, 1, 1))
    with pytest.raises(ValueError, match="VarNet has no U-Net encoders"):
        FeatureTap(VarNet(1, refinement=torch.nn.Identity))
    for level in (3, -4):
        with pytest.raises(ValueError, match=f"level {level} is not among the 3 levels .* use 0 to 2"):
            FeatureTap(make_network(), level)
    network = make_network()
    with FeatureTap(network) as tap, pytest.raises(RuntimeError, match=r"of 0 of 3 cascades.*itself"):
        _ = tap.features
    with tap:
        network.reconstruct(random_kspace(1, 2, 16, 16))
    with pytest.raises(RuntimeError, match="of 0 of 3 cascades"):
        _ = tap.features
