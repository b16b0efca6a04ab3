"""Which volumes a training of patches visits, in which order, and in which process."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from recon_monai import distributed
from recon_monai.physics import keyed_seed

__all__ = ["VolumeBatchSampler", "VolumeVisit"]


class VolumeVisit(NamedTuple):
    """One of many times that a run looks at a volume.

    Attributes:
        volume: its number in the data set.
        visit: how many times the run has seen it before; random transforms draw by it.
    """

    volume: int
    visit: int


class VolumeBatchSampler(Sampler[list[VolumeVisit]]):
    """Batches of volumes, equally many in every epoch, whatever the number of volumes.

    Volumes come in rounds, each of which visits all of them once, in an order drawn from seed and round; epochs and
    batches are cut out of that one sequence. So all volumes are seen equally often, and what a step sees depends
    neither on the length of epochs nor on how a batch is divided among processes.

    Args:
        dataset: the volumes, such as `VolumeDataset`, which takes a `VolumeVisit` in place of a number.
        batch_size: volumes in a batch of one process.
        steps: batches of an epoch, which are updates of the weights.
        seed: the run's seed.
        rank: number of this process; of the running process group by default.
        world_size: number of processes; of the running process group by default.

    Attributes:
        epoch: the epoch whose batches are given, from 1; set it before an epoch's first batch.
        start: batches to leave out at the beginning of the next pass, for runs that continue in the middle of an
            epoch; 0 again after that pass began.

    Raises:
        ValueError: if a number is below 1, or there is no volume.
    """

    def __init__(
        self,
        dataset: Sized,
        batch_size: int = 1,
        steps: int = 1000,
        *,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("steps", steps), ("the number of volumes", len(dataset))):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} is {value!r}, expected a whole number of at least 1")
        self.volumes = len(dataset)
        self.batch_size = batch_size
        self.steps = steps
        self.seed = seed
        self.rank = distributed.rank() if rank is None else rank
        self.world_size = distributed.world_size() if world_size is None else world_size
        self.epoch = 0
        self.start = 0

    def __len__(self) -> int:
        """Batches of one process in an epoch."""
        return self.steps

    def __iter__(self) -> Iterator[list[VolumeVisit]]:
        """This process's batches of the present epoch."""
        first, self.start = self.start, 0
        per_step = self.batch_size * self.world_size
        begun = max(self.epoch - 1, 0) * self.steps
        order: dict[int, list[int]] = {}
        for step in range(begun + first, begun + self.steps):
            place = step * per_step + self.rank * self.batch_size
            batch = []
            for position in range(place, place + self.batch_size):
                turn, index = divmod(position, self.volumes)
                if turn not in order:
                    # a batch may reach back into the round before
                    order = {known: value for known, value in order.items() if known >= turn - 1}
                    order[turn] = self._round(turn)
                batch.append(VolumeVisit(order[turn][index], turn))
            yield batch

    def _round(self, turn: int) -> list[int]:
        return np.random.default_rng(keyed_seed("volume batches", self.seed, turn)).permutation(self.volumes).tolist()
