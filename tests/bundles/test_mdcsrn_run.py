"""The bundle mdcsrn_wgan_gp as users run it: evaluation, inference and release by the commands of its data sheet."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from bundle_tools import ROOT, TORCHRUN, run_bundle, start_bundle, verify_with_monai
from mdcsrn_tools import CONFIGS, TINY_MDCSRN, TINY_TRAINING, files, oblique, tiny_mdcsrn, write_head
from monai.transforms import CenterSpatialCrop

from recon_monai.data import VolumeDataset
from recon_monai.engines import read_domain
from recon_monai.evaluation import interpolate
from recon_monai.metrics import quality_3d
from recon_monai.physics import Grid
from recon_monai.transforms import ScaleToReferenced, SimulateLowResolutiond

pytestmark = pytest.mark.slow

RECIPES = ["inplane2", "isotropic2", "thick3mm", "thick4mm", "thick5mm", "thick6mm"]
WHOLE = {**TINY_MDCSRN, "window": 24}
"""Windows larger than the volumes, which are then continued at their border by the inferer."""


def rows_of(table: Path) -> list[dict[str, str]]:
    with table.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def scan(tmp_path_factory) -> Path:
    """Slices of 2 mm, turned and flipped in space."""
    path = tmp_path_factory.mktemp("scan") / "sub-9_T1w.nii.gz"
    write_head(path, 9, (14, 16, 8), oblique((1.0, 1.0, 2.0)))
    return path


def test_evaluation_measures_each_recipe_and_the_interpolations(trained_mdcsrn, checkout, tiny_volumes, tmp_path):
    (trained_mdcsrn / "finished.json").touch()  # other tests train in the same checkout
    options = {**WHOLE, "dataset_dir": tiny_volumes, "output_dir": tmp_path, "num_workers": 0}
    printed = run_bundle("evaluation", f"{CONFIGS}/evaluate.json", checkout, options)
    assert "eval/tiny/model.pt, of the newest finished run" in printed
    rows = rows_of(tmp_path / "volumes.csv")
    assert "judge" not in printed, "the data and their interpolation are those of the training"
    methods = ["trilinear", "cubic", "sinc", "super-resolution"]
    assert {(row["recipe"], row["method"]) for row in rows} == {(r, m) for r in RECIPES for m in methods}
    item = VolumeDataset(tiny_volumes, "test", ScaleToReferenced("target"), cache=False)[0]
    made = SimulateLowResolutiond(recipes={"isotropic2": {"magnitude": "coarse"}}, interpolation="fourier")(item)
    target = item["target"].as_tensor()[0]
    found = {row["method"]: row for row in rows if row["recipe"] == "isotropic2"}
    with torch.no_grad():
        network = tiny_mdcsrn(trained_mdcsrn / "model.pt")
        margin = [5, 5, 3, 3, 4, 4]
        padded = torch.nn.functional.pad(made["image"].as_tensor()[None], margin, mode="replicate")
        predicted = network(padded)[0, 0, 4:-4, 3:-3, 5:-5]
    expected = quality_3d(prediction=predicted, target=target)
    assert float(found["super-resolution"]["psnr"]) == pytest.approx(expected["psnr"], rel=1e-4)
    assert float(found["super-resolution"]["ssim"]) == pytest.approx(expected["ssim"], abs=1e-4)
    shown = quality_3d(prediction=made["image"].as_tensor()[0], target=target)
    assert float(found["sinc"]["nrmse"]) == pytest.approx(shown["nrmse"], rel=1e-4), "the same interpolation"
    page = (tmp_path / "summary.md").read_text()
    assert "not for diagnosis" in page and "data range 1" in page
    assert len(list((tmp_path / "panels").glob("*.png"))) == len(RECIPES) + 1
    assert {row["baseline"] for row in rows_of(tmp_path / "gains.csv")} == set(methods[:3])


def test_evaluation_of_the_middle_alone(trained_mdcsrn, checkout, tiny_volumes, tmp_path):
    (trained_mdcsrn / "finished.json").touch()
    options = {**WHOLE, "dataset_dir": tiny_volumes, "output_dir": tmp_path, "num_workers": 0}
    options |= {"block": 10, "test_recipes": ["isotropic2"]}
    run_bundle("evaluation", f"{CONFIGS}/evaluate.json", checkout, options)
    found = {row["method"]: row for row in rows_of(tmp_path / "volumes.csv")}
    item = VolumeDataset(tiny_volumes, "test", ScaleToReferenced("target"), cache=False)[0]
    made = SimulateLowResolutiond(recipes={"isotropic2": {"magnitude": "coarse"}}, interpolation="fourier")(item)
    middle = CenterSpatialCrop(10)
    image, target = (middle(item_of[0][None])[0] for item_of in (made["image"].as_tensor(), item["target"].as_tensor()))
    assert float(found["sinc"]["psnr"]) == pytest.approx(quality_3d(prediction=image, target=target)["psnr"], rel=1e-4)
    assert found["super-resolution"]["psnr"] != found["sinc"]["psnr"], "the network saw the middle"
    assert "middle 10 voxels along each axis" in (tmp_path / "summary.md").read_text()


def test_measured_pairs_are_evaluated_without_interpolations(trained_mdcsrn, checkout, tmp_path):
    for number in range(3):
        for part in ("low", "high"):
            write_head(tmp_path / "pairs" / part / f"sub-{number}_T1w.nii.gz", number)
    options = {**TINY_MDCSRN, "dataset_dir": tmp_path / "pairs", "output_dir": tmp_path / "out", "num_workers": 0}
    options |= {"ckpt": trained_mdcsrn / "model.pt"}
    refused = start_bundle("evaluation", f"{CONFIGS}/evaluate.json", checkout, options)
    assert refused.returncode == 1 and "no interpolation to compare with" in refused.stdout
    run_bundle("evaluation", f"{CONFIGS}/evaluate.json", checkout, {**options, "baselines": [], "overwrite": True})
    rows = {row["method"]: row for row in rows_of(tmp_path / "out" / "volumes.csv")}
    assert rows.keys() == {"input", "super-resolution"}
    assert float(rows["input"]["nrmse"]) == 0, "the same volume twice"
    assert rows["input"]["recipe"] == "measured"
    training = {**TINY_TRAINING, "dataset_dir": tmp_path / "pairs", "run_name": "pairs", "seed": 11}
    run_bundle("training", files("train", "pretrain"), checkout, training)
    described = json.loads((trained_mdcsrn.parent / "pairs" / "model.json").read_text())
    assert (described["factors"], described["recipes"]) == ([], {"measured": 1})


def test_inference_keeps_the_geometry_of_an_oblique_scan(trained_mdcsrn, checkout, scan, tmp_path):
    """From the repository's root and from inside the bundle: the network's image of the interpolated scan."""
    options = {**TINY_MDCSRN, "window": 24, "dataset_dir": scan, "ckpt": trained_mdcsrn / "model.pt"}
    # slices of 2 mm are thinner than those of the training
    options["outside"] = "warn"
    wanted = {"factor": "[1,1,2]"}
    run_bundle(
        "inference", f"{CONFIGS}/inference.json", checkout, {**options, **wanted, "output_dir": tmp_path / "root"}
    )
    image = nibabel.load(tmp_path / "root" / "sub-9_T1w_sr.nii.gz")
    affine = oblique((1.0, 1.0, 1.0))
    affine[:3, 3] = oblique((1.0, 1.0, 2.0))[:3] @ [0, 0, -0.25, 1]
    np.testing.assert_allclose(image.affine, affine, atol=1e-6)
    assert image.shape == (14, 16, 16) and image.get_data_dtype() == np.float32
    assert b"not for diagnosis" in image.header["descrip"].item()
    given = nibabel.load(scan)
    values = torch.from_numpy(given.get_fdata(dtype=np.float32))
    scale = float(np.percentile(values.numpy(), 99.9))
    fine, coarse = Grid((14, 16, 16), torch.from_numpy(affine)), Grid((14, 16, 8), torch.from_numpy(given.affine))
    plain = interpolate(values / scale, coarse, fine, "sinc")
    with torch.no_grad():
        padded = torch.nn.functional.pad(plain[None, None], [4, 4, 4, 4, 5, 5], mode="replicate")
        made = tiny_mdcsrn(trained_mdcsrn / "model.pt")(padded)[0, 0, 5:-5, 4:-4, 4:-4]
    np.testing.assert_allclose(image.get_fdata(), made * scale, rtol=1e-3, atol=1e-3 * scale)
    difference = nibabel.load(tmp_path / "root" / "sub-9_T1w_difference.nii.gz").get_fdata()
    np.testing.assert_allclose(difference, (made - plain) * scale, rtol=1e-3, atol=1e-3 * scale)
    record = json.loads((tmp_path / "root" / "sub-9_T1w.json").read_text())
    assert record["trained_on"]["contrasts"] == {"T1": 2} and "not for diagnosis" in record["notice"]
    bundle = checkout / "bundles" / "mdcsrn_wgan_gp"
    run_bundle(
        "run",
        "configs/inference.json",
        bundle,
        {**options, "target_spacing": 1.0, "output_dir": tmp_path / "inside"},
    )
    inside = nibabel.load(tmp_path / "inside" / "sub-9_T1w_sr.nii.gz")
    np.testing.assert_allclose(inside.affine, affine, atol=1e-6)
    np.testing.assert_allclose(inside.get_fdata(), image.get_fdata(), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({}, "give either --target_spacing or --factor"),
        ({"factor": 2, "target_spacing": 1.0}, "give either --target_spacing or --factor"),
        ({"target_spacing": 0.4}, "voxels of 0.4 x 0.4 x 0.4 mm were never trained (trained: sides of 1 to 1 mm)"),
        ({"factor": "[1,1,2]"}, "1 x 1 x 2 times coarser than the output was never trained (trained along 1 axes: 3 x"),
        ({"factor": "[1,1,2]", "contrast": "FLAIR"}, "the contrast FLAIR was never trained (trained: T1)"),
    ],
)
def test_scans_that_the_weights_do_not_fit_are_refused(trained_mdcsrn, checkout, scan, tmp_path, wanted, message):
    options = {**TINY_MDCSRN, "dataset_dir": scan, "ckpt": trained_mdcsrn / "model.pt", "output_dir": tmp_path}
    done = start_bundle("inference", f"{CONFIGS}/inference.json", checkout, {**options, **wanted})
    assert done.returncode == 1 and message in done.stdout, done.stdout[-1500:]
    assert "Traceback" not in done.stdout
    assert not list(tmp_path.iterdir())


def test_the_scheme_with_trimmed_margins_is_one_overlay(trained_mdcsrn, checkout, tiny_volumes, scan, tmp_path):
    options = {**TINY_MDCSRN, "ckpt": trained_mdcsrn / "model.pt"}
    evaluated = {**options, "dataset_dir": tiny_volumes, "output_dir": tmp_path / "e", "num_workers": 0}
    run_bundle("evaluation", files("evaluate", "margin_trim"), checkout, evaluated)
    assert len(rows_of(tmp_path / "e" / "volumes.csv")) == 24
    inferred = {**options, "dataset_dir": scan, "output_dir": tmp_path / "i", "factor": "[1,1,2]"}
    inferred["outside"] = "warn"  # slices of 2 mm are thinner than those of the training
    run_bundle("inference", files("inference", "margin_trim"), checkout, inferred)
    record = json.loads((tmp_path / "i" / "sub-9_T1w.json").read_text())
    assert record["inferer"] == {"name": "MarginTrimInferer", "window": [12, 12, 12], "margin": 3}


def test_tables_of_two_processes_are_those_of_one(trained_mdcsrn, checkout, tiny_volumes, tmp_path):
    options = {**TINY_MDCSRN, "dataset_dir": tiny_volumes, "ckpt": trained_mdcsrn / "model.pt", "num_workers": 0}
    options |= {"split": "all", "test_recipes": ["isotropic2", "thick4mm"]}
    run_bundle("evaluation", f"{CONFIGS}/evaluate.json", checkout, {**options, "output_dir": tmp_path / "one"})
    done = start_bundle(
        "evaluation",
        files("evaluate", "multi_gpu_evaluate"),
        checkout,
        {**options, "output_dir": tmp_path / "two"},
        launcher=TORCHRUN,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    one, two = (rows_of(tmp_path / name / "volumes.csv") for name in ("one", "two"))
    assert len(one) == 4 * 2 * 4
    for first, second in zip(one, two, strict=True):
        assert [first[key] for key in ("file", "recipe", "method")] == [
            second[key] for key in ("file", "recipe", "method")
        ]
        assert float(first["psnr"]) == pytest.approx(float(second["psnr"]), rel=1e-4)


def test_release_takes_the_run_of_stages(trained_mdcsrn, checkout, tmp_path):
    """Its size put into the configuration, so that the tiny weights fit."""
    bundle = tmp_path / "mdcsrn_wgan_gp"
    (bundle / "configs").mkdir(parents=True)
    content = json.loads((checkout / CONFIGS / "train.json").read_text())
    content["network_def"] |= {"blocks": 1, "units": 1, "growth": 2, "first_channels": 2}
    (bundle / "configs" / "train.json").write_text(json.dumps(content))
    done = subprocess.run(
        [sys.executable, "-m", "recon_monai", "release", str(trained_mdcsrn), "--bundle", str(bundle)],
        cwd=checkout,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tiny_mdcsrn(bundle / "models" / "model.pt")
    record = json.loads((bundle / "models" / "model.json").read_text())
    assert record["training"]["configurations"] == ["train.json", "adversarial.json"]
    origin = record["training"]["started_from"]["pretrained"]
    assert origin["training"]["configurations"] == ["train.json", "pretrain.json"]
    assert record["contrasts"] == {"T1": 2}
    pretrained = bundle / "models" / "pretrained.pt"
    tiny_mdcsrn(pretrained)
    assert read_domain(pretrained)["training"]["configurations"] == ["train.json", "pretrain.json"]
    assert read_domain(bundle / "models" / "model.pt") == record


def test_monai_verifies_network_and_properties(trained_mdcsrn, checkout, tiny_volumes, scan):
    """MONAI's own checks of the bundle: network in and out, and the ids of its workflows."""
    options = {"network_def::blocks": 1, "network_def::units": 1, "network_def::growth": 2}
    options |= {"network_def::first_channels": 2, "dataset_dir": tiny_volumes}
    verify_with_monai(checkout, CONFIGS, options, {"ckpt": trained_mdcsrn / "model.pt"})


