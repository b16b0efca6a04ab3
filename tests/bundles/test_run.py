"""The bundle as users run it: training, evaluation and inference by ``python -m monai.bundle``."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import torch
from bundle_tools import TINY, run_bundle, student_alone, verify_with_monai
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from recon_monai.evaluation import CGSense
from recon_monai.metrics import nmse, psnr, ssim
from recon_monai.networks import UniversalVarNet
from recon_monai.physics import EquispacedFractionMask, ifft2c, rss, seed_from_name

CONFIGS = "bundles/universal_varnet/configs"


@pytest.fixture(scope="module")
def trained(checkout, tiny_data) -> Path:
    """The acceptance command from the repository's root, with its size and data made small."""
    options = {**TINY, "dataset_dir": tiny_data, "max_epochs": 2, "warmup_epochs": 1, "run_name": "tiny"}
    options["classifier_epochs"] = 1
    printed = run_bundle("training", f"{CONFIGS}/train.json", checkout, options)
    assert str(tiny_data) in printed, "the log must say which data it uses"
    return checkout / "bundles" / "universal_varnet" / "eval" / "tiny"


def test_training_leaves_weights_record_and_curves(trained, checkout):
    weights = torch.load(trained / "model.pt", weights_only=True)
    record = json.loads((trained / "run.json").read_text())
    finished = json.loads((trained / "finished.json").read_text())
    last = torch.load(trained / "last.pt", weights_only=True)
    assert last["network"].keys() == weights.keys()
    assert last["optimizer"]["param_groups"][0]["weight_decay"] == 1e-4
    assert record["configuration"]["network_def"]["num_cascades"] == 1
    assert record["configuration"]["max_epochs"] == 2
    assert len(record["data"]["fingerprint"]) == 16
    assert record["versions"]["monai"]
    assert finished["epochs"] == 2
    described = json.loads((trained / "model.json").read_text())
    assert described["anatomies"] == {"brain": record["data"]["files"] * 2}
    assert (described["coils"], described["accelerations"]) == ([3], [4, 8])
    assert described["mask"] == "equispaced_fraction"
    assert not (checkout / "eval").exists(), "results belong into the bundle's folder"


def test_curves_and_panels_are_in_tensorboard(trained):
    events = EventAccumulator(str(trained), size_guidance={"images": 0})
    events.Reload()
    scalars = events.Tags()["scalars"]
    assert {"train_loss", "learning_rate", "val_ssim", "val_psnr", "val_nmse"} <= set(scalars)
    assert [event.step for event in events.Scalars("val_ssim")] == [1, 2]
    assert all(np.isfinite(event.value) for event in events.Scalars("train_loss"))
    # warm-up from a tenth to the full rate, stepped per epoch; the second and last epoch runs at the full rate
    assert [round(event.value, 6) for event in events.Scalars("learning_rate")] == [1e-4] * 2 + [1e-3] * 2
    assert events.Tags()["images"]


