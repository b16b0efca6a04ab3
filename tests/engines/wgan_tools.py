"""A small WGAN on small patches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from ignite.engine import Events
from torch import Tensor, nn

from recon_monai.engines import WGANTrainer
from recon_monai.networks import MDCSRN, MDCSRNCritic


class Patches(torch.utils.data.Dataset[dict[str, Any]]):
    """Pairs of noise and smoothed noise, as the batch sampler wants them."""

    def __init__(self, count: int = 6, size: int = 6) -> None:
        target = torch.rand(count, 1, size, size, size, generator=torch.Generator().manual_seed(0))
        image = nn.functional.avg_pool3d(target, 3, stride=1, padding=1)
        self.data = [
            {"path": f"{index}.nii.gz", "file": f"{index}.nii.gz", "image": image[index], "target": target[index]}
            for index in range(count)
        ]

    def __len__(self) -> int:
        return len(self.data)

    def shape_key(self, index: int) -> int:
        return 0

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.data[index]


def networks(*, norm: Any = "batch", checkpointing: Any = "none", seed: int = 0) -> tuple[MDCSRN, MDCSRNCritic]:
    torch.manual_seed(seed)
    generator = MDCSRN(2, 1, 2, 3, norm=norm, checkpointing=checkpointing)
    return generator, MDCSRNCritic(width=2, checkpointing=checkpointing)


def batches(count: int = 1, batch_size: int = 2, size: int = 6) -> list[dict[str, Any]]:
    """`count` batches, the data over and over."""
    items = Patches(size=size)
    chosen = [[items[(number * batch_size + i) % len(items)] for i in range(batch_size)] for number in range(count)]
    return [torch.utils.data.default_collate(batch) for batch in chosen]


def make_trainer(
    data: Any,
    pair: tuple[nn.Module, nn.Module] | None = None,
    *,
    adam: bool = False,
    rate: float = 0.01,
    **options: Any,
) -> WGANTrainer:
    generator, critic = pair or networks()
    make = torch.optim.Adam if adam else torch.optim.SGD
    settings = {
        "device": torch.device("cpu"),
        "max_epochs": 1,
        "optimizer": make(generator.parameters(), lr=rate),
        "critic_optimizer": make(critic.parameters(), lr=rate),
        "decollate": False,
        **options,
    }
    trainer = WGANTrainer(train_data_loader=data, network=generator, critic=critic, **settings)
    trainer.logger.disabled = True
    return trainer


def record(trainer: WGANTrainer) -> list[dict[str, Any]]:
    """Runs, and returns the kind and terms of each step."""
    found: list[dict[str, Any]] = []

    def keep(engine: Any) -> None:
        terms = {name: value.item() for name, value in engine.state.terms.items()}
        found.append({"kind": engine.state.update, **terms})

    trainer.add_event_handler(Events.ITERATION_COMPLETED, keep)
    trainer.run()
    return found


def copies(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def tensors(content: Any) -> Iterator[Tensor]:
    """All tensors and numbers of nested states, in order."""
    if isinstance(content, dict):
        for name in sorted(content, key=str):
            yield from tensors(content[name])
    elif isinstance(content, list | tuple):
        for part in content:
            yield from tensors(part)
    elif isinstance(content, Tensor | int | float | bool):
        yield torch.as_tensor(content)
