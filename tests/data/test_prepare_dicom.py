"""DICOM series; the files are made here."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import itk
import nibabel
import numpy as np
import pytest

from recon_monai.cli import main
from recon_monai.data import read_split
from recon_monai.data.prepare import expand_inputs, find_kind, find_series, read_series, read_volume

pydicom = pytest.importorskip("pydicom")

from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.encaps import encapsulate, generate_frames  # noqa: E402
from pydicom.uid import (  # noqa: E402
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    MRImageStorage,
    RLELossless,
    generate_uid,
)

AXIAL = [1, 0, 0, 0, 1, 0]
SAGITTAL = [0, 1, 0, 0, 0, -1]  # columns run to the back, rows to the feet


def stack(slices: int = 5, rows: int = 20, columns: int = 24) -> np.ndarray:
    """A box with a bright corner, so that every axis and direction can be told apart."""
    data = np.zeros((slices, rows, columns), dtype=np.uint16)
    data[:, 3:-3, 4:-4] = 100
    data[:2, 3:8, 4:11] = 180
    return data


def header(series: str = "1.2.3", patient: str = "MRN 0815", kind: str = MRImageStorage, **fields: Any) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = kind, generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.9", series
    made.Modality, made.PatientID, made.PatientName = "MR", patient, "Doe^Jane"
    made.SeriesDescription = "T1 axial"
    made.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def save(dataset: Dataset, path: Path, pixels: np.ndarray | None = None) -> Path:
    if pixels is not None:
        dataset.Rows, dataset.Columns = pixels.shape[-2:]
        dataset.PixelData = np.ascontiguousarray(pixels).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def places(count: int, orientation: Sequence[float], distance: float) -> Iterator[np.ndarray]:
    normal = np.cross(orientation[:3], orientation[3:])
    for index in range(count):
        yield np.array([-10.0, -20.0, -30.0]) + index * distance * normal


def save_series(
    folder: Path,
    data: np.ndarray,
    *,
    orientation: Sequence[float] = AXIAL,
    distance: float = 3.0,
    spacing: tuple[float, float] = (1.5, 1.0),
    shuffled: bool = True,
    **fields: Any,
) -> Path:
    """One file per slice, whose names are not in the order of the slices."""
    for index, place in enumerate(places(len(data), orientation, distance)):
        made = header(**fields)
        made.ImagePositionPatient, made.ImageOrientationPatient = list(place), list(orientation)
        made.PixelSpacing, made.SliceThickness, made.InstanceNumber = list(spacing), 2.0, index + 1
        name = (index * 7) % 11 if shuffled else index
        save(made, folder / f"IM{name:04d}", data[index])
    return folder


def save_enhanced(path: Path, data: np.ndarray, slopes: Sequence[float], **fields: Any) -> Path:
    """All slices in one file, last slice first."""
    made = header(kind=EnhancedMRImageStorage, NumberOfFrames=len(data), **fields)
    made.SharedFunctionalGroupsSequence = [Dataset()]
    shared = made.SharedFunctionalGroupsSequence[0]
    measures, turn = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [1.5, 1.0], 2.0
    turn.ImageOrientationPatient = AXIAL
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [turn]
    groups = []
    for place, slope in zip(reversed(list(places(len(data), AXIAL, 3.0))), slopes, strict=True):
        group, position, values = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = list(place)
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = slope, 1.0, "US"
        group.PlanePositionSequence, group.PixelValueTransformationSequence = [position], [values]
        groups.append(group)
    made.PerFrameFunctionalGroupsSequence = groups
    return save(made, path, data[::-1])


def change(path: Path, **fields: Any) -> None:
    dataset = pydicom.dcmread(path)
    for name, value in fields.items():
        setattr(dataset, name, value)
    dataset.save_as(path)


def encode(path: Path, images: np.ndarray, compression: int, folder: Path) -> None:
    """Replace the pixels of a file by images that ITK has compressed."""
    coded = []
    for image in images:
        writer = itk.ImageFileWriter[itk.Image[itk.US, 2]].New(Input=itk.image_from_array(np.ascontiguousarray(image)))
        io = itk.GDCMImageIO.New()
        io.SetCompressionType(compression)
        writer.SetImageIO(io)
        writer.SetFileName(str(folder / "coded.dcm"))
        writer.UseCompressionOn()
        writer.Update()
        single = pydicom.dcmread(folder / "coded.dcm")
        coded.extend(generate_frames(single.PixelData, number_of_frames=1))
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = single.file_meta.TransferSyntaxUID
    dataset.PixelData = encapsulate(coded)
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)


def only(folder: Path, **arguments: Any):
    [found] = find_series(expand_inputs([folder]), **arguments)
    return found


class TestVolumes:
    def test_slices_are_in_the_order_of_their_positions(self, tmp_path):
        data = stack()
        volume = read_series(only(save_series(tmp_path, data)), name="v", plane="native")
        np.testing.assert_array_equal(volume.images, data)
        assert volume.voxel_size == pytest.approx((1.5, 1.0, 3.0))

    @pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
    @pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, [0, 0.96, -0.28, 0, -0.28, -0.96]])
    def test_planes_are_those_of_the_volume_as_nifti(self, tmp_path, plane, orientation):
        """ITK reads the series on its own and writes NIfTI, which the reader of NIfTI volumes cuts."""
        folder = save_series(tmp_path / "in", stack(), orientation=orientation)
        names = itk.GDCMSeriesFileNames.New(Directory=str(folder))
        files = names.GetFileNames(names.GetSeriesUIDs()[0])
        itk.imwrite(itk.imread(files, itk.F), str(tmp_path / "v.nii"))
        expected = read_volume(tmp_path / "v.nii", name="v", plane=plane)
        volume = read_series(only(folder), name="v", plane=plane)
        np.testing.assert_array_equal(volume.images, expected.images)
        assert volume.voxel_size == pytest.approx(expected.voxel_size, rel=1e-5)

    def test_axial_rows_run_from_anterior_and_columns_from_right(self, tmp_path):
        data = stack()
        volume = read_series(only(save_series(tmp_path, data)), name="v", plane="axial")
        # a DICOM image with rows towards the back and columns towards the left is displayed so already
        np.testing.assert_array_equal(volume.images, data)

    def test_values_are_rescaled(self, tmp_path):
        folder = save_series(tmp_path, stack(), RescaleSlope=2.5, RescaleIntercept=-3.0)
        volume = read_series(only(folder), name="v", plane="native")
        np.testing.assert_allclose(volume.images, stack() * 2.5 - 3.0)

    @pytest.mark.parametrize("compression", [0, 1], ids=["jpeg_lossless", "jpeg2000"])
    def test_compressed_pixels(self, tmp_path, compression):
        data = stack(1)
        [path] = save_series(tmp_path / "in", data, RescaleSlope=2.5, RescaleIntercept=1.0).iterdir()
        encode(path, data, compression, tmp_path)
        volume = read_series(only(tmp_path / "in"), name="v", plane="native")
        np.testing.assert_allclose(volume.images, data * 2.5 + 1.0)

    def test_compressed_enhanced_file(self, tmp_path):
        data = stack()
        path = save_enhanced(tmp_path / "in" / "all.dcm", data, [2.5] * 5)
        encode(path, data[::-1], 0, tmp_path)
        volume = read_series(only(tmp_path / "in"), name="v", plane="native")
        np.testing.assert_allclose(volume.images, data * 2.5 + 1.0)
        path = save_enhanced(path, data, [1.0, 1.0, 1.0, 1.0, 2.0])
        encode(path, data[::-1], 0, tmp_path)
        with pytest.raises(ValueError, match=r"all\.dcm: the images are compressed and differ in rescale slope"):
            read_series(only(tmp_path / "in"), name="v", plane="native")

    def test_run_length_encoded_pixels(self, tmp_path):
        folder = save_series(tmp_path, stack())
        for path in folder.iterdir():
            dataset = pydicom.dcmread(path)
            dataset.compress(RLELossless)
            dataset.save_as(path)
        volume = read_series(only(folder), name="v", plane="native")
        np.testing.assert_array_equal(volume.images, stack())

    def test_enhanced_file_with_a_slope_for_each_frame(self, tmp_path):
        data, slopes = stack(), [1.0, 2.0, 0.5, 1.0, 4.0]
        save_enhanced(tmp_path / "all.dcm", data, slopes)
        volume = read_series(only(tmp_path), name="v", plane="native")
        # the frames are stored last slice first, and so are the slopes
        np.testing.assert_allclose(volume.images, data * np.array(slopes[::-1])[:, None, None] + 1)
        assert volume.voxel_size == pytest.approx((1.5, 1.0, 3.0))

    def test_echoes_are_chosen_by_number(self, tmp_path):
        for number, echo in enumerate((80.0, 10.0)):
            save_series(tmp_path / str(number), stack() + np.uint16(number * 50), EchoTime=echo)
        with pytest.raises(
            ValueError, match=r"2 images at each of 5 positions \(echo times 10, 80 ms\).*--frame 0 to 1"
        ):
            only(tmp_path)
        with pytest.raises(ValueError, match="--frame 0 to 1"):
            only(tmp_path, frame=2)
        for number, added in ((0, 50), (1, 0)):
            volume = read_series(only(tmp_path, frame=number), name="v", plane="native")
            np.testing.assert_array_equal(volume.images, stack() + added)

    def test_single_slice(self, tmp_path):
        volume = read_series(only(save_series(tmp_path, stack(1))), name="v", plane="native")
        assert volume.images.shape == (1, 20, 24)
        assert volume.voxel_size == pytest.approx((1.5, 1.0, 2.0))

    def test_planes_across_thick_slices_are_warned_of(self, tmp_path, caplog):
        series = only(save_series(tmp_path, stack(), distance=5.0))
        read_series(series, name="v", plane="coronal")
        assert "coronal slices have pixels of 5.00 x 1.00 mm" in caplog.text
        caplog.clear()
        read_series(series, name="v", plane="axial")
        assert not caplog.text


class TestSeries:
    def test_files_are_sorted_into_series_wherever_they_lie(self, tmp_path):
        save_series(tmp_path / "a", stack(3), series="1.2.3")
        save_series(tmp_path / "a" / "deeper", stack(4), series="1.2.4")
        (tmp_path / "a" / "notes.txt").write_text("no image")
        (tmp_path / "a" / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
        files = expand_inputs([tmp_path])
        assert find_kind(files) == "dicom"
        found = find_series(files)
        assert sorted(len(one.frames) for one in found) == [3, 4]
        assert len({one.name for one in found}) == 2
        assert len({one.patient for one in found}) == 1
        assert expand_inputs([str(tmp_path / "*" / "deeper")], "dicom") == expand_inputs([tmp_path / "a" / "deeper"])

    def test_series_are_chosen_by_description(self, tmp_path):
        save_series(tmp_path / "a", stack(3), series="1.2.3", SeriesDescription="T1 axial")
        save_series(tmp_path / "b", stack(4), series="1.2.4", SeriesDescription="Localizer")
        assert [len(one.frames) for one in find_series(expand_inputs([tmp_path]), series="^t1")] == [3]
        with pytest.raises(
            ValueError, match="no series has a description that matches 'FLAIR', but 'Localizer', 'T1 a"
        ):
            find_series(expand_inputs([tmp_path]), series="FLAIR")
        with pytest.raises(ValueError, match=r"series '\(' is not a regular expression"):
            find_series(expand_inputs([tmp_path]), series="(")

    def test_patients_without_number_are_told_apart_by_study(self, tmp_path):
        save_series(tmp_path / "a", stack(3), patient="", series="1.2.3")
        save_series(tmp_path / "b", stack(3), patient="", series="1.2.4")
        save_series(tmp_path / "c", stack(3), patient="", series="1.2.5", StudyInstanceUID="1.2.10")
        subjects = [one.patient for one in find_series(expand_inputs([tmp_path]))]
        assert subjects[0] == subjects[1] != subjects[2]
        assert all(subject.startswith("study-") for subject in subjects)


class TestRefused:
    def refuse(self, folder: Path, message: str) -> None:
        with pytest.raises(ValueError, match=message) as raised:
            find_series(expand_inputs([folder]))
        assert str(folder) in str(raised.value)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "IM0003: holds RGB images, expected gray"),
            ({"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "IM0003: holds phase images .*expected magnitudes"),
            ({"ImagePositionPatient": None}, "IM0003: does not say ImagePositionPatient"),
            ({"PixelSpacing": None}, "IM0003: does not say PixelSpacing"),
            ({"PixelSpacing": [1.5, 2.0]}, r"has 1\.5 x \d mm between rows and columns, .*expected the same"),
            ({"ImageOrientationPatient": SAGITTAL}, "is not parallel to that of"),
            ({"ImagePositionPatient": [-10, -20, -27]}, "2 images lie at its position and 1 at that of"),
            ({"ImagePositionPatient": [-10, -20, -25]}, r"lies \d.00 mm after .*IM\d+, other slices 3.00 mm apart"),
            ({"ImagePositionPatient": [-2, -20, -24]}, "is shifted within its plane"),
            ({"EchoTime": 17.0}, "ms echo time, .*expected the same in all"),
            ({"SOPClassUID": GrayscaleSoftcopyPresentationStateStorage}, "holds Grayscale Softcopy Presentation State"),
        ],
    )
    def test_one_slice_that_does_not_belong(self, tmp_path, fields, message):
        folder = save_series(tmp_path, stack(), EchoTime=12.0)
        change(folder / "IM0003", **fields)  # the third slice
        self.refuse(folder, message)

    def test_sizes_differ(self, tmp_path):
        folder = save_series(tmp_path, stack())
        dataset = pydicom.dcmread(folder / "IM0003")
        save(dataset, folder / "IM0003", stack(1, 16, 24)[0])
        self.refuse(folder, r"rows and columns, .*expected the same in all slices of a series")

    def test_missing_slice(self, tmp_path):
        folder = save_series(tmp_path, stack())
        (folder / "IM0003").unlink()
        self.refuse(folder, r"lies 6.00 mm after .*other slices 3.00 mm apart.*slices are missing")

    def test_copied_file(self, tmp_path):
        folder = save_series(tmp_path, stack())
        (folder / "copy").write_bytes((folder / "IM0003").read_bytes())
        self.refuse(folder, "copy: is a copy of .*IM0003|IM0003: is a copy of .*copy")

    def test_other_series_are_told_how_to_leave_out(self, tmp_path):
        save_series(tmp_path / "a", stack(3), series="1.2.3")
        folder = save_series(tmp_path / "b", stack(3), series="1.2.4", SeriesDescription="Localizer")
        change(folder / "IM0003", ImageOrientationPatient=SAGITTAL)
        self.refuse(tmp_path, r"not parallel.*\(series 'Localizer'; choose others with --series\)")

    def test_not_dicom(self, tmp_path):
        (tmp_path / "x.dcm").write_bytes(b"not an image" * 20)
        with pytest.raises(ValueError, match=r"x\.dcm: is no DICOM file"):
            find_series([tmp_path / "x.dcm"])
        with pytest.raises(FileNotFoundError, match="no DICOM file in that folder"):
            expand_inputs([tmp_path], "dicom")
        with pytest.raises(ValueError, match=r"x\.dcm: unknown kind of file, expected .*DICOM"):
            find_kind([tmp_path / "x.dcm"])

    def test_truncated_pixels(self, tmp_path):
        folder = save_series(tmp_path, stack())
        path = folder / "IM0003"
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(ValueError, match=r"IM0003: cannot be read as a DICOM image.*damaged or incomplete"):
            read_series(only(folder), name="v", plane="axial")

    def test_truncated_header(self, tmp_path):
        folder = save_series(tmp_path, stack())
        path = folder / "IM0003"
        path.write_bytes(path.read_bytes()[:300])
        with pytest.raises(ValueError, match="IM0003"):
            find_series(expand_inputs([folder]))

    def test_enhanced_file_without_descriptions_of_its_frames(self, tmp_path):
        path = save_enhanced(tmp_path / "all.dcm", stack(), [1.0] * 5)
        change(path, NumberOfFrames=6)
        with pytest.raises(ValueError, match=r"all\.dcm: says that it holds 6 images and describes 5"):
            only(tmp_path)


class TestCommand:
    def prepare(self, folder: Path, out: Path, *words: str) -> None:
        main(["prepare", str(folder), "--output", str(out), "--anatomy", "brain", "--coils", "3", *words])

    def test_series_become_simulated_files_without_the_patient(self, tmp_path, caplog):
        folder = save_series(tmp_path / "exports" / "P7" / "T1", stack(rows=32, columns=32))
        with caplog.at_level(logging.INFO):
            self.prepare(folder, tmp_path / "out", "--noise", "0", "--split", "test", "--acquisition", "AXT1")
        [path] = read_split(tmp_path / "out", "test")
        with h5py.File(path) as file:
            np.testing.assert_allclose(file["reconstruction_rss"][()], stack(rows=32, columns=32), atol=0.02)
            assert file.attrs["source"] == "simulated"
            assert file.attrs["acquisition"] == "AXT1"
            assert file.attrs["patient_id"].startswith("patient-")
        assert f"{path.stem.removesuffix('_axial')}: T1 axial, 5 slice(s) in {folder}" in caplog.text
        for written in (tmp_path / "out").iterdir():
            content = written.read_bytes()
            for secret in (b"0815", b"Doe", b"Jane", b"1.2.3", b"1.2.9", b"exports"):
                assert secret not in content
                assert secret.decode() not in written.name

    def test_subject_by_option_and_by_folder(self, tmp_path):
        folder = save_series(tmp_path / "exports" / "P7" / "T1", stack(rows=32, columns=32))
        self.prepare(folder, tmp_path / "a", "--split", "test", "--subject", "me")
        self.prepare(folder, tmp_path / "b", "--split", "test", "--subject_regex", r"exports/(P\d+)")
        for name, expected in (("a", "me"), ("b", "P7")):
            subjects = json.loads((tmp_path / name / "split.json").read_text())["subjects"]
            assert list(subjects.values()) == [expected]

    def test_bad_series_end_with_one_sentence_and_no_file(self, tmp_path, caplog):
        save_series(tmp_path / "in" / "a", stack(), series="1.2.3")
        folder = save_series(tmp_path / "in" / "b", stack(), series="1.2.4")
        (folder / "IM0003").unlink()
        with pytest.raises(SystemExit) as ended:
            self.prepare(tmp_path / "in", tmp_path / "out")
        assert ended.value.code == 1
        assert "expected even distances" in caplog.records[-1].getMessage()
        assert not (tmp_path / "out").exists()

    def test_series_option_is_for_dicom(self, tmp_path, caplog):
        nibabel.save(nibabel.Nifti1Image(stack().astype(np.int16), np.eye(4)), tmp_path / "v.nii")
        with pytest.raises(SystemExit):
            self.prepare(tmp_path / "v.nii", tmp_path / "out", "--series", "T1")
        assert "--series chooses among DICOM series, but the inputs are volumes" in caplog.text
