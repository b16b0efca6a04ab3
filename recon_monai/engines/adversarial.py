"""Training of a generator on pairs, with a critic of the Wasserstein kind."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.utils.enums import CommonKeys
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from recon_monai import distributed
from recon_monai.engines.memory import explain_patches_out_of_memory
from recon_monai.engines.update_schedule import UpdateSchedule
from recon_monai.engines.volume_batch import PrepareVolumeBatch
from recon_monai.losses import AdversarialLoss, WassersteinGPLoss
from recon_monai.losses.wasserstein import full_scores
from recon_monai.networks import keep_running_statistics, load_weights
from recon_monai.networks.precision import bfloat16_autocast
from recon_monai.physics import keyed_generator

__all__ = ["AdversarialState", "CriticConstraint", "WGANTrainer"]

CriticConstraint = Literal["gradient_penalty", "weight_clipping"]

_CLIP = 0.01
_NORMALIZATIONS = (nn.GroupNorm, nn.LayerNorm, nn.modules.batchnorm._NormBase)
_FLAT = 1e-5  # share of the scores; float32 resolves 1e-7
_PATIENCE = 100  # steps of the critic

logger = logging.getLogger(__name__)


class WGANTrainer(SupervisedTrainer):
    """Trains a generator by a reconstruction loss, and by a critic that learns to tell its images from real ones.

    Chen et al. 2018 (MICCAI, mDCSRN) with the Wasserstein losses of `WassersteinGPLoss`. One iteration is one batch and
    one update, of whichever network `UpdateSchedule` says: the generator alone at first, by the reconstruction loss;
    then the critic, mostly, and the generator by ``reconstruction loss - adversarial_weight * mean score``. `GANLoss`
    may stand in place of the Wasserstein losses. MONAI's ``GanTrainer`` knows neither pairs nor a penalty; its
    ``AdversarialTrainer`` updates both networks in each batch.

    * A step of the critic leaves the generator as it is, running statistics included, and the reverse.
    * ``amp`` means bfloat16 autocast inside the networks, without a gradient scaler. Losses are in float32, and so is
      the whole penalty, the critic included.
    * Several processes: gradients, losses and running statistics become the mean over all samples here, after the
      backward pass. Networks need no ``DistributedDataParallel``, and it is bypassed: it does not support the penalty.
    * A loss or gradient that is not finite stops the run before the step and names the files.

    ``state.output`` holds ``image``, ``label``, ``pred``; ``loss``, the generator's objective;
    ``reconstruction``, what ``loss_function`` says; and of steps with the critic ``fake_score``, of its own steps also
    ``real_score``, ``critic_loss`` and, where there are such, ``wasserstein`` (the estimate of the distance) and
    ``penalty``; steps of the generator by the critic have ``score_gradient``, the mean norm of the score's gradient at
    what was made (near 1 with a penalty; 0: the critic teaches nothing), with `GANLoss` of the gradient of its loss,
    which a score that is sure of itself makes smaller. The numbers are also in ``state.terms``, whatever postprocessing
    makes of the output. ``state.updates`` counts the updates by kind (``pretraining``, ``critic``, ``generator``),
    ``state.update`` is the kind of the last one. A critic whose mean scores of real and made images are the same in 100
    of its steps in a row is warned of.

    To go on with an interrupted run, give the trainer `TrainingCheckpoint`, which finds `saved_states`.

    Args:
        critic: returns scores ``(B,)``, such as `MDCSRNCritic`.
        critic_optimizer: of its parameters.
        pretrain_steps: as of `UpdateSchedule`, like the next four.
        critic_only_steps: before the cycles.
        critic_steps: updates of the critic per update of the generator.
        extra_critic_every: 0: no extra rounds.
        extra_critic_steps: 0: no extra rounds.
        constraint: ``"gradient_penalty"``, or ``"weight_clipping"`` (Arjovsky et al. 2017), for comparison.
        adversarial_loss: the losses, with the weight of the penalty: `WassersteinGPLoss` (default) or `GANLoss`.
        penalty_every: compute the penalty in every so manieth step of the critic only, with so many times its weight.
        clip: weights and biases of the critic's convolutions and linear layers stay in [-clip, clip], for
            ``"weight_clipping"``. Scale and shift of normalizations are exempt: clipping is to bound how steep the
            linear maps are, and the scale in front of a normalization is divided out by it. But at 0.01 the variance
            that reaches the next normalization is far below what it adds against division by zero (1e-5), and the
            score of eight layers would be a constant.
        adversarial_weight: of the adversarial loss (minus the score) in the generator's loss.
        adversarial_options: for the generator's optimizer from the end of pretraining on, such as
            ``{"lr": 5e-6, "betas": [0.0, 0.9]}``; its moments are kept. None: as before.
        loss_function: the reconstruction loss, ``loss(prediction, target)``; the mean absolute difference by default.
        prepare_batch: `PrepareVolumeBatch` by default.
        amp: use bfloat16 inside the networks.
        seed: of the points of the penalty.
        kwargs: as of ``monai.engines.SupervisedTrainer``; ``network`` and ``optimizer`` are the generator's.

    Raises:
        ValueError: for an unknown constraint or an option without the constraint it belongs to, a number out of range,
            options that the optimizer does not have, or MONAI's ``accumulation_steps`` or ``compile``.
    """

    def __init__(
        self,
        *,
        critic: nn.Module,
        critic_optimizer: Optimizer,
        pretrain_steps: int = 0,
        critic_only_steps: int = 0,
        critic_steps: int = 7,
        extra_critic_every: int = 0,
        extra_critic_steps: int = 0,
        constraint: CriticConstraint = "gradient_penalty",
        adversarial_loss: AdversarialLoss | None = None,
        penalty_every: int = 1,
        clip: float = _CLIP,
        adversarial_weight: float = 1e-3,
        adversarial_options: Mapping[str, Any] | None = None,
        loss_function: Any = None,
        prepare_batch: Any = None,
        amp: bool = False,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        self.schedule = UpdateSchedule(
            pretrain_steps, critic_only_steps, critic_steps, extra_critic_every, extra_critic_steps
        )
        if constraint not in get_args(CriticConstraint):
            raise ValueError(f"unknown constraint {constraint!r}; use one of {get_args(CriticConstraint)}")
        if penalty_every < 1 or (penalty_every > 1 and constraint != "gradient_penalty"):
            raise ValueError(f"penalty_every is {penalty_every} with {constraint}; give 1, or more with a penalty")
        usual = WassersteinGPLoss().weight
        weight = usual if adversarial_loss is None else adversarial_loss.weight
        if constraint == "gradient_penalty" and clip != _CLIP:
            raise ValueError(
                f"clip is {clip} with gradient_penalty, which clips nothing; leave it out, or give weight_clipping"
            )
        if constraint == "weight_clipping" and weight not in (0, usual):
            raise ValueError(
                f"the weight of the penalty is {weight} with weight_clipping, which has no penalty; leave it out, or "
                "give gradient_penalty"
            )
        if not (clip > 0 and adversarial_weight >= 0):
            raise ValueError(f"clip is {clip} and adversarial_weight {adversarial_weight}, expected above 0 and from 0")
        if kwargs.get("compile") or kwargs.get("accumulation_steps", 1) != 1:
            raise ValueError(
                "compile=True has no second derivatives, which the penalty needs, and accumulation_steps no meaning "
                "where steps alternate; leave both out, and use larger batches instead"
            )
        super().__init__(
            loss_function=loss_function or nn.L1Loss(), prepare_batch=prepare_batch or PrepareVolumeBatch(), **kwargs
        )
        self.critic = critic
        self.critic_optimizer = critic_optimizer
        self.constraint = constraint
        self.adversarial_loss = adversarial_loss or WassersteinGPLoss()
        self.penalty_every = penalty_every
        self.clip = clip
        self.adversarial_weight = adversarial_weight
        self.adversarial_options = dict(adversarial_options or {})
        self.bfloat16 = amp
        self.seed = seed
        unknown = set(self.adversarial_options) - set(self.optimizer.param_groups[0])
        if unknown:
            raise ValueError(f"{type(self.optimizer).__name__} has no {sorted(unknown)} to change after pretraining")
        self.state.updates = {"pretraining": 0, "critic": 0, "generator": 0}
        self.state.update = None
        self.state.terms = {}
        self.state_dict_user_keys.append("updates")
        self._alike = False
        self._flat = 0
        self.add_event_handler(Events.STARTED, self._start)

    @property
    def generator(self) -> nn.Module:
        """The generator itself, without the wrapper for several processes."""
        return _unwrapped(self.network)

    @property
    def at_step_boundary(self) -> bool:
        """True: every batch ends with an update."""
        return True

    @property
    def saved_states(self) -> dict[str, AdversarialState]:
        """What a checkpoint is to keep besides generator and optimizer."""
        return {"adversarial": AdversarialState(self)}

    def _start(self, engine: Engine) -> None:
        """Say what the run will do."""
        self._alike = False
        self._flat = 0
        if not self.state.epoch_length:
            return
        steps = self.state.max_epochs * self.state.epoch_length
        counts = self.schedule.counts(steps)
        logger.info("%d steps: %s", steps, ", ".join(f"{count} {kind}" for kind, count in counts.items()))
        if counts["critic"] and not counts["generator"]:
            logger.warning(
                "no step of this run trains the generator with the critic: %d steps end before the first one", steps
            )

    def _iteration(self, engine: SupervisedTrainer, batchdata: dict[str, Any]) -> Any:
        """One batch, one update; see the class for what it returns and stores."""
        batch = engine.prepare_batch(batchdata, engine.state.device, engine.non_blocking, **engine.to_kwargs)
        inputs, targets, args, kwargs = batch if len(batch) == 4 else (*batch, (), {})
        where = _files(batchdata)
        if targets is None:
            raise ValueError(f"training needs targets, and this batch has none: {where}")
        self._begin_alike()
        state = self.state
        kind = self.schedule.kind(sum(state.updates.values()))
        if kind != "pretraining" and not (state.updates["critic"] or state.updates["generator"]):
            for group in self.optimizer.param_groups:
                group.update(self.adversarial_options)
        state.output = {CommonKeys.IMAGE: inputs, CommonKeys.LABEL: targets}
        self.generator.train()
        with explain_patches_out_of_memory(inputs, where):
            if kind == "critic":
                self._critic_step(inputs, targets, args, kwargs, where)
            else:
                self._generator_step(inputs, targets, args, kwargs, where, adversarial=kind == "generator")
        state.updates[kind] += 1
        state.update = kind
        self.fire_event(IterationEvents.MODEL_COMPLETED)
        return state.output

    def _generator_step(
        self, inputs: Tensor, targets: Tensor, args: Any, kwargs: Any, where: str, *, adversarial: bool
    ) -> None:
        output, critic = self.state.output, _unwrapped(self.critic)
        gradients: list[Tensor] = []
        self.optimizer.zero_grad(set_to_none=True)
        with _frozen(critic):
            output[CommonKeys.PRED] = prediction = self._generate(inputs, args, kwargs)
            self.fire_event(IterationEvents.FORWARD_COMPLETED)
            loss = reconstruction = self.loss_function(prediction, targets).mean()
            terms = {"reconstruction": reconstruction}
            if adversarial:
                critic.train()
                scored = prediction.view_as(prediction)
                scored.register_hook(gradients.append)
                with self._autocast(inputs):
                    scores = critic(scored)
                away = self.adversarial_loss.generator_loss(scores)
                terms["fake_score"] = full_scores(scores).mean()
                loss = reconstruction + self.adversarial_weight * away
            output[CommonKeys.LOSS] = terms["loss"] = loss
            self.fire_event(IterationEvents.LOSS_COMPLETED)
            loss.backward()
        self.fire_event(IterationEvents.BACKWARD_COMPLETED)
        if gradients and self.adversarial_weight > 0:
            norms = torch.linalg.vector_norm(gradients[0].flatten(1), dim=1)
            terms["score_gradient"] = norms.mean() * len(norms) / self.adversarial_weight
        statistics = [buffer for buffer in self.generator.buffers() if buffer.is_floating_point()]
        self._finish(self.generator, terms, len(inputs), where, further=statistics)
        self.optimizer.step()
        output[CommonKeys.PRED] = prediction.detach()

    def _critic_step(self, inputs: Tensor, targets: Tensor, args: Any, kwargs: Any, where: str) -> None:
        output, critic = self.state.output, _unwrapped(self.critic)
        critic.train()
        self.critic_optimizer.zero_grad(set_to_none=True)
        with torch.no_grad(), keep_running_statistics(self.generator):
            output[CommonKeys.PRED] = prediction = self._generate(inputs, args, kwargs)
            reconstruction = self.loss_function(prediction, targets).mean()
        self.fire_event(IterationEvents.FORWARD_COMPLETED)
        step = self.state.updates["critic"]
        lazy = self.constraint == "gradient_penalty" and step % self.penalty_every == 0
        with self._autocast(inputs):
            found = self.adversarial_loss.critic_loss(
                critic,
                targets,
                prediction,
                epsilon=self._draw(len(inputs), step) if lazy else None,
                penalty_scale=self.penalty_every if lazy else 0,
            )
        terms = {name: value for name, value in found._asdict().items() if value is not None}
        terms["critic_loss"] = terms.pop("total")
        terms["reconstruction"] = reconstruction
        terms["loss"] = reconstruction + self.adversarial_weight * terms.pop("generator_loss")
        output.update(terms)
        self.fire_event(IterationEvents.LOSS_COMPLETED)
        found.total.backward()
        self.fire_event(IterationEvents.BACKWARD_COMPLETED)
        self._finish(critic, terms, len(inputs), where)
        self.critic_optimizer.step()
        if self.constraint == "weight_clipping":
            _clip(critic, self.clip)
        self._watch()

    def _watch(self) -> None:
        """Warn, once, of a critic that has told nothing apart for a while."""
        real, fake = (self.state.terms[name].item() for name in ("real_score", "fake_score"))
        self._flat = self._flat + 1 if abs(real - fake) <= _FLAT * max(abs(real), abs(fake)) else 0
        if self._flat == _PATIENCE:
            advice = {"weight_clipping": "a larger clip", "gradient_penalty": "a larger learning rate of the critic"}
            logger.warning(
                "the %s has been 0 for %d steps of the critic: it gives real and made images one "
                "score, and its gradient teaches the generator nothing; give %s",
                "Wasserstein estimate" if "wasserstein" in self.state.terms else "difference of mean scores",
                _PATIENCE,
                advice[self.constraint],
            )

    def _generate(self, inputs: Tensor, args: Any, kwargs: Any) -> Tensor:
        with self._autocast(inputs):
            made = self.inferer(inputs, self.generator, *args, **kwargs)
        return made.to(torch.promote_types(made.dtype, torch.float32))

    def _autocast(self, inputs: Tensor) -> torch.autocast:
        return bfloat16_autocast(inputs.device.type, enabled=self.bfloat16)

    def _draw(self, count: int, step: int) -> Tensor:
        """A number for each sample, the same for the n-th of all processes' as for the n-th of one large batch."""
        first = distributed.rank() * count
        keys = [("penalty", self.seed, step, first + index) for index in range(count)]
        return torch.cat([torch.rand(1, generator=keyed_generator(*key)) for key in keys])

    def _begin_alike(self) -> None:
        """Let all processes start from the main one's networks."""
        if not self._alike:
            for network in (self.generator, _unwrapped(self.critic)):
                distributed.share([*network.parameters(), *network.buffers()])
            self._alike = True

    def _finish(
        self,
        network: nn.Module,
        terms: dict[str, Tensor],
        samples: int,
        where: str,
        further: list[Tensor] | None = None,
    ) -> None:
        """Turn what this process found into means over all samples, check them, and keep the terms."""
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        found = {name: value.detach().clone() for name, value in terms.items()}
        distributed.average([*gradients, *found.values(), *(further or [])], samples)
        norm = torch.nn.utils.get_total_norm(gradients)
        checked = {**found, "gradient norm": norm}
        if not bool(torch.isfinite(torch.stack([value.float() for value in checked.values()])).all()):
            name, value = next((n, v) for n, v in checked.items() if not bool(torch.isfinite(v)))
            raise FloatingPointError(
                f"{name} is {value.item()} in epoch {self.state.epoch}, iteration {self.state.iteration}, on {where}; "
                "look at these files, or lower the learning rates"
            )
        self.state.terms = found
        self.state.output.update(found)


