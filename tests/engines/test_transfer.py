"""Where a training of DIRCN starts from, and what it freezes."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import pytest
import torch

from recon_monai.engines import prepare_transfer
from recon_monai.networks import DIRCN, NormResXUNet


def dircn(num_cascades: int = 2) -> DIRCN:
    return DIRCN(num_cascades, refinement=partial(NormResXUNet, 2, 2), sensitivity_channels=2)


@pytest.fixture
def weights(tmp_path: Path) -> str:
    torch.manual_seed(0)
    torch.save(dircn().state_dict(), tmp_path / "model.pt")
    return str(tmp_path / "model.pt")


def trained(network: DIRCN) -> set[str]:
    return {name.split(".refinement")[0] for name, part in network.named_parameters() if part.requires_grad}


def test_without_weights_and_parts_nothing_happens(caplog: pytest.LogCaptureFixture) -> None:
    network = dircn()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with caplog.at_level(logging.INFO):
        assert prepare_transfer(network) is network
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not caplog.messages


def test_weights_of_fewer_cascades_are_grown_from(weights: str, caplog: pytest.LogCaptureFixture) -> None:
    network = dircn(4)
    with caplog.at_level(logging.INFO):
        prepare_transfer(network, weights, ["sensitivity", "old_cascades"])
    given = torch.load(weights, weights_only=True)
    assert all(torch.equal(network.state_dict()[name], value) for name, value in given.items() if "_extra" not in name)
    assert trained(network) == {
        f"cascades.{index}{part}"
        for index in (2, 3)
        for part in ("", ".data_consistency_weight", ".aggregation_weight")
    }
    assert f"starting from {weights}, 2 cascades, and 2 new as copies of the last" in caplog.text
    count = sum(parameter.numel() for cascade in network.cascades[2:] for parameter in cascade.parameters())
    whole = sum(parameter.numel() for parameter in network.parameters())
    assert f"frozen: sensitivity and old_cascades; {count} of {whole} parameters are trained" in caplog.text


def test_one_part_may_be_a_word(weights: str) -> None:
    assert trained(prepare_transfer(dircn(), weights, "cascades")) == {"sensitivity_network"}


@pytest.mark.parametrize(
    ("num_cascades", "parts", "message"),
    [
        (2, ["old_cascades"], r"model.pt has 2 cascades and so has the network.*--network_def::num_cascades 3"),
        (3, ["sensitivity", "cascades"], "nothing is left to train"),
        (1, [], "num_cascades"),
    ],
)
def test_what_does_not_fit_is_refused(weights: str, num_cascades: int, parts: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare_transfer(dircn(num_cascades), weights, parts)


def test_untrained_parts_are_not_frozen_and_missing_files_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cascades would be frozen untrained; give trained weights by --pretrained"):
        prepare_transfer(dircn(), None, ["cascades"])
    with pytest.raises(FileNotFoundError, match=r"--pretrained .*missing.pt: there is no such file"):
        prepare_transfer(dircn(), str(tmp_path / "missing.pt"))
