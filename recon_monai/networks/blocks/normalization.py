"""Normalization layers, by name, so that a configuration can choose one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

__all__ = ["InstanceNorm", "make_normalization", "normalize_and_activate"]


# From this number of channels on, kernels that go from pixel to pixel are as fast as those along rows of pixels.
_WIDE = 32


class InstanceNorm(nn.Module):
    """Instance normalization without affine parameters (Ulyanov et al. 2016, arXiv:1607.08022).

    Each channel of each sample gets mean 0 and variance 1 (biased variance, `eps` added to it). This is the
    arithmetic of `torch.nn.InstanceNorm2d` by way of group normalization with one channel per group, whose kernel is
    several times faster; and a constant map of a single pixel gives 0 where `InstanceNorm2d` refuses it.

    Args:
        channels: number of channels.
        eps: added to the variance.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.channels = channels
        self.eps = eps

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Normalize features.

        Args:
            features: shape ``(B, channels, H, W)``.

        Returns:
            A new tensor of the same shape and memory format.
        """
        # The kernel reads one channel after the other: on channels-last features two copies and the kernel take a
        # fraction of the time of the kernel alone.
        normalized = torch.group_norm(features.contiguous(), self.channels, eps=self.eps)
        if features.is_contiguous():
            return normalized
        return normalized.contiguous(memory_format=torch.channels_last)

    def extra_repr(self) -> str:
        """Describe the layer in the printed network."""
        return f"{self.channels}, eps={self.eps}"


def normalize_and_activate(normalization: nn.Module, features: torch.Tensor, negative_slope: float) -> torch.Tensor:
    """Apply a normalization layer and a leaky ReLU.

    Instance normalization on a CPU with channels last works in the memory of `features` and keeps nothing but the
    result for the backward pass (the input can be had back from it, as in Rota Bulo et al. 2018, arXiv:1712.02616):
    half the memory of the two steps by themselves, and a third of their time. Gradients are the same, but cannot be
    differentiated again.

    Args:
        normalization: a normalization layer.
        features: shape ``(B, C, H, W)``, overwritten; an intermediate result that nothing else needs.
        negative_slope: slope of the leaky ReLU below zero.

    Returns:
        Tensor of the same shape.
    """
    if (
        isinstance(normalization, InstanceNorm)
        and negative_slope > 0
        and features.device.type == "cpu"
        and features.dtype in (torch.float32, torch.float64)
        and features.is_contiguous(memory_format=torch.channels_last)
        and not torch.jit.is_tracing()
    ):
        one_wide_image = len(features) == 1 and features.shape[1] >= _WIDE
        function = _OnWideImage if one_wide_image else _OnRows
        return function.apply(features, normalization.eps, negative_slope)
    return F.leaky_relu(normalization(features), negative_slope, inplace=True)


class _OnWideImage(torch.autograd.Function):
    """Instance normalization and leaky ReLU of one image: batch normalization, with its fast kernels."""

    @staticmethod
    def forward(ctx: Any, features: torch.Tensor, eps: float, negative_slope: float) -> torch.Tensor:
        activated, _, scale = torch.native_batch_norm(features, None, None, None, None, True, 0.0, eps)
        F.leaky_relu_(activated, negative_slope)
        ctx.save_for_backward(activated, scale)
        ctx.negative_slope = negative_slope
        return activated

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        activated, scale = ctx.saved_tensors
        normalized = F.leaky_relu(activated, 1 / ctx.negative_slope)
        through = torch.ops.aten.leaky_relu_backward(gradient, activated, ctx.negative_slope, True)
        zero, one = torch.zeros_like(scale), torch.ones_like(scale)
        result = torch.ops.aten.native_batch_norm_backward(
            through, normalized, scale, None, None, zero, one, True, 0.0, (True, False, False)
        )
        return result[0], None, None


class _OnRows(torch.autograd.Function):
    """Instance normalization and leaky ReLU in place.

    Statistics and sums are taken per column and channel first: along rows of ``W * C`` neighboring numbers, PyTorch's
    kernels are an order of magnitude faster than along few channels.
    """

    @staticmethod
    def forward(ctx: Any, features: torch.Tensor, eps: float, negative_slope: float) -> torch.Tensor:
        rows, channels = _rows(features), features.shape[1]
        moments = [_moments(sample, channels) for sample in rows]
        scale = (torch.stack([variance for _, variance in moments]) + eps).rsqrt_()
        shift = torch.stack([mean for mean, _ in moments]).mul_(scale).neg_()
        scale, shift = (values.repeat(1, features.shape[3])[:, None] for values in (scale, shift))
        torch.addcmul(shift, rows, scale, out=rows)
        F.leaky_relu_(rows, negative_slope)
        ctx.mark_dirty(features)
        ctx.save_for_backward(features, scale)
        ctx.negative_slope = negative_slope
        return features

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        activated, scale = ctx.saved_tensors
        batch, channels, height, width = activated.shape
        result = torch.empty_like(activated)
        rows, through = _rows(activated), _rows(result)
        incoming = _rows(gradient.contiguous(memory_format=torch.channels_last))
        sums = rows.new_empty(2, batch, width * channels)
        # The slopes cancel: gradient of normalized * normalized = gradient of activated * activated.
        scratch = incoming * rows
        torch.sum(scratch, dim=1, out=sums[0])
        torch.ops.aten.leaky_relu_backward.grad_input(incoming, rows, ctx.negative_slope, True, grad_input=through)
        torch.sum(through, dim=1, out=sums[1])
        per_channel = sums.view(2, batch, width, channels).sum(dim=2)
        product, total = (per_channel.repeat(1, 1, width)[:, :, None] * scale).div_(-height * width)
        torch.addcmul(total, through, scale, out=through)
        normalized = torch.ops.aten.leaky_relu.out(rows, 1 / ctx.negative_slope, out=scratch)
        through.addcmul_(normalized, product)
        return result, None, None


def _rows(features: torch.Tensor) -> torch.Tensor:
    """View channels-last features ``(B, C, H, W)`` as ``(B, H, W * C)``."""
    return features.permute(0, 2, 3, 1).flatten(2)


def _moments(rows: torch.Tensor, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of each channel of an image ``(H, W * C)``: those of the columns, then over the columns."""
    means, variances = torch.batch_norm_update_stats(rows.T[None, ..., None], None, None, 0.0)
    columns = means.view(-1, channels).T[None, ..., None]
    mean, variance_of_means = torch.batch_norm_update_stats(columns, None, None, 0.0)
    return mean, variances.view(-1, channels).mean(dim=0).add_(variance_of_means)


_NORMALIZATIONS: dict[str, Callable[[int], nn.Module]] = {"instance": InstanceNorm}


def make_normalization(name: str, channels: int) -> nn.Module:
    """Make a normalization layer by its name.

    Args:
        name: ``"instance"``.
        channels: number of channels that the layer sees.

    Returns:
        A module from ``(B, channels, H, W)`` to a new tensor of the same shape.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in _NORMALIZATIONS:
        raise ValueError(f"unknown normalization {name!r}; use one of {sorted(_NORMALIZATIONS)}.")
    return _NORMALIZATIONS[name](channels)
