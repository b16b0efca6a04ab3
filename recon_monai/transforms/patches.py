"""Random patches of paired volumes."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, SpatialCrop, SpatialPad
from monai.transforms.traits import MultiSampleTrait, RandomizableTrait

from recon_monai.physics import keyed_generator
from recon_monai.transforms.schedule import EpochAware
from recon_monai.transforms.volume_items import checked_volume, file_of

__all__ = ["RandomPatchd"]

logger = logging.getLogger(__name__)


class RandomPatchd(EpochAware, MapTransform, MultiSampleTrait, RandomizableTrait):
    """Cut patches at the same places out of all volumes of an item, mostly where there is something to see.

    A share of the patches has a voxel of the foreground in its middle (or, where that lies too close to the edge, as
    near to it as the volume allows); the others lie anywhere. Every patch has a generator of its own, keyed by (seed,
    epoch, file, number of the patch), with the item's ``visit`` in place of the epoch where it has one. MONAI's
    ``RandCropByPosNegLabeld`` and ``RandWeightedCropd`` do not offer that: they draw all patches from one state, so
    that a patch would depend on how many are cut. Cropping and padding are MONAI's and keep the affine right.

    Volumes smaller than a patch are padded with zeros on both sides, which is said once for each file; whole volumes
    in ``SeamlessInferer`` are continued by their border instead, as they may end within the head. Returns a list
    of items, as MONAI's transforms of several samples do (``list_data_collate`` makes one batch of them); each has
    ``patch`` (its number) and ``patch_start`` (int64 ``(3,)``: first voxel, in the volume as padded).

    Args:
        keys: of the volumes ``(C, D, H, W)``, all on one grid.
        patch_size: one number or three.
        patches: how many per volume.
        foreground: share of patches around the foreground, 0 to 1.
        reference: key of the volume that says what is foreground.
        threshold: above which it is; after `ScaleToReferenced` in units of the robust maximum.
        seed: the run's seed.
        allow_missing_keys: leave out keys that an item does not have.

    Raises:
        ValueError: if an argument cannot be used; and on items whose volumes differ in size or hold NaN or infinity, or
            whose reference is constant: names the file.
    """

    def __init__(
        self,
        keys: KeysCollection = ("image", "target"),
        patch_size: int | Sequence[int] = 32,
        patches: int = 1,
        foreground: float = 0.9,
        reference: str = "target",
        threshold: float = 0.05,
        seed: int = 0,
        allow_missing_keys: bool = False,
    ) -> None:
        EpochAware.__init__(self)
        MapTransform.__init__(self, keys, allow_missing_keys)
        sizes = [patch_size] * 3 if isinstance(patch_size, int) else [int(size) for size in patch_size]
        if len(sizes) != 3 or min(sizes) < 1 or patches < 1:
            raise ValueError(
                f"patch_size is {patch_size} and patches {patches}, expected one or three positive sizes, and at "
                "least one patch"
            )
        if not 0 <= foreground <= 1:
            raise ValueError(f"foreground is {foreground}, expected a share from 0 to 1")
        self.patch_size = sizes
        self.patches = patches
        self.foreground = foreground
        self.reference = reference
        self.threshold = threshold
        self.seed = seed
        self._said: set[str] = set()

    def __call__(self, data: Mapping[Hashable, Any]) -> list[dict[Hashable, Any]]:
        """Return the patches, each a new item."""
        item = dict(data)
        file = file_of(item)
        self._check(item, file)
        self._pad(item, file)
        reference = checked_volume(item, self.reference)[0]
        inside = torch.nonzero((reference > self.threshold).flatten()).squeeze(1)
        cut = []
        for number in range(self.patches):
            start = self._start((int(item.get("visit", self.epoch)), file, number), reference.shape, inside)
            crop = SpatialCrop(roi_start=start, roi_end=[s + n for s, n in zip(start, self.patch_size, strict=True)])
            patch = {**item, "patch": number, "patch_start": torch.tensor(start)}
            for key in self.key_iterator(item):
                # a copy, or a patch in a batch or a cache would hold the whole volume
                patch[key] = crop(item[key]).clone(memory_format=torch.contiguous_format)
            cut.append(patch)
        return cut

    def _check(self, item: Mapping[Hashable, Any], file: str) -> None:
        shapes = {key: tuple(checked_volume(item, key).shape[1:]) for key in self.key_iterator(dict(item))}
        if len(set(shapes.values())) > 1:
            raise ValueError(
                f"{file}: the volumes have shapes {shapes}, expected one grid for all; resample the low "
                "resolution first"
            )
        lowest, highest = torch.aminmax(checked_volume(item, self.reference))
        if bool(lowest == highest):
            raise ValueError(
                f"{file}: {self.reference!r} is {float(lowest):g} everywhere, expected an image; leave the file out"
            )

    def _pad(self, item: dict[Hashable, Any], file: str) -> None:
        shape = item[self.reference].shape[1:]
        if all(size >= wanted for size, wanted in zip(shape, self.patch_size, strict=True)):
            return
        if file not in self._said:
            self._said.add(file)
            logger.warning("%s: %s voxels are padded to patches of %s", file, tuple(shape), tuple(self.patch_size))
        pad = SpatialPad(self.patch_size)
        for key in self.key_iterator(item):
            item[key] = pad(item[key])

    def _start(self, key: tuple[int, str, int], shape: Sequence[int], inside: torch.Tensor) -> list[int]:
        """First voxel of a patch."""
        generator = keyed_generator("patch", self.seed, *key)
        chance = torch.rand(5, generator=generator, dtype=torch.float64).tolist()
        free = [size - wanted for size, wanted in zip(shape, self.patch_size, strict=True)]
        if chance[0] < self.foreground and len(inside):
            flat = int(inside[int(chance[1] * len(inside))])
            middle = [int(index) for index in torch.unravel_index(torch.tensor(flat), tuple(shape))]
            wanted = [place - size // 2 for place, size in zip(middle, self.patch_size, strict=True)]
            return [min(max(first, 0), last) for first, last in zip(wanted, free, strict=True)]
        return [int(share * (last + 1)) for share, last in zip(chance[2:], free, strict=True)]
