"""DICOM series as volumes: the same voxels, axes and affine as ITK's reader gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import ITKReader

from recon_monai.data import VolumeDataset, VolumeError, find_volumes, load_volume, volume_facts
from recon_monai.evaluation.comparing.volume_labels import volume_labels

pydicom = pytest.importorskip("pydicom")
from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid  # noqa: E402

TURNED = [0.8, 0.6, 0.0, -0.48, 0.64, -0.6]


def save_series(
    folder: Path, data: np.ndarray, *, series: str = "1.2.3", patient: str = "7", step: float = 2.5
) -> Path:
    """One file per slice, in no order."""
    folder.mkdir(parents=True, exist_ok=True)
    normal = np.cross(TURNED[:3], TURNED[3:])
    for index, pixels in enumerate(data):
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.SOPClassUID, made.SOPInstanceUID = MRImageStorage, generate_uid()
        made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.9", series
        made.Modality, made.PatientID, made.SeriesDescription = "MR", patient, f"T1 {series}"
        made.ImageType = ["ORIGINAL", "PRIMARY", "M"]
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
        made.ImagePositionPatient = [float(f"{v:.6f}") for v in np.array([-10.0, -20.0, 30.0]) + index * step * normal]
        made.ImageOrientationPatient, made.PixelSpacing, made.SliceThickness = TURNED, [1.5, 0.75], step
        made.Rows, made.Columns, made.InstanceNumber = *pixels.shape, index + 1
        made.PixelData = np.ascontiguousarray(pixels).tobytes()
        made.save_as(folder / f"IM{(index * 5) % 7:04d}", enforce_file_format=True)
    return folder


def stack(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 900, (6, 9, 11)).astype(np.uint16)


def test_a_series_has_its_voxels_where_the_headers_say(tmp_path):
    """DICOM PS3.3, C.7.6.2.1.1: the position of a pixel, turned from (left, posterior) to (right, anterior)."""
    folder = save_series(tmp_path / "scan", stack())
    found = load_volume(folder)
    assert volume_facts(folder).shape == found.shape[1:]
    for path in folder.iterdir():
        header = pydicom.dcmread(path)
        position, orientation = (
            np.array(header.ImagePositionPatient),
            np.reshape(header.ImageOrientationPatient, (2, 3)),
        )
        row, column = 4, 7
        place = position + orientation[0] * 0.75 * column + orientation[1] * 1.5 * row
        index = np.linalg.solve(found.affine.numpy(), [*(place * [-1, -1, 1]), 1.0])[:3]
        slice_ = header.InstanceNumber - 1
        np.testing.assert_allclose(index, [column, row, slice_], atol=1e-4)
        assert float(found[0, column, row, slice_]) == stack()[slice_, row, column]


@pytest.mark.parametrize(("written", "anatomy"), [(None, None), ("", None), ("BRAIN ", "brain")])
def test_the_anatomy_of_a_series_is_the_body_part_of_its_header(tmp_path, written, anatomy):
    folder = save_series(tmp_path / "scan", stack())
    for path in folder.iterdir():
        header = pydicom.dcmread(path)
        if written is not None:
            header.BodyPartExamined = written
        header.save_as(path)
    assert volume_facts(folder).anatomy == anatomy
    assert volume_labels(folder) == (anatomy, "T1") and volume_labels(folder, "head") == ("head", "T1")


def test_rounded_direction_cosines_do_not_change_the_voxel_size(tmp_path):
    """Four decimals make a voxel of 1.5 mm one of 1.50004 mm, which no size of 1e-6 fits."""
    folder = save_series(tmp_path / "scan", stack())
    for path in folder.iterdir():
        header = pydicom.dcmread(path)
        header.ImageOrientationPatient = [round(float(value), 3) for value in header.ImageOrientationPatient]
        header.save_as(path)
    facts = volume_facts(folder)
    np.testing.assert_allclose(facts.spacing[:2], (0.75, 1.5), rtol=1e-7)
    header.ImageOrientationPatient = [0.5, 0, 0, 0, 1, 0]
    header.save_as(path)
    with pytest.raises(VolumeError, match=r"lengths 0\.5 and 1 \(ImageOrientationPatient\), expected 1"):
        load_volume(path)


@pytest.mark.slow
def test_a_series_is_what_itk_reads(tmp_path):
    folder = save_series(tmp_path / "scan", stack())
    found = load_volume(folder)
    assert np.array_equal(found[0], stack().transpose(2, 1, 0)), "column, row, slice"
    reader = ITKReader()
    array, meta = reader.get_data(reader.read(folder))
    assert np.array_equal(found[0], array)
    np.testing.assert_allclose(found.affine, meta["affine"], atol=1e-4)
    (file, *_) = sorted(folder.iterdir())
    assert load_volume(file).shape == (1, 11, 9, 1), "a single file is a single slice"


def test_missing_slices_and_several_series_are_refused(tmp_path):
    folder = save_series(tmp_path / "scan", stack())
    (folder / "IM0003").unlink()
    with pytest.raises(VolumeError, match="slices are missing or of several stacks"):
        load_volume(folder)
    both = save_series(tmp_path / "both" / "scan", stack())
    for file in save_series(tmp_path / "other", stack(1), series="1.2.4").iterdir():
        file.rename(both / f"second{file.name}")
    with pytest.raises(VolumeError, match="holds 2 DICOM series, expected one"):
        load_volume(both)
    assert np.array_equal(load_volume(both, series=r"1\.2\.4")[0], stack(1).transpose(2, 1, 0))


def test_a_data_set_of_series(tmp_path):
    for number in range(3):
        for contrast in range(2):
            name = f"study{number}/scan{contrast}"
            series = f"1.2.{number}.{contrast}"
            save_series(tmp_path / name, stack(2 * number + contrast), series=series, patient=str(number))
    found = find_volumes(tmp_path)
    assert [source.name for source in found] == [f"study{n}/scan{c}" for n in range(3) for c in range(2)]
    assert len({source.subject for source in found}) == 3
    assert all(str(source.subject).startswith("patient-") for source in found), "no patient is named"
    train = VolumeDataset(tmp_path, "train")
    assert len(train) == 2 and len({entry["subject"] for entry in train.data}) == 1
    item = VolumeDataset(tmp_path, "all")[3]
    assert item["file"] == "study1/scan1" and np.array_equal(item["target"][0], stack(3).transpose(2, 1, 0))
    torch.testing.assert_close(item["spacing"], torch.tensor([0.75, 1.5, 2.5]))
