"""Instance normalization, a sum and SiLU in one, in little time and memory."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from recon_monai.networks.blocks.fused import as_rows, normalize_rows
from recon_monai.physics import is_recorded

__all__ = ["normalize_add_silu"]


def normalize_add_silu(
    features: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor, eps: float, identity: torch.Tensor | None = None
) -> torch.Tensor:
    """Compute ``SiLU(gamma * instance_norm(features) + beta + identity)``.

    For the backward pass it keeps one tensor of the size of `features` besides `identity`, where the steps by
    themselves keep three. Gradients are the same, but cannot be differentiated again.

    Args:
        features: shape ``(B, C, H, W)``, overwritten; an intermediate result that nothing else needs.
        gamma: scale of each channel after normalization, shape ``(C,)``.
        beta: shift of each channel after normalization, shape ``(C,)``.
        eps: added to the variance.
        identity: what is added before the activation, of the shape of `features`; None for nothing. It stays as it is.

    Returns:
        A new tensor of the shape of `features`.
    """
    gamma, beta = gamma.to(features.dtype), beta.to(features.dtype)
    if is_recorded():
        normalized = torch.group_norm(features, len(gamma), gamma, beta, eps)
        return F.silu(normalized if identity is None else normalized + identity)
    on_rows = (
        features.device.type == "cpu"
        and features.dtype in (torch.float32, torch.float64)
        and features.is_contiguous(memory_format=torch.channels_last)
        and (identity is None or identity.is_contiguous(memory_format=torch.channels_last))
    )
    function = _OnRows if on_rows else _OnChannels
    return function.apply(features, gamma, beta, identity, eps)


class _OnRows(torch.autograd.Function):
    """On a CPU with channels last; see `recon_monai.networks.blocks.fused` for why rows."""

    @staticmethod
    def forward(
        ctx: Any,
        features: torch.Tensor,
        gamma: torch.Tensor,
        beta: torch.Tensor,
        identity: torch.Tensor | None,
        eps: float,
    ) -> torch.Tensor:
        # The input's memory takes the normalized features; nothing else needs it (a convolution keeps its input only).
        scale = normalize_rows(features, eps)
        result = torch.empty_like(features)
        _affine_sum(as_rows(features), gamma, beta, identity, out=as_rows(result))
        ctx.save_for_backward(features, gamma, beta, identity, scale)
        return F.silu(result, inplace=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        features, gamma, beta, identity, scale = ctx.saved_tensors
        batch, channels, height, width = features.shape
        normalized, activation_gradient = as_rows(features), torch.empty_like(features)
        through = as_rows(activation_gradient)
        _affine_sum(normalized, gamma, beta, identity, out=through)
        incoming = as_rows(gradient.contiguous(memory_format=torch.channels_last))
        torch.ops.aten.silu_backward.grad_input(incoming, through, grad_input=through)
        sums = torch.stack([(through * normalized).sum(dim=1), through.sum(dim=1)])
        sums = sums.view(2, batch, width, channels).sum(dim=2)
        result = torch.empty_like(features)
        means = (sums / (-height * width)).repeat(1, 1, width)[:, :, None]
        rows = torch.addcmul(through, normalized, means[0], out=as_rows(result)).add_(means[1])
        rows.mul_(scale * gamma.repeat(width))
        to_gamma, to_beta = sums.sum(dim=1)
        return result, to_gamma, to_beta, None if identity is None else activation_gradient, None


class _OnChannels(torch.autograd.Function):
    """By PyTorch's group normalization with one channel per group."""

    @staticmethod
    def forward(
        ctx: Any,
        features: torch.Tensor,
        gamma: torch.Tensor,
        beta: torch.Tensor,
        identity: torch.Tensor | None,
        eps: float,
    ) -> torch.Tensor:
        features = features.contiguous()
        result, mean, scale = _group_norm_sum(features, gamma, beta, identity, eps)
        ctx.save_for_backward(features, gamma, beta, identity, mean, scale)
        ctx.eps = eps
        return F.silu(result, inplace=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        features, gamma, beta, identity, mean, scale = ctx.saved_tensors
        batch, channels, height, width = features.shape
        before, _, _ = _group_norm_sum(features, gamma, beta, identity, ctx.eps)
        through = torch.ops.aten.silu_backward(gradient.contiguous(), before)
        sizes = (batch, channels, height * width, channels)
        result = torch.ops.aten.native_group_norm_backward(
            through, features, mean, scale, gamma, *sizes, (True, True, True)
        )
        return *result, None if identity is None else through, None


def _affine_sum(
    normalized: torch.Tensor,
    gamma: torch.Tensor,
    beta: torch.Tensor,
    identity: torch.Tensor | None,
    *,
    out: torch.Tensor,
) -> None:
    """Write the input of the activation, all in rows."""
    width = normalized.shape[-1] // len(gamma)
    torch.addcmul(beta.repeat(width), normalized, gamma.repeat(width), out=out)
    if identity is not None:
        out.add_(as_rows(identity))


def _group_norm_sum(
    features: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor, identity: torch.Tensor | None, eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The input of the activation, and what the normalization took off and multiplied by."""
    batch, channels, height, width = features.shape
    result, mean, scale = torch.native_group_norm(features, gamma, beta, batch, channels, height * width, channels, eps)
    return result if identity is None else result.add_(identity), mean, scale
