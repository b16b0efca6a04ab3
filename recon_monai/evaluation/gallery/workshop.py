"""Small trainings of what has no shipped weights: made once, kept in the folder of the gallery."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from monai.networks.nets import Generator
from monai.transforms import Compose
from torch import nn
from torch.nn import functional

from recon_monai.data import FastMRISliceDataset, atomic_path, read_split
from recon_monai.evaluation.gallery.settings import GallerySettings
from recon_monai.losses import ReconstructionLoss
from recon_monai.networks import DenoisingUNet, ImageUNet, KspaceNetwork, UnrolledGradientDescent, load_weights
from recon_monai.physics import center_crop_or_pad, keyed_generator, keyed_seed
from recon_monai.solvers import MapEstimator, fit_denoiser, fit_generator
from recon_monai.solvers.coil_maps import MapMethod
from recon_monai.solvers.fitting import fit_losses
from recon_monai.transforms import Undersampled
from recon_monai.transforms.schedule import set_epoch

__all__ = ["LATENT", "ImageGenerator", "Trained", "Workshop", "fit_reconstruction", "keep"]

LATENT = 64
"""Length of the latent of `ImageGenerator`."""

_RATES = {"image_unet": 1e-3, "unrolled": 3e-3, "kspace_network": 1e-3}
_MAPS: MapMethod = "calibration"
# An untrained network of coil maps makes no maps, and in so few steps would learn little else.

_logger = logging.getLogger(__name__)


class Trained(NamedTuple):
    """A network trained here.

    Attributes:
        network: in evaluation mode.
        note: how long, as tables say it, ending in "steps here".
        key: what it was made with, for the key of results.
    """

    network: nn.Module
    note: str
    key: str


class ImageGenerator(nn.Module):
    """MONAI's convolutional generator from 64 numbers, cut to the size of an image.

    Args:
        height: of the image.
        width: of the image.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.size = (height, width)
        start = (32, math.ceil(height / 16), math.ceil(width / 16))
        self.generator = Generator(
            latent_shape=(LATENT,), start_shape=start, channels=(32, 24, 16, 8, 1), strides=(2, 2, 2, 2, 1)
        )

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        """Make images ``(B, 1, H, W)`` from latents ``(B, 64)``."""
        return center_crop_or_pad(self.generator(latent), self.size)