def test_small_and_the_built_in_volumes_by_one_command_each(checkout, tmp_path):
    """The commands of the data sheet without a data set, its heads and the schedule made smaller."""
    recipe = {
        "_target_": "recon_monai.data.DemoVolumeRecipe",
        "heads": [1, 1, 1],
        "shape": [26, 32, 26],
        "spacing": 6.4,
    }
    cache = {"RECON_MONAI_CACHE": str(tmp_path / "cache")}
    options = {"dataset_dir::recipe": recipe, "patch_size": 12, "window": 32}
    steps = {
        "pretrain_steps": 2,
        "adversarial_steps": 2,
        "critic_only_steps": 0,
        "critic_steps": 1,
        "run_name": "small",
    }
    training = {**options, **steps, "val_recipes": ["inplane2"]}
    # slices of a few mm are thinner than these voxels
    plane = {"recipes": {"inplane2": 1.0, "isotropic2": 1.0}}
    printed = run_bundle("training", files("train", "small"), checkout, {**training, **plane}, **cache)
    (made,) = (tmp_path / "cache").glob("built_in_volumes-*")
    assert f"data: 1 files of {made}" in printed
    del options["patch_size"]
    evaluated = {**options, **plane, "output_dir": tmp_path / "e"}
    printed = run_bundle("evaluation", files("evaluate", "small"), checkout, evaluated, **cache)
    assert "eval/small/model.pt" in printed
    assert "nibabel-example4d.nii.gz: voxels of 2 x 2 x 2.2 mm were never trained" in printed
    assert {row["file"] for row in rows_of(tmp_path / "e" / "volumes.csv")} == {
        "head-03_AXT1.nii.gz",
        "nibabel-example4d.nii.gz",
    }
    # another contrast and finer voxels than those of this training
    inferred = {**options, "output_dir": tmp_path / "i", "factor": "[1,1,2]", "outside": "warn"}
    printed = run_bundle("inference", files("inference", "small"), checkout, inferred, **cache)
    assert "were never trained" in printed
    image = nibabel.load(tmp_path / "i" / "nibabel-example4d_sr.nii.gz")
    original = nibabel.load(made / "nibabel-example4d.nii.gz")
    assert image.shape == original.shape
    np.testing.assert_allclose(image.affine, original.affine, atol=1e-4)
