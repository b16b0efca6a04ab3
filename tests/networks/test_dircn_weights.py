from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from recon_monai.networks import DIRCN, NormResXUNet, dircn_from_original, load_shared_weights, load_weights
from recon_monai.networks.original_dircn import find_sizes
from recon_monai.networks.published import network_overlay

FIXTURES = Path(__file__).parent.parent / "fixtures"
Maker = Callable[..., torch.Tensor]


class Original(NamedTuple):
    """Inputs, weights and outputs of the authors' own DIRCN."""

    kspace: torch.Tensor
    mask: torch.Tensor
    state_dict: dict[str, torch.Tensor]
    sensitivity_maps: torch.Tensor
    reconstruction: torch.Tensor
    config: dict[str, Any]


def original(name: str) -> Original:
    with np.load(FIXTURES / f"dircn_{name}.npz") as file:
        arrays = {key: torch.from_numpy(np.asarray(file[key])) for key in file.files}

    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}

    main = (arrays[key] for key in ("kspace", "mask"))
    outputs = (arrays[key] for key in ("sensitivity_maps", "reconstruction"))
    return Original(*main, part("state_dict/"), *outputs, {k: v.item() for k, v in part("config/").items()})


def relative_error(ours: torch.Tensor, expected: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(ours - expected) / torch.linalg.vector_norm(expected))


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.complex128, 1e-10), (torch.complex64, 1e-5)], ids=["double", "single"]
)
@pytest.mark.parametrize(("name", "aggregation"), [("concat", "concat"), ("weighted", "sum"), ("weighted", None)])
def test_equal_to_the_authors(name: str, aggregation: Any, dtype: torch.dtype, tolerance: float) -> None:
    golden = original(name)
    network = dircn_from_original(golden.state_dict, aggregation).to(dtype.to_real())
    with torch.no_grad():
        result = network.reconstruct(golden.kspace.to(dtype), golden.mask)
    assert relative_error(result.image[:, 0], golden.reconstruction) < tolerance
    assert relative_error(result.sensitivity_maps, golden.sensitivity_maps) < tolerance


@pytest.mark.parametrize("name", ["concat", "weighted"])
def test_sizes_are_found_in_the_weights(name: str) -> None:
    golden = original(name)
    network = dircn_from_original(golden.state_dict)
    config = golden.config
    unet = network.cascades[1].refinement.unet.architecture
    coils = network.sensitivity_network.refinement.unet.architecture
    assert network.architecture["num_cascades"] == config["num_cascades"]
    assert network.architecture["interconnections"] == config["interconnections"]
    assert network.architecture["aggregation"] == {"concat": "concat", "weighted": "sum"}[name]
    assert (unet["channels"], unet["groups"], unet["se_ratio"]) == (config["n"], config["groups"], config["ratio"])
    assert (coils["channels"], coils["groups"]) == (config["sense_n"], config["sense_groups"])
    assert network_overlay(network) == {
        "network_def::num_cascades": 3,
        "network_def::aggregation": network.architecture["aggregation"],
        "network_def::interconnections": True,
        "network_def::data_consistency": "soft",
        "network_def::refinement::channels": 4,
        "network_def::refinement::groups": 2,
        "network_def::refinement::se_ratio": 0.125,
        "network_def::sensitivity_network::refinement::channels": 2,
        "network_def::sensitivity_network::refinement::groups": 1,
        "network_def::sensitivity_network::refinement::se_ratio": 0.125,
    }


def test_the_unused_weight_is_dropped_and_the_others_are_used() -> None:
    golden = original("weighted")
    changed = {**golden.state_dict, "i_cascades.0.cat_weight": torch.full((1,), 99.0)}
    with torch.no_grad():
        image = dircn_from_original(changed)(golden.kspace.to(torch.complex64), golden.mask)[:, 0]
    assert relative_error(image, golden.reconstruction) < 1e-5
    assert dircn_from_original(changed).cascades[0].aggregation_weight is None
    changed["i_cascades.1.cat_weight"] = torch.full((1,), 2.0)
    with torch.no_grad():
        image = dircn_from_original(changed)(golden.kspace.to(torch.complex64), golden.mask)[:, 0]
    assert relative_error(image, golden.reconstruction) > 1e-3


