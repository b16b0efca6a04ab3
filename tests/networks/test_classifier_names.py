"""The anatomies that a classifier was trained for travel with its weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser

from recon_monai.networks import (
    AnatomyClassifier,
    UniversalVarNet,
    adopt_anatomies,
    load_shared_weights,
    load_weights,
    weights_fit,
)
from recon_monai.networks.architecture import decode_record, encode_record

SIZES = {"num_cascades": 1, "channels": 2, "sensitivity_channels": 2, "pools": 2}
BUNDLE = Path(__file__).parents[2] / "bundles" / "universal_varnet"
OTHERS = r"anatomies=\['heart', 'brain'\], the network has anatomies=\['brain', 'heart'\]"
Weights = dict[str, torch.Tensor]


def universal(*names: str) -> UniversalVarNet:
    return UniversalVarNet(names, **SIZES)


def without_names(weights: Weights) -> Weights:
    """As versions wrote them whose classifiers had no names."""
    key = "classifier._extra_state"
    record = {name: value for name, value in decode_record(weights[key]).items() if name != "anatomies"}
    return {**weights, key: encode_record(record)}


def test_number_and_names_agree() -> None:
    assert AnatomyClassifier().num_anatomies == 2
    assert AnatomyClassifier().anatomies is None
    named = AnatomyClassifier(anatomies=["brain", "heart", "knee"])
    assert (named.num_anatomies, named.anatomies) == (3, ("brain", "heart", "knee"))
    with pytest.raises(ValueError, match="tells 2 anatomies apart, expected 1: brain"):
        AnatomyClassifier(2, anatomies=["brain"])
    with pytest.raises(ValueError, match="different words"):
        AnatomyClassifier(anatomies=["brain", "brain"])


def test_weights_of_a_classifier_of_other_or_swapped_anatomies_are_refused(tmp_path: Path) -> None:
    network = universal("brain", "heart")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    torch.save(AnatomyClassifier(anatomies=["heart", "brain"]).state_dict(), tmp_path / "model.pt")
    with pytest.raises(ValueError, match=rf"model.pt does not fit .*{OTHERS}"):
        load_weights(network.classifier, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=OTHERS):
        network.classifier.load_state_dict(AnatomyClassifier(anatomies=["heart", "brain"]).state_dict())
    with pytest.raises(ValueError, match="'knee'"):
        load_weights(network.classifier, AnatomyClassifier(anatomies=["brain", "knee"]).state_dict())
    whole = {**before, "classifier._extra_state": universal("heart", "brain").state_dict()["classifier._extra_state"]}
    with pytest.raises(ValueError, match=OTHERS):
        load_weights(network, whole)
    assert not weights_fit(network, whole)
    right = AnatomyClassifier(anatomies=["brain", "heart"])
    load_weights(network.classifier, right.state_dict())
    assert torch.equal(network.classifier.head.weight, right.head.weight)


def test_weights_without_names_are_accepted_and_get_those_of_the_network() -> None:
    network = universal("brain", "heart")
    load_weights(network.classifier, AnatomyClassifier(2).state_dict())
    load_weights(network, without_names(universal("brain", "heart").state_dict()))
    assert weights_fit(network, without_names(network.state_dict()))
    assert network.classifier.anatomies == ("brain", "heart")
    assert decode_record(network.state_dict()["classifier._extra_state"])["anatomies"] == ["brain", "heart"]


def test_a_classifier_without_names_takes_over_those_of_its_weights() -> None:
    classifier = load_weights(AnatomyClassifier(), AnatomyClassifier(anatomies=["heart", "brain"]).state_dict())
    assert classifier.anatomies == ("heart", "brain")
    with pytest.raises(ValueError, match=r"made for the anatomies \['heart', 'brain'\], expected \['brain', 'heart'\]"):
        UniversalVarNet(["brain", "heart"], **SIZES, classifier=classifier)
    with pytest.raises(ValueError, match=r"feature_mean, of shape \(3, 64\)"):
        load_weights(classifier, AnatomyClassifier(3).state_dict())


def test_a_network_names_the_outputs_of_a_classifier_without_names() -> None:
    classifier = AnatomyClassifier(2, size=24)
    assert UniversalVarNet(["brain", "heart"], **SIZES, classifier=classifier).classifier is classifier
    assert classifier.anatomies == ("brain", "heart")


def test_names_follow_the_anatomies_of_the_network() -> None:
    network = universal("brain", "heart")
    network.set_anatomies(["mouse", "heart"])
    assert network.classifier.anatomies == network.anatomies == ("mouse", "heart")
    source = universal("knee", "brain", "heart")
    weights = source.state_dict()
    adopted = load_weights(adopt_anatomies(universal("any"), weights), weights)
    assert adopted.classifier.anatomies == adopted.anatomies == ("knee", "brain", "heart")
    old = load_weights(adopt_anatomies(universal("any"), without_names(weights)), without_names(weights))
    assert old.classifier.anatomies == old.anatomies == ("knee", "brain", "heart")
    shared = load_shared_weights(universal("heart", "mouse"), weights)
    assert shared.classifier.anatomies == shared.anatomies == ("heart", "mouse")
    assert torch.equal(shared.classifier.head.weight[0], source.classifier.head.weight[2])


def test_outputs_take_their_names_along() -> None:
    classifier = AnatomyClassifier(anatomies=["brain", "heart", "knee"])
    classifier.select_outputs([2, 0])
    assert classifier.anatomies == ("knee", "brain")
    head = classifier.head.weight.clone()
    for sources, names in (([0, None], None), ([0, 1], ["brain", "knee"]), ([0], ["knee", "brain"]), ([0, 0], None)):
        with pytest.raises(ValueError, match="expected"):
            classifier.select_outputs(sources, names)
    assert torch.equal(classifier.head.weight, head)
    assert classifier.anatomies == ("knee", "brain")
    classifier.select_outputs([1, None], ["brain", "mouse"])
    assert classifier.anatomies == ("brain", "mouse")
    plain = AnatomyClassifier(2)
    plain.select_outputs([0, 1, None])
    assert plain.anatomies is None


@pytest.mark.parametrize("configuration", ["evaluate", "inference"])
def test_the_weights_that_the_bundle_ships_load(configuration: str) -> None:
    parser = ConfigParser()
    parser.read_config(str(BUNDLE / "configs" / f"{configuration}.json"))
    parser["anatomies"] = ["any"]
    network = parser.get_parsed_content("network_def")
    weights = torch.load(BUNDLE / "models" / "model.pt", weights_only=True)
    load_weights(adopt_anatomies(network, weights), weights)
    assert network.classifier.anatomies == network.anatomies == ("brain", "heart")
