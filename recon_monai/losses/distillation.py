"""Distillation: a student's features are to look where its teacher's look (Liu et al. 2021, arXiv:2103.05214)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

__all__ = ["AttentionDistillationLoss", "DistillationLoss", "DistillationTerms"]

Norm = Literal["scaled", "sum", "mean"]
Cascades = Literal["mean", "sum"]

_PRESETS: dict[str, tuple[float, Norm, Cascades]] = {
    "default": (1, "scaled", "mean"),
    "slides": (1, "sum", "sum"),
    "code": (2, "mean", "sum"),
}


class AttentionDistillationLoss(nn.Module):
    """Distance of the attention maps of two networks (Zagoruyko and Komodakis 2017, arXiv:1612.03928, section 3.1).

    The attention map of one sample's features ``m`` is ``O = sum over channels of |m|^p``, divided by its L2 norm; an
    empty map stays 0. The networks may differ in width, and the scale of their features does not matter.

    The default divides the L1 distance of two maps by the root of their number of pixels: between 0 and ``sqrt(2)``
    at any resolution. ``"sum"`` is the L1 norm itself, which grows with the resolution; ``"mean"`` the mean absolute
    difference, which shrinks with it (at most ``sqrt(2 / pixels)``).

    Computed outside autocast, in float32 (float64 stays float64). Teachers get no gradient.

    Args:
        exponent: ``p``, 1 or more.
        norm: ``"scaled"``, ``"sum"`` or ``"mean"``.
        cascades: ``"mean"`` or ``"sum"`` over the cascades.

    Raises:
        ValueError: for an exponent below 1, or an unknown `norm` or `cascades`.

    Examples:
        >>> import torch
        >>> from recon_monai.losses import AttentionDistillationLoss
        >>> student, teacher = [torch.rand(2, 4, 8, 8)], [torch.rand(2, 16, 8, 8)]  # one cascade, other widths
        >>> 0 < float(AttentionDistillationLoss()(student, teacher)) < 2**0.5
        True
        >>> float(AttentionDistillationLoss()(student, [3 * student[0]])) < 1e-6  # no matter of scale
        True
    """

    def __init__(self, exponent: float = 1, norm: Norm = "scaled", cascades: Cascades = "mean") -> None:
        super().__init__()
        if not exponent >= 1:
            raise ValueError(f"the exponent of attention maps must be 1 or more, got {exponent}")
        if norm not in get_args(Norm):
            raise ValueError(f"unknown norm {norm!r}; use one of {get_args(Norm)}")
        if cascades not in get_args(Cascades):
            raise ValueError(f"unknown way to join cascades {cascades!r}; use one of {get_args(Cascades)}")
        self.exponent = exponent
        self.norm = norm
        self.cascades = cascades

    @classmethod
    def preset(cls, name: str = "default") -> AttentionDistillationLoss:
        """Make the loss by a name, for configurations.

        Args:
            name: ``"default"``; ``"slides"`` (exponent 1, L1 norm, sum over cascades), as the Universal VarNet of the
                2025 SNU fastMRI challenge was presented; ``"code"`` (exponent 2, mean absolute difference, sum over
                cascades), as it was computed.

        Raises:
            ValueError: for another name.
        """
        if name not in _PRESETS:
            raise ValueError(f"unknown preset {name!r} of the distillation loss; use one of {sorted(_PRESETS)}")
        return cls(*_PRESETS[name])

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """Mean over the batch.

        Args:
            student: features of each cascade, real ``(B, C, h, w)``.
            teacher: features of the same cascades; C may differ, also between cascades.

        Returns:
            A scalar.

        Raises:
            ValueError: if there are no features, or their number, batch size, height or width differ.
        """
        if not student or len(student) != len(teacher):
            raise ValueError(
                f"distillation compares one feature tensor per cascade, got {len(student)} of the student and "
                f"{len(teacher)} of the teacher; use networks with the same number of cascades"
            )
        pairs = zip(student, teacher, strict=True)
        per_cascade = torch.stack([self._distance(ours, theirs.detach()).mean() for ours, theirs in pairs])
        return per_cascade.mean() if self.cascades == "mean" else per_cascade.sum()

    def _distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Distance of two feature tensors per sample, shape ``(B,)``."""
        shapes = [tuple(features.shape) for features in (student, teacher)]
        if [len(shape) for shape in shapes] != [4, 4] or shapes[0][:1] + shapes[0][2:] != shapes[1][:1] + shapes[1][2:]:
            raise ValueError(
                f"features of student and teacher must be (B, C, h, w) of one batch size, height and width, got "
                f"{shapes[0]} and {shapes[1]}; take them at the same level of networks with the same poolings"
            )
        dtype = torch.promote_types(torch.promote_types(student.dtype, teacher.dtype), torch.float32)
        with torch.autocast(student.device.type, enabled=False):
            difference = (self._attention(student.to(dtype)) - self._attention(teacher.to(dtype))).abs()
            if self.norm == "mean":
                return difference.mean(dim=(1, 2))
            total = difference.sum(dim=(1, 2))
            return total if self.norm == "sum" else total / difference[0].numel() ** 0.5

    def _attention(self, features: Tensor) -> Tensor:
        """Attention maps ``(B, h, w)`` with L2 norm 1, or 0 where they are empty."""
        magnitude = features.abs()
        attention = (magnitude if self.exponent == 1 else magnitude.pow(self.exponent)).sum(dim=1)
        # Scale does not matter, so that a constant one neither changes the gradient; it keeps squares from underflow.
        largest = attention.detach().amax(dim=(1, 2), keepdim=True)
        attention = attention / torch.where(largest > 0, largest, 1)
        energy = attention.square().sum(dim=(1, 2), keepdim=True)
        return attention / torch.where(energy > 0, energy, 1).sqrt()

    def extra_repr(self) -> str:
        """The settings, for printing."""
        return f"exponent={self.exponent}, norm={self.norm!r}, cascades={self.cascades!r}"


