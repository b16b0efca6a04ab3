"""NIfTI files and DICOM series as they are; the DICOM files are made here and read by ITK too."""

from __future__ import annotations

from pathlib import Path

import itk
import nibabel
import numpy as np
import pytest
import torch

from recon_monai.data import contrast_of, find_inputs, write_volume
from recon_monai.physics import Grid

pydicom = pytest.importorskip("pydicom")

from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid  # noqa: E402

TURN = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
TURN *= np.sign(np.linalg.det(TURN))
ORIENTATIONS = {"axial": np.eye(3), "sagittal": np.eye(3)[[1, 2, 0]] * [[1], [-1], [-1]], "oblique": TURN}
PIXELS = np.random.default_rng(0).integers(0, 900, (6, 10, 8)).astype(np.uint16)  # slice, row, column


def save_series(folder: Path, axes: np.ndarray, *, uid: str = "1.2.3", description: str = "Ax T2 FLAIR") -> Path:
    """``axes``: directions of columns' index, rows' index and slices, as DICOM has them (left, posterior, superior)."""
    folder.mkdir(parents=True, exist_ok=True)
    across = np.cross(axes[0], axes[1])
    for index, pixels in enumerate(PIXELS):
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.SOPClassUID, made.SOPInstanceUID = MRImageStorage, generate_uid()
        made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.9", uid
        made.Modality, made.PatientID, made.PatientName = "MR", "MRN 0815", "Doe^Jane"
        made.SeriesDescription, made.ImageType = description, ["ORIGINAL", "PRIMARY", "M"]
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
        made.RescaleSlope, made.RescaleIntercept = 0.5, 10
        made.ImageOrientationPatient = [float(one) for one in np.round(axes[:2].ravel(), 8)]
        place = np.array([-40.5, -31.25, 12.0]) + index * 3.5 * across
        made.ImagePositionPatient = [float(one) for one in np.round(place, 6)]
        made.PixelSpacing, made.SliceThickness, made.InstanceNumber = [1.5, 0.75], 3.0, index + 1
        made.Rows, made.Columns = pixels.shape
        made.PixelData = pixels.tobytes()
        made.save_as(folder / f"IM{(index * 5) % 7}", enforce_file_format=True)
    return folder


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_a_dicom_series_is_what_itk_reads(tmp_path: Path, name: str) -> None:
    folder = save_series(tmp_path / "Doe Jane", ORIENTATIONS[name])
    (source,) = find_inputs(folder)
    volume = source.read()
    image = itk.imread(list(itk.GDCMSeriesFileNames.New(Directory=str(folder)).GetFileNames("1.2.3")), itk.F)
    wanted = np.eye(4)
    wanted[:3, :3] = np.asarray(image.GetDirection()) * np.asarray(image.GetSpacing())
    wanted[:3, 3] = image.GetOrigin()
    wanted = np.diag([-1.0, -1, 1, 1]) @ wanted  # ITK's patient coordinates are DICOM's
    assert volume.values.shape == (8, 10, 6)
    # ITK may count slices from the other end, which is the same volume
    found, values = volume.grid.affine.numpy(), volume.values.numpy()
    if found[:3, 2] @ wanted[:3, 2] < 0:
        flip = np.diag([1.0, 1, -1, 1])
        flip[2, 3] = 5
        found, values = found @ flip, values[..., ::-1]
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    np.testing.assert_allclose(values, itk.array_from_image(image).T, atol=1e-4)
    np.testing.assert_allclose(volume.grid.spacing, (0.75, 1.5, 3.5), atol=1e-5)
    assert (source.kind, volume.contrast, volume.space) == ("DICOM", "FLAIR", 1)
    assert volume.name.startswith("series-") and "Doe" not in volume.name and "0815" not in volume.name


