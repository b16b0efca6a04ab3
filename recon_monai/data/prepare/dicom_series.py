"""DICOM files sorted into series, each checked and stacked into a volume."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from recon_monai.data.prepare.checks import check_integer
from recon_monai.data.prepare.dicom_frames import Frame, SeriesPart, read_header, read_pixels
from recon_monai.data.prepare.naming import search_words
from recon_monai.data.prepare.simulate import ImageVolume
from recon_monai.data.prepare.volumes import cut_slices

__all__ = ["DicomSeries", "find_series", "read_series", "stack_slices"]

logger = logging.getLogger(__name__)

_SAME_PLACE = 0.01  # mm between images that lie at one position
_UNEVEN = 0.02  # relative deviation of a slice distance that rounding in the headers does not explain
_THICK = 2.0  # ratio of pixel sides above which slices across the acquired ones are warned of


@dataclass(frozen=True)
class DicomSeries:
    """A checked series.

    Args:
        name: hash of the SeriesInstanceUID, which tells nothing to who does not have the original.
        patient: pseudonym of the patient.
        folder: of the first file.
        frames: one image per slice, by position.
        step: from one slice to the next in mm, patient coordinates (left, posterior, superior).
        description: SeriesDescription; for messages and guesses, never written.
        body_part: BodyPartExamined; empty if the files do not say.
    """

    name: str
    patient: str
    folder: Path
    frames: list[Frame]
    step: NDArray[np.float64]
    description: str = ""
    body_part: str = ""

    @property
    def affine(self) -> NDArray[np.float64]:
        """From `(slice, row, column)` to mm, coordinates (right, anterior, superior)."""
        first = self.frames[0]
        matrix = np.eye(4)
        row, column, _ = first.spacing
        matrix[:3, 0] = self.step
        matrix[:3, 1], matrix[:3, 2] = first.orientation[1] * row, first.orientation[0] * column
        matrix[:3, 3] = first.position
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix


def find_series(paths: Sequence[Path], *, frame: int | None = None, series: str | None = None) -> list[DicomSeries]:
    """Sort files into series and check each, without reading pixels.

    Args:
        paths: DICOM files.
        frame: which image of each position, where there are several (echoes, time points), counted from 0 in the order
            of echo time, time and number.
        series: regular expression that the description of a series has to match (anywhere, any case); others are
            skipped. None takes all.

    Returns:
        The series in the order of their first files.

    Raises:
        ValueError: if no series is left; or if one is not a stack of parallel, evenly spaced gray magnitude images of
            one size. The message names a file.
    """
    if frame is not None:
        check_integer("frame", frame, 0)
    parts: dict[str, list[SeriesPart]] = {}
    for path in paths:
        part = read_header(path)
        parts.setdefault(part.series, []).append(part)
    descriptions = {uid: members[0].description for uid, members in parts.items()}
    if series is not None:
        found = {uid for uid, text in descriptions.items() if search_words("series", str(series), text, re.IGNORECASE)}
        if not found:
            listed = ", ".join(sorted({repr(text) for text in descriptions.values()}))
            raise ValueError(f"{paths[0]}: no series has a description that matches {str(series)!r}, but {listed}")
        parts = {uid: members for uid, members in parts.items() if uid in found}
    return [_checked(uid, members, frame, several=len(descriptions) > 1) for uid, members in parts.items()]


def read_series(series: DicomSeries, *, name: str, plane: str) -> ImageVolume:
    """Read the images of a series and cut them into slices, oriented as `read_volume` does it.

    Args:
        series: the series.
        name: name of the volume, see `ImageVolume`.
        plane: one of `PLANES`; `native` keeps the acquired slices with their rows and columns.

    Returns:
        The volume.

    Raises:
        ValueError: if pixels cannot be read.
    """
    image = nibabel.Nifti1Image(stack_slices(series), series.affine)
    volume = cut_slices(image, name=name, plane=plane)
    if max(volume.voxel_size[:2]) > _THICK * min(volume.voxel_size[:2]):
        logger.warning(
            "%s: %s slices have pixels of %.2f x %.2f mm, as they lie across the acquired slices; "
            "--plane native keeps these",
            series.folder,
            plane,
            *volume.voxel_size[:2],
        )
    return volume


def stack_slices(series: DicomSeries) -> NDArray[np.float32]:
    """Read the images of a series.

    Args:
        series: the series.

    Returns:
        Values `(slice, row, column)`, rescaled as the headers say; `series.affine` says where they lie.

    Raises:
        ValueError: if pixels cannot be read.
    """
    slices = [np.empty(0, np.float32)] * len(series.frames)
    by_file: dict[Path, list[int]] = {}
    for place, frame in enumerate(series.frames):
        by_file.setdefault(frame.path, []).append(place)
    for path, places in by_file.items():
        for place, pixels in zip(places, read_pixels(path, [series.frames[p] for p in places]), strict=True):
            slices[place] = pixels
    return np.stack(slices)


def _checked(uid: str, parts: list[SeriesPart], frame: int | None, *, several: bool) -> DicomSeries:
    first = parts[0]
    try:
        _no_copies(parts)
        frames = _chosen([one for part in parts for one in part.frames()], frame)
        _alike(frames)
        step = _step(frames)
    except ValueError as error:
        advice = f" (series {first.description!r}; choose others with --series)" if several else ""
        raise ValueError(f"{error}{advice}") from error
    name = f"series-{hashlib.sha256(uid.encode()).hexdigest()[:12]}"
    logger.info(
        "%s: %s, %d slice(s) in %s", name, first.description or "no description", len(frames), first.path.parent
    )
    return DicomSeries(name, first.patient, first.path.parent, frames, step, first.description, first.body_part)


def _no_copies(parts: list[SeriesPart]) -> None:
    seen: dict[str, Path] = {}
    for part in parts:
        other = seen.setdefault(part.instance, part.path)
        if other != part.path:
            raise ValueError(f"{part.path}: is a copy of {other} (the same SOPInstanceUID); leave one of them out")


def _chosen(frames: list[Frame], number: int | None) -> list[Frame]:
    """One image for each position, sorted along the normal of the slices."""
    normal = _normal(frames[0])
    for one in frames:
        if not np.allclose(one.orientation, frames[0].orientation, atol=1e-3):
            raise ValueError(
                f"{one}: its slice is not parallel to that of {frames[0]}, expected one stack of parallel slices"
            )
    frames = sorted(frames, key=lambda one: float(one.position @ normal))
    places: list[list[Frame]] = []
    for one in frames:
        if places and float((one.position - places[-1][0].position) @ normal) < _SAME_PLACE:
            places[-1].append(one)
        else:
            places.append([one])
    counts = {len(place) for place in places}
    if len(counts) > 1:
        few, many = min(places, key=len), max(places, key=len)
        raise ValueError(
            f"{many[-1]}: {len(many)} images lie at its position and {len(few)} at that of {few[0]}, expected as many "
            "at each; images are missing, doubled or of several stacks"
        )
    count = counts.pop()
    if count == 1 and not number:
        return frames
    if number is None or number >= count:
        echoes = sorted({one.echo_time for one in frames if not np.isnan(one.echo_time)})
        told = f" (echo times {', '.join(f'{echo:g}' for echo in echoes)} ms)" if len(echoes) > 1 else ""
        raise ValueError(
            f"{frames[0].path.parent}: the series holds {count} images at each of {len(places)} positions{told}; "
            f"choose one with --frame 0 to {count - 1}"
        )
    return [sorted(place, key=lambda one: one.order)[number] for place in places]


def _alike(frames: list[Frame]) -> None:
    first = frames[0]
    for one in frames:
        for what, found, expected in (
            ("rows and columns", one.shape, first.shape),
            ("mm between rows and columns", one.spacing[:2], first.spacing[:2]),
            ("ms echo time", (one.echo_time,), (first.echo_time,)),
        ):
            if not np.allclose(found, expected, rtol=1e-3, equal_nan=True):
                raise ValueError(
                    f"{one}: has {_joined(found)} {what}, {first} has {_joined(expected)}, expected the same in all "
                    "slices of a series"
                )


def _step(frames: list[Frame]) -> NDArray[np.float64]:
    """From slice to slice, in mm."""
    normal = _normal(frames[0])
    if len(frames) == 1:
        if np.isnan(frames[0].spacing[2]):
            raise ValueError(f"{frames[0]}: is a single slice and does not say SliceThickness; leave it out")
        return normal * frames[0].spacing[2]
    steps = [after.position - before.position for before, after in pairwise(frames)]
    distances = np.array([step @ normal for step in steps])
    usual = float(np.median(distances))
    for (before, after), step, distance in zip(pairwise(frames), steps, distances, strict=True):
        if abs(distance - usual) > max(_UNEVEN * usual, _SAME_PLACE):
            raise ValueError(
                f"{after}: lies {distance:.2f} mm after {before}, other slices {usual:.2f} mm apart, expected even "
                "distances; slices are missing or of several stacks"
            )
        if np.abs(step - distance * normal).max() > max(frames[0].spacing[:2]) / 2:
            raise ValueError(f"{after}: is shifted within its plane against {before}, expected a straight stack")
    return (frames[-1].position - frames[0].position) / (len(frames) - 1)


def _normal(frame: Frame) -> NDArray[np.float64]:
    return np.cross(*frame.orientation)


def _joined(numbers: Sequence[float]) -> str:
    return " x ".join(f"{number:g}" for number in numbers)
