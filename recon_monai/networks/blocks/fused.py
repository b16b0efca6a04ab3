"""Normalization and leaky ReLU in one, in little time and memory on a CPU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

from recon_monai.networks.blocks.aspin import ASPIN
from recon_monai.networks.blocks.normalization import InstanceNorm
from recon_monai.physics import is_recorded

__all__ = ["as_rows", "normalize_and_activate", "normalize_rows"]

# From this number of channels on, kernels that go from pixel to pixel are as fast as those along rows of pixels.
_WIDE = 32


def normalize_and_activate(
    normalization: nn.Module, features: torch.Tensor, negative_slope: float, anatomy: torch.Tensor | None = None
) -> torch.Tensor:
    """Apply a normalization layer and a leaky ReLU.

    Instance normalization on a CPU with channels last works in the memory of `features` and keeps nothing but the
    result for the backward pass (the input can be had back from it, as in Rota Bulo et al. 2018, arXiv:1712.02616):
    half the memory of the two steps by themselves, and a third of their time. With the affine map of `ASPIN`, which may
    be 0 and cannot be undone, the normalized features are kept too. Gradients are the same, but cannot be
    differentiated again.

    Args:
        normalization: a normalization layer.
        features: shape ``(B, C, H, W)``, overwritten; an intermediate result that nothing else needs.
        negative_slope: slope of the leaky ReLU below zero.
        anatomy: as for `ASPIN.forward`, which needs it; others do not look at it.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: if an anatomy is needed and missing, or does not fit.
    """
    fast = (
        negative_slope > 0
        and features.device.type == "cpu"
        and features.dtype in (torch.float32, torch.float64)
        and features.is_contiguous(memory_format=torch.channels_last)
        and not is_recorded()
    )
    one_wide_image = features.shape[0] == 1 and features.shape[1] >= _WIDE
    if isinstance(normalization, ASPIN):
        if anatomy is None:
            raise ValueError("this network normalizes by anatomy; give the anatomy of each sample.")
        if not fast:
            return F.leaky_relu(normalization(features, anatomy), negative_slope, inplace=True)
        gamma, beta = (values.to(features.dtype) for values in normalization.affine(anatomy, features.shape[0]))
        if one_wide_image:  # batch normalization has fast kernels
            normalized = torch.batch_norm(features, gamma[0], beta[0], None, None, True, 0.0, normalization.eps, False)
            return F.leaky_relu(normalized, negative_slope, inplace=True)
        return _AffineOnRows.apply(features, gamma, beta, normalization.eps, negative_slope)
    if isinstance(normalization, InstanceNorm) and fast:
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
        scale = normalize_rows(features, eps)
        F.leaky_relu_(as_rows(features), negative_slope)
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
        rows, through = as_rows(activated), as_rows(result)
        incoming = as_rows(gradient.contiguous(memory_format=torch.channels_last))
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


class _AffineOnRows(torch.autograd.Function):
    """Instance normalization in place, then an affine map for each sample and channel and leaky ReLU."""

    @staticmethod
    def forward(
        ctx: Any, features: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor, eps: float, negative_slope: float
    ) -> torch.Tensor:
        # The input's memory takes the normalized features; nothing else needs it (a convolution keeps its input only).
        scale = normalize_rows(features, eps)
        result = torch.empty_like(features)
        wide_gamma, wide_beta = (values.repeat(1, features.shape[3])[:, None] for values in (gamma, beta))
        torch.addcmul(wide_beta, as_rows(features), wide_gamma, out=as_rows(result))
        F.leaky_relu_(as_rows(result), negative_slope)
        ctx.save_for_backward(features, result, scale * wide_gamma)
        ctx.negative_slope = negative_slope
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        normalized, activated, factor = ctx.saved_tensors
        batch, channels, height, width = activated.shape
        result = torch.empty_like(activated)
        rows, through = as_rows(normalized), as_rows(result)
        incoming = as_rows(gradient.contiguous(memory_format=torch.channels_last))
        torch.ops.aten.leaky_relu_backward.grad_input(
            incoming, as_rows(activated), ctx.negative_slope, True, grad_input=through
        )
        sums = rows.new_empty(2, batch, width * channels)
        torch.sum(through * rows, dim=1, out=sums[0])
        torch.sum(through, dim=1, out=sums[1])
        to_gamma, to_beta = sums.view(2, batch, width, channels).sum(dim=2)
        product, total = (
            values.repeat(1, width)[:, None].mul(factor).div_(-height * width) for values in (to_gamma, to_beta)
        )
        torch.addcmul(total, through, factor, out=through)
        through.addcmul_(rows, product)
        return result, to_gamma, to_beta, None, None


def normalize_rows(features: torch.Tensor, eps: float) -> torch.Tensor:
    """Bring each channel of each sample to mean 0 and variance 1, in place; return what it was multiplied with."""
    rows, channels, width = as_rows(features), features.shape[1], features.shape[3]
    moments = [_moments(sample, channels) for sample in rows]
    scale = (torch.stack([variance for _, variance in moments]) + eps).rsqrt_()
    shift = torch.stack([mean for mean, _ in moments]).mul_(scale).neg_()
    scale, shift = (values.repeat(1, width)[:, None] for values in (scale, shift))
    torch.addcmul(shift, rows, scale, out=rows)
    return scale


def as_rows(features: torch.Tensor) -> torch.Tensor:
    """View channels-last features ``(B, C, H, W)`` as ``(B, H, W * C)``."""
    return features.permute(0, 2, 3, 1).flatten(2)


def _moments(rows: torch.Tensor, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of each channel of an image ``(H, W * C)``: those of the columns, then over the columns."""
    means, variances = torch.batch_norm_update_stats(rows.T[None, ..., None], None, None, 0.0)
    columns = means.view(-1, channels).T[None, ..., None]
    mean, variance_of_means = torch.batch_norm_update_stats(columns, None, None, 0.0)
    return mean, variances.view(-1, channels).mean(dim=0).add_(variance_of_means)
