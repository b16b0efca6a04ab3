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

    Only rows are cropped, where there are more of them than columns (phase encoding); other items pass as they are.
    k-space may be complete or masked already (see `crop_readout`): goes before or after ``Undersampled``, and best
    before augmentation, which then has less to transform.

    The rows are the center ones, to the pixel such that bringing the square to ``output_size`` (``center_crop_or_pad``,
    as ``ReconstructionInferer`` and ``ZeroFilledd`` do) gives what it gives without the square. ``target`` and
    ``output_size`` stay as they are: a target smaller than the square is its center; where it is larger, the output is
    padded with zeros. An item without target whose ``output_size`` is the whole k-space is to be the square.

    With ``full_target`` the target becomes the root sum of squares of all that is left, ``(1, W, W)``, and
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
        height, width = item["kspace"].shape[-2:]
        if height > width:
            _crop(item, height, width)
        if not full_target:
            return item
        item["output_size"] = torch.tensor(item["kspace"].shape[-2:])
        return replace_kspace(item, item["kspace"])


def _crop(item: dict[Hashable, Any], height: int, width: int) -> None:
    if "mask" in item:
        mask: torch.Tensor = item["mask"]
        if not bool((mask == mask[..., :1, :]).all()):
            raise _mixed(item, "its mask samples")
        item["mask"] = mask[..., :1, :]
    elif not _has_columns(item["kspace"]):
        raise _mixed(item, "its k-space holds")
    rows, columns = (int(length) for length in item["output_size"])
    if "target" not in item and (rows, columns) == (height, width):
        rows = width
        item["output_size"] = torch.tensor([width, width])
    item["kspace"] = crop_readout(item["kspace"], _margin(height, rows) - _margin(width, rows), width)


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
    """Lines that ``center_crop_or_pad`` removes before the wanted ones (negative: adds)."""
    return (full - wanted) // 2 if wanted <= full else -((wanted - full) // 2)
