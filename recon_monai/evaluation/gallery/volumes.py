"""Super-resolution of a built-in volume: interpolations, and strategies of networks trained here."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from monai.transforms import Compose
from torch import nn
from torch.nn import functional

from recon_monai import networks
from recon_monai.data import VolumeDataset
from recon_monai.evaluation.gallery.problems import fingerprint
from recon_monai.evaluation.gallery.settings import GallerySettings
from recon_monai.evaluation.gallery.workshop import Trained, keep
from recon_monai.evaluation.interpolation import BASELINES, InterpolationBaselinesd
from recon_monai.physics import keyed_generator
from recon_monai.transforms import RandomPatchd, ScaleToReferenced, SimulateLowResolutiond
from recon_monai.transforms.schedule import set_epoch

__all__ = ["STRATEGIES", "VolumeBench", "VolumeProblem", "built_in_volume", "volume_methods"]

_NOISE = 0.005


@dataclass(frozen=True, eq=False)
class VolumeProblem:
    """A volume of low resolution on the grid of the high one.

    Args:
        name: of its folder and figure.
        title: in words.
        item: of the data set, with ``image`` and ``target`` ``(1, D, H, W)``.
    """

    name: str
    title: str
    item: Mapping[Hashable, Any]

    @property
    def key(self) -> str:
        """Hash of what a result depends on."""
        return fingerprint([plain(self.item["image"]), self.target])

    @property
    def target(self) -> torch.Tensor:
        """The volume as slices along its last axis, shape ``(W, D, H)``."""
        return as_slices(self.item["target"])


STRATEGIES: Mapping[str, tuple[str, str, dict[str, Any]]] = MappingProxyType(
    {
        "mdcsrn": (
            "MDCSRN",
            "mDCSRN",
            {"blocks": 2, "units": 2, "growth": 8, "first_channels": 16, "residual": True},
        ),
        "residual_unet": ("ResidualUNetSR", "residual U-Net", {"channels": [8, 16, 32, 48]}),
        "pixel_shuffle": ("PixelShuffleSR", "pixel shuffle", {"channels": 16, "blocks": 3}),
        "progressive": ("ProgressiveSR", "progressive", {"stages": 2, "channels": 12, "blocks": 1}),
        "back_projection": ("BackProjectionSR", "back-projection", {"channels": 6, "iterations": 2}),
    }
)
"""Name to class in `recon_monai.networks`, label and sizes, small enough for a training on one core."""


def volume_methods() -> list[str]:
    """Names of the methods that this installation has, in the order of the table."""
    return [*BASELINES, *(name for name, (kind, _, _) in STRATEGIES.items() if hasattr(networks, kind))]


def volume_label(method: str) -> str:
    """A method in words."""
    return STRATEGIES[method][1] if method in STRATEGIES else f"{method} interpolation"


def built_in_volume(folder: str | Path, settings: GallerySettings) -> VolumeProblem:
    """The first test volume at low resolution.

    Args:
        folder: data set of volumes with a test part.
        settings: recipe and seed.

    Returns:
        The problem.
    """
    dataset = VolumeDataset(
        folder, "test", _transforms(settings), max_volumes=1, cache=False, recipes=[settings.recipe]
    )
    item = dataset[0]
    size = " x ".join(str(side) for side in item["target"].shape[1:])
    title = f"built-in volume: held-out test subject {item['subject']}, {size} voxels, {settings.recipe}"
    return VolumeProblem("built_in_volume", title, item)


class VolumeBench:
    """Makes the methods of super-resolution, and trains what they need.

    Args:
        folder: where networks are kept.
        dataset_dir: data set of volumes with a training part.
        settings: steps, patch, recipe and seed.
    """

    def __init__(self, folder: Path, dataset_dir: str | Path, settings: GallerySettings) -> None:
        self.folder = folder
        self.dataset_dir = Path(dataset_dir)
        self.settings = settings

    def make(self, name: str, problem: VolumeProblem) -> tuple[Callable[[], torch.Tensor], str, str]:
        """What computes the volume ``(W, D, H)``, what a reader has to know of it, and the key of the result.

        Args:
            name: one of `volume_methods`.
            problem: the volume.
        """
        if name in BASELINES:
            baseline = InterpolationBaselinesd(methods=[name])
            return lambda: as_slices(baseline(problem.item)[name]), "", name
        trained = self.network(name)
        parameters = sum(parameter.numel() for parameter in trained.network.parameters())

        @torch.no_grad()
        def sharpen() -> torch.Tensor:
            return as_slices(trained.network(plain(problem.item["image"])[None])[0])

        return sharpen, f"{trained.note}, {parameters:,} parameters", trained.key

    def network(self, name: str) -> Trained:
        """A strategy trained on patches of the training volumes.

        Args:
            name: a key of `STRATEGIES`.
        """
        kind, _, sizes = STRATEGIES[name]
        settings = self.settings
        made_with = {"data": self.dataset_dir.name, "recipe": settings.recipe, "patch": settings.patch, "sizes": sizes}
        make = partial(getattr(networks, kind), **sizes)
        return keep(
            self.folder / f"{name}.pt",
            made_with,
            settings.steps["super_resolution"],
            settings.seed,
            make,
            partial(self._train, name),
        )

    def _train(self, name: str, network: nn.Module, steps: int) -> None:
        """Mean absolute error on patches, by Adam; two patches for each update, from one volume after the other."""
        settings = self.settings
        per_volume = 32
        cut = RandomPatchd(("image", "target"), settings.patch, per_volume, seed=settings.seed)
        dataset = VolumeDataset(
            self.dataset_dir, "train", Compose([_transforms(settings), cut]), cache=False, recipes=[settings.recipe]
        )
        optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        random = keyed_generator("gallery", name, settings.seed)
        network.train()
        step = epoch = 0
        while step < steps:
            epoch += 1
            set_epoch(dataset.transform, epoch)
            patches = [patch for index in range(len(dataset)) for patch in dataset[index]]
            order = torch.randperm(len(patches), generator=random).tolist()
            for pair in zip(order[::2], order[1::2], strict=False):
                if step == steps:
                    break
                image, target = (
                    torch.stack([plain(patches[index][key]) for index in pair]) for key in ("image", "target")
                )
                loss = functional.l1_loss(network(image), target)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                step += 1
        network.eval()


def plain(volume: torch.Tensor) -> torch.Tensor:
    """A plain tensor of a MONAI one."""
    return volume.as_tensor() if hasattr(volume, "as_tensor") else volume


def as_slices(volume: torch.Tensor) -> torch.Tensor:
    """``(1, D, H, W)`` as slices ``(W, D, H)`` along the last axis."""
    return plain(volume)[0].permute(2, 0, 1).contiguous()


def _transforms(settings: GallerySettings) -> Compose:
    scale = ScaleToReferenced(("target",), "target")
    low = SimulateLowResolutiond(slice_axis=2, noise=_NOISE, interpolation="fourier", seed=settings.seed)
    return Compose([scale, low])
