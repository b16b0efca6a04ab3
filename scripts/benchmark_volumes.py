"""What `scripts/benchmark_super_resolution.py` measures, each part in a process of its own.

``PlainGenerator`` and ``PlainCritic`` are the networks of mDCSRN-WGAN-GP as one writes them in plain PyTorch, with the
same parameters in the same order.
"""

from __future__ import annotations

import functools
import itertools
import json
import sys
from collections.abc import Callable
from typing import Any

import torch
from benchmark_parts import memory_of_first, timed
from monai.inferers import SlidingWindowInferer
from torch import Tensor, nn

from recon_monai.engines import WGANTrainer
from recon_monai.inferers import SeamlessInferer
from recon_monai.networks import MDCSRN, MDCSRNCritic

STEPS = ("pretraining", "critic", "generator")
OPTIONS: dict[str, dict[str, Any]] = {
    "": {},
    ", bf16": {"bf16": True},
    ", checkpointing": {"checkpointing": "blocks"},
    ", bf16 and checkpointing": {"bf16": True, "checkpointing": "blocks"},
}
PLAIN = ("", ", bf16")
WEIGHT, PENALTY, OVERLAP = 1e-3, 10.0, 0.25
SMALLEST: dict[str, Any] = {"network": [1, 1, 2, 2], "critic": {"width": 2}}

Step = Callable[[Tensor, Tensor], None]


class PlainUnit(nn.Module):
    """Normalization, ELU, convolution, concatenation."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm3d(channels), nn.ELU(), nn.Conv3d(channels, growth, 3, padding=1, bias=False)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Add features."""
        return torch.cat([features, self.layers(features)], dim=1)