class Workshop:
    """Trains networks on the training part of a data set, and keeps them.

    Args:
        folder: where they are kept; a network that lies there and was made with the same settings is used again.
        dataset_dir: data set with a training split.
        settings: steps, sizes and seed.
    """

    def __init__(self, folder: str | Path, dataset_dir: str | Path, settings: GallerySettings) -> None:
        self.folder = Path(folder)
        self.dataset_dir = Path(dataset_dir)
        self.settings = settings

    def reconstruction(self, name: str) -> Trained:
        """A network from k-space to image.

        Args:
            name: ``image_unet``, ``unrolled`` or ``kspace_network``.

        Returns:
            The network.
        """
        width, pools = self.settings.channels, self.settings.pools
        make: dict[str, Callable[[], nn.Module]] = {
            "image_unet": lambda: ImageUNet(2 * width, pools),
            "unrolled": lambda: UnrolledGradientDescent(5, width, pools=pools, sensitivity_network=MapEstimator(_MAPS)),
            "kspace_network": lambda: KspaceNetwork(2, width, max(width // 2, 2), pools),
        }

        def train(network: nn.Module, steps: int) -> None:
            slices, rate = self._training_slices(), _RATES[name]
            fit_reconstruction(network, slices, steps=steps, learning_rate=rate, key=name, seed=self.settings.seed)

        maps = {"maps": _MAPS} if name == "unrolled" else {}
        return self._kept(name, name, make[name], train, learning_rate=_RATES[name], **maps)

    def denoiser(self) -> Trained:
        """A `DenoisingUNet`, trained on the targets of the training part."""

        def train(network: nn.Module, steps: int) -> None:
            images = _cut(self.training_images(), 96)
            fit_denoiser(network, images, noise=(0.01, 0.15), steps=steps, batch_size=2, seed=self.settings.seed)

        width, pools = self.settings.channels, min(self.settings.pools, 3)
        return self._kept("denoiser", "denoiser", lambda: DenoisingUNet(width, pools), train)

    def generator(self, height: int, width: int) -> Trained:
        """An `ImageGenerator` of a size, trained on the brains of the training part, brought to that size."""

        def train(network: nn.Module, steps: int) -> None:
            images = torch.cat(
                [
                    functional.interpolate(image[None], (height, width), mode="bilinear", antialias=True)
                    for image in self.training_images("brain")
                ]
            )
            latents = torch.randn(len(images), LATENT, generator=keyed_generator("gallery", self.settings.seed))
            fit_generator(network, images, latents, steps=steps, batch_size=4, seed=self.settings.seed)

        return self._kept(f"generator_{height}x{width}", "generator", lambda: ImageGenerator(height, width), train)

    def training_images(self, anatomy: str | None = None) -> list[torch.Tensor]:
        """Targets ``(1, h, w)`` of the training part, each divided by its maximum."""
        dataset = FastMRISliceDataset(
            read_split(self.dataset_dir, "train"),
            filters=None if anatomy is None else {"anatomy": anatomy},
            require_target=True,
        )
        targets = (dataset[index]["target"] for index in range(len(dataset)))
        return [target / target.max() for target in targets if target.max() > 0]

    def _training_slices(self) -> FastMRISliceDataset:
        mask = Undersampled(self.settings.sampling(), random=True, seed=self.settings.seed)
        return FastMRISliceDataset(
            read_split(self.dataset_dir, "train"),
            Compose([mask]),
            accelerations=[self.settings.acceleration],
            require_target=True,
        )

    def _kept(
        self,
        name: str,
        part: str,
        make: Callable[[], nn.Module],
        train: Callable[[nn.Module, int], None],
        **made_with_too: float | str,
    ) -> Trained:
        settings = self.settings
        made_with = {
            "data": self.dataset_dir.name,
            "mask": [settings.mask, settings.acceleration, settings.center_fraction],
            "channels": settings.channels,
            "pools": settings.pools,
            **made_with_too,
        }
        return keep(self.folder / f"{name}.pt", made_with, settings.steps[part], settings.seed, make, train)


def keep(
    path: Path,
    made_with: dict[str, Any],
    steps: int,
    seed: int,
    make: Callable[[], nn.Module],
    train: Callable[[nn.Module, int], None],
    *,
    trained: str = "trained",
) -> Trained:
    """Train a network, or take it from a file if it was made with the same settings.

    Args:
        path: the file.
        made_with: what it is made with besides, plain JSON.
        steps: of the training.
        seed: of weights and draws.
        make: builds the network.
        train: trains it in place, called with the network and the steps.
        trained: what is done to it, as the note says it: "trained on for" where it begins with a trained network.

    Returns:
        The network.
    """
    with torch.random.fork_rng(devices=[]):  # layers take no generator of their own
        torch.manual_seed(keyed_seed("gallery", path.stem, seed))
        network = make()
    record = {"steps": steps, "seed": seed, "network": type(network).__name__, **made_with}
    recorded = path.with_suffix(".json")
    found = json.loads(recorded.read_text()) if recorded.is_file() and path.is_file() else {}
    if {name: value for name, value in found.items() if name != "seconds"} == record:
        load_weights(network, path)
    else:
        _logger.info("%s: training %d steps", path.stem, steps)
        began = time.monotonic()
        train(network, steps)
        found = {**record, "seconds": round(time.monotonic() - began, 1)}
        with atomic_path(path) as temporary:
            torch.save(network.state_dict(), temporary)
        with atomic_path(recorded) as temporary:
            temporary.write_text(json.dumps(found, indent=2) + "\n")
        _logger.info("%s: trained in %.0f s", path.stem, found["seconds"])
    note = f"{trained} {steps} steps here"
    return Trained(network.eval(), note, json.dumps(record, sort_keys=True))


def fit_reconstruction(
    network: nn.Module,
    dataset: FastMRISliceDataset,
    *,
    steps: int,
    learning_rate: float = 1e-3,
    key: str = "",
    seed: int = 0,
) -> list[float]:
    """Train a reconstruction network slice by slice, by SSIM and L1 (`ReconstructionLoss`) and Adam.

    For a comparison of small trainings; the bundles have the whole trainer.

    Args:
        network: called as ``network(kspace, mask)``; trained in place, and left in evaluation mode.
        dataset: items with ``kspace``, ``mask``, ``target`` and ``maximum``.
        steps: number of updates, one slice each.
        learning_rate: falls to zero by a cosine.
        key: with the seed, of the order of the slices.
        seed: see ``key``.

    Returns:
        The loss of each update.

    Raises:
        ValueError: if the training diverged.
    """
    loss_function = ReconstructionLoss()

    def losses() -> Iterator[torch.Tensor]:
        for item in _in_turn(dataset, key, seed):
            target, scale = item["target"], float(item["maximum"])
            # Files differ in scale by orders of magnitude, and networks keep that of their input
            image = network(item["kspace"][None] / scale, item["mask"][None])
            found = center_crop_or_pad(image, target.shape[-2:])
            yield loss_function(found, target[None] / scale, torch.ones(1))

    return fit_losses(network, network.parameters(), losses(), steps, learning_rate)


def _in_turn(dataset: FastMRISliceDataset, key: str, seed: int) -> Iterator[dict[str, Any]]:
    """Items in an order of each epoch, without end; slices without signal teach nothing."""
    random = keyed_generator("gallery", key, seed)
    epoch = 0
    while True:
        epoch += 1
        set_epoch(dataset.transform, epoch)
        useful = 0
        for index in torch.randperm(len(dataset), generator=random).tolist():
            item = dataset[index]
            if float(item["maximum"]) > 0 and bool((item["kspace"] != 0).any()):
                useful += 1
                yield item
        if not useful:
            raise ValueError("no training slice has a signal, expected some; see docs/data.md")


def _cut(images: list[torch.Tensor], size: int) -> torch.Tensor:
    """Images of several sizes as one batch: their middles, padded where smaller, shape ``(N, 1, size, size)``."""
    return torch.stack([center_crop_or_pad(image, (size, size)) for image in images])
