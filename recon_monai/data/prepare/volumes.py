"""NIfTI volumes as stacks of slices in a known orientation."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from recon_monai.data.prepare.checks import check_integer
from recon_monai.data.prepare.simulate import ImageVolume

__all__ = [
    "NIFTI_SUFFIXES",
    "PLANES",
    "check_plane",
    "cut_slices",
    "nifti_values",
    "open_nifti",
    "read_volume",
    "volume_stem",
]

NIFTI_SUFFIXES = (".nii", ".nii.gz")

# Slice, row and column axis in the canonical array (x to the right, y anterior, z superior). Rows and columns run
# against their axes: the first row is anterior (axial) or superior, the first column the patient's right or anterior.
_CANONICAL_AXES = {"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)}
PLANES = (*_CANONICAL_AXES, "native")

_T = TypeVar("_T")


def volume_stem(path: Path) -> str:
    """File name without `.nii` or `.nii.gz`."""
    return path.name.removesuffix(".gz").removesuffix(".nii")


def read_volume(path: Path, *, name: str, plane: str, frame: int | None = None) -> ImageVolume:
    """Read a NIfTI volume and cut it into slices.

    For `axial`, `coronal` and `sagittal` the volume is first brought to the closest canonical (RAS+) orientation, no
    resampling. Columns (W, the phase-encoding axis) are left-right in axial and coronal slices and anterior-posterior
    in sagittal ones, as is usual for heads. `native` keeps the order of the file: slices along the axis with the
    largest voxels (the last one if they are equal), rows and columns along the other two in their order.

    Args:
        path: the file.
        name: name of the volume, see `ImageVolume`.
        plane: one of `PLANES`.
        frame: which volume of a 4-D file; None for 3-D files.

    Returns:
        The volume as float32.

    Raises:
        ValueError: if the plane is unknown, the file cannot be read as a NIfTI image of real numbers (damaged, color,
            complex), or its dimensions are wrong.
    """
    check_plane(plane)
    image = open_nifti(path, frame=frame)
    across = 0
    if plane == "native":
        zooms = image.header.get_zooms()[:3]
        across = max(range(3), key=lambda axis: (round(float(zooms[axis]), 3), axis))
    return _readable(path, lambda: cut_slices(image, name=name, plane=plane, across=across))


def open_nifti(path: Path, *, frame: int | None = None) -> SpatialImage:
    """Open a NIfTI volume; its values are read when asked for.

    Args:
        path: the file.
        frame: which volume of a 4-D file; None for 3-D files.

    Returns:
        The image, with three dimensions.

    Raises:
        ValueError: if the file cannot be read as a NIfTI image of real numbers (damaged, color, complex), or its
            dimensions are wrong.
    """
    return _three_dimensional(_readable(path, lambda: nibabel.load(path)), path, frame)


def nifti_values(image: SpatialImage, path: Path) -> NDArray[np.float32]:
    """Values of an opened image in the order of the file.

    Args:
        image: from `open_nifti`.
        path: its file, for the message.

    Returns:
        Float32, ``(x, y, z)``.

    Raises:
        ValueError: if the file is damaged or incomplete.
    """
    return _readable(path, lambda: _values(image))


def check_plane(plane: str) -> None:
    """Reject a plane that is none of `PLANES`.

    Raises:
        ValueError: names the planes.
    """
    if plane not in PLANES:
        raise ValueError(f"plane is {plane!r}, expected one of {', '.join(PLANES)}")


def cut_slices(image: SpatialImage, *, name: str, plane: str, across: int = 0) -> ImageVolume:
    """Cut a 3-D image into slices, see `read_volume`.

    Args:
        image: the volume with its affine.
        name: name of the volume, see `ImageVolume`.
        plane: one of `PLANES`.
        across: axis that `native` cuts across; the other two become rows and columns in their order.

    Returns:
        The volume as float32.
    """
    if plane == "native":
        order = (across, *(axis for axis in range(3) if axis != across))
        data = np.transpose(_values(image), order)
    else:
        image = nibabel.as_closest_canonical(image)
        order = _CANONICAL_AXES[plane]
        data = np.transpose(_values(image), order)[:, ::-1, ::-1]
    between, row, column = (float(image.header.get_zooms()[axis]) for axis in order)
    return ImageVolume(name, np.ascontiguousarray(data), (row, column, between))


def _readable(path: Path, read: Callable[[], _T]) -> _T:
    """What `read` gives; a damaged file becomes an error that names it."""
    try:
        return read()
    except (ImageFileError, EOFError, OSError, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path}: cannot be read as a NIfTI image ({reason}); it may be damaged or incomplete, get it again"
        ) from error


def _values(image: SpatialImage) -> NDArray[np.float32]:
    return np.asarray(image.dataobj, dtype=np.float32)


def _three_dimensional(image: SpatialImage, path: Path, frame: int | None) -> SpatialImage:
    kind = np.dtype(image.get_data_dtype())
    if kind.fields is not None or not (np.issubdtype(kind, np.integer) or np.issubdtype(kind, np.floating)):
        found = "colors" if kind.fields is not None else "complex numbers" if kind.kind == "c" else f"values of {kind}"
        raise ValueError(
            f"{path}: holds {found} ({kind}), expected real magnitudes; save the magnitude as integers or floats first"
        )
    shape = image.shape
    if frame is not None:
        check_integer("frame", frame, 0)
    if len(shape) == 4 and shape[3] == 1 and frame is None:
        frame = 0
    if len(shape) == 4 and frame is not None:
        if not 0 <= frame < shape[3]:
            raise ValueError(f"{path}: frame is {frame}, but the file holds frames 0 to {shape[3] - 1}")
        return _readable(path, lambda: image.slicer[..., frame])
    if len(shape) == 4:
        raise ValueError(f"{path}: shape {shape} holds {shape[3]} volumes; choose one with frame=0 (--frame 0)")
    if len(shape) != 3 or frame is not None:
        raise ValueError(f"{path}: shape {shape}, expected (x, y, z) without frame or (x, y, z, t) with frame")
    return image
