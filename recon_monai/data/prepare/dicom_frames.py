"""What the headers of DICOM MR files say about each image in them, and the images' values.

Classic files hold one image, enhanced ones many with a functional group for each (DICOM PS3.3, C.7.6.16). Headers are
read by pydicom, which reaches the functional groups; pixels by pydicom if they are not compressed, else by ITK (GDCM),
which decodes every kind that DICOM allows. Nothing that names a person is kept.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from recon_monai.optional import require

__all__ = ["Frame", "SeriesPart", "read_header", "read_pixels"]

_EXTRA = "dicom"
_MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
_MULTI_FRAME = ("1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4")  # enhanced, legacy converted enhanced
_UNCOMPRESSED = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.5",  # run-length encoded, which pydicom decodes itself
)
_NOT_MAGNITUDE = {"P": "phase", "R": "real", "I": "imaginary", "PHASE MAP": "phase"} | {
    word: word.lower() for word in ("PHASE", "REAL", "IMAGINARY", "MIXED")
}
_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesDescription",
    "BodyPartExamined",
    "PatientID",
    "IssuerOfPatientID",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "ImageType",
    "ComplexImageComponent",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "RescaleSlope",
    "RescaleIntercept",
    "EchoTime",
    "TemporalPositionIdentifier",
    "TriggerTime",
    "AcquisitionNumber",
    "InstanceNumber",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]

# what pydicom and ITK raise for headers and pixels that are not what they should be
_DAMAGE = (
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    zlib.error,
)

_T = TypeVar("_T")


@dataclass(frozen=True)
class Frame:
    """One image of a file.

    Args:
        path: the file.
        index: number of the image in its file.
        shape: rows and columns.
        position: center of the first pixel in mm, patient coordinates (left, posterior, superior).
        orientation: directions of increasing column and row number, shape `(2, 3)`.
        spacing: distances of rows, columns and (as the file says; NaN if it does not) slices in mm.
        rescale: slope and intercept that make values of stored ones.
        echo_time: in ms; NaN if not given.
        order: sorts the images of one position: echo, time, number.
    """

    path: Path
    index: int
    shape: tuple[int, int]
    position: NDArray[np.float64]
    orientation: NDArray[np.float64]
    spacing: tuple[float, float, float]
    rescale: tuple[float, float]
    echo_time: float
    order: tuple[float, ...]

    def __str__(self) -> str:
        """The file and, if it is not the first, the image in it."""
        return f"{self.path}, frame {self.index}" if self.index else str(self.path)


@dataclass(frozen=True)
class SeriesPart:
    """The images that one file holds of a series.

    Args:
        path: the file.
        series: SeriesInstanceUID.
        instance: SOPInstanceUID.
        description: SeriesDescription; for messages and choice, never written.
        patient: pseudonym of the patient, or of the study if the file names no patient.
        body_part: BodyPartExamined; empty if the file does not say.
        frames: the images, read when first asked for.
    """

    path: Path
    series: str
    instance: str
    description: str
    patient: str
    body_part: str
    frames: Callable[[], list[Frame]]


def read_header(path: Path) -> SeriesPart:
    """Read what a file says about itself; its pixels are not touched.

    Args:
        path: a DICOM file.

    Returns:
        The series that it belongs to. Asking for the frames raises a ValueError if the file does not hold MR
        magnitude images with a position in the patient.

    Raises:
        ImportError: if pydicom is missing.
        ValueError: if the file is not DICOM or names no series.
    """
    pydicom = require("pydicom", extra=_EXTRA)
    header = _readable(path, lambda: pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS))
    if "SeriesInstanceUID" not in header:
        kind = header.SOPClassUID.name if "SOPClassUID" in header else "an unknown object"
        raise ValueError(f"{path}: is {kind}, which belongs to no series, expected MR images; leave it out")
    patient = _readable(path, lambda: _pseudonym(header))
    return SeriesPart(
        path,
        str(header.SeriesInstanceUID),
        str(header.get("SOPInstanceUID", path)),
        str(header.get("SeriesDescription", "")),
        patient,
        str(header.get("BodyPartExamined") or ""),
        lambda: _readable(path, lambda: list(_frames(path, header))),
    )


def read_pixels(path: Path, frames: list[Frame]) -> list[NDArray[np.float32]]:
    """Values of images of one file, rescaled as the header says.

    Args:
        path: the file.
        frames: images in it.

    Returns:
        One array `(rows, columns)` per frame.

    Raises:
        ValueError: if the pixels cannot be decoded, or are fewer than the header says.
    """
    pydicom = require("pydicom", extra=_EXTRA)
    dataset = _readable(path, lambda: pydicom.dcmread(path))
    if dataset.file_meta.get("TransferSyntaxUID") not in _UNCOMPRESSED:
        return _decoded_by_itk(path, frames)
    stored = _readable(path, lambda: dataset.pixel_array)
    stack = stored.reshape(-1, *frames[0].shape)
    return [
        (stack[frame.index] * np.float64(frame.rescale[0]) + frame.rescale[1]).astype(np.float32) for frame in frames
    ]


def _decoded_by_itk(path: Path, frames: list[Frame]) -> list[NDArray[np.float32]]:
    """Compressed pixels; ITK rescales all images of a file by the slope and intercept of the first."""
    import itk

    if len({frame.rescale for frame in read_header(path).frames()}) > 1:
        raise ValueError(
            f"{path}: the images are compressed and differ in rescale slope, which cannot be read; decompress the file "
            "first, for example with dcmdjpeg or gdcmconv --raw"
        )
    image = _readable(path, lambda: itk.imread(str(path), itk.F, imageio=itk.GDCMImageIO.New()))
    stack = np.asarray(itk.array_from_image(image)).reshape(-1, *frames[0].shape)
    return [stack[frame.index] for frame in frames]


def _readable(path: Path, read: Callable[[], _T]) -> _T:
    """What `read` gives; a damaged file becomes an error that names it."""
    errors = require("pydicom.errors", extra=_EXTRA)
    try:
        return read()
    except _HeaderError as error:
        raise ValueError(f"{path}: {error}") from error
    except errors.InvalidDicomError as error:
        raise ValueError(f"{path}: is no DICOM file; leave it out") from error
    except _DAMAGE as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path}: cannot be read as a DICOM image ({reason}); it may be damaged or incomplete, get it again"
        ) from error


class _HeaderError(Exception):
    """A header that was understood and cannot be used; gets the file's name in `_readable`."""


