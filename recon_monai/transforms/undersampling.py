"""Retrospective undersampling of measured k-space."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Literal, Protocol

import torch
from monai.transforms import Transform

from recon_monai.physics import SampledMask, keyed_seed, seed_from_name
from recon_monai.transforms.schedule import EpochAware

__all__ = ["Undersampled", "check_fully_sampled", "mask_kind"]

_MOST_ZEROS = 0.05  # a single sample may be zero by chance
_GAPS_HELD = 0.5  # complete k-space holds nearly all that its mask leaves out, undersampled k-space nothing of it


class MaskFunction(Protocol):
    """What ``Undersampled`` asks of a mask, see ``recon_monai.physics.masks``."""

    def __call__(self, shape: tuple[int, int], *, seed: Any, acceleration: int | None = None) -> SampledMask:
        """Draw a mask for k-space of ``(H, W)`` samples, W along phase encoding."""
        ...


def mask_kind(mask: MaskFunction) -> str:
    """Name of a mask's pattern: its ``kind``, for masks made elsewhere the name of their class."""
    return str(getattr(mask, "kind", type(mask).__name__))


def check_fully_sampled(item: Mapping[Hashable, Any]) -> None:
    """Refuse k-space that was acquired undersampled, where a step needs all of it.

    A second mask on top would claim samples that nobody measured, and a phase would smear samples into the gaps. What
    counts are the zeros of k-space: a file may bring a mask for k-space that is complete (retrospective undersampling).

    Args:
        item: with ``kspace`` ``(coil, H, W)``, ``padding``, ``file``, ``slice``, perhaps ``mask``.

    Raises:
        ValueError: if k-space is zero where its own mask samples nothing, or has zeros beyond zero-padded edges and a
            partial readout.
    """
    left, right = (int(edge) for edge in item["padding"])
    sampled = (item["kspace"][..., left:right] != 0).any(dim=0)
    rows = sampled.any(dim=-1)  # a partial or zero-padded readout is no undersampling
    if not bool(rows.any()):
        return
    sampled = sampled[rows]
    found = ""
    if "mask" in item:
        mask = item["mask"].expand(1, *item["kspace"].shape[-2:])[0, :, left:right]
        gaps = sampled[~mask[rows]]
        if gaps.numel() > 0 and float(gaps.float().mean()) < _GAPS_HELD:
            found = "its k-space is zero where its own mask samples nothing"
    missing = 1 - float(_without_edges(sampled).float().mean())
    if not found and missing > _MOST_ZEROS:
        found = f"{missing:.0%} of its k-space is zero"
    if found:
        raise ValueError(
            f"{item['file']} slice {int(item['slice'])}: {found}, so it was acquired undersampled already and cannot "
            "be undersampled again or given a phase; reconstruct it as it is (inference without --acceleration), or "
            "leave it out"
        )