def test_weights_of_sums_become_those_of_normalized_sums() -> None:
    golden = original("weighted")
    network = dircn_from_original(golden.state_dict, "normalized_sum")
    weight = torch.nn.functional.softplus(network.cascades[1].aggregation_weight)
    torch.testing.assert_close(weight, golden.state_dict["i_cascades.1.cat_weight"])
    negative = {**golden.state_dict, "i_cascades.2.cat_weight": torch.full((1,), -0.5)}
    with pytest.raises(ValueError, match=r"cascades.2.aggregation_weight is \[-0.5\], expected positive"):
        dircn_from_original(negative, "normalized_sum")


def test_weights_that_do_not_fit_are_refused_by_name() -> None:
    weights, concat = original("weighted").state_dict, original("concat").state_dict
    with pytest.raises(ValueError, match=r"belong to aggregation='sum', not 'concat'"):
        dircn_from_original(weights, "concat")
    with pytest.raises(ValueError, match=r"belong to aggregation='concat', not 'normalized_sum'"):
        dircn_from_original(concat, "normalized_sum")
    with pytest.raises(ValueError, match=r"no cascades.0.refinement.unet.stem.conv.weight among 1 keys"):
        dircn_from_original({"sens_net.norm_unet.unet.conv.weight": torch.zeros(1)})
    missing = {key: value for key, value in weights.items() if key != "i_cascades.1.i_model.model.up2.norm.bias"}
    with pytest.raises(ValueError, match=r"cascades.1.refinement.unet.upsample.2.norm.bias of shape .* is missing"):
        dircn_from_original(missing)
    with pytest.raises(ValueError, match=r"key i_cascades.1.other of the weights is unknown"):
        dircn_from_original({**weights, "i_cascades.1.other": torch.zeros(1)})


@pytest.mark.parametrize("ratio", [1 / 8, 1 / 16, 0.3, 1 / 49])
@pytest.mark.parametrize("channels", [1, 3, 5, 12, 20])
def test_any_ratio_is_found(ratio: float, channels: int) -> None:
    """The ratio may be another number, but means the same widths at every level."""
    with torch.device("meta"):
        unet = NormResXUNet(channels, 1, ratio).unet
        weights = {f"net.{key}": value for key, value in unet.state_dict().items()}
        found = NormResXUNet(channels, 1, find_sizes(weights, "net").se_ratio).unet
    assert [p.shape for p in found.parameters()] == [p.shape for p in unet.parameters()]


def test_weights_of_fewer_cascades_start_a_larger_network(random_kspace: Maker, column_mask: Maker) -> None:
    """The same as to grow the smaller one; a stage of training may be configured either way."""
    torch.manual_seed(0)
    network = DIRCN(2, 2, 1, groups=1, sensitivity_groups=1)
    weights = network.state_dict()
    larger = load_shared_weights(DIRCN(4, 2, 1, groups=1, sensitivity_groups=1), weights)
    network.grow(2)
    assert larger.num_old_cascades == network.num_old_cascades == 2
    for (name, ours), expected in zip(larger.state_dict().items(), network.state_dict().values(), strict=True):
        assert torch.equal(ours, expected), name
    again = load_shared_weights(DIRCN(4, 2, 1, groups=1, sensitivity_groups=1), larger.state_dict())
    mask = column_mask(16)
    kspace = random_kspace(1, 2, 16, 16)
    torch.testing.assert_close(again(kspace, mask), larger(kspace, mask), rtol=0, atol=0)
    assert again.num_old_cascades == 0
    with pytest.raises(ValueError, match="num_cascades=4"):
        load_shared_weights(DIRCN(2, 2, 1, groups=1, sensitivity_groups=1), larger.state_dict())
    with pytest.raises(ValueError, match="num_cascades=2"):
        load_weights(DIRCN(4, 2, 1, groups=1, sensitivity_groups=1), weights)
    with pytest.raises(ValueError, match="aggregation=normalized_sum"):
        load_shared_weights(DIRCN(4, 2, 1, groups=1, sensitivity_groups=1, aggregation="sum"), weights)