class PlainGenerator(nn.Module):
    """`MDCSRN` with a residual connection: all features so far are joined, and compressed by 1x1x1 convolutions."""

    def __init__(self, blocks: int, units: int, growth: int, first_channels: int) -> None:
        super().__init__()
        made = first_channels + units * growth
        self.stem = nn.Conv3d(1, first_channels, 3, padding=1, bias=False)
        self.levels = nn.ModuleList()
        for index in range(blocks):
            compressor = nn.Conv3d(first_channels + index * made, first_channels, 1, bias=False)
            level = [PlainUnit(first_channels + unit * growth, growth) for unit in range(units)]
            self.levels.append(nn.Sequential(*([compressor] if index else []), *level))
        self.head = nn.Conv3d(first_channels + blocks * made, 1, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """Sharpen volumes."""
        features = self.stem(image)
        for level in self.levels:
            features = torch.cat([features, level(features)], dim=1)
        return image + self.head(features)


class PlainCritic(nn.Module):
    """`MDCSRNCritic` without a preset."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv3d(1, width, 3, padding=1), nn.LeakyReLU(0.2)]
        channels = width
        for multiple, stride in ((1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2)):
            layers += [
                nn.Conv3d(channels, multiple * width, 3, stride, padding=1),
                nn.GroupNorm(1, multiple * width),
                nn.LeakyReLU(0.2),
            ]
            channels = multiple * width
        layers += [nn.AdaptiveAvgPool3d(1), nn.Flatten()]
        self.layers = nn.Sequential(*layers, nn.Linear(channels, 1024), nn.LeakyReLU(0.2), nn.Linear(1024, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Score patches."""
        return self.layers(image)[:, 0]


class PlainTraining:
    """The three kinds of steps as one writes them down, by Gulrajani et al. 2017, algorithm 1, and the mean error.

    Args:
        generator: changed by steps.
        critic: likewise.
        bf16: autocast of the networks, but for the penalty.
        seed: of the points of the penalty.
    """

    def __init__(self, generator: nn.Module, critic: nn.Module, bf16: bool = False, seed: int = 0) -> None:
        self.generator, self.critic, self.bf16 = generator.train(), critic.train(), bf16
        self.optimizer = torch.optim.Adam(generator.parameters(), lr=1e-4, betas=(0.0, 0.9))
        self.critic_optimizer = torch.optim.Adam(critic.parameters(), lr=1e-4, betas=(0.0, 0.9))
        self.random = torch.Generator().manual_seed(seed)

    def pretraining_step(self, image: Tensor, target: Tensor) -> None:
        """The generator by the mean absolute error."""
        self.optimizer.zero_grad()
        with self._autocast(image):
            made = self.generator(image)
        (made.float() - target).abs().mean().backward()
        self.optimizer.step()

    def generator_step(self, image: Tensor, target: Tensor) -> None:
        """The generator by the mean absolute error and the critic's score."""
        self.critic.requires_grad_(False)
        self.optimizer.zero_grad()
        with self._autocast(image):
            made = self.generator(image)
            scores = self.critic(made)
        ((made.float() - target).abs().mean() - WEIGHT * scores.float().mean()).backward()
        self.optimizer.step()
        self.critic.requires_grad_(True)

    def critic_step(self, image: Tensor, target: Tensor) -> None:
        """The critic with gradient penalty."""
        self.critic_optimizer.zero_grad()
        with self._autocast(image):
            with torch.no_grad():
                made = self.generator(image)
            made = made.float()
            wasserstein = self.critic(target).float().mean() - self.critic(made).float().mean()
        share = torch.rand(len(image), 1, 1, 1, 1, generator=self.random).to(image.device)
        between = (share * target + (1 - share) * made).requires_grad_()
        [gradient] = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
        penalty = (gradient.flatten(1).norm(dim=1) - 1).square().mean()
        (PENALTY * penalty - wasserstein).backward()
        self.critic_optimizer.step()

    def _autocast(self, image: Tensor) -> torch.autocast:
        return torch.autocast(image.device.type, torch.bfloat16, enabled=self.bf16)


def patches(settings: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """A batch of low and high resolution; noise is as good as anything for time and memory."""
    random, side = torch.Generator().manual_seed(0), settings["patch"]
    target = torch.rand(settings["batch"], 1, side, side, side, generator=random)
    image = target + 0.1 * torch.randn(target.shape, generator=random)
    return image.to(settings["device"]), target.to(settings["device"])


def our_trainer(settings: dict[str, Any], bf16: bool = False, checkpointing: Any = "none") -> WGANTrainer:
    """The trainer of the bundle; it is given batches by `our_step`.

    Args:
        settings: ``network`` (sizes of `MDCSRN`), ``critic`` (arguments of `MDCSRNCritic`), ``constraint``, ``device``.
        bf16: inside the networks.
        checkpointing: of both networks.
    """
    device = settings["device"]
    network = MDCSRN(*settings["network"], residual=True, checkpointing=checkpointing).to(device)
    critic = MDCSRNCritic(**settings["critic"], checkpointing=checkpointing).to(device)
    return WGANTrainer(
        device=torch.device(device),
        max_epochs=1,
        train_data_loader=[],
        network=network,
        optimizer=torch.optim.Adam(network.parameters(), lr=1e-4, betas=(0.0, 0.9)),
        critic=critic,
        critic_optimizer=torch.optim.Adam(critic.parameters(), lr=1e-4, betas=(0.0, 0.9)),
        constraint=settings.get("constraint", "gradient_penalty"),
        adversarial_weight=WEIGHT,
        pretrain_steps=1,
        critic_steps=1,
        amp=bf16,
        decollate=False,
    )


def our_step(trainer: WGANTrainer, kind: str, image: Tensor, target: Tensor) -> None:
    """One step of the trainer, of the kind that is wanted."""
    done = STEPS.index(kind)  # its schedule has one of each in this order
    trainer.state.updates = dict(zip(STEPS, [*[1] * done, *[0] * (3 - done)], strict=True))
    trainer.state.iteration = trainer.state.epoch = 1
    trainer._iteration(trainer, {"image": image, "target": target})


def time_step(make: Callable[[dict[str, Any]], Step], settings: dict[str, Any]) -> dict[str, Any]:
    """Seconds of a step, and the memory that the first one adds, gradients and the optimizer's moments among it.

    Args:
        make: makes a step of settings, with networks of its own.
        settings: sizes, device, repetitions.
    """
    image, target = patches(settings)
    make({**settings, **SMALLEST})(image[..., :8, :8, :8], target[..., :8, :8, :8])  # loads what takes memory once
    step = make(settings)
    memory = memory_of_first(lambda: step(image, target), settings["device"])
    seconds = timed(lambda: step(image, target), settings)
    return {"seconds": seconds, "megabytes": memory, "rate": 1 / seconds}


def measure_our_step(kind: str, settings: dict[str, Any], **options: Any) -> dict[str, Any]:
    """A step of the trainer, and the parameters of both networks."""
    made: list[WGANTrainer] = []

    def make(sizes: dict[str, Any]) -> Step:
        made[:] = [our_trainer(sizes, **options)]
        return functools.partial(our_step, made[0], kind)

    found = time_step(make, settings)
    return {**found, "parameters": _count(made[0].generator), "critic_parameters": _count(made[0].critic)}


def measure_plain_step(kind: str, settings: dict[str, Any], bf16: bool = False) -> dict[str, Any]:
    """A step in plain PyTorch, and the parameters of both networks."""
    made: list[nn.Module] = []

    def make(sizes: dict[str, Any]) -> Step:
        networks = PlainGenerator(*sizes["network"]), PlainCritic(**sizes["critic"])
        made[:] = [network.to(sizes["device"]) for network in networks]
        training = PlainTraining(made[0], made[1], bf16)
        steps = training.pretraining_step, training.critic_step, training.generator_step
        return steps[STEPS.index(kind)]

    found = time_step(make, settings)
    return {**found, "parameters": _count(made[0]), "critic_parameters": _count(made[1])}


def measure_inference(settings: dict[str, Any], *, ours: bool, bf16: bool = False) -> dict[str, Any]:
    """A whole volume by blended windows: voxels a second, and the memory beyond network and volume."""
    device, window = settings["device"], settings["window"]
    if ours:
        network: nn.Module = MDCSRN(*settings["network"], residual=True)
        inferer: SlidingWindowInferer = SeamlessInferer(window, OVERLAP)
    else:
        network = PlainGenerator(*settings["network"])
        inferer = SlidingWindowInferer(roi_size=(window,) * 3, sw_batch_size=1, overlap=OVERLAP, mode="gaussian")
    network = network.to(device).eval()
    volume = torch.rand(1, 1, *settings["volume"], generator=torch.Generator().manual_seed(0)).to(device)

    def run(image: Tensor) -> None:
        with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=bf16):
            inferer(image, network)

    run(volume[..., :16, :16, :16])
    memory = memory_of_first(lambda: run(volume), device)
    seconds = timed(lambda: run(volume), settings)
    return {"seconds": seconds, "megabytes": memory, "rate": volume.numel() / seconds, "parameters": _count(network)}


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _parts() -> dict[str, Callable[[dict[str, Any]], dict[str, Any]]]:
    made: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}
    for name in PLAIN:
        made[f"our inference{name}"] = functools.partial(measure_inference, ours=True, **OPTIONS[name])
        made[f"plain inference{name}"] = functools.partial(measure_inference, ours=False, **OPTIONS[name])
    for kind, (name, options) in itertools.product(STEPS, OPTIONS.items()):
        made[f"our {kind} step{name}"] = functools.partial(measure_our_step, kind, **options)
        if name in PLAIN:
            made[f"plain {kind} step{name}"] = functools.partial(measure_plain_step, kind, **options)
    return made


PARTS = _parts()


def main() -> None:
    """Measure the part named first with the settings named second, and print the result as JSON."""
    name, settings = sys.argv[1], json.loads(sys.argv[2])
    torch.set_num_threads(settings["threads"])
    torch.manual_seed(0)
    print(json.dumps(PARTS[name](settings)))


if __name__ == "__main__":
    main()
