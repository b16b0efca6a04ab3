from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from monai.handlers import CheckpointLoader
from torch import nn

from recon_monai.networks import VarNet, load_weights, varnet_from_fastmri


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.complex128, 1e-10), (torch.complex64, 1e-5)], ids=["double", "single"]
)
@pytest.mark.parametrize("as_samples", [False, True], ids=["mask-of-columns", "mask-of-samples"])
def test_equal_to_fastmri(golden, dtype: torch.dtype, tolerance: float, as_samples: bool) -> None:  # type: ignore[no-untyped-def]
    network = varnet_from_fastmri(golden.state_dict).to(dtype.to_real())
    mask = golden.mask.expand(1, 1, golden.kspace.shape[-2], -1) if as_samples else golden.mask
    with torch.no_grad():
        result = network.reconstruct(golden.kspace.to(dtype), mask)

    def relative_error(ours: torch.Tensor, expected: torch.Tensor) -> float:
        return float(torch.linalg.vector_norm(ours - expected) / torch.linalg.vector_norm(expected))

    assert relative_error(result.image[:, 0], golden.reconstruction) < tolerance
    assert relative_error(result.sensitivity_maps, golden.sensitivity_maps) < tolerance


def _fastmri_unet_names(prefix: str, pools: int) -> list[str]:
    blocks = [*(f"down_sample_layers.{i}" for i in range(pools)), "conv", *(f"up_conv.{i}" for i in range(pools - 1))]
    blocks.append(f"up_conv.{pools - 1}.0")
    names = [f"{prefix}.{block}.layers.{layer}.weight" for block in blocks for layer in (0, 4)]
    names += [f"{prefix}.up_transpose_conv.{i}.layers.0.weight" for i in range(pools)]
    return names + [f"{prefix}.up_conv.{pools - 1}.1.{name}" for name in ("weight", "bias")]


def _as_fastmri(network: VarNet) -> dict[str, torch.Tensor]:
    """Weights of a network under the names that its counterpart has, matched by their order within each U-Net."""
    result: dict[str, torch.Tensor] = {}

    def add(prefix: str, unet: nn.Module) -> None:
        ours = [*unet.encoder.parameters(), *unet.decoder.parameters(), *unet.upsample.parameters()]
        ours += list(unet.head.parameters())
        result.update(zip(_fastmri_unet_names(prefix, unet.pools), ours, strict=True))

    add("sens_net.norm_unet.unet", network.sensitivity_network.refinement.unet)
    for index, cascade in enumerate(network.cascades):
        result[f"cascades.{index}.dc_weight"] = cascade.data_consistency_weight
        add(f"cascades.{index}.model.unet", cascade.refinement.unet)
    return {key: value.detach() for key, value in result.items()}


def test_twelve_cascades_have_324_tensors_and_every_one_finds_its_place() -> None:
    torch.manual_seed(0)
    network = VarNet(12, 2, 1, 4)
    published = _as_fastmri(network)
    assert len(published) == 324

    imported = varnet_from_fastmri(published)
    for (key, ours), (_, expected) in zip(imported.state_dict().items(), network.state_dict().items(), strict=True):
        assert torch.equal(ours, expected), key


def test_lightning_checkpoints_and_constant_buffers_are_understood(golden) -> None:  # type: ignore[no-untyped-def]
    plain = varnet_from_fastmri(golden.state_dict)
    wrapped = {f"varnet.{key}": value for key, value in golden.state_dict.items()}
    wrapped |= {"varnet.cascades.0.zero": torch.zeros(1, 1, 1, 1, 1), "loss.w": torch.ones(1, 1, 7, 7)}
    for ours, expected in zip(varnet_from_fastmri(wrapped).parameters(), plain.parameters(), strict=True):
        assert torch.equal(ours, expected)


