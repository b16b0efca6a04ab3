"""Retrospective undersampling of measured k-space."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Protocol

import torch
from monai.transforms import Transform

from recon_monai.physics import SampledMask, keyed_seed, seed_from_name
from recon_monai.transforms.schedule import EpochAware

__all__ = ["Undersampled", "check_fully_sampled"]

_MOST_ZEROS = 0.05  # a single sample may be zero by chance


class MaskFunction(Protocol):
    """What ``Undersampled`` asks of a mask, see ``recon_monai.physics.masks``."""

    def __call__(self, width: int, *, seed: Any, acceleration: int | None = None) -> SampledMask:
        """Draw a mask over ``width`` phase-encoding columns."""
        ...


def check_fully_sampled(item: Mapping[Hashable, Any]) -> None:
    """Refuse k-space that was acquired undersampled, where a step needs all of it.

    A second mask on top would claim samples that nobody measured, and a phase would smear samples into the gaps.

    Args:
        item: with ``kspace`` ``(coil, H, W)``, ``padding``, ``file``, ``slice``, perhaps ``mask``.

    Raises:
        ValueError: if the item has a mask of its own, or zeros beyond zero-padded edges and a partial readout.
    """
    left, right = (int(edge) for edge in item["padding"])
    sampled = (item["kspace"][..., left:right] != 0).any(dim=0)
    rows = sampled.any(dim=-1)  # a partial or zero-padded readout is no undersampling
    missing = 1 - float(sampled[rows].float().mean()) if bool(rows.any()) else 0.0
    if "mask" in item or missing > _MOST_ZEROS:
        found = "it has a mask of its own" if "mask" in item else f"{missing:.0%} of its k-space is zero"
        raise ValueError(
            f"{item['file']} slice {int(item['slice'])}: {found}, so it was acquired undersampled already and cannot "
            "be undersampled again or given a phase; reconstruct it as it is (inference without --acceleration), or "
            "leave it out"
        )


class Undersampled(EpochAware, Transform):
    """Mask the k-space of an item, and note which mask and which acceleration it was.

    The mask comes from, in this order:

    1. the file: an item that brings its own ``mask`` is a prospectively undersampled acquisition and keeps it;
    2. ``mask``: drawn anew for every (seed, epoch, file, slice) where ``random``, else from the file's name alone, bit
       for bit as fastMRI draws it (one mask per file, the same in every run);
    3. neither (``mask=None``): k-space stays as it is, and the networks infer the mask from its zeros.

    An item that holds ``acceleration`` (a validation set repeated per acceleration) gets that one, otherwise one of the
    mask's accelerations is drawn. Zero-padded edges of k-space, which the scanner never measured, count as not sampled
    (Zbontar et al. 2018, arXiv:1811.08839, section 4).

    Sets ``mask`` (bool, ``(1, 1, W)``), ``acceleration`` (nominal; the effective one rounded where a file with a mask
    of its own does not say), ``effective_acceleration`` (width over sampled columns) and ``center_fraction`` (NaN for
    a file's own mask).

    Args:
        mask: a mask of ``recon_monai.physics``, or None.
        random: draw anew in every epoch and slice (training) instead of by file name (validation and test).
        seed: the run's seed, used where ``random``.
    """

    def __init__(self, mask: MaskFunction | None, random: bool = False, seed: int = 0) -> None:
        EpochAware.__init__(self)
        self.mask = mask
        self.random = random
        self.seed = seed

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a new item with masked k-space; the given one stays as it is.

        Raises:
            ValueError: if a mask is to be drawn for k-space that was acquired undersampled.
        """
        item = dict(data)
        if "mask" in item:
            mask, center_fraction, nominal = item["mask"], float("nan"), item.get("acceleration")
        elif self.mask is None:
            return item
        else:
            check_fully_sampled(item)
            drawn = self._draw(self.mask, item)
            mask, center_fraction, nominal = drawn.mask, drawn.center_fraction, drawn.acceleration
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
        return item

    def _draw(self, mask: MaskFunction, item: Mapping[Hashable, Any]) -> SampledMask:
        """The mask of one item, without the file's padding."""
        seed: Any = seed_from_name(item["file"])
        if self.random:
            # 32 bits: what numpy's legacy generator takes
            seed = keyed_seed(self.seed, self.epoch, item["file"], int(item["slice"])) % 2**32
        return mask(item["kspace"].shape[-1], seed=seed, acceleration=item.get("acceleration"))
