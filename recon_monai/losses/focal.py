"""A loss that weighs slices by how hard they are."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from recon_monai import distributed
from recon_monai.losses.ssim import check_data_range, error_map
from recon_monai.metrics.ssim_map import Window, check_window, ssim_map

__all__ = ["Difficulty", "FocalSSIMLoss"]

Difficulty = Literal["output", "input"]

_LEAST = 1e-3  # where the logarithm ends
_SMALLEST = 1e-6  # powers below 1 have no finite slope at 0


class FocalSSIMLoss(nn.Module):
    """``-w * log(p) + l1_weight * L1`` of each sample, ``p`` its SSIM clamped to ``[0.001, 1]``.

    The focal loss (Lin et al. 2017, arXiv:1708.02002, equation 4) with SSIM in the place of a probability: easy slices
    weigh less, hard ones more. With ``gamma=0`` it is log-SSIM + L1. Two measures of difficulty:

    * ``"output"``: ``w = (1 - p)^gamma``, as published: what the network still does badly;
    * ``"input"``: ``w = ((1 - SSIM(zero-filled)) / mean)^gamma``, without gradient: what undersampling damaged most.
      The loss then asks for ``zero_filled`` of the batch (see ``ZeroFilledd``).

    The mean is not that of the batch, which would make the weight of a single slice 1 always. It is `mean_difficulty`
    if given; then accumulated batches equal a large one exactly. Else it is a running mean over the slices that all
    processes saw in training, the present ones included, in which a slice counts `mean_decay` times less with each
    later one. That is part of this module's state, to be saved with the run (``TrainingCheckpoint(states=...)``).

    L1 is the mean of ``|prediction - target| / data_range``. Samples whose SSIM is below 0.001 have a gradient by L1
    only. Computed outside autocast, in float32 (float64 stays float64).

    Args:
        gamma: exponent, 0 or more.
        l1_weight: weight of the L1 term, 0 or more.
        difficulty: ``"output"`` or ``"input"``.
        window: of SSIM, ``"uniform"`` or ``"gaussian"``, see `SSIMLoss`.
        mean_difficulty: mean of ``1 - SSIM(zero-filled)`` over the training data, above 0; None measures it on the way.
        mean_decay: of the running mean, per slice, above 0 and below 1.

    Attributes:
        batch_keys: what the loss asks for beside prediction, target and data range.

    Raises:
        ValueError: for an unknown difficulty or window, or a number out of range.

    Examples:
        >>> import torch
        >>> from recon_monai.losses import FocalSSIMLoss
        >>> target = torch.rand(1, 1, 32, 32)
        >>> loss, data_range = FocalSSIMLoss(gamma=1.0, l1_weight=0.0), torch.ones(1)
        >>> noise = torch.rand(1, 1, 32, 32)
        >>> near, far = (float(loss(target + size * noise, target, data_range)) for size in (0.1, 1.0))
        >>> far / near > 1000  # of the SSIM loss alone: about 50
        True
    """

    difficulty_sum: Tensor
    difficulty_count: Tensor

    def __init__(
        self,
        gamma: float = 1.0,
        l1_weight: float = 1.0,
        difficulty: Difficulty = "output",
        *,
        window: Window = "uniform",
        mean_difficulty: float | None = None,
        mean_decay: float = 0.999,
    ) -> None:
        super().__init__()
        if not (math.isfinite(gamma) and gamma >= 0 and math.isfinite(l1_weight) and l1_weight >= 0):
            raise ValueError(f"gamma is {gamma} and l1_weight {l1_weight}, expected finite numbers of 0 or more")
        if difficulty not in get_args(Difficulty):
            raise ValueError(f"unknown difficulty {difficulty!r}; use one of {get_args(Difficulty)}")
        if mean_difficulty is not None and not 0 < mean_difficulty <= 2:
            raise ValueError(f"mean_difficulty is {mean_difficulty}, expected 1 - SSIM, above 0 and at most 2")
        if not 0 < mean_decay < 1:
            raise ValueError(f"mean_decay is {mean_decay}, expected a number above 0 and below 1")
        check_window(window)
        self.gamma = gamma
        self.l1_weight = l1_weight
        self.difficulty: Difficulty = difficulty
        self.window: Window = window
        self.mean_difficulty = mean_difficulty
        self.mean_decay = mean_decay
        self.batch_keys = ("zero_filled",) if difficulty == "input" else ()
        if difficulty == "input" and mean_difficulty is None:
            self.register_buffer("difficulty_sum", torch.zeros(()))
            self.register_buffer("difficulty_count", torch.zeros(()))

    def forward(
        self, prediction: Tensor, target: Tensor, data_range: Tensor, zero_filled: Tensor | None = None
    ) -> Tensor:
        """Mean over the batch.

        Args:
            prediction: real ``(B, 1, H, W)``.
            target: real, same shape.
            data_range: ``(B,)``, positive: the maximum of each sample's volume.
            zero_filled: the zero-filled reconstruction, same shape; needed for difficulty ``"input"``.

        Returns:
            A scalar of 0 or more.

        Raises:
            ValueError: if shapes differ, an image is smaller than 7 pixels, a data range is not positive and finite,
                or the zero-filled image is missing.
            TypeError: if an image is complex.
        """
        check_data_range(data_range, len(prediction))
        p = self._ssim(prediction, target, data_range).clamp(_LEAST, 1)
        if self.difficulty == "output":
            weight = (1 - p).clamp(min=_SMALLEST) ** self.gamma
        else:
            weight = self._input_weight(zero_filled, target, data_range)
        with torch.autocast(prediction.device.type, enabled=False):
            l1 = error_map(prediction, target, data_range, p.dtype).abs().mean(dim=(1, 2, 3))
            return (self.l1_weight * l1 - weight * p.log()).mean()

    def _ssim(self, image: Tensor, target: Tensor, data_range: Tensor) -> Tensor:
        """SSIM of each sample, ``(B,)``."""
        return ssim_map(image, target, data_range, window=self.window).mean(dim=(1, 2, 3))

    @torch.no_grad()
    def _input_weight(self, zero_filled: Tensor | None, target: Tensor, data_range: Tensor) -> Tensor:
        """Weights ``(B,)`` by the difficulty of the input."""
        if zero_filled is None:
            raise ValueError(
                "difficulty 'input' is measured on the zero-filled image, and there is none; give zero_filled "
                "(ReconstructionTrainer takes it from the batch), or use difficulty 'output'"
            )
        # rounding may leave it just below zero where the input is the target
        difficulty = (1 - self._ssim(zero_filled, target, data_range)).clamp(min=0)
        mean = self.mean_difficulty if self.mean_difficulty is not None else self._running_mean(difficulty)
        return (difficulty / mean) ** self.gamma if mean > 0 else torch.ones_like(difficulty)

    def _running_mean(self, difficulty: Tensor) -> float:
        """The mean so far, these samples included if in training."""
        if self.training:
            [added, slices] = distributed.total([float(difficulty.sum()), float(len(difficulty))], difficulty.device)
            kept = self.mean_decay**slices
            self.difficulty_sum.mul_(kept).add_(added)
            self.difficulty_count.mul_(kept).add_(slices)
        if float(self.difficulty_count) == 0:
            raise ValueError("there is no mean difficulty before any training; give mean_difficulty")
        return float(self.difficulty_sum) / float(self.difficulty_count)

    def extra_repr(self) -> str:
        """The settings, for printing."""
        return (
            f"gamma={self.gamma}, l1_weight={self.l1_weight}, difficulty={self.difficulty!r}, "
            f"window={self.window!r}, mean_difficulty={self.mean_difficulty}"
        )
