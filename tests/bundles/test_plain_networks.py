"""Overlays that put another network in the place of the bundle's: trained, evaluated and used as users do it."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from bundle_tools import run_bundle
from monai.bundle import ConfigParser
from torch import nn

from recon_monai.metrics import psnr
from recon_monai.networks import (
    ImageUNet,
    KspaceNetwork,
    NormUNet,
    ScaledUNet,
    SensitivityNetwork,
    UnrolledGradientDescent,
    load_weights,
)
from recon_monai.physics import EquispacedFractionMask, seed_from_name

CONFIGS = "bundles/universal_varnet/configs"
FOLDER = Path(__file__).parents[2] / CONFIGS
NETWORKS = {"image_unet": ImageUNet, "unrolled": UnrolledGradientDescent, "kspace_network": KspaceNetwork}

MAPS = {f"network_def::sensitivity_network::{size}": 2 for size in ("channels", "pools")}
SIZES = {
    "image_unet": {"network_def::channels": 4, "network_def::pools": 2},
    "unrolled": {**MAPS, "network_def::regularizer::channels": 2, "network_def::regularizer::pools": 2},
    "kspace_network": {**MAPS, "network_def::refinement::channels": 2, "network_def::refinement::pools": 2},
}


def tiny(name: str) -> nn.Module:
    """The network of `SIZES`, not by way of the configuration."""
    if name == "image_unet":
        return ImageUNet(4, 2)
    parts = {"sensitivity_network": SensitivityNetwork(2, 2)}
    if name == "unrolled":
        return UnrolledGradientDescent(5, regularizer=partial(ScaledUNet, 2, 2), **parts)
    return KspaceNetwork(2, refinement=partial(NormUNet, 2, 2), **parts)


def files(*names: str) -> str:
    return str([f"{CONFIGS}/{name}.json" for name in names])


def merged(*names: str) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([str(FOLDER / f"{name}.json") for name in names])
    return parser


@pytest.mark.parametrize("name", NETWORKS)
def test_the_file_of_a_network_replaces_the_network_alone(name: str) -> None:
    assert set(json.loads((FOLDER / f"{name}.json").read_text())) == {"_desc_", "network_def"}
    chains = (("train", "train_plain"), ("evaluate", "evaluate_plain"), ("inference", "evaluate_plain"))
    networks = [merged(*chain, name).get_parsed_content("network_def") for chain in chains]
    assert {type(network) for network in networks} == {NETWORKS[name]}
    networks[1].load_state_dict(networks[0].state_dict())
    short = NETWORKS[name]()
    short.load_state_dict(networks[0].state_dict())  # the written sizes are the defaults


def test_the_stage_changes_what_is_there() -> None:
    """Ids below the top that are written wrong would be added, and change nothing."""
    parser = merged("train")
    for name in json.loads((FOLDER / "train_plain.json").read_text()):
        assert name == "_desc_" or name in parser, name


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_it_trains_evaluates_and_reconstructs(name: str, checkout: Path, tiny_data: Path, tmp_path: Path) -> None:
    size = {**SIZES[name], "dataset_dir": tiny_data, "num_workers": 0}
    options = {**size, "max_epochs": 2, "warmup_epochs": 1, "run_name": name}
    run_bundle("training", files("train", "train_plain", name), checkout, options)
    run = checkout / "bundles" / "universal_varnet" / "eval" / name
    network = load_weights(tiny(name), run / "model.pt").eval()
    assert json.loads((run / "finished.json").read_text())["epochs"] == 2
    untrained = merged("train", "train_plain", name)
    assert (
        json.loads((run / "run.json").read_text())["configuration"]["network_def"]["_target_"]
        == (untrained["network_def::_target_"])
    )

    # the newest finished run of this architecture, without naming it
    chain = files("evaluate", "evaluate_plain", name)
    printed = run_bundle("evaluation", chain, checkout, {**size, "output_dir": tmp_path / "tables"})
    assert f"eval/{name}/model.pt, of the newest finished run" in printed
    file_name = json.loads((tiny_data / "split.json").read_text())["test"][0]
    with h5py.File(tiny_data / file_name) as file:
        kspace, target = torch.from_numpy(file["kspace"][()]), file["reconstruction_rss"][()]
    with (tmp_path / "tables" / "volumes.csv").open() as table:
        rows = {row["acceleration"]: row for row in csv.DictReader(table) if row["method"] == "reconstruction"}
    assert rows.keys() == {"4", "8"}
    for acceleration, row in rows.items():
        sampling = EquispacedFractionMask([0.08, 0.04], [4, 8])
        mask = sampling(48, seed=seed_from_name(file_name), acceleration=int(acceleration)).mask
        with torch.no_grad():
            image = network(kspace * mask, mask)[:, 0, 24:72].numpy()
        assert float(row["psnr"]) == pytest.approx(psnr(prediction=image, target=target), rel=1e-3)

    chain = files("inference", "evaluate_plain", name)
    options = {**size, "dataset_dir": tiny_data / "subject1.h5", "output_dir": tmp_path / "images", "acceleration": 4}
    run_bundle("inference", chain, checkout, options)
    with h5py.File(tmp_path / "images" / "subject1.h5") as file:
        written = file["reconstruction"][()]
    with h5py.File(tiny_data / "subject1.h5") as file, torch.no_grad():
        sampling = EquispacedFractionMask([0.08, 0.04], [4, 8])
        mask = sampling(48, seed=seed_from_name("subject1.h5"), acceleration=4).mask
        expected = network(torch.from_numpy(file["kspace"][()]) * mask, mask)[:, 0, 24:72].numpy()
    np.testing.assert_allclose(written, expected, rtol=1e-3, atol=1e-8)
