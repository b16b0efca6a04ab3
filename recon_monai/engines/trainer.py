"""Supervised training of reconstruction networks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.utils.enums import CommonKeys
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from recon_monai import distributed
from recon_monai.engines.memory import explain_out_of_memory
from recon_monai.networks.precision import bfloat16_autocast

__all__ = ["ReconstructionTrainer"]


class ReconstructionTrainer(SupervisedTrainer):
    """MONAI's ``SupervisedTrainer`` with what reconstruction needs and it lacks.

    * The loss gets each sample's data range, ``loss(prediction, target, data_range)``: SSIM is defined by the maximum
      of the volume, which MONAI's ``loss(prediction, target)`` cannot carry. A loss with an attribute ``batch_keys``
      (names) also gets these entries of the batch, as keyword arguments.
    * Gradients are clipped by norm; MONAI has no argument for it.
    * Gradients of `accumulation_steps` batches, and of all processes, add up to the mean over their *slices*: the same
      as one large batch, also where batches differ in size. MONAI divides by the number of batches, and under DDP
      processes with smaller batches would weigh more.
    * ``amp`` means bfloat16 autocast on the trainer's device, without a gradient scaler; MONAI's is bound to CUDA and
      scales bfloat16 too. The loss is computed outside autocast; physics inside the networks switches it off.
    * A loss or gradient that is not finite stops the run before the step and names file and slice.
    * Out of memory says what was too large and which settings make it smaller.

    Attributes:
        gradient_norm: of the last update, before it was clipped; None before the first.

    Args:
        max_gradient_norm: clip the gradients' total 2-norm to this; None does not clip.
        accumulation_steps: batches per update of the weights. The last update of an epoch may see fewer. Can be changed
            later by `change_accumulation`.
        amp: use bfloat16 where the networks allow it.
        kwargs: as of ``monai.engines.SupervisedTrainer``.

    Raises:
        ValueError: if ``accumulation_steps`` is below 1.
    """

    def __init__(
        self,
        *,
        max_gradient_norm: float | None = 1.0,
        accumulation_steps: int = 1,
        amp: bool = False,
        **kwargs: Any,
    ) -> None:
        if accumulation_steps < 1:
            raise ValueError(f"accumulation_steps is {accumulation_steps}, expected at least 1")
        # before handlers are attached, which may change it; MONAI's own accumulation is left at 1: its loop is not used
        self.batches_per_step = accumulation_steps
        self._accumulated = 0
        self._seen: list[str] = []
        self.gradient_norm: Tensor | None = None
        super().__init__(**kwargs)
        self.bfloat16 = amp
        self.max_gradient_norm = max_gradient_norm

    @property
    def at_step_boundary(self) -> bool:
        """Whether the last batch ended with an update of the weights, so that no gradient is pending."""
        position = self.state.iteration % self.state.epoch_length
        return position == 0 or position % self.batches_per_step == 0

    def change_accumulation(self, accumulation_steps: int) -> None:
        """Accumulate another number of batches from the next epoch on; the batch sampler is to be told as well.

        Args:
            accumulation_steps: batches per update of the weights.

        Raises:
            ValueError: if it is below 1.
            RuntimeError: in the middle of an update or of an epoch.
        """
        if accumulation_steps < 1:
            raise ValueError(f"accumulation_steps is {accumulation_steps}, expected at least 1")
        if self._seen or (self.state.iteration and self.state.iteration % self.state.epoch_length):
            raise RuntimeError(
                f"iteration {self.state.iteration} is in the middle of an epoch, in which batches are shared out among "
                "updates already; change the accumulation between epochs"
            )
        self.batches_per_step = accumulation_steps

    def _iteration(self, engine: ReconstructionTrainer, batchdata: dict[str, Any]) -> dict[str, Any]:
        """One batch; returns and stores ``image`` (k-space), ``label``, ``pred`` and ``loss``."""
        inputs, targets, args, kwargs = engine.prepare_batch(
            batchdata, engine.state.device, engine.non_blocking, **engine.to_kwargs
        )
        where = kwargs.get("where", "this batch")
        output = engine.state.output = {CommonKeys.IMAGE: inputs, CommonKeys.LABEL: targets}
        engine.network.train()
        if not self._seen:
            engine.optimizer.zero_grad(set_to_none=True)
        self._seen.append(where)
        with explain_out_of_memory(inputs, where), self._synchronized():
            output[CommonKeys.PRED] = self.predict(inputs, args, kwargs)
            engine.fire_event(IterationEvents.FORWARD_COMPLETED)
            output[CommonKeys.LOSS] = loss = self.compute_loss(output, batchdata)
            engine.fire_event(IterationEvents.LOSS_COMPLETED)
            self._check_finite("loss", loss, where)
            (loss * len(inputs)).backward()
        self._accumulated += len(inputs)
        engine.fire_event(IterationEvents.BACKWARD_COMPLETED)
        if self.at_step_boundary:
            self._update()
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return output

    def predict(self, inputs: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """Reconstruct one batch with the network in training, for a subclass to do more.

        Args:
            inputs: k-space ``(B, coil, H, W)``.
            args: as prepared for the inferer.
            kwargs: as prepared for the inferer.

        Returns:
            Images ``(B, 1, h, w)``.
        """
        return self._infer(self.network, inputs, args, kwargs)

    def _infer(self, network: nn.Module, inputs: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        with bfloat16_autocast(inputs.device.type, enabled=self.bfloat16):
            return self.inferer(inputs, network, *args, **kwargs)

    @contextlib.contextmanager
    def _synchronized(self) -> Iterator[None]:
        """Let processes exchange gradients in the last batch of an update only."""
        if isinstance(self.network, DistributedDataParallel) and not self.at_step_boundary:
            with self.network.no_sync():
                yield
        else:
            yield

    def _update(self) -> None:
        """Turn summed gradients into the mean over slices, clip, step."""
        [slices] = distributed.total([float(self._accumulated)], self.state.device)
        # DDP has already divided by the number of processes
        factor = distributed.world_size() / slices
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        if factor != 1:
            torch._foreach_mul_(gradients, factor)
        largest = float("inf") if self.max_gradient_norm is None else self.max_gradient_norm
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), largest)
        where = ", ".join(self._seen)
        self._seen, self._accumulated = [], 0
        self._check_finite("gradient norm", norm, where)
        self.gradient_norm = norm.detach()
        self.optimizer.step()

    def _check_finite(self, name: str, value: Tensor, where: str) -> None:
        if not bool(torch.isfinite(value)):
            raise FloatingPointError(
                f"the {name} is {value.item()} in epoch {self.state.epoch}, iteration {self.state.iteration}, "
                f"on {where}; look at these slices, or lower the learning rate"
            )

    def compute_loss(self, output: dict[str, Any], batchdata: dict[str, Any]) -> Tensor:
        """The loss of one batch.

        Args:
            output: ``pred`` and ``label``, ``(B, 1, h, w)``.
            batchdata: the batch, with ``maximum`` ``(B,)``, each sample's data range, and what the loss names in
                ``batch_keys``.

        Returns:
            A scalar.

        Raises:
            ValueError: if the batch has no targets, or lacks what the loss asks for.
        """
        supervision = self._supervision(output, batchdata)
        wanted = getattr(self.loss_function, "batch_keys", ())
        missing = [key for key in wanted if key not in batchdata]
        if missing:
            raise ValueError(
                f"the loss asks for {missing} of the batch, which has only {sorted(batchdata)}; add the transform that "
                "makes it to the training transforms, for zero_filled: ZeroFilledd after Undersampled"
            )
        further = {key: batchdata[key].to(supervision[0].device) for key in wanted}
        return self.loss_function(*supervision, **further)

    def _supervision(self, output: dict[str, Any], batchdata: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
        """Prediction, target and data range of a batch."""
        prediction, target = output[CommonKeys.PRED], output[CommonKeys.LABEL]
        if target is None:
            raise ValueError(f"training needs targets, and these files have none: {sorted(set(batchdata['file']))}")
        return prediction, target, batchdata["maximum"].to(prediction.device)
