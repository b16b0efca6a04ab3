from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from recon_monai.networks import (
    ASPIN,
    NormUNet,
    UniversalVarNet,
    VarNet,
    adopt_anatomies,
    load_shared_weights,
    load_weights,
)
from recon_monai.networks.blocks import UNet

Maker = Callable[..., torch.Tensor]
SMALL = {"num_cascades": 2, "channels": 3, "sensitivity_channels": 2, "pools": 2}


def universal(names: tuple[str, ...] = ("brain", "heart"), seed: int = 0, **options: object) -> UniversalVarNet:
    """Small network whose anatomies differ."""
    torch.manual_seed(seed)
    network = UniversalVarNet(names, **{**SMALL, **options})
    for module in network.modules():
        if isinstance(module, ASPIN):
            for values in (module.gamma, module.beta):
                for value in values:
                    value.data += 0.3 * torch.randn(value.shape)
    return network.eval()


@pytest.fixture
def measured(random_kspace: Maker, column_mask: Maker) -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.cat([column_mask(24), column_mask(24, offset=1)])
    return random_kspace(2, 3, 32, 24), mask


@pytest.mark.parametrize(
    ("placement", "parameters"), [("all", 5_061_498), ("bottleneck", 5_035_290), ("input", 5_030_746)]
)
def test_number_of_parameters(placement: str, parameters: int) -> None:
    network = UniversalVarNet(["brain", "knee"], aspin_placement=placement)
    classifier = sum(p.numel() for p in network.classifier.parameters())
    assert sum(p.numel() for p in network.parameters()) - classifier == parameters
    assert classifier == 23_570
    assert all("classifier" in name for name, _ in network.named_parameters() if name.startswith("classif"))


def test_before_training_it_is_the_varnet_with_the_same_convolutions(measured) -> None:
    kspace, mask = measured
    plain = VarNet(**SMALL).eval()
    network = UniversalVarNet(["a", "b"], **SMALL).eval()
    found = network.load_state_dict(
        {key: value for key, value in plain.state_dict().items() if key != "_extra_state"}, strict=False
    )
    assert not found.unexpected_keys
    for anatomy in ("a", "b"):
        torch.testing.assert_close(network(kspace, mask, anatomy), plain(kspace, mask), rtol=1e-4, atol=1e-5)


def test_names_indices_and_one_hot_weights_are_the_same(measured) -> None:
    kspace, mask = measured
    network = universal()
    by_name = network(kspace, mask, ["heart", "brain"])
    assert torch.equal(by_name, network(kspace, mask, torch.tensor([1, 0])))
    assert torch.equal(by_name, network(kspace, mask, torch.tensor([[0.0, 1.0], [1.0, 0.0]])))
    assert torch.equal(network(kspace, mask, "heart"), network(kspace, mask, torch.tensor([1, 1])))
    assert not torch.allclose(network(kspace, mask, "heart"), network(kspace, mask, "brain"), rtol=1e-2)


@pytest.mark.parametrize("placement", ["all", "bottleneck", "input"])
def test_mixed_batch_equals_one_by_one(placement: str, measured) -> None:
    kspace, mask = measured
    network = universal(aspin_placement=placement)
    together = network(kspace, mask, ["heart", "brain"])
    single = torch.cat([network(kspace[n : n + 1], mask[n : n + 1], name) for n, name in enumerate(["heart", "brain"])])
    torch.testing.assert_close(together, single, rtol=1e-4, atol=1e-5)


def test_finds_the_anatomy_itself_and_mixes_where_unsure(measured) -> None:
    kspace, mask = measured
    network = universal()
    probabilities = network.classifier(kspace, mask).softmax(dim=1).detach()
    result = network.reconstruct(kspace, mask)
    assert torch.equal(result.anatomy_probabilities, probabilities)

    network.certainty = 1.0  # never sure
    mixed = network.reconstruct(kspace, mask)
    torch.testing.assert_close(mixed.image, network(kspace, mask, probabilities))
    network.certainty = 0.0  # always sure
    decided = network.reconstruct(kspace, mask)
    assert torch.equal(decided.image, network(kspace, mask, probabilities.argmax(dim=1)))
    assert not torch.allclose(mixed.image, decided.image, rtol=1e-3)
    # one sample sure, the other not, in one batch
    largest = probabilities.amax(dim=1)
    network.certainty = float(largest.mean())
    weights = torch.where((largest >= network.certainty)[:, None], F.one_hot(probabilities.argmax(1), 2), probabilities)
    assert int((largest >= network.certainty).sum()) == 1
    torch.testing.assert_close(network(kspace, mask), network(kspace, mask, weights))


def test_what_was_given_is_reported(measured) -> None:
    kspace, mask = measured
    found = universal().reconstruct(kspace, mask, "heart")
    assert found.anatomy_probabilities.tolist() == [[0, 1], [0, 1]]
    assert found.image.shape == (2, 1, 32, 24)
    assert found.coil_images.shape == found.sensitivity_maps.shape == (2, 3, 32, 24)


def test_scale_and_checkpointing(measured) -> None:
    kspace, mask = measured
    network = universal()
    torch.testing.assert_close(network(2**10 * kspace, mask), 2**10 * network(kspace, mask), rtol=1e-4, atol=1e-2)
    network.checkpointing = "all"
    torch.testing.assert_close(network(kspace, mask, "brain").sum(), universal()(kspace, mask, "brain").sum())


