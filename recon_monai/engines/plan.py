"""What a training run would do, measured before it does it."""

from __future__ import annotations

import copy
import logging
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from monai.engines import SupervisedEvaluator

from recon_monai import distributed
from recon_monai.data import FastMRISliceDataset, SliceBatchSampler
from recon_monai.engines.trainer import ReconstructionTrainer

__all__ = ["TrainingPlan", "device_name", "peak_bytes", "plan_training", "shown_duration", "timed"]

_TIMED = 2

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingPlan:
    """Sizes, and what a few real steps cost on this machine.

    Attributes:
        batches: of one process in an epoch.
        updates: of the weights in an epoch.
        epochs: of the run.
        seconds_read: to load one batch, by one worker.
        seconds_step: of one training batch of the most frequent shape.
        seconds_validate: to reconstruct one validation slice of the most frequent shape.
        seconds_epoch: estimate of an epoch without validation, the slower of reading and training.
        seconds_validation: estimate of one validation.
        peak_bytes: most memory in use after a step with the largest shape: of the GPU, or resident on CPU.
    """

    batches: int
    updates: int
    epochs: int
    seconds_read: float
    seconds_step: float
    seconds_validate: float
    seconds_epoch: float
    seconds_validation: float
    peak_bytes: int


def plan_training(
    trainer: ReconstructionTrainer, evaluator: SupervisedEvaluator, sampler: SliceBatchSampler, val_interval: int = 1
) -> TrainingPlan:
    """Log the files found, shapes, coils and steps, then time a few steps and measure their memory; nothing is written.

    Times of other shapes are scaled by their number of k-space samples. The weights are as before afterwards.

    Args:
        trainer: ready to run.
        evaluator: its validation.
        sampler: the batch sampler of the trainer's loader.
        val_interval: epochs between validations.

    Returns:
        The figures that were logged.
    """
    train, validation = trainer.data_loader.dataset, evaluator.data_loader.dataset
    workers = trainer.data_loader.num_workers
    _log_contents("training", train)
    _log_contents("validation", validation)
    sampler.epoch = 1
    batches = sampler.process_batches()
    cost = {index: _samples(train, batch) for index, batch in enumerate(batches)}
    frequent = Counter(cost.values()).most_common(1)[0][0]
    typical = next(index for index, value in cost.items() if value == frequent)
    largest = max(cost, key=lambda index: cost[index])
    changed = (trainer.network, trainer.optimizer, trainer.loss_function)  # a loss may have a state, too
    parts = [part for part in changed if hasattr(part, "state_dict")]
    before = copy.deepcopy([part.state_dict() for part in parts])
    state = copy.copy(trainer.state.__dict__)
    try:
        seconds_read, batch = timed(lambda: _collated(trainer, train, batches[typical]), 1)
        # one step to warm up, so that allocations and the choice of algorithms do not count
        _step(trainer, batch)
        seconds_step, _ = timed(lambda: _step(trainer, batch), _TIMED)
        _step(trainer, _collated(trainer, train, batches[largest]))
        peak = peak_bytes(trainer.state.device)
        seconds_validate, _ = timed(lambda: _validate(trainer, batch), 1)
    finally:
        for part, content in zip(parts, before, strict=True):
            part.load_state_dict(content)
        trainer.state.__dict__.update(state)
    scale = sum(cost.values()) / frequent
    reading = scale * seconds_read / max(workers, 1)
    training = scale * seconds_step
    validated = sum(_samples(validation, [index]) for index in range(len(validation))) / distributed.world_size()
    plan = TrainingPlan(
        batches=len(batches),
        updates=-(-len(batches) // trainer.batches_per_step),
        epochs=int(trainer.state.max_epochs),
        seconds_read=seconds_read,
        seconds_step=seconds_step,
        seconds_validate=seconds_validate / len(batches[typical]),
        seconds_epoch=reading + training if workers == 0 else max(reading, training),
        seconds_validation=seconds_validate / frequent * validated,
        peak_bytes=peak,
    )
    _log_plan(plan, trainer, sampler, val_interval, slow_reading=reading > training)
    return plan


def _log_contents(name: str, dataset: FastMRISliceDataset) -> None:
    shapes = Counter(dataset.shape_key(index) for index in range(len(dataset)))
    anatomies = Counter(entry["anatomy"] for entry in dataset.data)
    counted = ", ".join(f"{anatomy} {count}" for anatomy, count in anatomies.most_common())
    logger.info("%s: %d files, %d slices (%s)", name, len(dataset.files), len(dataset), counted)
    for key, count in shapes.most_common():
        (coils, height, width), (out_height, out_width) = key[0], key[1]
        logger.info("  %6d slices: %d coils, %d x %d -> %d x %d", count, coils, height, width, out_height, out_width)


def _samples(dataset: FastMRISliceDataset, batch: list[int]) -> int:
    """Complex samples of a batch; what work and memory are proportional to."""
    coils, height, width = dataset.infos[dataset.data[batch[0]]["path"]].kspace_shape
    return len(batch) * coils * height * width


def _collated(trainer: ReconstructionTrainer, dataset: FastMRISliceDataset, batch: list[int]) -> Any:
    collate = trainer.data_loader.collate_fn
    return collate([dataset[index] for index in batch])


def _step(trainer: ReconstructionTrainer, batch: Any) -> None:
    """One batch with an update of the weights; no handler but those within an iteration hears of it."""
    trainer.state.iteration = trainer.batches_per_step
    trainer.state.epoch = 1
    trainer._iteration(trainer, batch)


def _validate(trainer: ReconstructionTrainer, batch: Any) -> None:
    inputs, _, args, kwargs = trainer.prepare_batch(batch, trainer.state.device, False)
    trainer.network.eval()
    with torch.no_grad():
        trainer.inferer(inputs, trainer.network, *args, **kwargs)


def timed(action: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Mean seconds of an action, with the GPU's work included, and what it gave last.

    Args:
        action: what is timed.
        repeats: how many times it is done.
    """
    result = None
    start = time.perf_counter()
    for _ in range(repeats):
        result = action()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats, result


def peak_bytes(device: torch.device) -> int:
    """Most memory in use so far: of a GPU, or resident on CPU.

    Args:
        device: the device.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # kilobytes on Linux, bytes on macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _log_plan(
    plan: TrainingPlan,
    trainer: ReconstructionTrainer,
    sampler: SliceBatchSampler,
    val_interval: int,
    slow_reading: bool,
) -> None:
    processes = sampler.world_size
    logger.info(
        "%d epochs of %d batches in each of %d process(es); %d updates of the weights per epoch, of up to %d slices",
        plan.epochs,
        plan.batches,
        processes,
        plan.updates,
        sampler.batch_size * trainer.batches_per_step * processes,
    )
    device = trainer.state.device
    logger.info(
        "measured here (%s): %.3f s to read a batch, %.3f s to train on it, %.3f s to reconstruct a slice; peak memory "
        "%.2f GB with the largest slices",
        device_name(device),
        plan.seconds_read,
        plan.seconds_step,
        plan.seconds_validate,
        plan.peak_bytes / 1e9,
    )
    validations = -(-plan.epochs // val_interval)
    whole = plan.epochs * plan.seconds_epoch + validations * plan.seconds_validation
    logger.info(
        "estimate: %s per epoch, %s per validation (metrics not counted), %s in all%s",
        shown_duration(plan.seconds_epoch),
        shown_duration(plan.seconds_validation),
        shown_duration(whole),
        "; reading is slower than training, so raise --num_workers" if slow_reading else "",
    )
    logger.info("nothing was written; run the same command without --dry_run to train")


def device_name(device: torch.device) -> str:
    """Name of a GPU, or how many threads the CPU works with.

    Args:
        device: the device.
    """
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"


def shown_duration(seconds: float) -> str:
    """A time in seconds, minutes or hours.

    Args:
        seconds: the time.
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
