"""`recon-monai import-weights`: golden values through files, bundle configuration and command line."""

from __future__ import annotations

import functools
import io
import json
import logging
import os
import pickle
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from command_tools import failure_of
from monai.bundle import ConfigParser

from recon_monai.cli import main
from recon_monai.networks import (
    NormUNet,
    SensitivityNetwork,
    UniversalVarNet,
    VarNet,
    adopt_anatomies,
    load_shared_weights,
    load_weights,
    read_torch_file,
)
from recon_monai.networks.published import network_overlay, read_state_dict

failure = functools.partial(failure_of, "import-weights fastmri")

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "bundles" / "universal_varnet" / "configs"


class Golden(NamedTuple):
    """Inputs, weights and outputs of fastMRI's own VarNet."""

    kspace: torch.Tensor
    mask: torch.Tensor
    reconstruction: torch.Tensor
    weights: dict[str, torch.Tensor]


class Settings:
    """Stands for a class of another package in a checkpoint."""


@pytest.fixture(params=["varnet_even", "varnet_odd"])
def golden(request: pytest.FixtureRequest) -> Golden:
    with np.load(ROOT / "tests" / "fixtures" / f"{request.param}.npz") as file:
        arrays = {name: torch.from_numpy(file[name]) for name in file.files}
    weights = {
        name.removeprefix("state_dict/"): value for name, value in arrays.items() if name.startswith("state_dict/")
    }
    return Golden(arrays["kspace"], arrays["mask"], arrays["reconstruction"], weights)


def as_lightning(weights: dict[str, torch.Tensor]) -> dict[str, object]:
    state = {f"varnet.{name}": value for name, value in weights.items()}
    return {
        "epoch": 49,
        "global_step": 1000,
        "state_dict": state | {"loss.w": torch.ones(1, 1, 7, 7)},
        "hyper_parameters": {"num_cascades": 12, "lr": 3e-4, "lr_step_size": 40},
        "callbacks": {"ModelCheckpoint": {"best_model_path": "epoch=49.ckpt"}},
    }


def run(*words: object) -> None:
    main(["import-weights", "fastmri", *map(str, words)])


@pytest.mark.parametrize("lightning", [False, True], ids=["state-dict", "lightning"])
@pytest.mark.parametrize(
    "config", [("inference.json", "evaluate_plain.json"), ("evaluate.json", "evaluate_plain.json")]
)
def test_imported_weights_reconstruct_as_fastmri_does(
    golden: Golden, tmp_path: Path, caplog: pytest.LogCaptureFixture, lightning: bool, config: tuple[str, ...]
) -> None:
    torch.save(as_lightning(golden.weights) if lightning else golden.weights, tmp_path / "published.pt")
    with caplog.at_level(logging.INFO):
        run(tmp_path / "published.pt", "--output", tmp_path / "model.pt")
    assert str(tmp_path / "model_network.json") in caplog.text
    assert '"network_def::num_cascades": 2' in caplog.text

    parser = ConfigParser()
    parser.read_config([*(str(CONFIGS / file) for file in config), str(tmp_path / "model_network.json")])
    network = load_weights(parser.get_parsed_content("network_def"), tmp_path / "model.pt").eval()
    with torch.no_grad():
        image = network(golden.kspace.to(torch.complex64), golden.mask)[:, 0]
    error = torch.linalg.vector_norm(image - golden.reconstruction) / torch.linalg.vector_norm(golden.reconstruction)
    assert float(error) < 1e-5


def test_imported_weights_start_a_training(golden: Golden, tmp_path: Path) -> None:
    """What training begins with computes, for each anatomy, what fastMRI's network does."""
    torch.save(golden.weights, tmp_path / "published.pt")
    run(tmp_path / "published.pt", "--output", tmp_path / "model.pt")
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / "train.json"), str(tmp_path / "model_network.json")])
    parser["anatomies"] = ["brain", "knee"]
    network = load_shared_weights(parser.get_parsed_content("network_def"), tmp_path / "model.pt").eval()
    with torch.no_grad():
        image = network(golden.kspace.to(torch.complex64), golden.mask, "knee")[:, 0]
    error = torch.linalg.vector_norm(image - golden.reconstruction) / torch.linalg.vector_norm(golden.reconstruction)
    assert float(error) < 1e-5


