"""What a comparison is made with."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal, get_args

from recon_monai.data.prepare.checks import check_integer
from recon_monai.physics import LOW_RESOLUTION_RECIPES
from recon_monai.physics.masks import SamplingMask, create_mask

__all__ = ["Bootstrap", "ComparisonSettings", "fingerprint_of"]

Bootstrap = Literal["noise", "mask"]
_SMALLEST_BLOCK = 7  # the window of SSIM


@dataclass(frozen=True)
class ComparisonSettings:
    """Data, masks and measures of a comparison, the same for every method.

    Args:
        accelerations: nominal ones of the masks that are drawn.
        center_fractions: share of calibration lines for each of them.
        mask: pattern, see `recon_monai.physics.create_mask`; drawn by file name, as in an evaluation.
        file_mask: ``"use"``, or ``"ignore"`` for the masks that files bring.
        split: part of the data sets.
        max_files: at most so many files of each anatomy and contrast in a data set; None takes all.
        max_slices: at most so many central slices of each file; None takes all.
        recipes: of low resolution, names of ``LOW_RESOLUTION_RECIPES``.
        slice_axis: across which axis slices of volumes lie, see `SimulateLowResolutiond`.
        noise: standard deviation of the noise of the low resolution, relative to the volume's robust maximum.
        anatomy: of all volumes, for their groups; None takes what is written beside them, see `volume_labels`.
        block: voxels of the middle of volumes along each axis that are measured and shown, on which networks run alone;
            None for all. The low resolution is that of the whole volume.
        shown_slices: of each volume, central ones, that are kept as images.
        consistency: whether to measure the residual against k-space and the error in the null space.
        downstream: whether to segment reconstruction and target.
        bootstrap: replicas of each acquisition for the spread; 0 for none.
        bootstrap_by: what the replicas vary: ``"noise"`` or ``"mask"``.
        seed: of replicas, low resolutions and trainings.
        device: to run networks on.
        tuning: folder of files of `recon-monai tune`; None takes those of the built-in set.

    Raises:
        ValueError: if a setting is out of range.
    """

    accelerations: tuple[int, ...] = (4, 8)
    center_fractions: tuple[float, ...] = (0.08, 0.04)
    mask: str = "equispaced_fraction"
    file_mask: Literal["use", "ignore"] = "use"
    split: str = "test"
    max_files: int | None = None
    max_slices: int | None = None
    recipes: tuple[str, ...] = ("inplane2", "isotropic2")
    slice_axis: int | Literal["random", "coarsest"] = 2
    noise: float = 0.0
    anatomy: str | None = None
    block: int | None = None
    shown_slices: int = 16
    consistency: bool = True
    downstream: bool = True
    bootstrap: int = 0
    bootstrap_by: Bootstrap = "noise"
    seed: int = 0
    device: str = "cpu"
    tuning: str | None = None

    def __post_init__(self) -> None:
        if not self.accelerations or len(self.accelerations) != len(self.center_fractions):
            raise ValueError(
                f"accelerations are {list(self.accelerations)} and center_fractions {list(self.center_fractions)}, "
                "expected one fraction for each acceleration"
            )
        for name, least in (("max_files", 1), ("max_slices", 1), ("block", _SMALLEST_BLOCK)):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), least)
        check_integer("shown_slices", self.shown_slices, 1)
        check_integer("seed", self.seed, 0)
        if self.bootstrap != 0:
            check_integer("bootstrap", self.bootstrap, 2)
        if self.bootstrap_by not in get_args(Bootstrap):
            raise ValueError(f"bootstrap_by is {self.bootstrap_by!r}, expected one of {get_args(Bootstrap)}")
        unknown = [name for name in self.recipes if name not in LOW_RESOLUTION_RECIPES]
        if unknown or not self.recipes:
            raise ValueError(f"recipes are {list(self.recipes)}, expected some of {', '.join(LOW_RESOLUTION_RECIPES)}")
        self.sampling()  # which refuses impossible masks

    def sampling(self) -> SamplingMask:
        """The mask of all methods."""
        return create_mask(self.mask, self.center_fractions, self.accelerations)  # type: ignore[arg-type]

    def sampling_configuration(self) -> dict[str, Any]:
        """The same as an entry of a bundle's configuration."""
        return {
            "_target_": "recon_monai.physics.create_mask",
            "kind": self.mask,
            "center_fractions": list(self.center_fractions),
            "accelerations": list(self.accelerations),
        }

    def low_resolution(self) -> dict[str, Any]:
        """Arguments of `SimulateLowResolutiond` that are the same for all methods.

        Truncated k-space loses its phase at its own resolution, as in the bundle of super-resolution: what inference
        gets, since files are stored at the resolution of their scan.
        """
        return {
            "recipes": {name: self._recipe(name) for name in self.recipes},
            "slice_axis": self.slice_axis,
            "noise": self.noise,
            "interpolation": "fourier",
            "seed": self.seed,
        }

    @staticmethod
    def _recipe(name: str) -> dict[str, str]:
        return {"magnitude": "coarse"} if LOW_RESOLUTION_RECIPES[name].mode == "truncate" else {}


def fingerprint_of(*parts: Any) -> str:
    """Short hash of plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]
