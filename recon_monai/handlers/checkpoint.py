"""Saving all of a training run's state, and going on from it as if nothing had happened."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from recon_monai import distributed
from recon_monai.data import SliceBatchSampler, VolumeBatchSampler, atomic_path
from recon_monai.engines.runs import RUN_STATE
from recon_monai.engines.trainer import ReconstructionTrainer
from recon_monai.handlers.stop_signals import Interrupted, StopSignals
from recon_monai.handlers.validation import validation_due
from recon_monai.networks import load_weights, read_torch_file

__all__ = ["TrainingCheckpoint"]

_FORMAT = 1
_COSINE = ("t_total", "warmup_steps", "cycles", "end_lr", "warmup_multiplier")
_PLATEAU = ("mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "min_lrs", "default_min_lr", "eps")
_ANNEALING = ("T_max", "eta_min")  # of PyTorch's own cosine
_SCHEDULE = (*_COSINE, *_PLATEAU, *_ANNEALING)

logger = logging.getLogger(__name__)


class Stateful(Protocol):
    """Whatever has a state to save, be it a schedule or a loss."""

    def state_dict(self) -> Mapping[str, Any]:
        """Tensors, numbers, strings, and lists and dictionaries of them; empty if there is nothing to keep."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Take over a saved state."""
        ...


