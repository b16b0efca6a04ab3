"""Turn each kind of input into sources to be written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon_monai.data.prepare.acquisition import Acquisition, Source
from recon_monai.data.prepare.dicom_series import DicomSeries, find_series, read_series
from recon_monai.data.prepare.images import read_image_stacks
from recon_monai.data.prepare.measured_coils import MeasuredCoils
from recon_monai.data.prepare.naming import Naming
from recon_monai.data.prepare.processing import RawProcessing
from recon_monai.data.prepare.raw import RawSettings, read_raw
from recon_monai.data.prepare.simulate import ImageVolume, SimulationSettings, simulate_acquisition
from recon_monai.data.prepare.volumes import check_plane, read_volume, volume_stem

__all__ = ["dicom_sources", "image_sources", "raw_sources", "volume_sources"]


def volume_sources(
    paths: Sequence[Path],
    naming: Naming,
    settings: SimulationSettings,
    *,
    plane: str,
    frame: int | None,
    measured: MeasuredCoils | None = None,
) -> list[Source]:
    """One source per NIfTI volume; its name is that of the file and the plane.

    Args:
        paths: NIfTI files.
        naming: see `Naming`.
        settings: see `SimulationSettings`.
        plane: see `read_volume`.
        frame: see `read_volume`.
        measured: see `simulate_acquisition`.

    Returns:
        The sources.
    """

    def load(path: Path, name: str) -> Acquisition:
        return simulate_acquisition(read_volume(path, name=name, plane=plane, frame=frame), settings, measured)

    sources = []
    for path in paths:
        stem = volume_stem(path)
        name = naming.named(f"{stem}_{plane}")
        sources.append(Source(name, naming.subject_of(path, stem), str(path), partial(load, path, name)))
    return sources


def dicom_sources(
    paths: Sequence[Path],
    naming: Naming,
    settings: SimulationSettings,
    *,
    plane: str,
    frame: int | None,
    series: str | None = None,
    measured: MeasuredCoils | None = None,
) -> list[Source]:
    """One source per DICOM series; its name is a hash of the series' identity, and the plane.

    All headers are read and checked at once, pixels when a source's turn comes. Neither names nor numbers of patients
    go into the files: without a given subject it is a pseudonym.

    Args:
        paths: DICOM files.
        naming: see `Naming`.
        settings: see `SimulationSettings`.
        plane: see `read_series`.
        frame: see `find_series`.
        series: see `find_series`.
        measured: see `simulate_acquisition`.

    Returns:
        The sources.

    Raises:
        ImportError: if pydicom is missing.
        ValueError: if a file or series cannot be used; see `find_series`.
    """
    check_plane(plane)

    def load(one: DicomSeries, name: str) -> Acquisition:
        return simulate_acquisition(read_series(one, name=name, plane=plane), settings, measured)

    sources = []
    for one in find_series(paths, frame=frame, series=series):
        name = naming.named(f"{one.name}_{plane}")
        subject = naming.subject_of(one.folder, one.patient, searched=one.folder.as_posix())
        sources.append(Source(name, subject, str(one.folder), partial(load, one, name)))
    return sources


def image_sources(
    paths: Sequence[Path],
    naming: Naming,
    settings: SimulationSettings,
    *,
    voxel_size: tuple[float, float, float] = (math.nan, math.nan, math.nan),
    image_key: str = "image",
    subject_key: str = "subject",
    measured: MeasuredCoils | None = None,
) -> list[Source]:
    """One source per subject of each numpy file; its name is that of the subject, or of the file without subjects.

    Args:
        paths: numpy files, see `read_image_stacks`.
        naming: see `Naming`; used where the file does not name its subjects.
        settings: see `SimulationSettings`.
        voxel_size: distances of rows, columns and slices in mm; NaN where unknown.
        image_key: see `read_image_stacks`.
        subject_key: see `read_image_stacks`.
        measured: see `simulate_acquisition`.

    Returns:
        The sources.
    """

    def load(images: NDArray, name: str) -> Acquisition:
        return simulate_acquisition(ImageVolume(name, images.astype(np.float32), voxel_size), settings, measured)

    sources = []
    for path in paths:
        for subject, images in read_image_stacks(path, image_key=image_key, subject_key=subject_key).items():
            name = naming.named(path.stem if subject is None else subject)
            person = naming.subject_of(path, path.stem) if subject is None else name
            sources.append(Source(name, person, f"{path}, {subject or 'all images'}", partial(load, images, name)))
    return sources


def raw_sources(
    paths: Sequence[Path],
    naming: Naming,
    settings: RawSettings,
    *,
    key: str | None = None,
    processing: RawProcessing | None = None,
) -> list[Source]:
    """One source per raw array.

    Args:
        paths: numpy files.
        naming: see `Naming`.
        settings: see `RawSettings`.
        key: name of the array in `.npz` files.
        processing: see `read_raw`.

    Returns:
        The sources.
    """
    return [
        Source(
            naming.named(path.stem),
            naming.subject_of(path, path.stem),
            str(path),
            partial(read_raw, path, settings, key=key, processing=processing),
        )
        for path in paths
    ]
