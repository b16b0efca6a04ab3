from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest

from recon_monai.cli import main
from recon_monai.data import read_split


@pytest.fixture
def brains(tmp_path) -> Path:
    data = np.zeros((20, 24, 6), dtype=np.int16)
    data[4:16, 4:20, 1:5] = 200
    (tmp_path / "in").mkdir()
    for number in range(4):
        nibabel.save(nibabel.Nifti1Image(data, np.diag([1, 1, 2, 1])), tmp_path / "in" / f"sub-{number}_T1w.nii.gz")
    return tmp_path / "in"


def test_prepare_volumes(brains, tmp_path, caplog):
    out = tmp_path / "out"
    words = ["prepare", f"{brains}/sub-*.nii.gz", "--output", str(out), "--anatomy", "brain", "--acquisition", "AXT1"]
    with caplog.at_level(logging.INFO):
        main([*words, "--coils", "3", "--noise", "0", "--slice_step", "2", "--fractions", "0.5,0.25,0.25"])
    assert [len(read_split(out, part)) for part in ("train", "val", "test")] == [2, 1, 1]
    assert f"wrote 4 files with 8 slices to {out.resolve()}; subjects in the folder: 2 train, 1 val, 1 test" in (
        caplog.text
    )
    with h5py.File(out / "sub-0_T1w_axial.h5") as file:
        assert file["kspace"].shape == (2, 3, 24, 20)
        assert file["reconstruction_rss"][0, 10, 10] == pytest.approx(200, abs=0.01)


def test_prepare_raw(tmp_path):
    rng = np.random.default_rng(0)
    raw = (rng.standard_normal((3, 8, 10)) + 1j).astype(np.complex64)
    np.save(tmp_path / "scan.npy", raw)
    out = tmp_path / "out"
    words = ["prepare", str(tmp_path / "scan.npy"), "--output", str(out), "--anatomy", "mouse", "--split", "test"]
    main([*words, "--axes", "slice,phase,readout", "--voxel_size", "0.25,0.5,1"])
    [path] = read_split(out, "test")
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["kspace"][:, 0], raw.transpose(0, 2, 1))
        assert file.attrs["source"] == "measured"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--plane", "oblique"], "plane is 'oblique', expected one of axial"),
        (["--matrix", "7"], "matrix is 7, expected an even number"),
        (["--kind", "raw"], "cannot be read as a numpy file"),
        (["--kind", "dicom"], "no such file, or no DICOM file in that folder"),
        (["--kind", "mat"], "kind is 'mat', expected auto, volumes, dicom"),
        (["--series", "T1"], "--series chooses among DICOM series, but the inputs are volumes"),
        (["--prewhiten"], "--prewhiten is for raw arrays, but the inputs are volumes"),
        (["--prewhiten", "yes"], "prewhiten is 'yes', expected --prewhiten without a value"),
        (["--compress_coils", "4"], "--compress_coils is for raw arrays, but the inputs are volumes"),
        (["--compress_coils", "few"], "compress_coils is 'few', expected a whole number of at least 1"),
        (["--compression", "pca"], "compression is 'pca', expected one of svd, gcc"),
        (["--noise_scan", "none.npy"], "none.npy: no such file (--noise_scan)"),
        (
            ["--axes", "coils,phase,readout", "--kind", "raw"],
            "'coils' is unknown, expected slice, coil, readout, phase",
        ),
        (["--voxel_size", "2"], "voxel_size is 2, expected three lengths"),
        (["--split", "training"], "split is 'training', expected one of train"),
        (["--coils", "abc"], "coils is 'abc', expected a whole number of at least 1, for example --coils"),
        (["--coils", "2.5"], "coils is 2.5, expected a whole number"),
        (["--noise", "nan"], "noise is 'nan', expected a fraction of at least 0"),
        (["--slice_step", "1.5"], "slice_step is 1.5, expected a whole number"),
        (["--fractions", "0.5"], "fractions are 0.5, expected three numbers >= 0"),
        (["--fractions", "a,b,c"], "fractions are a,b,c, expected three numbers >= 0"),
        (["--seed", "x"], "seed is 'x', expected a whole number"),
        (["--voxel_size", "a,b,c"], "voxel_size is ('a', 'b', 'c'), expected three lengths"),
        (["--frame", "0.5"], "frame is 0.5, expected a whole number"),
        (["--overwrite", "maybe"], "overwrite is 'maybe', expected --overwrite without a value"),
    ],
)
def test_bad_settings_end_with_one_sentence(brains, tmp_path, caplog, extra, message):
    words = ["prepare", str(brains), "--output", str(tmp_path / "out"), "--anatomy", "brain", *extra]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 1
    assert message in caplog.records[-1].getMessage()
    assert not list(tmp_path.glob("out/*.h5"))


def test_truncated_and_color_files_end_with_one_sentence(brains, tmp_path, caplog):
    path = brains / "sub-0_T1w.nii.gz"
    path.write_bytes(path.read_bytes()[:-20])
    rgb = np.zeros((4, 4, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(rgb, np.eye(4)), tmp_path / "rgb.nii")
    for name, message in ((path, "may be damaged or incomplete"), (tmp_path / "rgb.nii", "expected real magnitudes")):
        with pytest.raises(SystemExit) as ended:
            main(["prepare", str(name), "--output", str(tmp_path / "out"), "--anatomy", "brain"])
        assert ended.value.code == 1
        assert caplog.records[-1].getMessage().startswith(f"error: {name}: ")
        assert message in caplog.records[-1].getMessage()


def test_missing_input(tmp_path, caplog):
    with pytest.raises(SystemExit):
        main(["prepare", str(tmp_path / "none.nii"), "--output", str(tmp_path / "out"), "--anatomy", "brain"])
    assert "none.nii: no such file" in caplog.text
    assert not (tmp_path / "out").exists()


def test_help_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "recon_monai", "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    shown = done.stdout + done.stderr
    assert "recon-monai GROUP | COMMAND" in shown
    assert "prepare" in shown