class TrainingCheckpoint:
    """Writes ``last.pt`` (everything needed to go on) and ``model.pt`` (the best weights), and resumes.

    ``last.pt`` is written after every epoch, after every validation, every so many minutes in between, and when
    SIGTERM or Ctrl-C ends the run. A resumed run is bit for bit the one that was not interrupted, on CPU: the data
    loader goes on at the batch that was next, masks and augmentation are keyed by epoch and slice, and a validation
    that was cut off is done again first. Files appear complete or not at all, written by the main process only.

    MONAI's ``CheckpointSaver`` keeps neither the position within an epoch nor the best metric, so a resumed run
    overwrites better weights.

    A trainer of more than one network says itself what else is to be kept: its attribute ``saved_states`` (see
    `WGANTrainer`) counts with `states`.

    Give it to the trainer after the handlers of schedules (learning rate, effective batch) and before the one of
    validation, so that what a validation changes is saved with it.

    Args:
        output_dir: the run's folder.
        network: the network, possibly wrapped for several processes.
        optimizer: its optimizer.
        lr_scheduler: its schedule.
        sampler: batch sampler of the trainer's loader.
        evaluator: the validation engine; the best weights are by its key metric.
        val_interval: epochs between validations.
        resume: continue from ``last.pt`` in ``output_dir`` if there is one.
        overwrite: replace weights that are in the folder already.
        minutes: save at least this often, whatever an epoch takes.
        description: written as ``model.json`` beside ``model.pt``, with the epoch and its metrics: what the weights
            were trained on.
        curves: a ``CurveWriter`` that leaves out what a resumed run draws again.
        states: what else has a state, by names of your choice: ``EffectiveBatchScheduler``, a loss with running values.
            The main process's is saved, and given to all.
    """

    def __init__(
        self,
        output_dir: str | Path,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        lr_scheduler: Any,
        sampler: SliceBatchSampler | VolumeBatchSampler,
        evaluator: Evaluator,
        val_interval: int = 1,
        resume: bool | str = False,
        overwrite: bool = False,
        minutes: float = 30.0,
        description: Mapping[str, Any] | None = None,
        curves: Any = None,
        states: Mapping[str, Stateful] | None = None,
    ) -> None:
        self.folder = Path(output_dir)
        self.network = network.module if isinstance(network, DistributedDataParallel) else network
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.sampler = sampler
        self.evaluator = evaluator
        self.val_interval = val_interval
        self.resume = bool(resume)
        self.overwrite = overwrite
        self.minutes = minutes
        self.description = dict(description or {})
        self.curves = curves
        self.states = dict(states or {})
        self._signals = StopSignals()
        self._saved = 0.0

    def attach(self, engine: Engine) -> None:
        """Register with the trainer and the validation engine."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._iteration_completed)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._epoch_completed)
        engine.add_event_handler(Events.COMPLETED, lambda _: self._signals.restore())
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._failed)
        self.evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._validation_iteration)
        self.evaluator.add_event_handler(Events.COMPLETED, self._validated, engine)

    def _start(self, engine: ReconstructionTrainer) -> None:
        self._saved = time.monotonic()
        self._signals.install()
        path = self.folder / RUN_STATE
        if not self.resume:
            self._clear()
            return
        if not path.is_file():
            logger.info("%s does not exist; the run starts from the beginning", path)
            return
        if self._load(engine, path):
            logger.info("doing the validation of epoch %d again, which was cut off", engine.state.epoch)
            self.evaluator.run(engine.state.epoch)

    def _clear(self) -> None:
        """Make room for a new run, if told so."""
        if not distributed.is_main():
            return
        present = [name for name in (RUN_STATE, "model.pt") if (self.folder / name).exists()]
        if present and not self.overwrite:
            raise FileExistsError(
                f"{self.folder} holds {' and '.join(present)} already; choose another --run_name or --output_dir, or "
                "give --overwrite True to replace them"
            )
        for old in (RUN_STATE, "model.pt", "model.json"):
            (self.folder / old).unlink(missing_ok=True)
        for curves in self.folder.glob("events.out.tfevents.*"):
            curves.unlink()

    def _iteration_completed(self, engine: ReconstructionTrainer) -> None:
        # the last batch of an epoch is followed by the step of the learning rate; the epoch's end saves
        if not engine.at_step_boundary or engine.state.iteration % engine.state.epoch_length == 0:
            return
        if self._stop(engine):
            self._save(engine)
            self._leave(engine)
        if time.monotonic() - self._saved > 60 * self.minutes:
            self._save(engine)

    def _epoch_completed(self, engine: ReconstructionTrainer) -> None:
        state = engine.state
        self._save(engine, validate=validation_due(state.epoch, self.val_interval, state.max_epochs))
        if self._stop(engine):
            self._leave(engine)

    def _validation_iteration(self, evaluator: Engine) -> None:
        if self._signals.received:
            logger.warning("stopped in a validation; --resume does it again and goes on")
            raise Interrupted(self._signals.received)

    def _validated(self, evaluator: Evaluator, engine: ReconstructionTrainer) -> None:
        if not distributed.is_main():
            return
        if evaluator.state.best_metric_epoch == evaluator.state.epoch:
            self._write("model.pt", self.network.state_dict())
            metrics = {name: value for name, value in evaluator.state.metrics.items() if isinstance(value, int | float)}
            with atomic_path(self.folder / "model.json") as temporary:
                content = {**self.description, "epoch": evaluator.state.epoch, "metrics": metrics}
                temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        self._save(engine)

    def _failed(self, engine: Engine, error: BaseException) -> None:
        self._signals.restore()
        raise error

    def _stop(self, engine: ReconstructionTrainer) -> bool:
        """Whether any process was told to stop; all of them then stop at the same step."""
        return distributed.total([float(self._signals.received)], engine.state.device)[0] > 0

    def _leave(self, engine: ReconstructionTrainer) -> None:
        self._signals.restore()
        state = engine.state
        logger.warning(
            "stopped in epoch %d, iteration %d; the state is in %s, and --resume goes on from it",
            state.epoch,
            state.iteration,
            self.folder / RUN_STATE,
        )
        # a process that only heard of the signal from another one
        raise Interrupted(self._signals.received or 15)

    def _save(self, engine: ReconstructionTrainer, validate: bool = False) -> None:
        self._saved = time.monotonic()
        if not distributed.is_main():
            return
        state = engine.state
        best = self.evaluator.state
        content = {
            "format": _FORMAT,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "lr_scheduler": self.lr_scheduler.state_dict(),
            "iteration": state.iteration,
            "epoch_length": state.epoch_length,
            "validation_pending": validate,
            "best_metric": float(best.best_metric),
            "best_metric_epoch": best.best_metric_epoch,
            "seed": self.sampler.seed,
            "random": _random_state(),
            "states": {name: dict(part.state_dict()) for name, part in self._parts(engine).items()},
        }
        self._write(RUN_STATE, content)

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        with atomic_path(self.folder / name) as temporary:
            torch.save(content, temporary)

    def _load(self, engine: ReconstructionTrainer, path: Path) -> bool:
        """Take over a saved state; says whether its validation is still to be done."""
        content = _read(path)
        load_weights(self.network, content["network"])
        self.optimizer.load_state_dict(content["optimizer"])
        # the schedule's length and form are the configuration's, which may have been given more epochs
        form = {name: getattr(self.lr_scheduler, name) for name in _SCHEDULE if hasattr(self.lr_scheduler, name)}
        self.lr_scheduler.load_state_dict({**content["lr_scheduler"], **form})
        self._load_states(engine, content.get("states", {}), path)
        self._set_position(engine, content, path)
        self.evaluator.state.best_metric = content["best_metric"]
        self.evaluator.state.best_metric_epoch = content["best_metric_epoch"]
        if distributed.world_size() == 1:
            _set_random_state(content["random"])
        if content["seed"] != self.sampler.seed:
            logger.warning(
                "--seed was %d and is now %d; the run goes on with other draws", content["seed"], self.sampler.seed
            )
        if self.curves is not None:
            self.curves.continue_after(engine.state.iteration)
        state = engine.state
        logger.info("continuing from %s: epoch %d, iteration %d", path, state.epoch, state.iteration)
        return bool(content["validation_pending"])

    def _parts(self, engine: Engine) -> dict[str, Stateful]:
        """What else has a state, of the run and of its trainer."""
        return {**self.states, **getattr(engine, "saved_states", {})}

    def _load_states(self, engine: Engine, saved: Mapping[str, Any], path: Path) -> None:
        for name, part in self._parts(engine).items():
            if set(saved.get(name, {})) == set(part.state_dict()):
                part.load_state_dict(saved.get(name, {}))
            else:
                logger.warning("%s has no state of %s as it is configured now; it starts anew", path, name)

    def _set_position(self, engine: ReconstructionTrainer, content: Mapping[str, Any], path: Path) -> None:
        state = engine.state
        epoch, done = divmod(content["iteration"], content["epoch_length"])
        if content["epoch_length"] != state.epoch_length:
            change = (
                f"{path}: the run had {content['epoch_length']} batches per epoch and process and would now have "
                f"{state.epoch_length} (other data, batch_size or number of processes)"
            )
            if done:
                raise ValueError(
                    f"{change}, and stopped in the middle of epoch {epoch + 1}; give what it had, or start a new run "
                    f"from its weights with --pretrained {path}"
                )
            logger.warning("%s; it goes on, but not as it would have", change)
        state.epoch = epoch
        state.iteration = epoch * state.epoch_length + done
        self.sampler.start = done


def _read(path: Path) -> dict[str, Any]:
    content = read_torch_file(path)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError(
            f"{path} is no state of a training run of this version; use --pretrained to start from weights"
        )
    return content


def _random_state() -> dict[str, Any]:
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 (whoever uses it is to continue it)
    version, numbers, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [str(name), torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "python": [version, list(numbers), gauss],
    }


def _set_random_state(state: Mapping[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count() and state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
