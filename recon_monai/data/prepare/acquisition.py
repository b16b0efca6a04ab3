"""What every kind of input is turned into before it is written: named sources that give k-space slice by slice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon_monai.data.header import AcquisitionHeader, EncodingLimits

__all__ = ["Acquisition", "KspaceSlice", "Source", "cartesian_header"]

KspaceSlice = tuple[NDArray[np.complex64], NDArray[np.float32] | None]


@dataclass(frozen=True)
class Acquisition:
    """K-space of one volume, ready to be written.

    Args:
        slices: pairs of k-space `(coil, H, W)` and target `(h, w)`; the target is None for all slices or for none.
        header: matrix and field of view.
        mask: sampled columns `(W,)` of undersampled k-space; None if fully sampled or not expressible by columns.
        attributes: attributes of the file that the input decides (source, coils, noise, ...).
    """

    slices: Iterable[KspaceSlice]
    header: AcquisitionHeader
    mask: NDArray[np.bool_] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """One file to be written.

    Args:
        name: stem of the `.h5` file.
        subject: whom the data come from; all files of a subject stay in one part of the split.
        origin: where the data lie, for messages.
        load: reads the input and gives its acquisition; called once, when the file's turn comes.
    """

    name: str
    subject: str
    origin: str
    load: Callable[[], Acquisition]


def cartesian_header(
    shape: tuple[int, int], voxel_size: Sequence[float], readout_oversampling: int = 1
) -> AcquisitionHeader:
    """Header of a Cartesian acquisition in which every column was acquired.

    Args:
        shape: `(H, W)` of the image, readout oversampling taken away.
        voxel_size: distances of rows, columns and slices in mm; NaN where unknown.
        readout_oversampling: factor by which the readout (H) is longer in k-space.

    Returns:
        The header; unknown lengths are 0, which reads back as NaN.
    """
    height, width = shape
    row, column, between = (float(size) if np.isfinite(size) else 0.0 for size in voxel_size)
    return AcquisitionHeader(
        encoded_matrix=(height * readout_oversampling, width, 1),
        recon_matrix=(height, width, 1),
        encoded_fov=(height * readout_oversampling * row, width * column, between),
        recon_fov=(height * row, width * column, between),
        phase_limits=EncodingLimits(minimum=0, maximum=width - 1, center=width // 2),
    )
