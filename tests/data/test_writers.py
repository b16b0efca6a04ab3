from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import torch

from recon_monai.data import (
    AcquisitionHeader,
    EncodingLimits,
    FastMRIWriter,
    atomic_path,
    cache_dir,
    write_fastmri_h5,
    write_nifti,
    write_reconstruction_h5,
)

RNG = np.random.default_rng(0)
KSPACE = (RNG.normal(size=(3, 2, 8, 6)) + 1j * RNG.normal(size=(3, 2, 8, 6))).astype(np.complex64)
TARGET = RNG.random((3, 4, 5)).astype(np.float32)


def test_fastmri_layout(tmp_path: Path) -> None:
    header = AcquisitionHeader((16, 6, 1), (8, 6, 1), (20.0, 10.0, 3.0), (10.0, 10.0, 3.0), EncodingLimits(0, 5, 3))
    path = write_fastmri_h5(
        tmp_path / "new" / "a.h5",
        kspace=KSPACE,
        target=TARGET,
        mask=np.array([1, 0, 1, 1, 0, 1]),
        header=header,
        attributes={"acquisition": "AXT2", "patient_id": "p", "source": "simulated"},
    )
    with h5py.File(path) as file:
        assert set(file) == {"kspace", "reconstruction_rss", "mask", "ismrmrd_header"}
        kspace, target = file["kspace"], file["reconstruction_rss"]
        assert (kspace.dtype, target.dtype) == (np.complex64, np.float32)
        assert (kspace.chunks, kspace.compression) == ((1, 2, 8, 6), None)
        np.testing.assert_array_equal(kspace[()], KSPACE)
        np.testing.assert_array_equal(target[()], TARGET)
        np.testing.assert_array_equal(file["mask"][()], [True, False, True, True, False, True])
        assert AcquisitionHeader.from_xml(file["ismrmrd_header"][()]).recon_fov == header.recon_fov
        assert file.attrs["acquisition"] == "AXT2"
        assert file.attrs["max"] == TARGET.max()
        assert file.attrs["norm"] == pytest.approx(np.linalg.norm(TARGET.astype(np.float64)))


def test_single_coil_tensors_and_given_maximum(tmp_path: Path) -> None:
    path = write_fastmri_h5(
        tmp_path / "a.h5",
        kspace=torch.from_numpy(KSPACE[:, 0]).to(torch.complex128).conj(),
        target=torch.from_numpy(TARGET).requires_grad_(),
        attributes={"max": 7.0},
    )
    with h5py.File(path) as file:
        assert set(file) == {"kspace", "reconstruction_esc"}
        np.testing.assert_array_equal(file["kspace"][()], KSPACE[:, 0].conj())
        np.testing.assert_array_equal(file["reconstruction_esc"][()], TARGET)
        assert file.attrs["max"] == 7.0


def test_slices_are_taken_one_at_a_time(tmp_path: Path) -> None:
    taken: list[str] = []

    def slices(name: str, volume: np.ndarray) -> Iterator[np.ndarray]:
        for number, data in enumerate(volume):
            taken.append(f"{name}{number}")
            yield data

    path = write_fastmri_h5(tmp_path / "a.h5", kspace=slices("k", KSPACE), target=slices("t", TARGET))
    assert taken == ["k0", "t0", "k1", "t1", "k2", "t2"]
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["kspace"][()], KSPACE)


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    write_fastmri_h5(path, kspace=KSPACE)
    before = path.read_bytes()

    def failing() -> Iterator[np.ndarray]:
        yield KSPACE[0]
        raise RuntimeError("scanner gone")

    with pytest.raises(RuntimeError, match="scanner gone"):
        write_fastmri_h5(path, kspace=failing())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "b.json") as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [path]


