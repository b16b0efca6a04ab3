"""Super-resolution of a built-in volume: interpolations, solvers, strategies trained here, and the shipped network."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from monai.inferers import SimpleInferer
from monai.transforms import Compose
from torch import nn
from torch.nn import functional

from recon_monai import networks
from recon_monai.data import VolumeDataset
from recon_monai.evaluation.gallery.problems import fingerprint
from recon_monai.evaluation.gallery.settings import GallerySettings
from recon_monai.evaluation.gallery.shipped import NOTE, shipped_network
from recon_monai.evaluation.gallery.store import result_key
from recon_monai.evaluation.gallery.tuned import best_weight
from recon_monai.evaluation.gallery.workshop import Trained, keep
from recon_monai.evaluation.interpolation import BASELINES, InterpolationBaselinesd
from recon_monai.inferers import SeamlessInferer
from recon_monai.physics import LOW_RESOLUTION_RECIPES, KspaceTruncation, LinearOperator, keyed_generator
from recon_monai.solvers import l1_wavelet, tikhonov, total_variation
from recon_monai.transforms import RandomPatchd, ScaleToReferenced, SimulateLowResolutiond
from recon_monai.transforms.schedule import set_epoch

__all__ = ["SHIPPED", "STRATEGIES", "VolumeBench", "VolumeProblem", "built_in_volume", "volume_methods"]

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


class Solver(NamedTuple):
    """An entry of `SOLVERS`.

    Attributes:
        label: in words.
        solve: ``solve(operator, data, weight)``.
    """

    label: str
    solve: Callable[[LinearOperator, torch.Tensor, float], torch.Tensor]


SOLVERS: Mapping[str, Solver] = MappingProxyType(
    {
        "tikhonov_gradient": Solver(
            "Tikhonov, gradient", lambda a, y, w: tikhonov(a, y, w, on="gradient", iterations=20).image
        ),
        "total_variation": Solver("total variation", lambda a, y, w: total_variation(a, y, w, iterations=30).image),
        "l1_wavelet": Solver("L1-wavelet", lambda a, y, w: l1_wavelet(a, y, w, iterations=30).image),
    }
)
"""Name to solver for volumes whose k-space was cut; names are those of ``METHODS``.

