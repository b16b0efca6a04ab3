"""Supervised training of reconstruction networks."""

from __future__ import annotations

from typing import Any

import torch
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.utils.enums import CommonKeys
from torch import Tensor

__all__ = ["ReconstructionTrainer"]


class ReconstructionTrainer(SupervisedTrainer):
    """MONAI's ``SupervisedTrainer`` with what reconstruction needs and it lacks.

    * The loss gets each sample's data range, ``loss(prediction, target, data_range)``: SSIM is defined by the maximum
      of the volume, which MONAI's ``loss(prediction, target)`` cannot carry.
    * Gradients are clipped by norm; MONAI has no argument for it.
    * ``amp`` means bfloat16 autocast on the trainer's device, without a gradient scaler; MONAI's is bound to CUDA and
      scales bfloat16 too. The loss is computed outside autocast; physics inside the networks switches it off.
    * A loss or gradient that is not finite stops the run before the step and names file and slice.

    Args:
        max_gradient_norm: clip the gradients' total 2-norm to this; None does not clip.
        kwargs: as of ``monai.engines.SupervisedTrainer``.
    """

    def __init__(self, *, max_gradient_norm: float | None = 1.0, amp: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bfloat16 = amp
        self.max_gradient_norm = max_gradient_norm

    def _iteration(self, engine: ReconstructionTrainer, batchdata: dict[str, Any]) -> dict[str, Any]:
        """One optimizer step; returns and stores ``image`` (k-space), ``label``, ``pred`` and ``loss``."""
        inputs, targets, args, kwargs = engine.prepare_batch(
            batchdata, engine.state.device, engine.non_blocking, **engine.to_kwargs
        )
        where = kwargs.get("where", "this batch")
        output = engine.state.output = {CommonKeys.IMAGE: inputs, CommonKeys.LABEL: targets}
        engine.network.train()
        engine.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(inputs.device.type, dtype=torch.bfloat16, enabled=self.bfloat16):
            output[CommonKeys.PRED] = engine.inferer(inputs, engine.network, *args, **kwargs)
        engine.fire_event(IterationEvents.FORWARD_COMPLETED)
        output[CommonKeys.LOSS] = loss = self.compute_loss(output, batchdata)
        engine.fire_event(IterationEvents.LOSS_COMPLETED)
        self._check_finite("loss", loss, where)
        loss.backward()
        largest = float("inf") if self.max_gradient_norm is None else self.max_gradient_norm
        norm = torch.nn.utils.clip_grad_norm_(engine.network.parameters(), largest)
        self._check_finite("gradient norm", norm, where)
        engine.fire_event(IterationEvents.BACKWARD_COMPLETED)
        engine.optimizer.step()
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return output

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
            batchdata: the batch, with ``maximum`` ``(B,)``, each sample's data range.

        Returns:
            A scalar.

        Raises:
            ValueError: if the batch has no targets.
        """
        prediction, target = output[CommonKeys.PRED], output[CommonKeys.LABEL]
        if target is None:
            raise ValueError(f"training needs targets, and these files have none: {sorted(set(batchdata['file']))}")
        data_range = batchdata["maximum"].to(prediction.device)
        return self.loss_function(prediction, target, data_range)
