from __future__ import annotations

import pytest
import torch
from torch import nn

from recon_monai.networks import NormUNet, SensitivityNetwork, UNet, VarNet
from recon_monai.networks.architecture import decode_record, encode_record, first_difference


def test_records_survive_as_tensors_even_averaged() -> None:
    record = {"num_cascades": 8, "negative_slope": 0.2, "anatomies": ["brain", "knee"]}
    state = encode_record(record)
    assert state.dtype == torch.uint8
    assert decode_record(state) == record
    assert decode_record(state.double() * 0.3 + state.double() * 0.7 - 1e-6) == record


def test_first_difference_names_both_values() -> None:
    assert first_difference({"a": 1, "b": 2}, {"a": 1, "b": 2}) is None
    assert first_difference({"a": 1, "b": 2}, {"a": 1, "b": 3}) == "the weights have b=3, the network has b=2"
    assert first_difference({"a": 1}, {"a": 1, "c": 4}) == "the weights have c=4, the network has c=None"
    other = first_difference({"blocks": 4}, {"strategy": "progressive", "blocks": 2})
    assert other == "the weights have strategy=progressive, the network has strategy=None"


def test_records_are_those_of_the_modules_in_use() -> None:
    network = VarNet(2, refinement=lambda: NormUNet(3, 2), sensitivity_network=SensitivityNetwork(2, 1))
    records = {key: decode_record(v) for key, v in network.state_dict().items() if key.endswith("_extra_state")}
    assert records["_extra_state"] == {"num_cascades": 2}
    assert records["cascades.1.refinement.unet._extra_state"]["channels"] == 3
    assert records["cascades.1.refinement.unet._extra_state"]["pools"] == 2
    assert records["sensitivity_network.refinement.unet._extra_state"]["channels"] == 2
    assert records["sensitivity_network._extra_state"] == {"calibration": "fastmri"}


@pytest.mark.parametrize(
    ("network", "other", "difference"),
    [
        (VarNet(1, 2, 2, 1), VarNet(2, 2, 2, 1), "another VarNet: the weights have num_cascades=2, the network has"),
        (UNet(channels=2, pools=1), UNet(channels=3, pools=1), "another UNet: the weights have channels=3"),
        (UNet(channels=2, pools=1), UNet(channels=2, pools=1, negative_slope=0.1), "negative_slope=0.1"),
    ],
)
def test_loading_refuses_another_architecture(network: nn.Module, other: nn.Module, difference: str) -> None:
    with pytest.raises(ValueError, match=difference):
        network.load_state_dict(other.state_dict())