Least squares and Tikhonov on the image are left out: of a part of k-space they make sinc interpolation, up to a factor.
"""
SHIPPED = "mdcsrn_wgan_gp"
"""The bundle whose network is shown as shipped, under its name."""
_WEIGHTS = (0.0003, 0.001, 0.003, 0.01, 0.03)
_TUNING_SLICES = 8


def volume_methods() -> list[str]:
    """Names of the methods, in the order of the table."""
    return [*BASELINES, *SOLVERS, *STRATEGIES, SHIPPED]


def volume_label(method: str) -> str:
    """A method in words."""
    if method in SOLVERS:
        return SOLVERS[method].label
    if method == SHIPPED:
        return SHIPPED
    return STRATEGIES[method][1] if method in STRATEGIES else f"{method} interpolation"


def built_in_volume(folder: str | Path, settings: GallerySettings) -> VolumeProblem:
    """The first test volume at low resolution.

    Args:
        folder: data set of volumes with a test part.
        settings: recipe and seed.

    Returns:
        The problem.
    """
    item = _volume(folder, "test", settings)
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
        if name in SOLVERS:
            operator = self._operator(problem.target.shape)
            weight = self.weight(name)
            volume = as_slices(problem.item["image"])
            return (
                lambda: SOLVERS[name].solve(operator, volume[None], weight)[0],
                f"weight {weight:g}",
                f"{name} {weight}",
            )
        infer: Callable[[torch.Tensor, nn.Module], torch.Tensor] = SimpleInferer()
        if name == SHIPPED:
            network, infer = shipped_network(SHIPPED), SeamlessInferer()
            note, key = NOTE, f"shipped {SHIPPED}"
        else:
            network, note, key = self.network(name)
        parameters = sum(parameter.numel() for parameter in network.parameters())

        @torch.no_grad()
        def sharpen() -> torch.Tensor:
            return as_slices(infer(plain(problem.item["image"])[None], network)[0])

        return sharpen, f"{note}, {parameters:,} parameters", key

    def network(self, name: str) -> Trained:
        """A strategy trained on patches of the training volumes.

        Args:
            name: a key of `STRATEGIES`.
        """
        *_, sizes = STRATEGIES[name]
        settings = self.settings
        made_with = {"data": self.dataset_dir.name, "recipe": settings.recipe, "patch": settings.patch, "sizes": sizes}
        return keep(
            self.folder / f"{name}.pt",
            made_with,
            settings.steps["super_resolution"],
            settings.seed,
            partial(self.untrained, name),
            partial(self._train, name),
        )

    def weight(self, name: str) -> float:
        """The weight with the lowest mean squared error on slices in the middle of the first validation volume.

        Args:
            name: a key of `SOLVERS`.
        """
        item = _volume(self.dataset_dir, "val", self.settings)
        image, target = as_slices(item["image"]), as_slices(item["target"])
        first = (len(target) - min(_TUNING_SLICES, len(target))) // 2
        image, target = (volume[first : first + _TUNING_SLICES] for volume in (image, target))
        operator = self._operator(target.shape)
        return best_weight(
            self.folder.parent / "tuning" / f"volume_{name}.json",
            result_key(fingerprint([image, target]), repr((name, _WEIGHTS))),
            _WEIGHTS,
            lambda weight: float((SOLVERS[name].solve(operator, image[None], weight)[0] - target).square().mean()),
        )

    def _operator(self, shape: Sequence[int]) -> LinearOperator:
        """``A`` of the recipe on slices ``(W, D, H)``, whose k-space was cut in the plane."""
        recipe = LOW_RESOLUTION_RECIPES[self.settings.recipe]
        if (recipe.mode, recipe.axes) != ("truncate", "in_plane"):
            raise ValueError(f"recipe {self.settings.recipe} is {recipe}, expected truncation in the plane of slices")
        return KspaceTruncation(recipe.keep, shape, axes=(-2, -1))

    def untrained(self, name: str) -> nn.Module:
        """A strategy as it is built.

        Args:
            name: a key of `STRATEGIES`.
        """
        kind, _, sizes = STRATEGIES[name]
        network: nn.Module = getattr(networks, kind)(**sizes)
        return network

    def _train(self, name: str, network: nn.Module, steps: int) -> None:
        """Mean absolute error on patches, by Adam."""
        optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        network.train()
        for image, target in self.patches(name, steps):
            loss = functional.l1_loss(network(image), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        network.eval()

    def patches(self, key: str, steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Pairs of low and high resolution to train on, two patches ``(2, 1, p, p, p)`` for each update.

        Args:
            key: with the seed, of their order.
            steps: number of updates.

        Yields:
            Image and target.
        """
        settings = self.settings
        per_volume = 32
        cut = RandomPatchd(("image", "target"), settings.patch, per_volume, seed=settings.seed)
        dataset = VolumeDataset(
            self.dataset_dir, "train", Compose([_transforms(settings), cut]), cache=False, recipes=[settings.recipe]
        )
        random = keyed_generator("gallery", key, settings.seed)
        step = epoch = 0
        while step < steps:
            epoch += 1
            set_epoch(dataset.transform, epoch)
            patches = [patch for index in range(len(dataset)) for patch in dataset[index]]
            order = torch.randperm(len(patches), generator=random).tolist()
            for pair in list(zip(order[::2], order[1::2], strict=False))[: steps - step]:
                step += 1
                image, target = (
                    torch.stack([plain(patches[index][name]) for index in pair]) for name in ("image", "target")
                )
                yield image, target


def plain(volume: torch.Tensor) -> torch.Tensor:
    """A plain tensor of a MONAI one."""
    return volume.as_tensor() if hasattr(volume, "as_tensor") else volume


def as_slices(volume: torch.Tensor) -> torch.Tensor:
    """``(1, D, H, W)`` as slices ``(W, D, H)`` along the last axis."""
    return plain(volume)[0].permute(2, 0, 1).contiguous()


def _volume(folder: str | Path, part: str, settings: GallerySettings) -> dict[Hashable, Any]:
    dataset = VolumeDataset(folder, part, _transforms(settings), max_volumes=1, cache=False, recipes=[settings.recipe])
    return dataset[0]


def _transforms(settings: GallerySettings) -> Compose:
    scale = ScaleToReferenced(("target",), "target")
    low = SimulateLowResolutiond(slice_axis=2, noise=_NOISE, interpolation="fourier", seed=settings.seed)
    return Compose([scale, low])
