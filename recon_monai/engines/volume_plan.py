"""What a training of super-resolution would do, measured before it does it."""

from __future__ import annotations

import copy
import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from monai.engines import SupervisedEvaluator

from recon_monai import distributed
from recon_monai.data import VolumeBatchSampler, VolumeDataset
from recon_monai.engines.adversarial import WGANTrainer
from recon_monai.engines.plan import device_name, peak_bytes, shown_duration, timed
from recon_monai.engines.update_schedule import UpdateKind

__all__ = ["SuperResolutionPlan", "plan_super_resolution"]

_TIMED = 2

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SuperResolutionPlan:
    """Sizes, and what a few real steps cost on this machine.

    Attributes:
        updates: of the run, by kind.
        epochs: of the run.
        seconds_read: to make one batch, by one worker, volumes unpacked already.
        seconds_step: of one step, by kind; only of kinds that the run has.
        seconds_window: to super-resolve one window of the validation.
        seconds_run: estimate of the run without validation, the slower of reading and training.
        peak_bytes: most memory in use after a step of each kind: of the GPU, or resident on CPU.
    """

    updates: dict[UpdateKind, int]
    epochs: int
    seconds_read: float
    seconds_step: dict[UpdateKind, float]
    seconds_window: float
    seconds_run: float
    peak_bytes: int


def plan_super_resolution(
    trainer: WGANTrainer, evaluator: SupervisedEvaluator, sampler: VolumeBatchSampler, val_interval: int = 1
) -> SuperResolutionPlan:
    """Log the volumes found and the steps, then time a few of each kind and measure their memory; nothing is written.

    The weights are as before afterwards.

    Args:
        trainer: ready to run.
        evaluator: its validation, with a `SeamlessInferer`.
        sampler: the batch sampler of the trainer's loader.
        val_interval: epochs between validations.

    Returns:
        The figures that were logged.
    """
    loader = trainer.data_loader
    _log_contents("training", loader.dataset)
    _log_contents("validation", evaluator.data_loader.dataset)
    epochs = int(trainer.state.max_epochs)
    updates = trainer.schedule.counts(epochs * sampler.steps)
    sampler.epoch = 1
    chosen = next(iter(sampler))
    _made(loader, chosen)  # unpacks the volumes
    seconds_read, batch = timed(lambda: _made(loader, chosen), 1)
    parts = [trainer.generator, trainer.optimizer, trainer.critic, trainer.critic_optimizer]
    before = copy.deepcopy([part.state_dict() for part in parts])
    state = copy.copy(trainer.state.__dict__)
    seconds: dict[UpdateKind, float] = {}
    try:
        for kind in [kind for kind, count in updates.items() if count]:
            _step(trainer, kind, batch)  # to warm up
            seconds[kind], _ = timed(lambda kind=kind: _step(trainer, kind, batch), _TIMED)  # type: ignore[misc]
        peak = peak_bytes(trainer.state.device)
        seconds_window, _ = timed(lambda: _window(trainer, evaluator), 1)
    finally:
        for part, content in zip(parts, before, strict=True):
            part.load_state_dict(content)
        trainer.state.__dict__.update(state)
    reading = seconds_read * epochs * sampler.steps / max(loader.num_workers, 1)
    training = sum(updates[kind] * each for kind, each in seconds.items())
    plan = SuperResolutionPlan(
        updates=updates,
        epochs=epochs,
        seconds_read=seconds_read,
        seconds_step=seconds,
        seconds_window=seconds_window,
        seconds_run=reading + training if loader.num_workers == 0 else max(reading, training),
        peak_bytes=peak,
    )
    _log_plan(plan, trainer, evaluator, sampler, -(-epochs // val_interval), slow_reading=reading > training)
    return plan


def _log_contents(name: str, dataset: VolumeDataset) -> None:
    recipes = Counter(entry["recipe"] for entry in dataset.data if "recipe" in entry)
    counted = f", each as {', '.join(recipes)}" if recipes else ""
    volumes = len({entry["path"] for entry in dataset.data})
    subjects = len({entry["subject"] for entry in dataset.data})
    logger.info("%s: %d volumes of %d subjects%s", name, volumes, subjects, counted)


def _made(loader: Any, chosen: Any) -> Any:
    return loader.collate_fn([loader.dataset[visit] for visit in chosen])


def _step(trainer: WGANTrainer, kind: UpdateKind, batch: Any) -> None:
    first = next(step for step in range(10**9) if trainer.schedule.kind(step) == kind)
    trainer.state.updates = {"pretraining": first, "critic": 0, "generator": 0}
    trainer.state.iteration = trainer.state.epoch = 1
    trainer._iteration(trainer, batch)


def _window(trainer: WGANTrainer, evaluator: SupervisedEvaluator) -> None:
    window = torch.zeros(1, 1, *evaluator.inferer.roi_size, device=trainer.state.device)
    trainer.generator.eval()
    with torch.no_grad():
        trainer.generator(window)


def _log_plan(
    plan: SuperResolutionPlan,
    trainer: WGANTrainer,
    evaluator: SupervisedEvaluator,
    sampler: VolumeBatchSampler,
    validations: int,
    slow_reading: bool,
) -> None:
    logger.info(
        "%d epochs of %d steps, on %d volume(s) in each of %d process(es): %s",
        plan.epochs,
        sampler.steps,
        sampler.batch_size,
        sampler.world_size,
        ", ".join(f"{count} {kind}" for kind, count in plan.updates.items() if count),
    )
    logger.info(
        "measured here (%s): %.3f s to make a batch, %s; peak memory %.2f GB",
        device_name(trainer.state.device),
        plan.seconds_read,
        ", ".join(f"{each:.3f} s for a step of {kind}" for kind, each in plan.seconds_step.items()),
        plan.peak_bytes / 1e9,
    )
    dataset = evaluator.data_loader.dataset
    shape = dataset.load(dataset.data[0])["target"].shape[1:]
    whole = plan.seconds_window * evaluator.inferer.count(shape) * len(dataset) / distributed.world_size()
    logger.info(
        "estimate: %s for all steps, %s per validation (metrics not counted), %s in all%s",
        shown_duration(plan.seconds_run),
        shown_duration(whole),
        shown_duration(plan.seconds_run + validations * whole),
        "; reading is slower than training, so raise --num_workers or --patches_per_volume" if slow_reading else "",
    )
    logger.info("nothing was written; run the same command without --dry_run to train")
