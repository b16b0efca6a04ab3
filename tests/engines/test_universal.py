from __future__ import annotations

from typing import Any

import pytest
import torch

from recon_monai.engines import PrepareReconstructionBatch, UniversalInferer
from recon_monai.networks import UniversalVarNet, VarNet
from recon_monai.physics import center_crop_or_pad

SIZES = {"num_cascades": 1, "channels": 2, "sensitivity_channels": 2, "pools": 2}


@pytest.fixture
def network() -> UniversalVarNet:
    torch.manual_seed(0)
    made = UniversalVarNet(["brain", "heart"], **SIZES).eval()
    for parameter in made.anatomy_parameters("heart"):
        parameter.data += 0.3 * torch.randn(parameter.shape)
    return made


@pytest.fixture
def kspace() -> torch.Tensor:
    return torch.randn(2, 3, 32, 24, generator=torch.Generator().manual_seed(0), dtype=torch.complex64)


@torch.no_grad()
def test_finds_what_is_not_given_and_keeps_it(network: UniversalVarNet, kspace: torch.Tensor) -> None:
    inferer = UniversalInferer()
    image = inferer(kspace, network, output_size=(20, 20))
    expected = network.reconstruct(kspace)
    assert torch.equal(image, center_crop_or_pad(expected.image, (20, 20)))
    assert torch.equal(inferer.probabilities, expected.anatomy_probabilities)
    assert not inferer.given


@torch.no_grad()
def test_what_the_batch_says_and_what_is_forced(network: UniversalVarNet, kspace: torch.Tensor) -> None:
    inferer = UniversalInferer()
    stated = inferer(kspace, network, anatomy=torch.tensor([1, 0]))
    assert torch.equal(stated, network(kspace, None, ["heart", "brain"]))
    assert inferer.probabilities.tolist() == [[0, 1], [1, 0]]
    assert inferer.given
    forced = UniversalInferer("heart")(kspace, network, anatomy=torch.tensor([0, 0]))
    assert torch.equal(forced, network(kspace, None, "heart"))


def test_refuses_other_networks_and_anatomies(network: UniversalVarNet, kspace: torch.Tensor) -> None:
    with pytest.raises(TypeError, match="VarNet, expected UniversalVarNet"):
        UniversalInferer()(kspace, VarNet(**SIZES))
    with pytest.raises(ValueError, match=r"a\.h5 slice 3: the anatomy 'knee' is unknown.*brain, heart"):
        UniversalInferer("knee")(kspace, network, where="a.h5 slice 3")


def test_a_batch_brings_its_anatomies(kspace: torch.Tensor) -> None:
    batch: dict[str, Any] = {
        "kspace": kspace,
        "output_size": torch.tensor([[32, 24]] * 2),
        "file": ["a.h5", "b.h5"],
        "slice": torch.tensor([0, 1]),
        "anatomy": ["heart", "brain"],
    }
    *_, options = PrepareReconstructionBatch(["brain", "heart"])(batch)
    assert options["anatomy"].tolist() == [1, 0]
    assert "anatomy" not in PrepareReconstructionBatch()(batch)[-1]
    with pytest.raises(ValueError, match=r"b\.h5 shows the anatomy 'brain'.*'heart', 'knee'"):
        PrepareReconstructionBatch(["heart", "knee"])(batch)
