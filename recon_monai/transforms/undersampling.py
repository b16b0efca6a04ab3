"""Retrospective undersampling of measured k-space."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Protocol

import torch
from monai.transforms import Transform
from torch import Tensor

from recon_monai.physics import SampledMask, keyed_seed, seed_from_name
from recon_monai.transforms.schedule import EpochAware

__all__ = ["Undersampled"]


class MaskFunction(Protocol):
    """What ``Undersampled`` asks of a mask, see ``recon_monai.physics.masks``."""

    def __call__(self, width: int, *, seed: Any, acceleration: int | None = None) -> SampledMask:
        """Draw a mask over ``width`` phase-encoding columns."""
        ...


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

    Sets ``mask`` (bool, ``(1, 1, W)``), ``acceleration`` (nominal, int), ``effective_acceleration`` (width over sampled
    columns, float) and ``center_fraction`` (NaN where the file's own mask is used).

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

    def _sampled(self, item: Mapping[Hashable, Any]) -> SampledMask | None:
        """The mask of one item, without the file's padding."""
        if self.mask is None:
            return None
        width = item["kspace"].shape[-1]
        seed: Any = seed_from_name(item["file"])
        if self.random:
            # 32 bits: what numpy's legacy generator takes
            seed = keyed_seed(self.seed, self.epoch, item["file"], int(item["slice"])) % 2**32
        return self.mask(width, seed=seed, acceleration=item.get("acceleration"))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a new item with masked k-space; the given one stays as it is."""
        item = dict(data)
        if "mask" in item:
            return self._note(item, item["mask"], float("nan"), None)
        sampled = self._sampled(item)
        if sampled is None:
            return item
        left, right = (int(edge) for edge in item["padding"])
        mask = sampled.mask.clone()
        mask[..., :left] = False
        mask[..., right:] = False
        return self._note(item, mask, sampled.center_fraction, sampled.acceleration)

    @staticmethod
    def _note(
        item: dict[Hashable, Any], mask: Tensor, center_fraction: float, acceleration: float | None
    ) -> dict[Hashable, Any]:
        effective = mask.numel() / max(int(mask.sum()), 1)
        item["mask"] = mask
        item["kspace"] = torch.where(mask, item["kspace"], 0)
        item["acceleration"] = round(effective if acceleration is None else acceleration)
        item["effective_acceleration"] = effective
        item["center_fraction"] = center_fraction
        return item
