"""Small synthetic volumes that run through a real MONAI evaluator, one slice per item."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from monai.engines import SupervisedEvaluator
from torch.utils.data import DataLoader

# Tests use tensors so small that threads cost more than they give, above all where cores are shared.
torch.set_num_threads(1)

Items = list[dict[str, Any]]


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests, and the commands they start, leave the user's cache folder alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECON_MONAI_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def make_volume(
    file: str, *, slices: int = 3, acceleration: int | None = 4, target: bool = True, **fields: Any
) -> Items:
    """Items of one file; the network's input is its output and nearer to the target than the zero-filled image."""
    rng = np.random.default_rng(sum(map(ord, file)) + (acceleration or 0))
    truth = rng.gamma(2.0, 1e-4, (slices, 1, 20, 24)).astype(np.float32)
    items = []
    for index in range(slices):
        item: dict[str, Any] = {
            "file": file,
            "path": f"/data/{file}",
            "slice": index,
            "num_slices": slices,
            "anatomy": "brain",
            "acquisition": "AXT2",
            "source": "simulated",
            "voxel_size": torch.tensor([0.5, 0.8, 4.0]),
            **fields,
            "image": torch.from_numpy(truth[index] + rng.normal(0, 2e-5, truth[index].shape).astype(np.float32)),
            "zero_filled": torch.from_numpy(truth[index] + rng.normal(0, 8e-5, truth[index].shape).astype(np.float32)),
        }
        if acceleration is not None:
            item |= {
                "acceleration": acceleration,
                "effective_acceleration": acceleration * 0.9,
                "center_fraction": 0.08,
            }
        if target:
            item |= {"label": torch.from_numpy(truth[index]), "maximum": float(truth.max())}
        items.append(item)
    return items


def stack(items: Items, key: str) -> np.ndarray:
    """The volume ``(slices, h, w)`` of an image of the items."""
    return np.concatenate([item[key].numpy() for item in items])


@pytest.fixture
def evaluate() -> Callable[..., SupervisedEvaluator]:
    """Run items through an evaluator whose network is the identity."""

    def run(
        items: Sequence[dict[str, Any]],
        handlers: Sequence[Any] = (),
        batch_size: int = 1,
        epoch: int = 1,
        **kwargs: Any,
    ) -> SupervisedEvaluator:
        evaluator = SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=DataLoader(list(items), batch_size=batch_size),
            network=torch.nn.Identity(),
            val_handlers=list(handlers),
            **kwargs,
        )
        evaluator.logger.disabled = True
        evaluator.run(epoch)
        return evaluator

    return run


@pytest.fixture(name="make_volume")
def make_volume_fixture() -> Callable[..., Items]:
    """``make_volume``, for test modules."""
    return make_volume


@pytest.fixture(name="stack")
def stack_fixture() -> Callable[[Items, str], np.ndarray]:
    """``stack``, for test modules."""
    return stack
