"""What a gallery is made with: sizes of its trainings, limits, seed."""

from __future__ import annotations

from dataclasses import dataclass, field

from recon_monai.data.prepare.checks import check_integer
from recon_monai.physics.masks import SamplingMask, create_mask
from recon_monai.solvers.time_limit import check_time_limit

__all__ = ["GallerySettings"]

_STEPS = {
    "image_unet": 600,
    "unrolled": 450,
    "kspace_network": 800,
    "denoiser": 1500,
    "generator": 1500,
    "super_resolution": 1000,
    "losses": 600,
}


@dataclass(frozen=True)
class GallerySettings:
    """Sizes of a gallery.

    Args:
        time_limit: seconds for each reconstruction by a slow method, coil maps not included.
        seed: of trainings, noise and searches.
        acceleration: nominal acceleration of the k-space.
        center_fraction: fraction of calibration lines.
        mask: kind of mask, see ``recon_monai.physics.create_mask``; drawn by file name, as in an evaluation.
        steps: updates of each training, by part: a network, ``denoiser``, ``generator``, ``super_resolution``,
            ``losses`` (further steps by each).
        channels: width of the networks trained here.
        pools: their poolings.
        patch: side of the patches that super-resolution is trained on, in voxels.
        recipe: low resolution of the volume, a name of ``LOW_RESOLUTION_RECIPES``.

    Raises:
        ValueError: if a setting is out of range.
    """

    time_limit: float = 30.0
    seed: int = 0
    acceleration: int = 4
    center_fraction: float = 0.08
    mask: str = "equispaced_fraction"
    steps: dict[str, int] = field(default_factory=lambda: dict(_STEPS))
    channels: int = 9
    pools: int = 4
    patch: int = 24
    recipe: str = "inplane2"

    def __post_init__(self) -> None:
        check_time_limit(self.time_limit)
        check_integer("seed", self.seed, 0)
        if set(self.steps) != set(_STEPS):
            raise ValueError(f"steps are given for {sorted(self.steps)}, expected {sorted(_STEPS)}")
        for name, number in self.steps.items():
            check_integer(f"steps of {name}", number, 1)

    def sampling(self) -> SamplingMask:
        """The mask of all k-space, in trainings as well."""
        return create_mask(self.mask, [self.center_fraction], [self.acceleration])  # type: ignore[arg-type]