def _pseudonym(header: Any) -> str:
    patient = str(header.get("PatientID") or "").strip()
    if patient:
        return f"patient-{_slow_hash(patient + '/' + str(header.get('IssuerOfPatientID') or ''))}"
    study = str(header.get("StudyInstanceUID") or header.SeriesInstanceUID)
    return f"study-{hashlib.sha256(study.encode()).hexdigest()[:12]}"


@cache
def _slow_hash(text: str) -> str:
    """Hash that takes long on purpose, as patients' numbers are few enough to try them all with a quick one."""
    return hashlib.scrypt(text.encode(), salt=b"recon_monai subject", n=2**14, r=8, p=1, dklen=6).hex()


def _frames(path: Path, header: Any) -> Iterator[Frame]:
    kind = str(header.get("SOPClassUID", "")) or "unknown"
    if kind != _MR_IMAGE and kind not in _MULTI_FRAME:
        name = header.SOPClassUID.name if "SOPClassUID" in header else "an object of unknown kind"
        raise _HeaderError(f"holds {name}, expected MR images; leave it out")
    color = str(header.get("PhotometricInterpretation", "MONOCHROME2"))
    if color != "MONOCHROME2" or int(header.get("SamplesPerPixel", 1)) != 1:
        raise _HeaderError(f"holds {color} images, expected gray ones (MONOCHROME2); leave it out")
    shape = int(_value([header], "Rows")), int(_value([header], "Columns"))
    if kind == _MR_IMAGE:
        yield _frame(path, 0, shape, [header])
        return
    shared = list(header.get("SharedFunctionalGroupsSequence") or [])
    each = list(header.get("PerFrameFunctionalGroupsSequence") or [])
    count = int(header.get("NumberOfFrames") or 1)
    if len(each) != count:
        raise _HeaderError(f"says that it holds {count} images and describes {len(each)}; get it again")
    for index, group in enumerate(each):
        groups = [part for functional in (group, *shared) for part in _macros(functional)]
        yield _frame(path, index, shape, [*groups, header])


def _macros(functional: Any) -> Iterator[Any]:
    """The data sets one level below a functional group, for example of PlanePositionSequence."""
    for element in functional:
        if element.VR == "SQ" and len(element.value) == 1:
            yield element.value[0]


def _frame(path: Path, index: int, shape: tuple[int, int], parts: list[Any]) -> Frame:
    """One image from the data sets that describe it, the most specific first."""
    for keyword in ("ComplexImageComponent", "FrameType", "ImageType"):
        value = _value(parts, keyword, default="")
        words = [value] if isinstance(value, str) else list(value)[2:]
        wrong = [_NOT_MAGNITUDE[word] for word in map(str, words) if word in _NOT_MAGNITUDE]
        if wrong:
            raise _HeaderError(f"holds {wrong[0]} images ({keyword} {value}), expected magnitudes; leave it out")
    row, column = _numbers(parts, "PixelSpacing", 2)
    thickness = float(_value(parts, "SliceThickness", default=None) or np.nan)
    echo_time = float(_value(parts, "EffectiveEchoTime", default=None) or _value(parts, "EchoTime", default=np.nan))
    times = ("TemporalPositionIndex", "TemporalPositionIdentifier", "TriggerTime", "AcquisitionNumber")
    order = [float(_value(parts, keyword, default=None) or 0) for keyword in (*times, "InstanceNumber")]
    return Frame(
        path,
        index,
        shape,
        np.array(_numbers(parts, "ImagePositionPatient", 3)),
        _directions(_numbers(parts, "ImageOrientationPatient", 6)),
        (row, column, float(_value(parts, "SpacingBetweenSlices", default=None) or thickness)),
        (float(_value(parts, "RescaleSlope", default=1)), float(_value(parts, "RescaleIntercept", default=0))),
        echo_time,
        (0.0 if np.isnan(echo_time) else echo_time, *order, index),
    )


def _directions(cosines: list[float]) -> NDArray[np.float64]:
    """Of rows and columns, of length 1: cosines that were rounded in a header would change the voxel size."""
    directions = np.array(cosines).reshape(2, 3)
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    if not np.allclose(lengths, 1, atol=0.01):
        raise _HeaderError(
            f"has directions of the lengths {lengths[0, 0]:.3g} and {lengths[1, 0]:.3g} (ImageOrientationPatient), "
            "expected 1; leave it out"
        )
    return directions / lengths


_REQUIRED = object()


def _value(parts: list[Any], keyword: str, default: Any = _REQUIRED) -> Any:
    for part in parts:
        value = part.get(keyword)
        if value is not None and value != "":
            return value
    if default is _REQUIRED:
        raise _HeaderError(f"does not say {keyword}, which images of a volume need; leave it out")
    return default


def _numbers(parts: list[Any], keyword: str, count: int) -> list[float]:
    numbers = [float(number) for number in _value(parts, keyword)]
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise _HeaderError(f"holds {keyword} {numbers}, expected {count} numbers; correct or leave it out")
    return numbers
