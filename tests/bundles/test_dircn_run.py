"""The bundle weighted_dircn as users run it: training, evaluation and inference by ``python -m monai.bundle``."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import torch
from bundle_tools import run_bundle, start_bundle, verify_with_monai
from dircn_tools import CONFIGS, TINY_DIRCN, files, read_weights, tiny_dircn
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from recon_monai.metrics import psnr, ssim
from recon_monai.physics import EquispacedFractionMask, fft2c, ifft2c, rss, seed_from_name

pytestmark = pytest.mark.slow


def rows_of(table: Path, method: str) -> dict[str, dict[str, str]]:
    """Rows of a table of volumes, by acceleration."""
    with table.open() as file:
        return {row["acceleration"]: row for row in csv.DictReader(file) if row["method"] == method}


def square(kspace: torch.Tensor) -> torch.Tensor:
    """K-space of the center of the oversampled readout."""
    return fft2c(ifft2c(kspace)[..., 24:72, :])


def test_training_leaves_weights_record_and_curves(trained_dircn, checkout):
    last = torch.load(trained_dircn / "last.pt", weights_only=True)
    record = json.loads((trained_dircn / "run.json").read_text())
    assert last["network"].keys() == read_weights(trained_dircn / "model.pt").keys()
    assert last["optimizer"]["param_groups"][0]["amsgrad"] is True
    assert last["lr_scheduler"]["last_epoch"] == 2, "a step of the schedule for each validation"
    assert last["states"] == {"loss": {}, "batch_schedule": {}}
    assert record["configuration"]["network_def"]["num_cascades"] == 2
    described = json.loads((trained_dircn / "model.json").read_text())
    assert (described["coils"], described["accelerations"]) == ([3], [4, 8])
    assert json.loads((trained_dircn / "finished.json").read_text())["epochs"] == 2
    events = EventAccumulator(str(trained_dircn), size_guidance={"images": 0})
    events.Reload()
    assert {"train_loss", "learning_rate", "val_ssim", "val_psnr", "val_nmse"} <= set(events.Tags()["scalars"])
    assert all(np.isfinite(event.value) for event in events.Scalars("train_loss"))
    assert events.Tags()["images"]
    assert not (checkout / "eval").exists(), "results belong into the bundle's folder"


def test_evaluation_takes_the_newest_run_and_counts_right(trained_dircn, checkout, tiny_data, tmp_path):
    """The network sees the square, and both images are measured against the target of the file."""
    (trained_dircn / "finished.json").touch()  # other tests train in the same checkout
    options = {**TINY_DIRCN, "dataset_dir": tiny_data, "output_dir": tmp_path}
    printed = run_bundle("evaluation", f"{CONFIGS}/evaluate.json", checkout, options)
    assert f"{Path('bundles/weighted_dircn/eval/tiny/model.pt')}, of the newest finished run" in printed
    name = json.loads((tiny_data / "split.json").read_text())["test"][0]
    with h5py.File(tiny_data / name) as file:
        kspace, target = torch.from_numpy(file["kspace"][()]), file["reconstruction_rss"][()]
    zero_filled, network = (rows_of(tmp_path / "volumes.csv", method) for method in ("zero_filled", "reconstruction"))
    assert zero_filled.keys() == network.keys() == {"4", "8"}
    for acceleration in ("4", "8"):
        mask = EquispacedFractionMask([0.08, 0.04], [4, 8])(
            48, seed=seed_from_name(name), acceleration=int(acceleration)
        ).mask
        image = rss(ifft2c(kspace * mask))[:, 0, 24:72].numpy()
        assert float(zero_filled[acceleration]["psnr"]) == pytest.approx(
            psnr(prediction=image, target=target), rel=1e-4
        )
        assert float(zero_filled[acceleration]["ssim"]) == pytest.approx(
            ssim(prediction=image, target=target), rel=1e-4
        )
        with torch.no_grad():
            image = tiny_dircn(trained_dircn / "model.pt")(square(kspace) * mask, mask)[:, 0].numpy()
        assert float(network[acceleration]["psnr"]) == pytest.approx(psnr(prediction=image, target=target), rel=1e-4)
    assert "not for diagnosis" in (tmp_path / "summary.md").read_text()
    assert list((tmp_path / "panels").glob("*.png"))


def test_inference_from_inside_the_bundle_writes_what_the_network_gives(trained_dircn, checkout, tiny_data, tmp_path):
    """K-space as measured, no mask and no target needed; the weights given by name."""
    options = {**TINY_DIRCN, "dataset_dir": tiny_data / "subject1.h5", "ckpt": trained_dircn / "model.pt"}
    bundle = checkout / "bundles" / "weighted_dircn"
    network = tiny_dircn(trained_dircn / "model.pt")
    with h5py.File(tiny_data / "subject1.h5") as file, torch.no_grad():
        kspace = torch.from_numpy(file["kspace"][()])
        images = {True: network(square(kspace))[:, 0].numpy(), False: network(kspace)[:, 0, 24:72].numpy()}
    for cropped, expected in images.items():
        out = tmp_path / str(cropped)
        more = {"output_dir": out, "square_field_of_view": cropped}
        run_bundle("inference", "configs/inference.json", bundle, {**options, **more})
        with h5py.File(out / "subject1.h5") as file:
            written = file["reconstruction"][()]
            assert "not for diagnosis" in file.attrs["notice"]
        np.testing.assert_allclose(written, expected, rtol=1e-3, atol=1e-8)
        image = nibabel.load(out / "subject1.nii.gz")
        assert image.header.get_zooms() == pytest.approx((5.0, 5.0, 5.0))
        np.testing.assert_allclose(image.get_fdata().transpose(2, 1, 0), written, rtol=1e-6)
    assert not np.allclose(images[True], images[False], rtol=1e-2)


def test_training_from_inside_the_bundle_and_from_given_weights(trained_dircn, checkout, tiny_data):
    """A rate of zero leaves the weights that training started from."""
    bundle = checkout / "bundles" / "weighted_dircn"
    options = {**TINY_DIRCN, "dataset_dir": tiny_data, "run_name": "inside", "max_epochs": 1, "learning_rate": 0.0}
    options |= {"pretrained": trained_dircn / "model.pt", "aug_max_phase": 6.0, "full_target": False}
    printed = run_bundle("run", "configs/train.json", bundle, options)
    assert f"starting from {trained_dircn / 'model.pt'}, 2 cascades" in printed
    assert not (bundle / "bundles").exists()
    given, kept = (read_weights(folder / "model.pt") for folder in (trained_dircn, bundle / "eval" / "inside"))
    assert all(torch.equal(given[name], kept[name]) for name in given)


def test_the_paired_layout(trained_dircn, checkout, tiny_data, tmp_path):
    """Complete k-space with a mask to apply in ``kspace/``, targets in ``image/``."""
    data = tmp_path / "paired"
    mask = EquispacedFractionMask([0.08], [4])(48, seed=0).mask
    for part, number in (("train", 0), ("val", 1), ("leaderboard/acc4", 2)):
        with h5py.File(tiny_data / f"subject{number}.h5") as file:
            kspace, target = file["kspace"][()], file["reconstruction_rss"][()]
        for folder in ("kspace", "image"):
            (data / part / folder).mkdir(parents=True)
        with h5py.File(data / part / "kspace" / f"brain_acc4_{number}.h5", "w") as file:
            file["kspace"] = kspace
            file["mask"] = mask.flatten().numpy().astype(np.float32)
        with h5py.File(data / part / "image" / f"brain_acc4_{number}.h5", "w") as file:
            file["image_label"] = target
            file.attrs["max"] = target.max()
    options = {**TINY_DIRCN, "dataset_dir": data}
    training = {"max_epochs": 1, "run_name": "paired", "overwrite": True}
    run_bundle("training", f"{CONFIGS}/train.json", checkout, {**options, **training})
    weights = trained_dircn.parent / "paired" / "model.pt"
    options["ckpt"] = weights
    run_bundle("evaluation", f"{CONFIGS}/evaluate.json", checkout, {**options, "output_dir": tmp_path / "evaluation"})
    (row,) = rows_of(tmp_path / "evaluation" / "volumes.csv", "reconstruction").values()
    with torch.no_grad():
        expected = tiny_dircn(weights)(square(torch.from_numpy(kspace)) * mask, mask)[:, 0].numpy()
    assert float(row["psnr"]) == pytest.approx(psnr(prediction=expected, target=target), rel=1e-4)
    run_bundle("inference", f"{CONFIGS}/inference.json", checkout, {**options, "output_dir": tmp_path / "inference"})
    with h5py.File(tmp_path / "inference" / "brain_acc4_2.h5") as file:
        np.testing.assert_allclose(file["reconstruction"][()], expected, rtol=1e-3, atol=1e-8)


def test_without_a_dataset_the_built_in_one_is_made_and_named(checkout, tmp_path):
    """The commands as they stand in the README, their sizes and the number of files made small."""
    limits = {"train::dataset::max_files": 1, "validate::dataset::max_files": 1, "validate::dataset::max_slices": 2}
    options = {**TINY_DIRCN, **limits, "train::dataset::max_slices": 2, "max_epochs": 1, "run_name": "built-in"}
    printed = run_bundle("training", f"{CONFIGS}/train.json", checkout, options, RECON_MONAI_CACHE=str(tmp_path))
    (made,) = tmp_path.glob("built_in-*")
    assert f"data: 1 files of {made}" in printed
    weights = checkout / "bundles" / "weighted_dircn" / "eval" / "built-in" / "model.pt"
    options = {**TINY_DIRCN, "ckpt": weights, "dataset::max_files": 1, "dataset::max_slices": 2}
    for workflow, name in (("evaluation", "evaluate"), ("inference", "inference")):
        out = {"output_dir": tmp_path / workflow}
        run_bundle(workflow, f"{CONFIGS}/{name}.json", checkout, {**options, **out}, RECON_MONAI_CACHE=str(tmp_path))
    assert len(list((tmp_path / "inference").glob("*.nii.gz"))) == 1
    assert rows_of(tmp_path / "evaluation" / "volumes.csv", "reconstruction").keys() == {"4", "8"}


def test_small_overlay_fits_all_three(checkout, tiny_data, tmp_path):
    """What it trains, its evaluation and inference take."""
    shared = {"num_workers": 0, "dataset_dir": tiny_data}
    run_bundle("training", files("train", "small"), checkout, {**shared, "max_epochs": 1, "run_name": "small"})
    printed = run_bundle("evaluation", files("evaluate", "small"), checkout, {**shared, "output_dir": tmp_path / "e"})
    assert "eval/small/model.pt" in printed
    options = {**shared, "output_dir": tmp_path / "i", "acceleration": 4}
    run_bundle("inference", files("inference", "small"), checkout, options)
    assert len(list((tmp_path / "i").glob("*.nii.gz"))) == 3


def test_the_size_for_small_cards_trains(checkout, tiny_data):
    options = {"dataset_dir": tiny_data, "num_workers": 0, "dry_run": True, "network_def::num_cascades": 2}
    printed = run_bundle("training", files("train", "low_memory"), checkout, options)
    assert "peak memory" in printed


@pytest.mark.parametrize("difficulty", ["output", "input"])
def test_focal_overlay(trained_dircn, checkout, tiny_data, difficulty):
    name = f"focal-{difficulty}"
    options = {**TINY_DIRCN, "dataset_dir": tiny_data, "max_epochs": 1, "run_name": name}
    options |= {"focal_difficulty": difficulty, "focal_gamma": 2.0}
    run_bundle("training", files("train", "focal"), checkout, options)
    last = torch.load(trained_dircn.parent / name / "last.pt", weights_only=True)
    kept = last["states"]["loss"]
    if difficulty == "output":
        assert kept == {}
    else:
        slices, mean = float(kept["difficulty_count"]), float(kept["difficulty_sum"] / kept["difficulty_count"])
        assert slices == pytest.approx(1 + 0.999), "two slices, the older one weighing less"
        assert 0.05 < mean < 1


def test_batch_schedule_overlay(checkout, tiny_data, trained_dircn):
    """Each validation counts as a plateau after the first: 4, 2, 1 batches per update, at one rate."""
    options = {**TINY_DIRCN, "dataset_dir": tiny_data, "max_epochs": 4, "run_name": "batches", "patience": 0}
    # nothing learned, so that no validation is better
    printed = run_bundle("training", files("train", "batch_schedule"), checkout, {**options, "learning_rate": 1e-12})
    assert "from now on 2 batches per update" in printed
    assert "from now on 1 batches per update" in printed
    last = torch.load(trained_dircn.parent / "batches" / "last.pt", weights_only=True)
    assert last["states"]["batch_schedule"]["level"] == 2
    assert last["optimizer"]["param_groups"][0]["lr"] == 1e-12
    assert last["lr_scheduler"]["last_epoch"] == 0, "the schedule of the rate takes no part"
    events = EventAccumulator(str(trained_dircn.parent / "batches"))
    events.Reload()
    assert [event.value for event in events.Scalars("effective_batch")] == [4, 4, 2, 1]
    # an option of what takes no part is refused
    refused = start_bundle("training", files("train", "batch_schedule"), checkout, {**options, "rate_factor": 0.1})
    assert refused.returncode != 0
    assert "--rate_factor would be without effect" in refused.stdout


def test_the_rate_falls_on_a_plateau(checkout, tiny_data, trained_dircn):
    options = {**TINY_DIRCN, "dataset_dir": tiny_data, "max_epochs": 3, "run_name": "rate", "patience": 0}
    run_bundle("training", f"{CONFIGS}/train.json", checkout, {**options, "lr_scheduler::threshold": 1.0})
    events = EventAccumulator(str(trained_dircn.parent / "rate"))
    events.Reload()
    rates = [event.value for event in events.Scalars("learning_rate")]
    assert rates == pytest.approx([1e-3] * 4 + [5e-4] * 2)


@pytest.mark.parametrize(
    "overrides", [{"network_def::aggregation": "concat"}, {"network_def::interconnections": False}]
)
def test_other_connections_are_one_option(checkout, tiny_data, tmp_path, overrides):
    options = {**TINY_DIRCN, **overrides, "dataset_dir": tiny_data}
    name = "without" if False in overrides.values() else "concat"
    run_bundle("training", f"{CONFIGS}/train.json", checkout, {**options, "max_epochs": 1, "run_name": name})
    printed = run_bundle("evaluation", f"{CONFIGS}/evaluate.json", checkout, {**options, "output_dir": tmp_path})
    assert f"eval/{name}/model.pt" in printed
    plain = {**TINY_DIRCN, "dataset_dir": tiny_data, "output_dir": tmp_path / "other"}
    weights = checkout / "bundles" / "weighted_dircn" / "eval" / name / "model.pt"
    done = start_bundle("evaluation", f"{CONFIGS}/evaluate.json", checkout, {**plain, "ckpt": weights})
    assert done.returncode == 1
    assert "does not fit this DIRCN" in done.stdout


def test_overlays_of_the_other_bundle_that_fit_this_one(trained_dircn, checkout, tiny_data, tmp_path):
    other = "bundles/universal_varnet/configs"
    overlays = [f"{CONFIGS}/evaluate.json", f"{other}/cg_sense.json", f"{other}/l1_wavelet.json"]
    options = {**TINY_DIRCN, "dataset_dir": tiny_data, "ckpt": trained_dircn / "model.pt", "output_dir": tmp_path}
    run_bundle("evaluation", str(overlays), checkout, {**options, "dataset::max_slices": 1})
    for method in ("zero_filled", "cg_sense", "l1_wavelet", "reconstruction"):
        assert rows_of(tmp_path / "volumes.csv", method).keys() == {"4", "8"}
    overlays = [f"{CONFIGS}/train.json", f"{other}/any_mask.json"]
    options = {**TINY_DIRCN, "dataset_dir": tiny_data, "max_epochs": 1, "run_name": "any-mask"}
    run_bundle("training", str(overlays), checkout, options)
    described = json.loads((trained_dircn.parent / "any-mask" / "model.json").read_text())
    assert "poisson" in described["mask"]


def test_monai_verifies_network_and_properties(trained_dircn, checkout, tiny_data):
    """MONAI's own checks of the bundle: network in and out, and the ids of its workflow."""
    verify_with_monai(checkout, CONFIGS, {**TINY_DIRCN, "dataset_dir": tiny_data}, {"ckpt": trained_dircn / "model.pt"})