@pytest.mark.parametrize(
    ("anatomy", "message"),
    [
        ("knee", "'knee' is unknown.*brain, heart"),
        (["brain"], r"shape \(1,\).*2 samples"),
        (torch.tensor([0, 2]), "no index"),
        (torch.tensor([[0.5, 0.6], [0.5, 0.5]]), "sum 1"),
        (torch.tensor([[1.5, -0.5], [0.5, 0.5]]), "from 0 on"),
    ],
)
def test_anatomies_that_do_not_fit(anatomy: object, message: str, measured) -> None:
    kspace, mask = measured
    with pytest.raises(ValueError, match=message):
        universal()(kspace, mask, anatomy)


@pytest.mark.parametrize("names", [[], "brain", ["brain", "brain"], ["a b"], [""], [1]])
def test_unusable_names(names: object) -> None:
    with pytest.raises(ValueError, match="anatomies is"):
        UniversalVarNet(names, **SMALL)


def test_parts_can_be_given() -> None:
    made = []

    def refinement(num_anatomies: int) -> NormUNet:
        made.append(num_anatomies)
        return NormUNet(5, 1, num_anatomies=num_anatomies)

    network = UniversalVarNet(["a", "b", "c"], 3, refinement=refinement)
    assert made == [3, 3, 3]
    assert isinstance(network.cascades[0].refinement.unet, UNet)
    with pytest.raises(ValueError, match="classifier tells 2 anatomies apart, expected 3"):
        UniversalVarNet(["a", "b", "c"], 1, classifier=UniversalVarNet(["a", "b"], 1, **{}).classifier)
    with pytest.raises(ValueError, match="certainty"):
        UniversalVarNet(["a"], 1, certainty=1.1)


def test_another_anatomy_leaves_the_old_ones_bit_for_bit(measured) -> None:
    kspace, mask = measured
    before = universal()
    after = copy.deepcopy(before)
    after.set_anatomies(["brain", "heart", "mouse"])
    assert after.anatomies == ("brain", "heart", "mouse")
    for parameter in after.anatomy_parameters("mouse"):
        parameter.data += torch.randn(parameter.shape)
    for name in ("brain", "heart"):
        assert torch.equal(after(kspace, mask, name), before(kspace, mask, name))
    assert torch.equal(after.classifier(kspace, mask)[:, :2], before.classifier(kspace, mask))
    found, old = after.reconstruct(kspace, mask), before.reconstruct(kspace, mask)
    assert torch.equal(found.anatomy_probabilities[:, :2], old.anatomy_probabilities)
    assert not found.anatomy_probabilities[:, 2].any()
    assert torch.equal(found.image, old.image)
    assert not torch.allclose(after(kspace, mask, "mouse"), after(kspace, mask, "brain"), rtol=1e-2)


def test_a_new_anatomy_starts_as_the_mean_and_others_can_go(measured) -> None:
    kspace, mask = measured
    network = universal()
    expected = network(kspace, mask, torch.tensor([[0.5, 0.5], [0.5, 0.5]]))
    network.set_anatomies(["mouse", "heart"])
    torch.testing.assert_close(network(kspace, mask, "mouse"), expected)
    assert torch.equal(network(kspace, mask, "heart"), universal()(kspace, mask, "heart"))
    with pytest.raises(ValueError, match="'brain' is unknown"):
        network.anatomy_parameters("brain")


def test_only_the_parameters_of_an_anatomy_get_gradients_from_it(measured) -> None:
    kspace, mask = measured
    network = universal()
    network(kspace, mask, "heart").sum().backward()
    assert all(bool(p.grad.any()) for p in network.anatomy_parameters("heart"))
    # zero and not missing: processes that train together exchange all of them
    assert not any(bool(p.grad.any()) for p in network.anatomy_parameters("brain"))


def test_weights_carry_the_names(tmp_path) -> None:
    torch.save(universal().state_dict(), tmp_path / "model.pt")
    load_weights(universal(seed=1), tmp_path / "model.pt")
    with pytest.raises(
        ValueError, match=r"anatomies=\['brain', 'heart'\], the network has anatomies=\['brain', 'knee'\]"
    ):
        load_weights(universal(("brain", "knee")), tmp_path / "model.pt")


def test_weights_of_a_plain_network_are_what_all_anatomies_share(measured) -> None:
    kspace, mask = measured
    torch.manual_seed(1)
    plain = VarNet(**SMALL).eval()
    network = load_shared_weights(UniversalVarNet(["brain", "heart"], **SMALL).eval(), plain.state_dict())
    for anatomy in ("brain", "heart"):
        torch.testing.assert_close(network(kspace, mask, anatomy), plain(kspace, mask), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="num_cascades=3, the network has num_cascades=2"):
        load_shared_weights(network, VarNet(**{**SMALL, "num_cascades": 3}).state_dict())


def test_weights_of_another_universal_network_give_what_both_know(measured) -> None:
    kspace, mask = measured
    source = universal(("knee", "brain"))
    network = load_shared_weights(universal(("brain", "heart"), seed=2), source.state_dict())
    assert network.anatomies == ("brain", "heart")
    assert torch.equal(network(kspace, mask, "brain"), source(kspace, mask, "brain"))
    plain = VarNet(**SMALL)
    assert load_shared_weights(plain, VarNet(**SMALL).state_dict()) is plain


def test_a_network_takes_over_the_anatomies_of_weights(measured) -> None:
    kspace, mask = measured
    source = universal(("knee", "brain", "spine"))
    network = adopt_anatomies(universal(("brain", "heart")), source.state_dict())
    assert network.anatomies == ("knee", "brain", "spine")
    load_weights(network, source.state_dict())
    assert torch.equal(network(kspace, mask), source(kspace, mask))
    assert isinstance(adopt_anatomies(VarNet(**SMALL), source.state_dict()), VarNet)
