"""Optimizers and rates for long trainings."""

from __future__ import annotations

import itertools
import math
from copy import deepcopy

import pytest
import torch
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR

from recon_monai.engines import CosineRate, muon
from recon_monai.networks import MDCSRN, BackProjectionSR, PixelShuffleSR, ProgressiveSR, ResidualUNetSR


def small_network() -> MDCSRN:
    torch.manual_seed(0)
    return MDCSRN(1, 2, 3, 4, residual=True)


def step(network, optimizer):
    image = torch.rand(2, 1, 6, 6, 6, generator=torch.Generator().manual_seed(1))
    optimizer.zero_grad()
    (network(image) - image.square()).square().mean().backward()
    optimizer.step()


def test_the_rate_is_that_of_pytorch_for_one_group_and_keeps_the_ratio_of_several():
    one, two = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    ours, theirs = SGD([{"params": [one], "lr": 0.1}, {"params": [two], "lr": 1e-4}]), SGD([one], lr=0.1)
    falling, expected = LambdaLR(ours, CosineRate(7, 0.01)), CosineAnnealingLR(theirs, 7, eta_min=0.001)
    for _ in range(7):
        for done in (ours, theirs, falling, expected):
            done.step()
        rates = [group["lr"] for group in ours.param_groups]
        assert rates[0] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-9)
        assert rates[1] / rates[0] == pytest.approx(1e-3, rel=1e-12)
    assert CosineRate(7, 0.01)(9) == pytest.approx(0.01)
    assert CosineRate(3, 1.0)(2) == 1.0


@pytest.mark.parametrize(("epochs", "last"), [(0, 0.0), (3, 1.5), (3, -0.1)])
def test_a_rate_out_of_range_is_refused(epochs, last):
    with pytest.raises(ValueError, match="at least one, and a share 0 to 1"):
        CosineRate(epochs, last)


def test_muon_turns_each_convolution_by_an_orthogonal_matrix():
    network = small_network()
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    network.head.weight.data.normal_()
    step(network, muon(network, 0.01))
    for name, parameter in network.named_parameters():
        if parameter.ndim < 2 or name.startswith("head"):
            continue
        rows, columns = parameter.flatten(1).shape
        change = (parameter.detach() - before[name]).flatten(1) / 0.01 / math.sqrt(max(1, rows / columns))
        singular = torch.linalg.svdvals(change.double())
        # five steps of Newton and Schulz bring singular values between about 0.7 and 1.2, PyTorch's own likewise
        assert singular.max() < 1.3, name
        assert singular[: min(rows, columns) - 1].min() > 0.3, name


def test_norms_and_the_last_layer_are_trained_by_adam_at_their_shares_of_the_rate():
    network, other = small_network(), small_network()
    for made in (network, other):
        torch.nn.init.constant_(made.head.weight, 0.1)
    step(network, muon(network, 0.01, adam_rate=0.2, head_rate=0.006))
    shares = [
        {"params": [p for name, p in other.named_parameters() if p.ndim < 2], "lr": 0.01 * 0.2},
        {"params": [other.head.weight], "lr": 0.01 * 0.006},
    ]
    step(other, Adam(shares))
    for (name, ours), (_, theirs) in zip(network.named_parameters(), other.named_parameters(), strict=True):
        if ours.ndim < 2 or name == "head.weight":
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-8)


def test_muon_leaves_frozen_weights_alone_and_goes_on_from_its_state():
    network = small_network()
    network.stem.weight.requires_grad_(False)
    frozen, optimizer = network.stem.weight.clone(), muon(network)
    step(network, optimizer)
    other = small_network()
    other.load_state_dict(network.state_dict())
    other.stem.weight.requires_grad_(False)
    resumed = muon(other)
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))  # tensors would be shared
    step(network, optimizer)
    step(other, resumed)
    assert torch.equal(network.stem.weight, frozen)
    for ours, theirs in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("network", "last"),
    [
        (PixelShuffleSR(2, 3, 1), ["head.weight", "head.bias"]),
        (ProgressiveSR(2, 2, 3, 1), ["heads.0.weight", "heads.0.bias", "heads.1.weight", "heads.1.bias"]),
        (BackProjectionSR(2, 2, 2), ["head.weight", "head.bias"]),
        (ResidualUNetSR([2, 3]), ["head.weight", "head.bias"]),
    ],
)
def test_muon_takes_every_strategy_and_its_last_layers(network, last):
    optimizer = muon(network, 0.01)
    names = {parameter: name for name, parameter in network.named_parameters()}
    groups = [[names[parameter] for parameter in group["params"]] for group in optimizer.param_groups]
    assert sorted(itertools.chain(*groups)) == sorted(names.values()) and groups[-1] == last
    step(network, optimizer)
    assert all(bool(torch.isfinite(parameter).all()) for parameter in network.parameters())


def test_a_network_without_the_layer_is_named():
    with pytest.raises(ValueError, match=r"MDCSRN has no convolutions and a layer named 'last'.* stem, levels, head"):
        muon(small_network(), head="last")
