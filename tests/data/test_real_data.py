"""Measured data, read in place where it is available (RECON_MONAI_REAL_DATA; see docs/data.md for the sources)."""

from __future__ import annotations

import collections
import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from recon_monai.cli import main
from recon_monai.data import FastMRISliceDataset, VolumeDataset, read_split
from recon_monai.networks import VarNet
from recon_monai.physics import ifft2c, infer_mask, rss
from recon_monai.transforms import RandomPatchd, ScaleToReferenced, SimulateLowResolutiond

FOLDER = os.environ.get("RECON_MONAI_REAL_DATA", "")
pytestmark = pytest.mark.skipif(not Path(FOLDER).is_dir() or not FOLDER, reason="RECON_MONAI_REAL_DATA is not set")


def prepare(*words: str) -> None:
    main(["prepare", *words])


def test_raw_brain_is_taken_over_unchanged(tmp_path):
    raw = np.load(Path(FOLDER) / "brain16_gre_pulseq" / "ksp_16ch.npy")
    prepare(
        str(Path(FOLDER) / "brain16_gre_pulseq" / "ksp_16ch.npy"),
        *("--output", str(tmp_path), "--anatomy", "brain", "--axes", "coil,phase,readout", "--split", "test"),
    )
    (file,) = read_split(tmp_path, "test")
    with h5py.File(file) as opened:
        np.testing.assert_array_equal(opened["kspace"][0], raw.transpose(0, 2, 1))
        assert opened.attrs["source"] == "measured"
    (item,) = FastMRISliceDataset([file])
    np.testing.assert_allclose(item["target"], rss(ifft2c(item["kspace"])), rtol=1e-5)


def test_undersampled_brain_has_no_target_and_its_mask_is_inferred(tmp_path):
    prepare(
        str(Path(FOLDER) / "brain8_undersampled_sigpy" / "cartesian_ksp.npy"),
        *("--output", str(tmp_path), "--anatomy", "brain", "--axes", "coil,readout,phase", "--split", "test"),
    )
    (item,) = FastMRISliceDataset(read_split(tmp_path, "test"))
    assert "target" not in item
    mask = infer_mask(item["kspace"][None])
    assert mask.shape == (1, 1, 230, 180)
    assert mask.float().mean().item() == pytest.approx(0.124, abs=0.001)
    with torch.no_grad():
        image = VarNet(num_cascades=1, channels=2, sensitivity_channels=2, pools=2)(item["kspace"][None])
    assert image.isfinite().all()
    assert image.max() > 0


def test_hearts_are_split_by_subject(tmp_path):
    prepare(
        str(Path(FOLDER) / "heart_sunnybrook" / "sunnybrook_36_subjects.npz"),
        *("--output", str(tmp_path), "--anatomy", "heart", "--matrix", "64", "--coils", "3", "--max_slices", "1"),
    )
    split = json.loads((tmp_path / "split.json").read_text())
    parts = [{split["subjects"][file] for file in split[part]} for part in ("train", "val", "test")]
    assert sum(len(part) for part in parts) == len(set.union(*parts)) == 36
    assert all(parts)


def test_real_brains_are_volumes_with_a_split(tmp_path):
    folders = [Path(FOLDER) / "t1_brains_ds002748", Path(FOLDER) / "t1_t2_brains_ds000011"]
    counts = {}
    for split in ("train", "val", "evaluation", "test"):
        data = VolumeDataset(folders, split, pattern="*_T1w.nii.gz", cache_folder=tmp_path)
        counts[split] = collections.Counter(entry["file"].split("/")[0] for entry in data.data)
    assert counts["train"] == {"t1_brains_ds002748": 11, "t1_t2_brains_ds000011": 7}
    assert counts["test"] == counts["val"] == {"t1_brains_ds002748": 1, "t1_t2_brains_ds000011": 1}
    assert counts["evaluation"] == {"t1_brains_ds002748": 1}
    chain = [
        ScaleToReferenced("target"),
        SimulateLowResolutiond(recipes=["isotropic2"]),
        RandomPatchd(patch_size=32, patches=4),
    ]
    data = VolumeDataset(folders[1], "test", chain, pattern="*_T1w.nii.gz", cache_folder=tmp_path)
    patches = data[0]
    torch.testing.assert_close(patches[0]["spacing"], torch.tensor([1.0, 4 / 3, 4 / 3]), atol=1e-3, rtol=0)
    for patch in patches:
        assert 0.02 < float(patch["target"].mean()) < 1.0
        assert 0.001 < float((patch["image"] - patch["target"]).std()) < 0.2
