"""Training the anatomy classifier: batches with labels, its call, and a trainer with a plain loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.engines import PrepareBatch
from monai.inferers import Inferer
from monai.utils.enums import CommonKeys
from torch import Tensor

from recon_monai.engines.memory import explain_out_of_memory
from recon_monai.engines.trainer import ReconstructionTrainer

__all__ = ["ClassificationInferer", "ClassificationTrainer", "PrepareAnatomyBatch"]


class PrepareAnatomyBatch(PrepareBatch):
    """Take k-space, anatomy and mask out of a batch of items.

    Returns ``(kspace, labels, (), {"mask": ..., "where": ...})``, the four-part form of MONAI's engines; the mask is
    None where the items have none, ``where`` names files and slices for errors.

    Args:
        anatomies: names of the anatomies in the order of the classifier's outputs.

    Raises:
        ValueError: if a name comes twice, or there is none.
    """

    def __init__(self, anatomies: Sequence[str]) -> None:
        self.anatomies = check_names(anatomies)

    def __call__(
        self,
        batchdata: dict[str, Any],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor, tuple[()], dict[str, Any]]:
        """Move the parts to the device.

        Args:
            batchdata: collated items with ``kspace`` ``(B, coil, H, W)``, ``anatomy``, ``file`` and ``slice``.
            device: where to.
            non_blocking: passed on to ``Tensor.to``.
            kwargs: passed on to ``Tensor.to``.

        Returns:
            K-space, labels (int64, ``(B,)``), no more arguments, and the arguments by name.

        Raises:
            ValueError: if the batch has no k-space, or an anatomy is none of the names.
        """
        if batchdata.get("kspace") is None:
            raise ValueError(f"the batch has no 'kspace', only {sorted(batchdata)}")
        slices = list(zip(batchdata["file"], map(int, batchdata["slice"]), strict=True))
        for (file, number), anatomy in zip(slices, batchdata["anatomy"], strict=True):
            if anatomy not in self.anatomies:
                raise ValueError(
                    f"{file} slice {number}: its anatomy is {anatomy!r}, expected one of {', '.join(self.anatomies)}; "
                    "leave such files out by filters, name their anatomy by anatomy_rules, or add it to anatomies"
                )
        labels = torch.tensor([self.anatomies.index(anatomy) for anatomy in batchdata["anatomy"]])
        mask = batchdata.get("mask")
        if mask is not None:
            mask = mask.to(device=device, non_blocking=non_blocking, **kwargs)
        where = ", ".join(f"{file} slice {number}" for file, number in slices)
        kspace = batchdata["kspace"].to(device=device, non_blocking=non_blocking, **kwargs)
        return kspace, labels.to(device=device, non_blocking=non_blocking), (), {"mask": mask, "where": where}


class ClassificationInferer(Inferer):
    """Call a classifier on k-space, and name file and slice where that fails."""

    def __call__(
        self,
        inputs: Tensor,
        network: Callable[..., Tensor],
        *args: Any,
        mask: Tensor | None = None,
        where: str = "this batch",
        **kwargs: Any,
    ) -> Tensor:
        """Classify one batch.

        Args:
            inputs: undersampled k-space ``(B, coil, H, W)``.
            network: called as ``network(kspace, mask)``, returns logits ``(B, A)``.
            args: passed on to the network.
            mask: ``(B, 1, 1, W)`` or ``(B, 1, H, W)``, or None.
            where: file and slice, for errors.
            kwargs: passed on to the network.

        Returns:
            Logits, ``(B, A)``.

        Raises:
            ValueError: if the network refuses its input, or k-space is not finite; names file and slice.
            OutOfMemory: if memory runs out; names file and slice and the settings to change.
            FloatingPointError: if the logits are not finite though k-space is; names file and slice.
        """
        try:
            with explain_out_of_memory(inputs, where):
                logits = network(inputs, mask, *args, **kwargs)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        if not bool(logits.isfinite().all()):
            if not bool(inputs.isfinite().all()):
                raise ValueError(f"{where}: k-space holds values that are not finite; repair or leave out this file")
            raise FloatingPointError(
                f"{where}: the logits are not finite though k-space is; the weights have diverged: lower the learning "
                "rate"
            )
        return logits


class ClassificationTrainer(ReconstructionTrainer):
    """The trainer of reconstruction networks with a loss of logits and labels, such as cross-entropy."""

    def compute_loss(self, output: dict[str, Any], batchdata: dict[str, Any]) -> Tensor:
        """The loss of one batch.

        Args:
            output: ``pred`` (logits, ``(B, A)``) and ``label`` (``(B,)``).
            batchdata: the batch.

        Returns:
            A scalar.
        """
        return self.loss_function(output[CommonKeys.PRED], output[CommonKeys.LABEL])


def check_names(anatomies: Sequence[str]) -> tuple[str, ...]:
    """Refuse names of anatomies that do not stand for one output each.

    Args:
        anatomies: the names.

    Returns:
        The same as a tuple.

    Raises:
        ValueError: if a name comes twice, there is none, or a single string was given.
    """
    names = tuple(anatomies)
    if isinstance(anatomies, str) or not 0 < len(set(names)) == len(names):
        raise ValueError(f"anatomies is {anatomies!r}, expected a list of one or more different names")
    return names
