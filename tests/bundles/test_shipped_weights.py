"""Weights that a bundle ships are found, fit its configuration, and help on a real brain that none was trained on."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from bundle_tools import ROOT, run_bundle, start_bundle

from recon_monai.data import write_fastmri_h5
from recon_monai.data.prepare import SimulationSettings, read_volume, simulate_acquisition
from recon_monai.evaluation import interpolate
from recon_monai.metrics import psnr
from recon_monai.physics import Grid, resample_to_grid, truncate_spectrum

SHIPPED = sorted(path.parents[1].name for path in (ROOT / "bundles").glob("*/models/model.pt"))


@pytest.fixture(scope="module")
def real_brain(tmp_path_factory) -> Path:
    """Two slices of nibabel's brain as k-space of six simulated coils."""
    folder = tmp_path_factory.mktemp("real_brain")
    path = Path(nibabel.__file__).parent / "tests" / "data" / "example4d.nii.gz"
    volume = read_volume(path, name="example4d", plane="axial", frame=0)
    settings = SimulationSettings(coils=6, noise=0.001, max_slices=2, seed=0)
    acquisition = simulate_acquisition(volume, settings)
    kspace, targets = zip(*acquisition.slices, strict=True)
    write_fastmri_h5(
        folder / "example4d.h5",
        kspace=kspace,
        target=targets,
        header=acquisition.header,
        attributes={"acquisition": "AXT2", "anatomy": "brain", **acquisition.attributes},
    )
    (folder / "split.json").write_text(json.dumps({"test": ["example4d.h5"]}))
    return folder


def test_every_bundle_ships_weights():
    assert SHIPPED == ["mdcsrn_wgan_gp", "universal_varnet", "weighted_dircn"]


@pytest.mark.slow
@pytest.mark.parametrize("bundle", ["universal_varnet", "weighted_dircn"])
def test_shipped_weights_reconstruct_a_real_brain(bundle, real_brain, tmp_path):
    shutil.copytree(ROOT / "bundles" / bundle, tmp_path / "bundles" / bundle, ignore=shutil.ignore_patterns("eval"))
    options = {"dataset_dir": real_brain, "output_dir": tmp_path / "out", "num_workers": 0}
    log = run_bundle("evaluation", f"bundles/{bundle}/configs/evaluate.json", tmp_path, options)
    assert "as shipped with the bundle" in log
    with (tmp_path / "out" / "volumes.csv").open() as file:
        rows = {(row["acceleration"], row["method"]): row for row in csv.DictReader(file)}
    for acceleration, gain in (("4", 3.0), ("8", 1.5)):
        before, after = rows[acceleration, "zero_filled"], rows[acceleration, "reconstruction"]
        assert float(after["psnr"]) > float(before["psnr"]) + gain
        assert float(after["ssim"]) > float(before["ssim"]) + 0.05


@pytest.mark.slow
def test_shipped_weights_super_resolve_a_real_brain(tmp_path):
    """Half of k-space in plane, of voxels that are larger than those of the training: said, and still a gain."""
    image = nibabel.load(Path(nibabel.__file__).parent / "tests" / "data" / "example4d.nii.gz").slicer[32:96, 16:80]
    target = torch.from_numpy(np.asarray(image.dataobj[..., 0], dtype=np.float32))
    fine = Grid(tuple(target.shape), torch.from_numpy(image.affine))
    grid = fine.refined(factor=(0.5, 0.5, 1))
    coarse = resample_to_grid(truncate_spectrum(target, 0.5, (0, 1)), fine, grid, "fourier").abs()
    nibabel.save(nibabel.Nifti1Image(coarse.numpy(), grid.affine.numpy()), tmp_path / "brain.nii.gz")
    shutil.copytree(ROOT / "bundles" / "mdcsrn_wgan_gp", tmp_path / "bundle", ignore=shutil.ignore_patterns("eval"))
    options = {"dataset_dir": tmp_path / "brain.nii.gz", "output_dir": tmp_path / "out", "factor": "[2,2,1]"}
    done = start_bundle("inference", "configs/inference.json", tmp_path / "bundle", options)
    assert done.returncode == 1
    assert "voxels of 2 x 2 x 2.2 mm were never trained (trained: sides of 0.8 to 1.3333 mm)" in done.stdout
    log = run_bundle("inference", "configs/inference.json", tmp_path / "bundle", {**options, "outside": "warn"})
    assert "as shipped with the bundle" in log and "were never trained" in log
    output = torch.from_numpy(nibabel.load(tmp_path / "out" / "brain_sr.nii.gz").get_fdata(dtype=np.float32))
    found = psnr(prediction=output, target=target)
    for method, gain in (("trilinear", 1.0), ("cubic", 0.3), ("sinc", 0.15)):
        plain = interpolate(coarse, grid, fine, method)
        assert found > psnr(prediction=plain, target=target) + gain, method
