"""The field of view without readout oversampling."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import Transform

from recon_monai.physics import crop_readout
from recon_monai.transforms.target import replace_kspace
from recon_monai.transforms.undersampling import check_fully_sampled

__all__ = ["SquareFieldOfViewd"]

_MOST_ZEROS = 0.05  # of the samples


class SquareFieldOfViewd(Transform):
    """Crop the field of view along the oversampled readout to a square of pixels: ``H`` rows become ``W``.

    Only rows are cropped, and of them only what readout oversampling added: where ``output_size``, of the target or the
    header, has as many rows as k-space (or more), nothing is; where it has more than a square would, that many stay. So
    nothing that an output shows is lost. Where there are fewer rows than columns (phase encoding), none are cropped.
    k-space may be complete or masked already (see `crop_readout`): goes before or after ``Undersampled``, and best
    before augmentation, which then has less to transform.

    The rows are the center ones, to the pixel such that bringing the square to ``output_size`` (``center_crop_or_pad``,
    as ``ReconstructionInferer`` and ``ZeroFilledd`` do) gives what it gives without the square. ``target`` and
    ``output_size`` stay as they are: a target smaller than the square is its center; columns that k-space does not
    have are zeros in the output.

    With ``full_target`` the target becomes the root sum of squares of all that is left, and
    ``output_size`` follows, so that a loss sees the whole square; this is done to all items with a target, also
    to those that are not cropped. ``maximum`` stays, and must be in the scale of k-space.

    A mask of single samples that has equal rows becomes one of columns; any other one would not hold for the new rows.
    Rows of k-space that are zero (partial readout) are filled.

    Args:
        full_target: make the target anew; k-space has to be complete, so that this goes before ``Undersampled``.
    """

    def __init__(self, full_target: bool = False) -> None:
        self.full_target = full_target

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a new item; the given one stays as it is.

        Raises:
            ValueError: if the mask of an item to be cropped differs from row to row, or where there is none, the zeros
                of its k-space do; or with ``full_target`` k-space was acquired undersampled.
        """
        item = dict(data)
        full_target = self.full_target and "target" in item
        if full_target:
            check_fully_sampled(item)
        if item["kspace"].shape[-2] > _rows(item):
            _crop(item)
        if not full_target:
            return item
        item["output_size"] = torch.tensor(item["kspace"].shape[-2:])
        return replace_kspace(item, item["kspace"])


def _rows(item: Mapping[Hashable, Any]) -> int:
    """Rows that are to stay: those of a square, or of the output where it has more."""
    return max(int(item["kspace"].shape[-1]), int(item["output_size"][0]))


def _crop(item: dict[Hashable, Any]) -> None:
    if "mask" in item:
        mask: torch.Tensor = item["mask"]
        if not bool((mask == mask[..., :1, :]).all()):
            raise _mixed(item, "its mask samples")
        item["mask"] = mask[..., :1, :]
    elif not _has_columns(item["kspace"]):
        raise _mixed(item, "its k-space holds")
    height, rows, wanted = int(item["kspace"].shape[-2]), _rows(item), int(item["output_size"][0])
    item["kspace"] = crop_readout(item["kspace"], _margin(height, wanted) - _margin(rows, wanted), rows)


def _has_columns(kspace: torch.Tensor) -> bool:
    """Whether columns are either complete or empty, apart from empty rows and few zeros by chance."""
    sampled = (kspace != 0).any(dim=0)
    sampled = sampled[sampled.any(dim=-1)]
    gaps = sampled.any(dim=0) & ~sampled
    return int(gaps.sum()) <= _MOST_ZEROS * int(sampled.sum())


def _mixed(item: Mapping[Hashable, Any], found: str) -> ValueError:
    return ValueError(
        f"{item['file']} slice {int(item['slice'])}: {found} other columns in other rows, and cropping the readout "
        "mixes rows; leave the field of view as it is (--square_field_of_view False), or, where masks are drawn, crop "
        "before Undersampled does"
    )


def _margin(full: int, wanted: int) -> int:
    """Lines that ``center_crop_or_pad`` removes before the wanted ones."""
    return (full - wanted) // 2
