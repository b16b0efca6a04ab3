"""The VarNet inside a classifier: given, waited for, or refused."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest
import torch

from recon_monai.engines import classifier_varnet
from recon_monai.networks import AnatomyClassifier, VarNet


def varnet(cascades: int = 1) -> VarNet:
    return VarNet(cascades, 2, 2, 2)


@pytest.fixture
def kspace() -> torch.Tensor:
    return torch.randn(1, 2, 16, 16, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))


def test_weights_are_loaded(tmp_path: Path) -> None:
    trained = varnet()
    torch.save(trained.state_dict(), tmp_path / "model.pt")
    network = classifier_varnet(varnet(), tmp_path / "model.pt")
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in trained.state_dict().items())


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"--classifier_varnet: .*none.pt: there is no such file"):
        classifier_varnet(varnet(), tmp_path / "none.pt")
    torch.save(varnet(2).state_dict(), tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"--classifier_varnet: .*num_cascades=2, the network has num_cascades=1"):
        classifier_varnet(varnet(), tmp_path / "model.pt")


def test_without_weights_it_works_once_those_of_the_classifier_came(kspace: torch.Tensor) -> None:
    waiting = AnatomyClassifier(feature="varnet_last", varnet=classifier_varnet(varnet()))
    with pytest.raises(ValueError, match="--classifier_varnet FILE"):
        waiting(kspace)
    trained = AnatomyClassifier(feature="varnet_last", varnet=varnet())
    copied = copy.deepcopy(waiting)
    copied.load_state_dict(trained.state_dict())
    assert torch.equal(copied(kspace), trained(kspace))
    with pytest.raises(ValueError, match="--classifier_varnet FILE"):
        waiting(kspace)


@pytest.mark.parametrize(
    ("content", "options", "needed"),
    [
        ({"stages": "all"}, [], True),
        ({"stages": "all"}, ["--stages", "['teachers', 'student']"], False),
        ({"stages": "all"}, ["--stages", "['classifier']"], True),
        ({"stages": "all", "stage_weights": {}}, ["--stage_weights::classifier", "model.pt"], False),
        ({"stages": [], "module": "%network_def::classifier"}, [], True),
        ({"stages": [], "module": "$@teacher_def()"}, [], False),
        ({"ckpt": None}, [], False),
    ],
)
def test_a_command_that_trains_a_classifier_needs_weights(
    content: dict, options: list[str], needed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(content))
    command = ["monai.bundle", "run", "training", "--config_file", str(tmp_path / "config.json"), *options]
    monkeypatch.setattr(sys, "argv", command)
    if needed:
        with pytest.raises(ValueError, match="--classifier_varnet FILE"):
            classifier_varnet(varnet())
    else:
        classifier_varnet(varnet())