def test_weights_of_something_else_are_refused(golden) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"no weights of fastMRI's VarNet: there is no sens_net"):
        varnet_from_fastmri({"conv.weight": torch.zeros(1)})
    unknown = {**golden.state_dict, "cascades.0.model.unet.extra": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"key cascades\.0\.refinement\.unet\.extra of the weights is unknown"):
        varnet_from_fastmri(unknown)
    del golden.state_dict["cascades.1.dc_weight"]
    with pytest.raises(ValueError, match=r"key cascades\.1\.data_consistency_weight of shape \(1,\) is missing"):
        varnet_from_fastmri(golden.state_dict)


def test_load_weights_from_a_file_and_a_state_dict(tmp_path: Path) -> None:
    source, by_file, by_dict = VarNet(1, 2, 1, 1), VarNet(1, 2, 1, 1), VarNet(1, 2, 1, 1)
    torch.save(source.state_dict(), tmp_path / "model.pt")
    assert load_weights(by_file, tmp_path / "model.pt") is by_file
    load_weights(by_dict, source.state_dict())
    for expected, *loaded in zip(source.parameters(), by_file.parameters(), by_dict.parameters(), strict=True):
        assert all(torch.equal(parameter, expected) for parameter in loaded)


def test_a_mismatch_names_file_sizes_and_the_first_key_with_both_shapes(tmp_path: Path) -> None:
    path = tmp_path / "wide.pt"
    torch.save(VarNet(1, 3, 1, 1).state_dict(), path)
    network = VarNet(1, 2, 1, 1)
    before = [parameter.clone() for parameter in network.parameters()]
    with pytest.raises(ValueError, match="does not fit this VarNet") as caught:
        load_weights(network, path)
    message = str(caught.value)
    assert str(path) in message
    assert "the weights have channels=3, the network has channels=2" in message
    assert "cascades.0.refinement.unet.encoder.0.conv1.weight, of shape (3, 2, 3, 3) in the weights" in message
    assert "(2, 2, 3, 3) in the network" in message
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), before, strict=True))


def test_missing_and_unknown_keys_and_other_files_are_refused(tmp_path: Path) -> None:
    network = VarNet(1, 2, 1, 1)
    weights = network.state_dict()
    del weights["cascades.0.data_consistency_weight"]
    with pytest.raises(ValueError, match=r"the state dict does not fit.*cascades\.0\.data_consistency_weight .*miss"):
        load_weights(network, weights)
    with pytest.raises(ValueError, match=r"key _extra_state of shape .* is missing"):
        load_weights(network, {key: v for key, v in network.state_dict().items() if key != "_extra_state"})
    with pytest.raises(ValueError, match="key more of the weights is unknown"):
        load_weights(network, {**network.state_dict(), "more": torch.zeros(1)})
    torch.save({"model": network.state_dict(), "epoch": 3}, tmp_path / "checkpoint.pt")
    with pytest.raises(ValueError, match=r"holds \['model', 'epoch'\]; give the network's own entry"):
        load_weights(network, tmp_path / "checkpoint.pt")
    with pytest.raises(FileNotFoundError):
        load_weights(network, tmp_path / "absent.pt")


@pytest.mark.parametrize("nested", [False, True])
def test_monai_checkpoint_loader_loads_strictly(tmp_path: Path, nested: bool) -> None:
    source, network = VarNet(1, 2, 1, 1), VarNet(1, 2, 1, 1)
    state = source.state_dict()
    torch.save({"network": state} if nested else state, tmp_path / "model.pt")
    engine = Engine(lambda engine, batch: None)
    CheckpointLoader(str(tmp_path / "model.pt"), {"network": network}, strict=True).attach(engine)
    engine.run([0], max_epochs=1)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), source.parameters(), strict=True))


def test_a_training_checkpoint_gives_its_network(tmp_path: Path) -> None:
    network = VarNet(num_cascades=1, channels=2, sensitivity_channels=2, pools=2)
    torch.save({"network": network.state_dict(), "optimizer": {"state": {}}}, tmp_path / "last.pt")
    loaded = load_weights(VarNet(num_cascades=1, channels=2, sensitivity_channels=2, pools=2), tmp_path / "last.pt")
    for key, value in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[key], value)
