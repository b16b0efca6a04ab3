"""The overlay that fine-tunes on a scan without reference, and its result in the inference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from bundle_tools import TINY, run_bundle

from recon_monai.networks import UniversalVarNet

pytestmark = pytest.mark.slow

CONFIGS = "bundles/universal_varnet/configs"


def test_a_scan_is_fine_tuned_on_and_reconstructed(checkout: Path, tiny_data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = UniversalVarNet(["brain", "knee"], 1, 2, 2, 2)
    torch.save(network.state_dict(), tmp_path / "start.pt")
    sizes = {name: value for name, value in TINY.items() if name.startswith("network_def")}
    scan = {"dataset_dir": tiny_data / "subject0.h5", "acceleration": 3, "anatomy": "brain", "num_workers": 0}
    masks = {"accelerations": [3], "center_fractions": [0.1]}
    training = {**sizes, **scan, "pretrained": tmp_path / "start.pt", "run_name": "scan", "max_epochs": 6}
    training |= {"val_interval": 2, **masks}
    run_bundle("training", f"['{CONFIGS}/train.json', '{CONFIGS}/self_supervised.json']", checkout, training)
    weights = checkout / "bundles" / "universal_varnet" / "eval" / "scans" / "eval" / "scan" / "model.pt"
    record = json.loads(weights.with_name("model.json").read_text())
    assert -2.5 < record["metrics"]["val_held_out"] < 0
    after = {**sizes, **scan, **masks, "ckpt": weights, "output_dir": tmp_path / "out"}
    run_bundle("inference", f"{CONFIGS}/inference.json", checkout, after)
    assert list((tmp_path / "out").rglob("*subject0*.h5"))