def test_several_series_are_several_volumes(tmp_path: Path) -> None:
    save_series(tmp_path / "a", np.eye(3), uid="1.2.3", description="T1 MPRAGE")
    save_series(tmp_path / "b", np.eye(3), uid="1.2.4", description="survey")
    assert len({source.name for source in find_inputs(tmp_path)}) == 2
    (source,) = find_inputs(tmp_path, series="mprage")
    assert source.read().contrast == "T1"
    (tmp_path / "b" / "IM3").unlink()  # the third of six slices
    with pytest.raises(ValueError, match=r"lies 7\.00 mm after .*slices are missing"):
        find_inputs(tmp_path / "b")


def test_a_nifti_file_is_what_nibabel_reads(tmp_path: Path) -> None:
    affine = np.array([[-0.9, 0.1, 0, 12], [0.1, 0.9, 0, -7], [0, 0, 2.5, 30.5], [0, 0, 0, 1]])
    image = nibabel.Nifti1Image((PIXELS[:, :, :5] - 100).astype(np.int16), affine)
    image.header.set_slope_inter(0.25, 3)
    image.set_sform(affine, 4)
    path = tmp_path / "sub-1_T1w.nii.gz"
    nibabel.save(image, path)
    (source,) = find_inputs(path)
    volume = source.read()
    stored = nibabel.load(path)
    np.testing.assert_allclose(volume.values.numpy(), stored.get_fdata(), rtol=1e-6)
    np.testing.assert_array_equal(volume.grid.affine.numpy(), stored.affine)
    assert (volume.name, volume.contrast, volume.space, volume.notes) == ("sub-1_T1w", "T1", 4, ())


def test_headers_that_say_little_are_noted(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(PIXELS.astype(np.float32), np.diag([2.0, 2, 3, 1]))
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    image.header.set_xyzt_units("micron")
    nibabel.save(image, tmp_path / "a.nii")
    (source,) = find_inputs(tmp_path / "a.nii")
    volume = source.read()
    assert [word in note for word, note in zip(("voxel sizes", "micron"), volume.notes, strict=True)] == [True, True]
    np.testing.assert_allclose(volume.grid.spacing, (2, 2, 3))
    np.testing.assert_array_equal(volume.grid.affine.numpy(), nibabel.load(tmp_path / "a.nii").affine)
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[254], content[280:296] = 1, bytes(16)  # sform_code and srow_x: a volume without width
    (tmp_path / "b.nii").write_bytes(content)
    with pytest.raises(ValueError, match=r"b\.nii: the affine of a grid is"):
        find_inputs(tmp_path / "b.nii")[0].read()
    np.save(tmp_path / "c.npy", PIXELS)
    with pytest.raises(ValueError, match=r"c\.npy: holds images, expected a NIfTI file"):
        find_inputs(tmp_path / "c.npy")


@pytest.mark.parametrize(
    ("text", "contrast"),
    [
        ("sub-01_ses-2_T1w", "T1"),
        ("Ax T2 FLAIR FS", "FLAIR"),
        ("sub-04_inplaneT2", "T2"),
        ("t2*_gre", "T2star"),
        ("sub-1_T2starw", "T2star"),
        ("PD axial", "PD"),
        ("MP2RAGE", "T1"),
        ("head-05_AXT1", "T1"),
        ("relaxT2 fit", None),
        ("best12 scan", None),
        ("volume", None),
    ],
)
def test_contrasts_in_names(text: str, contrast: str | None) -> None:
    assert contrast_of(text) == contrast


def test_writing_refuses_what_does_not_fit(tmp_path: Path) -> None:
    grid = Grid((2, 3, 4), torch.eye(4))
    with pytest.raises(ValueError, match="ends in"):
        write_volume(tmp_path / "a.img", torch.zeros(2, 3, 4), grid)
    with pytest.raises(ValueError, match=r"shape \(4, 3, 2\), expected real \(2, 3, 4\)"):
        write_volume(tmp_path / "a.nii", torch.zeros(4, 3, 2), grid)
    with pytest.raises(ValueError, match="complex64"):
        write_volume(tmp_path / "a.nii", torch.zeros(2, 3, 4, dtype=torch.complex64), grid)
    assert list(tmp_path.iterdir()) == []
