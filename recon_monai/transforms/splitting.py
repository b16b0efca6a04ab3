"""Splitting the measured samples of one scan, so that a network learns from them without a reference."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import torch
from monai.transforms import Transform

from recon_monai.physics import calibration_mask, infer_mask, keyed_generator
from recon_monai.transforms.schedule import EpochAware

__all__ = ["SplitMeasuredd", "SplitPart", "SplitUnit"]

SplitPart = Literal["train", "validation"]
SplitUnit = Literal["auto", "columns", "samples"]

_REFERENCE = ("target", "maximum")
_FEWEST = 3  # one unit each for the input, the loss and the validation


class _Units(NamedTuple):
    """What is shared out: whole columns ``(1, W)`` or single samples ``(H, W)``; and the rows that were acquired."""

    measured: torch.Tensor
    kept: torch.Tensor
    rows: torch.Tensor
    name: str

    @property
    def free(self) -> torch.Tensor:
        """Positions in the flattened mask that may be held out."""
        return (self.measured & ~self.kept).flatten().nonzero().flatten()

    def without(self, held_out: torch.Tensor) -> torch.Tensor:
        """Measured units but these, as a mask."""
        return self._mask(self.measured & ~self._at(held_out))

    def only(self, held_out: torch.Tensor) -> torch.Tensor:
        """These units, as a mask."""
        return self._mask(self._at(held_out))

    def _at(self, positions: torch.Tensor) -> torch.Tensor:
        chosen = torch.zeros(self.measured.numel(), dtype=torch.bool)
        chosen[positions] = True
        return chosen.reshape(self.measured.shape)

    def _mask(self, units: torch.Tensor) -> torch.Tensor:
        return (units if bool(self.rows.all()) else units & self.rows)[None]


class SplitMeasuredd(EpochAware, Transform):
    """Share the measured samples of an undersampled slice out to the network's input, the loss and the validation.

    Self-supervision by data undersampling (Yaman et al. 2020, doi:10.1002/mrm.28378, sections 2.2 and 2.3): the network
    sees one part of what was measured and is to predict another. A third part is fixed for a file and never trained on;
    how well it is predicted tells when to stop (zero-shot learning, Yaman et al. 2022, arXiv:2102.07737, section 3.1).

    * ``part="train"``: a `fraction` of the samples but the validation's is held out, drawn anew for every (seed, epoch,
      file, slice); the input is the rest without the validation's samples.
    * ``part="validation"``: the validation's samples are held out, by the file's name alone; the input is the rest.

    The calibration region, from which coil maps are estimated, always stays in the input and is never held out: all
    sampled columns that are contiguous around the center, or the largest sampled box of a 2-D mask.

    The item is one that is undersampled already: by its file, or by ``Undersampled`` earlier in the chain. Where it has
    no mask, the zeros of k-space tell. What was not sampled is set to zero, and the target is taken out of the item,
    so that neither can be learned from.

    Sets ``kspace`` (input samples, else 0), ``mask`` (input), ``loss_mask`` (held out), ``loss_kspace`` (held-out
    samples, else 0) and ``held_out`` (number of columns or samples held out). Masks are bool, ``(1, 1, W)`` or
    ``(1, H, W)``. An empty slice comes with all columns as input and nothing held out.

    Args:
        fraction: share of the samples that may be held out, 0 to 1; at least one unit is, and one is not.
        validation_fraction: share of the samples outside the calibration region kept for the validation.
        part: which of the two.
        unit: what the training's split is made of: ``"columns"``, ``"samples"``, or ``"auto"`` for what the mask is
            made of. Single samples of columns, as in the paper, give many more different splits. The validation's
            samples do not depend on it: they are whole columns of a mask of columns.
        seed: the run's seed, for ``part="train"``.

    Raises:
        ValueError: if a fraction is not between 0 and 1, or an option is unknown.
    """

    name: ClassVar[str] = "split of the measured samples"

    def __init__(
        self,
        fraction: float = 0.4,
        validation_fraction: float = 0.2,
        part: SplitPart = "train",
        unit: SplitUnit = "auto",
        seed: int = 0,
    ) -> None:
        EpochAware.__init__(self)
        for label, value in (("fraction", fraction), ("validation_fraction", validation_fraction)):
            if not (math.isfinite(value) and 0 < value < 1):
                raise ValueError(f"{label} is {value}, expected a number above 0 and below 1")
        for label, choice, known in (("part", part, get_args(SplitPart)), ("unit", unit, get_args(SplitUnit))):
            if choice not in known:
                raise ValueError(f"{label} is {choice!r}, expected one of {known}")
        self.fraction = fraction
        self.validation_fraction = validation_fraction
        self.part = part
        self.unit = unit
        self.seed = seed

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a new item, split; the given one stays as it is.

        Raises:
            ValueError: if too little was sampled outside the calibration region, or single samples are to be split by
                columns; names file and slice.
            CalibrationError: if the center of k-space was not sampled.
        """
        item = {key: value for key, value in data.items() if key not in _REFERENCE}
        kspace = item["kspace"]
        mask = item["mask"] != 0 if "mask" in item else infer_mask(kspace)
        where = f"{item['file']} slice {int(item['slice'])}"
        if not bool(mask.any()) and not bool(kspace.any()):
            whole = torch.ones((1, 1, kspace.shape[-1]), dtype=torch.bool)
            return self._filled(item, whole, ~whole, 0)
        file, number, height = str(item["file"]), int(item["slice"]), kspace.shape[-2]
        # by the mask's own units, whichever the training takes: it must not see a part of a column
        natural = _units(mask.expand(1, -1, -1)[0].cpu(), height, "auto", where)
        unseen = self._validation(natural, file, where)
        rest = natural.without(unseen)
        if self.part == "validation":
            return self._filled(item, rest, natural.only(unseen), len(unseen))
        units = _units(rest[0], height, self.unit, where)
        generator = keyed_generator(self.name, self.seed, self.epoch, file, number)
        held_out = _drawn(units.free, _share(self.fraction, len(units.free)), generator)
        return self._filled(item, units.without(held_out), units.only(held_out), len(held_out))

    def _validation(self, units: _Units, file: str, where: str) -> torch.Tensor:
        """Positions of the part that is never trained on."""
        count = len(units.free)
        if count < _FEWEST:
            raise ValueError(
                f"{where}: {count} {units.name} were sampled outside the calibration region, expected at least "
                f"{_FEWEST} to share out; complete k-space has to be undersampled first (--acceleration), and k-space "
                "with fewer cannot be trained on by itself"
            )
        chosen = min(_share(self.validation_fraction, count), count - 2)
        return _drawn(units.free, chosen, keyed_generator(f"validation {self.name}", file))

    @staticmethod
    def _filled(
        item: Mapping[Hashable, Any], mask: torch.Tensor, loss_mask: torch.Tensor, held_out: int
    ) -> dict[Hashable, Any]:
        measured = item["kspace"]
        return {
            **item,
            "kspace": torch.where(mask, measured, 0),
            "mask": mask,
            "loss_kspace": torch.where(loss_mask, measured, 0),
            "loss_mask": loss_mask,
            "held_out": held_out,
        }


def _drawn(positions: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    return positions[torch.randperm(len(positions), generator=generator)[:count]]


def _share(fraction: float, count: int) -> int:
    """So many of `count`, but neither none nor all."""
    return min(max(round(fraction * count), 1), count - 1)


def _units(mask: torch.Tensor, height: int, unit: SplitUnit, where: str) -> _Units:
    """What may be shared out of a mask ``(1 or H, W)``."""
    columns = mask.any(dim=0, keepdim=True)
    rows = mask.any(dim=1, keepdim=True)  # a partial readout leaves whole rows out
    of_columns = bool((mask == (columns & rows)).all())
    if unit == "columns" and not of_columns:
        raise ValueError(f"{where}: its mask is 2-D, expected columns to split by; use unit 'auto' or 'samples'")
    if of_columns and unit != "samples":
        return _Units(columns, calibration_mask(columns[None], "run")[0], rows, "columns")
    samples = mask.expand(height, -1)
    kept = calibration_mask(columns[None], "run")[0] & samples if of_columns else calibration_mask(samples[None])[0]
    return _Units(samples, kept, torch.ones_like(rows), "samples")