def test_evaluation_takes_the_newest_run_and_counts_right(trained, checkout, tiny_data, tmp_path):
    options = {**TINY, "dataset_dir": tiny_data, "output_dir": tmp_path / "out"}
    printed = run_bundle("evaluation", f"{CONFIGS}/evaluate.json", checkout, options)
    assert f"{Path('bundles/universal_varnet/eval/tiny/model.pt')}, of the newest finished run" in printed
    with (tmp_path / "out" / "volumes.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "zero_filled"]
    name = json.loads((tiny_data / "split.json").read_text())["test"][0]
    assert {row["acceleration"] for row in rows} == {"4", "8"}
    with h5py.File(tiny_data / name) as file:
        kspace, target = torch.from_numpy(file["kspace"][()]), file["reconstruction_rss"][()]
    for row in rows:
        mask = EquispacedFractionMask([0.08, 0.04], [4, 8])(
            48, seed=seed_from_name(name), acceleration=int(row["acceleration"])
        ).mask
        image = rss(ifft2c(kspace * mask))[:, 0, 24:72].numpy()
        assert float(row["psnr"]) == pytest.approx(psnr(prediction=image, target=target), rel=1e-4)
        assert float(row["ssim"]) == pytest.approx(ssim(prediction=image, target=target), rel=1e-4)
    assert "not for diagnosis" in (tmp_path / "out" / "summary.md").read_text()
    assert list((tmp_path / "out" / "panels").glob("*.png"))


def test_cg_sense_stands_beside_the_network(trained, checkout, tiny_data, tmp_path):
    files = f"['{CONFIGS}/evaluate.json', '{CONFIGS}/cg_sense.json']"
    options = {**TINY, "dataset_dir": tiny_data, "output_dir": tmp_path, "ckpt": trained / "model.pt"}
    run_bundle("evaluation", files, checkout, options)
    settings = json.loads((checkout / CONFIGS / "cg_sense.json").read_text())["cg_sense"]
    name = json.loads((tiny_data / "split.json").read_text())["test"][0]
    with h5py.File(tiny_data / name) as file:
        kspace, target = torch.from_numpy(file["kspace"][()]), file["reconstruction_rss"][()]
    with (tmp_path / "volumes.csv").open() as file:
        rows = {row["acceleration"]: row for row in csv.DictReader(file) if row["method"] == "cg_sense"}
    assert rows.keys() == settings.keys() == {"4", "8"}
    for acceleration, row in rows.items():
        mask = EquispacedFractionMask([0.08, 0.04], [4, 8])(
            48, seed=seed_from_name(name), acceleration=int(acceleration)
        ).mask
        image = CGSense(**settings[acceleration])(kspace * mask, mask)[:, 0, 24:72]
        assert float(row["nmse"]) == pytest.approx(nmse(prediction=image, target=target), rel=1e-3)


def test_inference_from_inside_the_bundle_writes_what_the_network_gives(trained, checkout, tiny_data, tmp_path):
    """K-space as measured, no mask and no target needed; the weights given by name."""
    options = {**TINY, "dataset_dir": tiny_data / "subject1.h5", "output_dir": tmp_path, "ckpt": trained / "model.pt"}
    run_bundle("inference", "configs/inference.json", checkout / "bundles" / "universal_varnet", options)
    network = UniversalVarNet(["brain"], num_cascades=1, channels=2, sensitivity_channels=2, pools=2)
    network.load_state_dict(torch.load(trained / "model.pt", weights_only=True))
    with h5py.File(tiny_data / "subject1.h5") as file, torch.no_grad():
        expected = network(torch.from_numpy(file["kspace"][()]))[:, 0, 24:72].numpy()
    with h5py.File(tmp_path / "subject1.h5") as file:
        written = file["reconstruction"][()]
        assert "not for diagnosis" in file.attrs["notice"]
    np.testing.assert_allclose(written, expected, rtol=1e-4, atol=1e-9)
    image = nibabel.load(tmp_path / "subject1.nii.gz")
    assert image.header.get_zooms() == pytest.approx((5.0, 5.0, 5.0))
    np.testing.assert_allclose(image.get_fdata().transpose(2, 1, 0), written, rtol=1e-6)


def test_training_from_inside_the_bundle_and_from_given_weights(trained, checkout, tiny_data):
    """A rate of zero leaves the weights that training started from; finished stages of another run are used."""
    bundle = checkout / "bundles" / "universal_varnet"
    schedule = {"max_epochs": 1, "warmup_epochs": 0, "learning_rate": 0.0, "aug_max_phase": 6.0}
    options = {**TINY, **schedule, "dataset_dir": tiny_data, "run_name": "inside", "pretrained": trained / "model.pt"}
    options["stage_weights"] = {name: str(trained / name / "model.pt") for name in ("classifier", "teacher_brain")}
    printed = run_bundle("run", "configs/train.json", bundle, options)
    assert "teacher_brain/model.pt, as given" in printed
    assert not (bundle / "bundles").exists()
    given = torch.load(trained / "model.pt", weights_only=True)
    kept = torch.load(bundle / "eval" / "inside" / "model.pt", weights_only=True)
    assert all(torch.equal(given[name], kept[name]) for name in given)


@pytest.mark.slow
def test_without_a_dataset_the_built_in_one_is_made_and_named(checkout, tmp_path):
    """The acceptance command as it stands in the README, its size and the number of files made small."""
    limits = {"train::dataset::max_files": 1, "validate::dataset::max_files": 1, "validate::dataset::max_slices": 2}
    options = {**TINY, **limits, "max_epochs": 1, "warmup_epochs": 0, "run_name": "built-in"}
    options |= student_alone(tmp_path)
    printed = run_bundle("training", f"{CONFIGS}/train.json", checkout, options, RECON_MONAI_CACHE=str(tmp_path))
    (made,) = tmp_path.glob("built_in-*")
    assert f"data: 1 files of {made}" in printed
    assert len(json.loads((made / "split.json").read_text())["test"]) == 5
    assert (checkout / "bundles" / "universal_varnet" / "eval" / "built-in" / "model.pt").is_file()


@pytest.mark.slow
def test_small_overlay_fits_all_three(checkout, tiny_data, tmp_path):
    """The quick start's sizes: what it trains, its evaluation and inference take."""
    overlay = "bundles/universal_varnet/configs/small.json"
    shared = {"num_workers": 0, "dataset_dir": tiny_data}
    files = {name: f"['{CONFIGS}/{name}.json', '{overlay}']" for name in ("train", "evaluate", "inference")}
    training = {"max_epochs": 1, "warmup_epochs": 0, "classifier_epochs": 1, "run_name": "small"}
    run_bundle("training", files["train"], checkout, {**shared, **training})
    printed = run_bundle("evaluation", files["evaluate"], checkout, {**shared, "output_dir": tmp_path / "evaluation"})
    assert "eval/small/model.pt" in printed
    options = {**shared, "output_dir": tmp_path / "inference", "acceleration": 4}
    run_bundle("inference", files["inference"], checkout, options)
    assert len(list((tmp_path / "inference").glob("*.nii.gz"))) == 3


def test_monai_verifies_network_and_properties(checkout, tiny_data):
    """MONAI's own checks of the bundle: network in and out, and the ids of its workflow."""
    verify_with_monai(checkout, CONFIGS, {**TINY, "dataset_dir": tiny_data})