def _without_edges(sampled: torch.Tensor) -> torch.Tensor:
    """Without the zero-padding that a file without header does not tell of: the same on both sides, no wide gap."""
    columns = sampled.any(dim=0).nonzero().flatten()
    width = sampled.shape[-1]
    edge = min(int(columns[0]), width - 1 - int(columns[-1]), width // 4)
    return sampled[:, edge : width - edge]


class Undersampled(EpochAware, Transform):
    """Mask the k-space of an item, and note which mask and which acceleration it was.

    The mask comes from, in this order:

    1. the file: an item that brings its own ``mask`` keeps it, be it a prospectively undersampled acquisition or
       complete k-space with a mask to apply (the paired layout), unless ``file_mask="ignore"``;
    2. ``mask``: drawn anew for every (seed, epoch, file, slice) where ``random``, else from the file's name alone, bit
       for bit as fastMRI draws it (one mask per file, the same in every run);
    3. neither (``mask=None``): k-space stays as it is, and the networks infer the mask from its zeros.

    An item that holds ``acceleration`` (a validation set repeated per acceleration) gets that one, otherwise one of the
    mask's accelerations is drawn. Zero-padded edges of k-space, which the scanner never measured, count as not sampled
    (Zbontar et al. 2018, arXiv:1811.08839, section 4).

    Sets ``mask`` (bool, ``(1, 1, W)``, or ``(1, H, W)`` if it is 2-D), ``acceleration`` (nominal; the effective one
    rounded where a file with a mask of its own does not say), ``effective_acceleration`` (samples over sampled ones)
    ``center_fraction`` (NaN for a file's own mask) and ``mask_kind`` (of the drawn mask; ``"columns"`` or ``"2-D"`` for
    a file's own one).

    Args:
        mask: a mask of ``recon_monai.physics``, or None.
        random: draw anew in every epoch and slice (training) instead of by file name (validation and test).
        seed: the run's seed, used where ``random``.
        file_mask: ``"use"``, or ``"ignore"`` to forget the mask that an item brings, and the acceleration stated for
            it, and to draw one from complete k-space (see ``FastMRISliceDataset`` for the same option).

    Raises:
        ValueError: if ``file_mask`` is something else.

    Examples:
        >>> import torch
        >>> from recon_monai.physics import EquispacedFractionMask
        >>> from recon_monai.transforms import Undersampled
        >>> item = {"kspace": torch.randn(4, 48, 40, dtype=torch.complex64), "file": "scan.h5", "slice": 0}
        >>> item["padding"] = torch.tensor([0, 40])  # columns that were acquired
        >>> mask = EquispacedFractionMask([0.1], [4])
        >>> sampled = Undersampled(mask=mask, random=False)(item)  # seeded by the name of the file
        >>> sampled["mask"].shape, int(sampled["mask"].sum()), int(sampled["acceleration"])
        (torch.Size([1, 1, 40]), 10, 4)
    """

    def __init__(
        self,
        mask: MaskFunction | None,
        random: bool = False,
        seed: int = 0,
        file_mask: Literal["use", "ignore"] = "use",
    ) -> None:
        EpochAware.__init__(self)
        if file_mask not in ("use", "ignore"):
            raise ValueError(f"file_mask is {file_mask!r}, expected 'use' or 'ignore'")
        self.mask = mask
        self.random = random
        self.seed = seed
        self.file_mask = file_mask

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a new item with masked k-space; the given one stays as it is.

        Raises:
            ValueError: if a mask is to be drawn, or the file's one ignored, for k-space that was acquired
                undersampled.
        """
        item = dict(data)
        if "mask" in item and self.file_mask == "ignore":
            check_fully_sampled(item)
            del item["mask"]
            item.pop("acceleration", None)
        kind = None
        if "mask" in item:
            mask, center_fraction, nominal = item["mask"], float("nan"), item.get("acceleration")
        elif self.mask is None:
            return item
        else:
            check_fully_sampled(item)
            drawn = self._draw(self.mask, item)
            mask, center_fraction, nominal = drawn.mask, drawn.center_fraction, drawn.acceleration
            kind = drawn.kind or mask_kind(self.mask)
        left, right = (int(edge) for edge in item["padding"])
        mask = mask.clone()
        mask[..., :left] = False
        mask[..., right:] = False
        effective = mask.numel() / max(int(mask.sum()), 1)
        item["mask"] = mask
        item["kspace"] = torch.where(mask, item["kspace"], 0)
        item["acceleration"] = round(effective) if nominal is None else nominal
        item["effective_acceleration"] = effective
        item["center_fraction"] = center_fraction
        item["mask_kind"] = kind or ("columns" if mask.shape[-2] == 1 else "2-D")
        return item

    def _draw(self, mask: MaskFunction, item: Mapping[Hashable, Any]) -> SampledMask:
        """The mask of one item, without the file's padding."""
        seed: Any = seed_from_name(item["file"])
        if self.random:
            # 32 bits: what numpy's legacy generator takes
            seed = keyed_seed(self.seed, self.epoch, item["file"], int(item["slice"])) % 2**32
        height, width = item["kspace"].shape[-2:]
        return mask((height, width), seed=seed, acceleration=item.get("acceleration"))