def test_slices_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    wide = np.zeros((2, 8, 7), np.complex64)
    with pytest.raises(
        ValueError, match=r"a\.h5, slice 1: kspace has shape \(2, 8, 7\), the slices before \(2, 8, 6\)"
    ):
        write_fastmri_h5(path, kspace=[KSPACE[0], wide])
    with pytest.raises(ValueError, match=r"a\.h5, slice 0: k-space is float32, expected a complex type"):
        write_fastmri_h5(path, kspace=TARGET)
    with pytest.raises(ValueError, match=r"a\.h5, slice 0: k-space has shape \(6,\)"):
        write_fastmri_h5(path, kspace=[KSPACE[0, 0, 0]])
    with pytest.raises(ValueError, match=r"a\.h5, slice 0: the target has shape \(1, 4, 5\)"):
        write_fastmri_h5(path, kspace=KSPACE, target=TARGET[:, None])
    with pytest.raises(ValueError, match=r"a\.h5, slice 2: there are more k-space slices"):
        write_fastmri_h5(path, kspace=KSPACE, target=TARGET[:2])
    with pytest.raises(ValueError, match=r"a\.h5, slice 2: there are more targets"):
        write_fastmri_h5(path, kspace=KSPACE[:2], target=TARGET)
    with pytest.raises(ValueError, match=r"a\.h5, slice 1: some slices have a target"), FastMRIWriter(path) as writer:
        writer.append(KSPACE[0])
        writer.append(KSPACE[1], TARGET[1])
    with pytest.raises(ValueError, match=r"a\.h5, slice 1: some slices have a target"), FastMRIWriter(path) as writer:
        writer.append(KSPACE[0], TARGET[0])
        writer.append(KSPACE[1])
    with pytest.raises(ValueError, match=r"a\.h5, slice 0: the mask has 5 columns and k-space 6"):
        write_fastmri_h5(path, kspace=KSPACE, mask=np.ones(5))
    with pytest.raises(ValueError, match=r"a\.h5, slice 0: kspace holds NaN"):
        write_fastmri_h5(path, kspace=KSPACE * np.float32(np.nan))
    with pytest.raises(ValueError, match=r"a\.h5: no slice was given"):
        write_fastmri_h5(path, kspace=[])
    with pytest.raises(ValueError, match=r"a\.h5: the attribute patient_id is None"):
        write_fastmri_h5(path, kspace=KSPACE, attributes={"patient_id": None})
    assert list(tmp_path.iterdir()) == []


def test_reconstruction_file(tmp_path: Path) -> None:
    path = write_reconstruction_h5(
        tmp_path / "r.h5", torch.from_numpy(TARGET).to(torch.float64), attributes={"acceleration": 4}
    )
    with h5py.File(path) as file:
        assert file["reconstruction"].dtype == np.float32
        np.testing.assert_array_equal(file["reconstruction"][()], TARGET)
        assert file.attrs["acceleration"] == 4
        assert file.attrs["notice"] == "Research use only, not for diagnosis."
    for wrong in (TARGET[0], KSPACE[0], TARGET[:0]):
        with pytest.raises(ValueError, match=r"w\.h5: the volume has shape .* expected real \(D, H, W\)"):
            write_reconstruction_h5(tmp_path / "w.h5", wrong)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["r.nii", "r.nii.gz"])
@pytest.mark.parametrize("slices", [3, 1])
def test_nifti_read_by_nibabel_and_itk(tmp_path: Path, name: str, slices: int) -> None:
    import itk

    path = write_nifti(tmp_path / name, TARGET[:slices], torch.tensor([0.5, 1.25, 4.0]))
    assert list(tmp_path.iterdir()) == [path]
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == name.endswith(".gz")

    image = nibabel.Nifti1Image.from_bytes(path.read_bytes()) if name == "r.nii" else nibabel.load(path)
    # first axis along W (spacing of columns), second along H (spacing of rows), third along the slices
    assert image.shape == (5, 4, slices)
    assert image.header.get_zooms() == (1.25, 0.5, 4.0)
    assert image.header["descrip"].item().decode() == "Research use only, not for diagnosis. Orientation unknown."
    np.testing.assert_array_equal(np.asarray(image.dataobj), TARGET[:slices].transpose(2, 1, 0))
    # identity directions of ITK (left, posterior, superior) are negative x and y in NIfTI
    np.testing.assert_allclose(image.affine, np.diag([-1.25, -0.5, 4.0, 1.0]))

    read = itk.imread(str(path))
    np.testing.assert_array_equal(itk.array_from_image(read), TARGET[:slices])
    np.testing.assert_allclose(read.GetSpacing(), (1.25, 0.5, 4.0))
    np.testing.assert_allclose(itk.array_from_matrix(read.GetDirection()), np.eye(3))
    np.testing.assert_allclose(read.GetOrigin(), 0)


def test_unknown_voxel_size_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        path = write_nifti(tmp_path / "r.nii", TARGET, (0.5, 0.75, math.nan))
    assert "r.nii: voxel size" in caplog.text
    assert nibabel.Nifti1Image.from_bytes(path.read_bytes()).header.get_zooms() == (0.75, 0.5, 1.0)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        write_nifti(tmp_path / "r.nii", TARGET, (0.5, 0.75, 3.0))
    assert caplog.text == ""


def test_nifti_refuses(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"r\.png: expected a file name that ends in \.nii"):
        write_nifti(tmp_path / "r.png", TARGET)
    for size in ((1.0, 1.0), (1.0, 0.0, 1.0), (1.0, math.inf, 1.0)):
        with pytest.raises(ValueError, match=r"r\.nii: voxel size is .* expected three positive numbers"):
            write_nifti(tmp_path / "r.nii", TARGET, size)
    assert list(tmp_path.iterdir()) == []


def test_cache_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RECON_MONAI_CACHE", str(tmp_path / "c"))
    assert cache_dir() == tmp_path / "c"
    assert not cache_dir().exists()
    monkeypatch.setenv("RECON_MONAI_CACHE", "")
    assert cache_dir() == Path.home() / ".cache" / "recon_monai"