def test_weights_are_a_plain_state_dict_with_its_record(golden: Golden, tmp_path: Path) -> None:
    torch.save(golden.weights, tmp_path / "published.pt")
    run(tmp_path / "published.pt", "--output", tmp_path / "new" / "knee.pt")
    weights = torch.load(tmp_path / "new" / "knee.pt", weights_only=True)
    assert "_extra_state" in weights
    assert all(value.dtype in (torch.float32, torch.uint8) for value in weights.values())
    overlay = json.loads((tmp_path / "new" / "knee_network.json").read_text())
    widths = golden.weights["cascades.0.model.unet.down_sample_layers.0.layers.0.weight"].shape[0]
    assert overlay["network_def::refinement::channels"] == widths
    assert "published.pt" in overlay["_desc_"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["knee.pt", "knee_network.json"]


def test_existing_files_are_replaced_only_when_told_so(
    golden: Golden, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save(golden.weights, tmp_path / "published.pt")
    (tmp_path / "model.pt").write_bytes(b"mine")
    message = failure(caplog, tmp_path / "published.pt", "--output", tmp_path / "model.pt")
    assert "model.pt exist(s) already; give --overwrite" in message
    assert (tmp_path / "model.pt").read_bytes() == b"mine"
    assert not (tmp_path / "model_network.json").exists()
    run(tmp_path / "published.pt", "--output", tmp_path / "model.pt", "--overwrite")
    assert "_extra_state" in torch.load(tmp_path / "model.pt", weights_only=True)


def test_files_that_would_run_code_are_refused(
    golden: Golden, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "published.pt"
    torch.save({**as_lightning(golden.weights), "hyper_parameters": Settings()}, path)
    message = failure(caplog, path, "--output", tmp_path / "model.pt")
    assert message.startswith(f"error: {path}: holds an object of type ")
    assert "Settings, expected tensors and plain values" in message
    assert "torch.save(checkpoint['state_dict'], 'weights.pt')" in message
    assert not (tmp_path / "model.pt").exists()


def test_damaged_files_end_with_one_sentence(golden: Golden, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "published.pt"
    torch.save(golden.weights, path)
    whole = path.read_bytes()
    for content in (b"", b"<html>404</html>", whole[:100], whole[: len(whole) // 2], whole[:-30], b"\x80\x02."):
        path.write_bytes(content)
        message = failure(caplog, path, "--output", tmp_path / "model.pt")
        assert message.startswith(f"error: {path}: ")
        assert "download it again" in message or "expected a state dict" in message
        assert "weights_only" not in message
    assert not (tmp_path / "model.pt").exists()


class Attack:
    """Runs a command where a pickle is read without the safeguard."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def malicious(path: Path, *, archive: bool) -> Path:
    """A checkpoint with weights that fit nothing, and code; its trace would be a folder."""
    content = {"state_dict": {"weight": torch.zeros(1)}, "hyper_parameters": Attack(path.with_name("attacked"))}
    torch.save(content, path, _use_new_zipfile_serialization=archive)
    return path


def plainly_pickled(path: Path) -> Path:
    path.write_bytes(pickle.dumps({"weight": Attack(path.with_name("attacked"))}))
    return path


@pytest.mark.parametrize(
    "write", [partial(malicious, archive=True), partial(malicious, archive=False), plainly_pickled]
)
def test_no_way_to_load_weights_runs_their_code(
    write: Callable[[Path], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The functions behind import-weights, --ckpt, --pretrained, --resume and export-model."""
    path = write(tmp_path / "model.pt")
    network = VarNet(1, 2, 2, 1)
    readers: list[Callable[[], object]] = [
        lambda: read_torch_file(path),
        lambda: read_state_dict(path),
        lambda: load_weights(network, path),
        lambda: load_shared_weights(network, path),
        lambda: adopt_anatomies(UniversalVarNet(["brain"], 1, 2, 2, 1), path),
    ]
    for read in readers:
        with pytest.raises(ValueError, match=r"model\.pt: ") as refused:
            read()
        assert "\n" not in str(refused.value)
        assert "weights_only" not in str(refused.value)
    for kind in ("fastmri", "dircn", "mdcsrn"):
        with pytest.raises(SystemExit):
            main(["import-weights", kind, str(path), "--output", str(tmp_path / "out.pt")])
        assert caplog.records[-1].getMessage().startswith(f"error: {path}: ")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.pt"], "nothing ran, nothing was written"


def archive(*names: str) -> bytes:
    """A zip archive with these files, as it lies on the disk."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, b"3")
    return buffer.getvalue()


SAFETENSORS = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'


@pytest.mark.parametrize("kind", ["fastmri", "dircn", "mdcsrn"])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 2000, "is an HDF5 file"),
        (b"\0\0\0\0\x01 \x7f checkpoint" + b"W\xfb\x80\x8b$uG\xdb", "is a file of TensorFlow"),
        (b"\x93NUMPY\x01\0v\0{'descr': '<f4'}", "is a file of NumPy"),
        (len(SAFETENSORS).to_bytes(8, "little") + SAFETENSORS + bytes(4), "is a file of safetensors"),
        (archive("net/data.pkl", "net/constants.pkl", "net/code/net.py", "net/version"), "is a TorchScript file"),
        (archive("net/archive_format", "net/models/model.json"), "is a file of torch.export"),
        (archive("readme.txt"), "is a zip archive of something else"),
    ],
    ids=["hdf5", "tensorflow", "numpy", "safetensors", "torchscript", "torch_export", "zip"],
)
def test_foreign_files_are_named(
    kind: str, content: bytes, expected: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "weights"
    path.write_bytes(content)
    with pytest.raises(SystemExit):
        main(["import-weights", kind, str(path), "--output", str(tmp_path / "out.pt")])
    message = caplog.records[-1].getMessage()
    assert message.startswith(f"error: {path}: {expected}")
    assert "expected weights written by PyTorch" in message


def test_what_matched_is_said(golden: Golden, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save(as_lightning(golden.weights), tmp_path / "published.ckpt")
    with caplog.at_level(logging.INFO):
        run(tmp_path / "published.ckpt", "--output", tmp_path / "model.pt")
    tensors = sum(not name.endswith(".zero") for name in golden.weights)
    left = len(golden.weights) - tensors + 1  # and the window of the loss
    assert (
        f"matched: {tensors} of {len(golden.weights) + 1} tensors of the file, all that the network has" in caplog.text
    )
    assert f"; {left} left out, which have no part" in caplog.text


def test_other_content_is_refused(golden: Golden, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "published.pt"
    cut = dict(golden.weights)
    first = "sens_net.norm_unet.unet.down_sample_layers.0.layers.0.weight"
    del cut["cascades.1.dc_weight"]
    bad = {**golden.weights, "cascades.0.dc_weight": torch.tensor([float("nan")])}
    for content, expected in (
        ({"conv.weight": torch.zeros(1)}, "no weights of fastMRI's VarNet"),
        ({"model": golden.weights, "epoch": 3}, "holds ['epoch', 'model'], expected a state dict or a Lightning"),
        ([1, 2], "holds list, expected a state dict"),
        ({}, "expected a state dict"),
        (cut, "cascades.1.data_consistency_weight of shape (1,) is missing"),
        (bad, "cascades.0.dc_weight holds NaN or infinity"),
        ({**golden.weights, 1: torch.zeros(1)}, "holds tensors under 1, expected a state dict with names"),
        ({**golden.weights, first: torch.tensor(1.0)}, "have shapes or types that weights of such a network cannot"),
        ({**golden.weights, first: golden.weights[first].long()}, "have shapes or types that weights of such a"),
    ):
        torch.save(content, path)
        message = failure(caplog, path, "--output", tmp_path / "model.pt")
        assert message.startswith(f"error: {path}: ")
        assert expected in message
    assert "there is no such file" in failure(caplog, tmp_path / "none.pt", "--output", tmp_path / "model.pt")


def test_networks_of_other_parts_have_no_overlay() -> None:
    network = VarNet(1, refinement=lambda: NormUNet(2, 1), sensitivity_network=SensitivityNetwork(2, 1))
    assert network_overlay(network)["network_def::refinement::pools"] == 1
    network.cascades[0].refinement.unet = torch.nn.Identity()
    with pytest.raises(ValueError, match=r"cascades\.0\.refinement\.unet is Identity, expected UNet"):
        network_overlay(network)


@pytest.mark.parametrize("name", ["dircn_concat", "dircn_weighted"])
def test_imported_dircn_reconstructs_as_its_authors_do(name: str, tmp_path: Path) -> None:
    with np.load(ROOT / "tests" / "fixtures" / f"{name}.npz") as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file.files if not key.startswith("config/")}
    weights = {key.removeprefix("state_dict/"): value for key, value in arrays.items() if key.startswith("state_dict/")}
    torch.save(weights, tmp_path / "published.pt")
    main(["import-weights", "dircn", str(tmp_path / "published.pt"), "--output", str(tmp_path / "dircn.pt")])

    overlay = json.loads((tmp_path / "dircn_network.json").read_text())
    parser = ConfigParser(
        {
            "network_def": {
                "_target_": "recon_monai.networks.DIRCN",
                "refinement": {"_target_": "recon_monai.networks.NormResXUNet", "_mode_": "callable"},
                "sensitivity_network": {
                    "_target_": "recon_monai.networks.SensitivityNetwork",
                    "refinement": {"_target_": "recon_monai.networks.NormResXUNet"},
                    "calibration": "run",
                },
            }
        }
    )
    for identifier, value in overlay.items():
        if not identifier.startswith("_"):
            parser[identifier] = value
    network = load_weights(parser.get_parsed_content("network_def"), tmp_path / "dircn.pt").eval()
    with torch.no_grad():
        image = network(arrays["kspace"].to(torch.complex64), arrays["mask"])[:, 0]
    expected = arrays["reconstruction"]
    assert float(torch.linalg.vector_norm(image - expected) / torch.linalg.vector_norm(expected)) < 1e-5


def test_imported_mdcsrn_sharpens_as_its_authors_does(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with np.load(ROOT / "tests" / "fixtures" / "mdcsrn_generator.npz") as file:
        arrays = {key: torch.from_numpy(np.asarray(file[key])) for key in file.files}
    weights = {key.removeprefix("state_dict/"): value for key, value in arrays.items() if key.startswith("state_dict/")}
    torch.save(weights, tmp_path / "published.pt")
    command = ["import-weights", "mdcsrn", str(tmp_path / "published.pt"), "--output", str(tmp_path / "mdcsrn.pt")]
    with caplog.at_level(logging.INFO):
        main(command)
    assert "411,648 parameters" in caplog.text
    overlay = json.loads((tmp_path / "mdcsrn_network.json").read_text())
    parser = ConfigParser({"network_def": {"_target_": "recon_monai.networks.MDCSRN", "blocks": 1, "residual": True}})
    for identifier, value in overlay.items():
        if not identifier.startswith("_"):
            parser[identifier] = value
    network = load_weights(parser.get_parsed_content("network_def"), tmp_path / "mdcsrn.pt").eval()
    with torch.no_grad():
        output = network(arrays["volume"].float())
    expected = arrays["output"]
    assert float(torch.linalg.vector_norm(output - expected) / torch.linalg.vector_norm(expected)) < 1e-5
    del weights["recon.weight"]
    torch.save(weights, tmp_path / "published.pt")
    with pytest.raises(SystemExit):
        main([*command, "--overwrite"])
    assert "published.pt: the state dict does not fit this MDCSRN: key head.weight" in caplog.records[-1].getMessage()
