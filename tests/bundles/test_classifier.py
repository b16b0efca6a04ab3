"""The overlay that trains the anatomy classifier, in one process and in two."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
import torch
from bundle_tools import start_bundle

from recon_monai.networks import AnatomyClassifier, load_weights

pytestmark = pytest.mark.slow

CONFIGS = "bundles/universal_varnet/configs"
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m")


def train(checkout: Path, data: Path, name: str, *overlays: str, launcher: tuple[str, ...], accumulate: int) -> Path:
    files = ", ".join(f"'{CONFIGS}/{file}.json'" for file in ("train", "train_classifier", *overlays))
    options = {
        "dataset_dir": data,
        "run_name": name,
        "anatomies": "['brain', 'knee']",
        "anatomy_rules": "[{'look_at': 'file', 'pattern': 'subject1', 'anatomy': 'knee'}]",
        "classifier_epochs": 2,
        "num_workers": 0,
        "accumulation_steps": accumulate,
        "network_def::classifier::size": 24,
    }
    done = start_bundle("training", f"[{files}]", checkout, options, launcher=launcher)
    assert done.returncode == 0, done.stdout[-4000:]
    return checkout / "bundles" / "universal_varnet" / "eval" / name


def test_one_and_two_processes_write_the_same_weights_statistics_and_tables(
    checkout: Path, tiny_data: Path, tmp_path: Path
) -> None:
    for number in range(3):
        (tmp_path / f"subject{number}.h5").write_bytes((tiny_data / f"subject{number}.h5").read_bytes())
    split = {"train": ["subject0.h5", "subject1.h5"], "val": ["subject2.h5"], "test": []}
    (tmp_path / "split.json").write_text(json.dumps(split))
    runs = [
        train(checkout, tmp_path, "one", launcher=(sys.executable, "-m"), accumulate=2),
        train(checkout, tmp_path, "two", "multi_gpu_train", launcher=TORCHRUN, accumulate=1),
    ]
    one, two = (load_weights(AnatomyClassifier(size=24), run / "model.pt") for run in runs)
    assert one.feature_count.tolist() == [4, 4], "two slices at two accelerations"
    assert bool(one.feature_mean.any())
    for (name, first), second in zip(one.state_dict().items(), two.state_dict().values(), strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-3, msg=name)
    tables = []
    for run in runs:
        with (run / "confusion.csv").open() as file:
            tables.append(list(csv.reader(file)))
    assert tables[0] == tables[1]
    assert sum(int(count) for row in tables[0][1:3] for count in row[2:]) == 4
    described = [json.loads((run / "model.json").read_text()) for run in runs]
    assert set(described[0]["anatomies"]) == {"brain", "knee"}
    assert described[0]["metrics"] == pytest.approx(described[1]["metrics"], abs=1e-4)
