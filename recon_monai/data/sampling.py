"""Which slices come together, in which order, and in which process."""

from __future__ import annotations

import atexit
import multiprocessing
import signal
from collections.abc import Hashable, Iterator
from typing import Any, Protocol

import numpy as np
from monai.data.utils import worker_init_fn
from torch.utils.data import Sampler

from recon_monai import distributed
from recon_monai.physics import keyed_seed

__all__ = ["SliceBatchSampler", "VolumeSampler", "start_worker"]


class ShapedDataset(Protocol):
    """What the samplers ask of a data set, see ``FastMRISliceDataset``."""

    data: list[dict[str, Any]]

    def __len__(self) -> int:
        """Number of items."""
        ...

    def shape_key(self, index: int) -> Hashable:
        """Equal for items that can be collated."""
        ...


class SliceBatchSampler(Sampler[list[int]]):
    """Training batches of slices of equal shape, each slice once per epoch, also over several processes.

    The order depends on seed and epoch alone. A *step* is what one update of the weights sees: `batch_size` slices for
    each of `accumulation_steps` batches in each process. The slices of a shape are shuffled and cut into steps; what is
    left of the shapes forms steps of mixed shapes; then the steps are shuffled, an incomplete one comes last. Steps of
    one shape therefore hold the same slices however their size is divided among batch, accumulation and processes,
    which makes these exchangeable.

    In several processes every one needs equally many batches: where the number of all batches is no multiple of the
    processes, the last step repeats up to ``processes - 1`` of the epoch's batches. In one process every slice comes
    exactly once.

    Args:
        dataset: the data set; items are grouped by its ``shape_key``.
        batch_size: most slices in a batch of one process.
        accumulation_steps: batches per update in each process.
        shuffle: else in the order of the data set.
        seed: the run's seed.
        mix_shapes: let steps mix shapes, with batches of one slice. For classifiers: where shape and class go together,
            steps of one shape pull the weights to one class after the other.
        rank: number of this process; of the running process group by default.
        world_size: number of processes; of the running process group by default.

    Attributes:
        accumulation_steps: may be changed between epochs.
        epoch: the epoch whose order is drawn; set it before an epoch's first batch.
        start: batches of this process to leave out at the beginning of the next pass, for runs that continue in the
            middle of an epoch; 0 again after that pass began.

    Raises:
        ValueError: if a number is below 1, or batches of several slices are to mix shapes.
    """

    def __init__(
        self,
        dataset: ShapedDataset,
        batch_size: int = 1,
        *,
        accumulation_steps: int = 1,
        shuffle: bool = True,
        seed: int = 0,
        mix_shapes: bool = False,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("accumulation_steps", accumulation_steps)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}, expected a whole number of at least 1")
        if mix_shapes and batch_size > 1:
            raise ValueError(
                f"batch_size is {batch_size} and mix_shapes is true, but slices of different shapes do not fit into "
                "one batch; use batch_size 1 and more accumulation_steps"
            )
        self.batch_size = batch_size
        self.accumulation_steps = accumulation_steps
        self.shuffle = shuffle
        self.seed = seed
        self.rank = distributed.rank() if rank is None else rank
        self.world_size = distributed.world_size() if world_size is None else world_size
        self.epoch = 0
        self.start = 0
        self._groups: dict[Hashable, list[int]] = {}
        for index in range(len(dataset)):
            self._groups.setdefault(None if mix_shapes else dataset.shape_key(index), []).append(index)

    def __len__(self) -> int:
        """Batches of one process in an epoch."""
        batches = sum(-(-len(members) // self.batch_size) for members in self._groups.values())
        return -(-batches // self.world_size)

    def __iter__(self) -> Iterator[list[int]]:
        """This process's batches of the present epoch."""
        batches = self.process_batches()[self.start :]
        self.start = 0
        yield from batches

    def process_batches(self) -> list[list[int]]:
        """All batches of this process in the present epoch, whatever `start` is."""
        return [batch for step in self.steps() for batch in step[self.rank :: self.world_size]]

    def steps(self) -> list[list[list[int]]]:
        """The batches of all processes in the present epoch, step by step."""
        per_step = self.accumulation_steps * self.world_size
        whole: list[list[list[int]]] = []
        rest: list[list[int]] = []
        for members, order in zip(self._groups.values(), self._orders(), strict=True):
            slices = [members[i] for i in order]
            batches = [slices[start : start + self.batch_size] for start in range(0, len(slices), self.batch_size)]
            count = len(slices) // (self.batch_size * per_step)
            whole += [batches[i * per_step : (i + 1) * per_step] for i in range(count)]
            rest += batches[count * per_step :]
        rest = self._shuffled("rest", rest)
        mixed = [rest[start : start + per_step] for start in range(0, len(rest), per_step)]
        # an update on fewer slices comes last, however a step is divided among batches
        full = self.batch_size * per_step
        last = mixed.pop() if mixed and sum(map(len, mixed[-1])) < full else []
        steps = self._merged(whole, mixed)
        if last:
            first = [batch for step in [*steps, last] for batch in step]
            # a tiny data set may have to be repeated more than once
            steps.append(last + [first[i % len(first)] for i in range(-len(last) % self.world_size)])
        return steps

    def _rng(self, purpose: str) -> np.random.Generator:
        # one for each purpose, so that what one draws does not change what another does
        return np.random.default_rng(keyed_seed("batches", purpose, self.seed, self.epoch))

    def _orders(self) -> list[list[int]]:
        rng = self._rng("order")
        return [
            rng.permutation(len(members)).tolist() if self.shuffle else list(range(len(members)))
            for members in self._groups.values()
        ]

    def _shuffled(self, purpose: str, batches: list[list[int]]) -> list[list[int]]:
        return [batches[i] for i in self._rng(purpose).permutation(len(batches))] if self.shuffle else batches

    def _merged(self, whole: list[list[list[int]]], mixed: list[list[list[int]]]) -> list[list[list[int]]]:
        """Shuffle all steps, such that those of one shape follow each other in the same order whatever the others."""
        if not self.shuffle:
            return whole + mixed
        steps = whole + mixed
        keys = [*self._rng("whole").random(len(whole)), *self._rng("mixed").random(len(mixed))]
        return [steps[i] for i in np.argsort(keys, kind="stable")]


class VolumeSampler(Sampler[int]):
    """The slices of this process's volumes, in order; whole volumes, shared out evenly by number of slices.

    Where there are more processes than volumes, those without one measure a volume that another process has too, so
    that all of them run; volume handlers count it once.

    Args:
        dataset: the data set; entries of one ``path`` and ``acceleration`` are a volume.
        rank: number of this process; of the running process group by default.
        world_size: number of processes; of the running process group by default.
    """

    def __init__(self, dataset: ShapedDataset, *, rank: int | None = None, world_size: int | None = None) -> None:
        rank = distributed.rank() if rank is None else rank
        world_size = distributed.world_size() if world_size is None else world_size
        volumes: dict[tuple[Any, Any], list[int]] = {}
        for index, entry in enumerate(dataset.data):
            volumes.setdefault((entry["path"], entry.get("acceleration")), []).append(index)
        shares: list[list[list[int]]] = [[] for _ in range(world_size)]
        sizes = [0] * world_size
        for members in sorted(volumes.values(), key=len, reverse=True):
            least = sizes.index(min(sizes))
            shares[least].append(members)
            sizes[least] += len(members)
        smallest = min(volumes.values(), key=len, default=[])
        share = shares[rank] or [smallest]
        self._indices = [index for members in sorted(share) for index in members]

    def __len__(self) -> int:
        """Slices of this process."""
        return len(self._indices)

    def __iter__(self) -> Iterator[int]:
        """Their positions in the data set."""
        return iter(self._indices)


def start_worker(worker_id: int) -> None:
    """Prepare a worker process of a data loader (its ``worker_init_fn``).

    Seeds MONAI's random transforms, as MONAI's loader does by itself, and leaves Ctrl-C and SIGTERM, which terminals
    and schedulers send to every process, to the main process: it finishes its step and saves its state first.

    Args:
        worker_id: number of the worker.
    """
    worker_init_fn(worker_id)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _end_workers() -> None:
    # multiprocessing would ask them by SIGTERM, which they leave to the main process, and wait for ever
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()


atexit.register(_end_workers)
