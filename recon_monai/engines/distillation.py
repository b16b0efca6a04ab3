"""Training of a student that is to see what the teacher of each sample's anatomy sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from monai.utils.enums import CommonKeys
from torch import Tensor, nn

from recon_monai.engines.trainer import ReconstructionTrainer
from recon_monai.losses import DistillationLoss
from recon_monai.networks.features import FeatureTap

__all__ = ["DistillationTrainer"]


class DistillationTrainer(ReconstructionTrainer):
    """Trains one network for several anatomies, each with a teacher that knows this anatomy alone.

    The loss, a ``DistillationLoss``, compares features of the student's cascades with those of the teachers, each
    sample with the teacher of its anatomy. Teachers see k-space and mask of their samples, and no anatomy; they are
    frozen, in evaluation mode, and run under the same autocast as the student.

    ``state.output`` also holds ``reconstruction_loss`` and ``distillation_loss``, the terms without their weights.

    Args:
        teachers: trained networks by the name of their anatomy. They are moved to the device and frozen here.
        feature_level: where features are taken, see ``recon_monai.networks.FeatureTap``.
        kwargs: as of ``ReconstructionTrainer``; ``loss_function`` is a ``DistillationLoss``.

    Raises:
        ValueError: if the loss is another one, there are no teachers, student and teachers do not have features of
            the same cascades at this level, or a teacher shares parameters with the student or the optimizer.
    """

    def __init__(self, *, teachers: Mapping[str, nn.Module], feature_level: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(self.loss_function, DistillationLoss):
            raise ValueError(f"distillation needs a DistillationLoss, got {type(self.loss_function).__name__}")
        if not teachers:
            raise ValueError("distillation needs a teacher for each anatomy, got none; train the teachers first")
        self.feature_level = feature_level
        cascades = len(FeatureTap(self.network, feature_level))
        trained = {id(parameter) for group in self.optimizer.param_groups for parameter in group["params"]}
        trained |= {id(parameter) for parameter in self.network.parameters()}
        for anatomy, teacher in teachers.items():
            _check_teacher(anatomy, teacher, feature_level, cascades, trained)
        self.teachers = {
            anatomy: teacher.to(self.state.device).eval().requires_grad_(False) for anatomy, teacher in teachers.items()
        }
        # the student's features and how its inferer was called, from `predict` to `compute_loss`
        self._pending: tuple[list[Tensor], tuple[Any, ...], dict[str, Any]] | None = None

    def predict(self, inputs: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """Reconstruct one batch with the student, and keep its features for the loss.

        Args:
            inputs: k-space ``(B, coil, H, W)``.
            args: as prepared for the inferer.
            kwargs: as prepared for the inferer.

        Returns:
            Images ``(B, 1, h, w)``.
        """
        with FeatureTap(self.network, self.feature_level) as tap:
            prediction = super().predict(inputs, args, kwargs)
        self._pending = tap.features, args, kwargs
        return prediction

    def compute_loss(self, output: dict[str, Any], batchdata: dict[str, Any]) -> Tensor:
        """The loss of one batch; puts its terms into the output.

        Args:
            output: ``image`` (k-space), ``pred`` and ``label``; gets ``reconstruction_loss`` and
                ``distillation_loss``, detached scalars.
            batchdata: the batch, with ``anatomy``, ``file``, ``slice`` (one per sample) and ``maximum`` ``(B,)``.

        Returns:
            A scalar.

        Raises:
            ValueError: if the batch has no targets, or an anatomy has no teacher; names the file.
            RuntimeError: if `predict` has not been called before.
        """
        supervision = self._supervision(output, batchdata)
        if self._pending is None:
            raise RuntimeError("there are no features of this batch; call predict before compute_loss")
        (student, args, kwargs), self._pending = self._pending, None
        teacher = self._teacher_features(output[CommonKeys.IMAGE], args, kwargs, batchdata)
        terms = self.loss_function(*supervision, student, teacher)
        output["reconstruction_loss"] = terms.reconstruction.detach()
        output["distillation_loss"] = terms.distillation.detach()
        return terms.loss

    @torch.no_grad()
    def _teacher_features(
        self, inputs: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any], batchdata: dict[str, Any]
    ) -> list[Tensor]:
        """Features of each cascade, each sample's from its own teacher, in the order of the batch."""
        groups = self._group(batchdata)
        parts = []
        for anatomy, rows in groups.items():
            teacher = self.teachers[anatomy]
            chosen = _rows_of(inputs, rows, len(inputs))
            named = {key: value for key, value in kwargs.items() if key != "anatomy"}
            if named.get("mask") is not None:
                named["mask"] = _rows_of(named["mask"], rows, len(inputs))
            slices = ", ".join(f"{batchdata['file'][row]} slice {int(batchdata['slice'][row])}" for row in rows)
            named["where"] = f"{slices} (teacher of {anatomy})"
            with FeatureTap(teacher, self.feature_level) as tap:
                self._infer(teacher, chosen, args, named)
            parts.append(tap.features)
        if len(parts) == 1:
            return parts[0]
        order = torch.tensor([row for rows in groups.values() for row in rows], device=inputs.device).argsort()
        return [_joined(features, list(groups))[order] for features in zip(*parts, strict=True)]

    def _group(self, batchdata: dict[str, Any]) -> dict[str, list[int]]:
        """Samples of each anatomy in the batch."""
        groups: dict[str, list[int]] = {}
        for row, anatomy in enumerate(batchdata["anatomy"]):
            if anatomy not in self.teachers:
                raise ValueError(
                    f"{batchdata['file'][row]} shows the anatomy {anatomy!r}, which has no teacher, expected one of "
                    f"{sorted(self.teachers)}; train a teacher for it, or leave the file out (filters)"
                )
            groups.setdefault(anatomy, []).append(row)
        return groups


def _check_teacher(anatomy: str, teacher: nn.Module, level: int, cascades: int, trained: set[int]) -> None:
    """Refuse a teacher that cannot be compared with the student, or that training would change."""
    try:
        found = len(FeatureTap(teacher, level))
    except ValueError as error:
        raise ValueError(f"teacher of {anatomy!r}: {error}") from error
    if found != cascades:
        raise ValueError(
            f"the teacher of {anatomy!r} has {found} cascades and the student {cascades}; distillation compares them "
            "one by one, give them the same number"
        )
    if any(id(parameter) in trained for parameter in teacher.parameters()):
        raise ValueError(
            f"the teacher of {anatomy!r} shares parameters with the student or its optimizer; give it a network of "
            "its own"
        )


def _rows_of(tensor: Tensor, rows: list[int], batch_size: int) -> Tensor:
    """The rows of k-space or of a mask; a mask that all samples share stays as it is."""
    shared = tensor.ndim < 4 or len(tensor) != batch_size
    return tensor if shared or len(rows) == batch_size else tensor[rows]


def _joined(features: tuple[Tensor, ...], anatomies: list[str]) -> Tensor:
    if len({tuple(part.shape[1:]) for part in features}) > 1:
        shapes = {anatomy: tuple(part.shape[1:]) for anatomy, part in zip(anatomies, features, strict=True)}
        raise ValueError(
            f"the teachers of one batch have features of different shapes {shapes}; use teachers of one size, or "
            "batch_size 1"
        )
    return torch.cat(features)