class DistillationTerms(NamedTuple):
    """A student's loss and what it is made of; scalars.

    Attributes:
        loss: the weighted sum.
        reconstruction: the reconstruction loss, without its weight.
        distillation: the distillation loss, without its weight.
    """

    loss: Tensor
    reconstruction: Tensor
    distillation: Tensor


class DistillationLoss(nn.Module):
    """What a student is trained with: weighted sum of a reconstruction loss and of the distance to its teacher.

    Args:
        reconstruction_loss: called as ``loss(prediction, target, data_range)``.
        distillation_loss: called as ``loss(student_features, teacher_features)``.
        reconstruction_weight: weight of the first, 0 or more.
        distillation_weight: weight of the second, 0 or more.

    Raises:
        ValueError: if a weight is negative.
    """

    def __init__(
        self,
        reconstruction_loss: nn.Module,
        distillation_loss: nn.Module,
        reconstruction_weight: float = 0.9,
        distillation_weight: float = 0.1,
    ) -> None:
        super().__init__()
        if not (reconstruction_weight >= 0 and distillation_weight >= 0):
            raise ValueError(
                f"weights of a loss must not be negative, got {reconstruction_weight} for the reconstruction and "
                f"{distillation_weight} for the distillation"
            )
        self.reconstruction_loss = reconstruction_loss
        self.distillation_loss = distillation_loss
        self.reconstruction_weight = reconstruction_weight
        self.distillation_weight = distillation_weight

    def forward(
        self,
        prediction: Tensor,
        target: Tensor,
        data_range: Tensor,
        student: Sequence[Tensor],
        teacher: Sequence[Tensor],
    ) -> DistillationTerms:
        """Compute the loss and its terms.

        Args:
            prediction: as for the reconstruction loss, ``(B, 1, H, W)``.
            target: same shape.
            data_range: ``(B,)``, the maximum of each sample's volume.
            student: features of the student's cascades, each ``(B, C, h, w)``.
            teacher: features of the teachers' cascades, each ``(B, C, h, w)``, sample by sample.

        Returns:
            The loss to minimize, and its two terms.

        Raises:
            ValueError: as the two losses.
        """
        reconstruction = self.reconstruction_loss(prediction, target, data_range)
        distillation = self.distillation_loss(student, teacher)
        loss = self.reconstruction_weight * reconstruction + self.distillation_weight * distillation
        return DistillationTerms(loss, reconstruction, distillation)

    def extra_repr(self) -> str:
        """The weights, for printing."""
        return f"reconstruction_weight={self.reconstruction_weight}, distillation_weight={self.distillation_weight}"
