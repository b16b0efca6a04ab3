"""Measured data, read in place where it is available (RECON_MONAI_REAL_DATA; see docs/data.md for the sources)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from recon_monai.cli import main
from recon_monai.data import FastMRISliceDataset, read_split
from recon_monai.networks import VarNet
from recon_monai.physics import ifft2c, infer_mask, rss

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
