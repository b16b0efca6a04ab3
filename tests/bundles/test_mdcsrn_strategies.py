"""The bundle mdcsrn_wgan_gp with other networks and losses, as users run it: trained, evaluated and used for a scan."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from bundle_tools import run_bundle, start_bundle
from mdcsrn_tools import TINY_TRAINING, files, oblique, state_of, write_head
from monai.bundle import ConfigParser

from recon_monai.data import VolumeDataset
from recon_monai.metrics import quality_3d
from recon_monai.networks import BackProjectionSR, PixelShuffleSR, load_weights
from recon_monai.transforms import ScaleToReferenced, SimulateLowResolutiond

pytestmark = pytest.mark.slow

TRAINING = {name: value for name, value in TINY_TRAINING.items() if not name.startswith("network_def")}
SHORT = {**TRAINING, "pretrain_steps": 2, "adversarial_steps": 6, "steps_per_epoch": 2}


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "sub-9_T1w.nii.gz"
    write_head(path, 9, (13, 15, 4), oblique((1.0, 1.0, 4.0)))
    return path


def loss_of(stage: Path, name: str = "loss_function") -> Any:
    """What a stage was trained by, from its own record."""
    return ConfigParser(json.loads((stage / "run.json").read_text())["configuration"]).get_parsed_content(name)


def test_a_strategy_trains_evaluates_and_super_resolves(checkout, tiny_volumes, scan, tmp_path):
    """Pixel shuffle with a Huber loss and a non-saturating critic; odd sizes, and its weights found by themselves."""
    sizes = {"network_def::channels": 3, "network_def::blocks": 1}
    losses = {"image_losses::l1": 0, "image_losses::huber": 1, "image_losses::total_variation": 0.001}
    options = {**TRAINING, **sizes, **losses, "dataset_dir": tiny_volumes, "run_name": "shuffled"}
    names = ("train", "pixel_shuffle", "image_losses", "gan")
    run_bundle("training", files(*names), checkout, {**options, "penalty_weight": 1.0})
    run = checkout / "bundles" / "mdcsrn_wgan_gp" / "eval" / "shuffled"
    network = load_weights(PixelShuffleSR(2, 3, 1), run / "model.pt").eval()
    assert float(network.head.weight.detach().abs().max()) > 0
    for stage in ("pretrain", "adversarial"):
        assert loss_of(run / stage).weights == {"huber": 1.0, "total_variation": 0.001}
    critics = [type(loss_of(run / stage, "adversarial_loss")).__name__ for stage in ("pretrain", "adversarial")]
    assert critics == ["WassersteinGPLoss", "GANLoss"], "a first stage does not depend on the critic"
    updates = state_of(run / "adversarial")["states"]["adversarial"]["updates"]
    assert updates == {"pretraining": 0, "critic": 10, "generator": 2}

    evaluated = {**sizes, "dataset_dir": tiny_volumes, "output_dir": tmp_path / "e", "num_workers": 0, "window": 24}
    printed = run_bundle("evaluation", files("evaluate", "pixel_shuffle"), checkout, evaluated)
    assert "eval/shuffled/model.pt, of the newest finished run" in printed
    with (tmp_path / "e" / "volumes.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["recipe"] == "isotropic2"]
    found = {row["method"]: row for row in rows}
    item = VolumeDataset(tiny_volumes, "test", ScaleToReferenced("target"), cache=False)[0]
    made = SimulateLowResolutiond(recipes={"isotropic2": {"magnitude": "coarse"}}, interpolation="fourier")(item)
    with torch.no_grad():
        padded = torch.nn.functional.pad(made["image"].as_tensor()[None], [5, 5, 3, 3, 4, 4], mode="replicate")
        predicted = network(padded)[0, 0, 4:-4, 3:-3, 5:-5]
    expected = quality_3d(prediction=predicted, target=item["target"].as_tensor()[0])
    assert float(found["super-resolution"]["psnr"]) == pytest.approx(expected["psnr"], rel=1e-4)
    assert float(found["super-resolution"]["nrmse"]) != pytest.approx(float(found["sinc"]["nrmse"]), rel=1e-6)

    inferred = {**sizes, "dataset_dir": scan, "output_dir": tmp_path / "i", "factor": "[1,1,4]", "window": 12}
    run_bundle("inference", files("inference", "pixel_shuffle"), checkout, inferred)
    image = nibabel.load(tmp_path / "i" / "sub-9_T1w_sr.nii.gz")
    assert image.shape == (13, 15, 16) and bool(np.isfinite(image.get_fdata()).all())
    difference = nibabel.load(tmp_path / "i" / "sub-9_T1w_difference.nii.gz").get_fdata()
    assert np.abs(difference).max() > 0

    plain = {"dataset_dir": scan, "output_dir": tmp_path / "r", "factor": "[1,1,4]", "ckpt": run / "model.pt"}
    refused = start_bundle("inference", files("inference"), checkout, plain)
    assert refused.returncode == 1 and "Traceback" not in refused.stdout
    assert "the weights have strategy=pixel_shuffle" in refused.stdout, refused.stdout[-1500:]


@pytest.mark.parametrize(
    ("strategy", "sizes"),
    [
        ("progressive", {"channels": 2, "blocks": 1, "stages": 1}),
        ("residual_unet", {"channels": [2, 3]}),
    ],
)
def test_the_other_strategies_train(checkout, tiny_volumes, strategy, sizes):
    """The first stage by another loss than the second, as the data sheet says."""
    options = {f"network_def::{name}": value for name, value in sizes.items()}
    options |= {"pretrain_loss": {"_target_": "torch.nn.L1Loss"}, "image_losses::l2": 0.5}
    training = {**SHORT, **options, "dataset_dir": tiny_volumes, "run_name": strategy}
    run_bundle("training", files("train", strategy, "image_losses"), checkout, training)
    run = checkout / "bundles" / "mdcsrn_wgan_gp" / "eval" / strategy
    assert json.loads((run / "finished.json").read_text())
    losses = [loss_of(run / stage) for stage in ("pretrain", "adversarial")]
    assert type(losses[0]).__name__ == "L1Loss" and losses[1].weights == {"l1": 1.0, "l2": 0.5}


def test_features_of_a_run_are_those_of_a_perceptual_loss(trained_mdcsrn, checkout, tiny_volumes):
    """Back-projection, by features of the generator that was trained before; without them a sentence."""
    small = {f"feature_def::{name}": size for name, size in zip(("blocks", "units"), (1, 1), strict=True)}
    small |= {"feature_def::growth": 2, "feature_def::first_channels": 2, "feature_layers": ["levels.0"]}
    options = {**SHORT, **small, "network_def::channels": 2, "dataset_dir": tiny_volumes, "run_name": "perceived"}
    names = files("train", "back_projection", "perceptual")
    refused = start_bundle("training", names, checkout, options)
    assert refused.returncode == 1 and "give --features FILE" in refused.stdout
    assert "Traceback" not in refused.stdout
    weights = trained_mdcsrn / "pretrain" / "model.pt"
    run_bundle("training", names, checkout, {**options, "features": weights, "overwrite": True})
    run = checkout / "bundles" / "mdcsrn_wgan_gp" / "eval" / "perceived"
    network = load_weights(BackProjectionSR(2, 2, 2), run / "model.pt")
    assert not any("features" in name for name in network.state_dict()), "they are no part of the generator"