class AdversarialState:
    """What a `WGANTrainer` has besides a generator and its optimizer: critic, its optimizer, and counts of updates.

    Args:
        trainer: the trainer.
    """

    def __init__(self, trainer: WGANTrainer) -> None:
        self.trainer = trainer

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers, strings, and dictionaries of them."""
        trainer = self.trainer
        return {
            "critic": _unwrapped(trainer.critic).state_dict(),
            "critic_optimizer": trainer.critic_optimizer.state_dict(),
            "updates": dict(trainer.state.updates),
            "schedule": dict(vars(trainer.schedule)),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where a trainer was; with another schedule than it had, from the same number of steps on.

        Args:
            state_dict: from `state_dict`.

        Raises:
            ValueError: if the critic is another one.
        """
        trainer = self.trainer
        load_weights(_unwrapped(trainer.critic), state_dict["critic"])
        trainer.critic_optimizer.load_state_dict(dict(state_dict["critic_optimizer"]))
        trainer.state.updates = {name: int(count) for name, count in state_dict["updates"].items()}
        if dict(state_dict["schedule"]) != vars(trainer.schedule):
            logger.warning(
                "the schedule of updates was %s and is now %s; the run goes on with the new one from step %d",
                dict(state_dict["schedule"]),
                vars(trainer.schedule),
                sum(trainer.state.updates.values()),
            )


@torch.no_grad()
def _clip(critic: nn.Module, bound: float) -> None:
    for module in critic.modules():
        if not isinstance(module, _NORMALIZATIONS):
            for parameter in module.parameters(recurse=False):
                parameter.clamp_(-bound, bound)


@contextlib.contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """No gradients for its parameters."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def _unwrapped(network: nn.Module) -> nn.Module:
    return network.module if isinstance(network, DistributedDataParallel) else network


def _files(batchdata: Any) -> str:
    files = batchdata.get("file") if isinstance(batchdata, Mapping) else None
    return ", ".join(map(str, files)) if files else "this batch"
