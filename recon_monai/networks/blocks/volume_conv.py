"""A convolution of volumes whose gradient is not the slow part of training on a CPU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.grad import conv3d_input

__all__ = ["VolumeConv"]


class VolumeConv(nn.Conv3d):
    """``nn.Conv3d`` of odd kernels that keeps the size, with another way to the gradient of its weights.

    Where the processor has no wide vectors (`torch.backends.cpu.get_cpu_capability()` below ``AVX512``), oneDNN finds
    that gradient at a third of the speed of the convolution itself (PyTorch 2.13). It is a convolution, too: of the
    input by the gradient of the result, with samples in the place of channels. So computed it is equal up to rounding,
    and can be differentiated again. Everywhere else, and in evaluation mode, this is ``nn.Conv3d``.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the result.
        kernel_size: along each axis, odd.
        bias: whether each channel of the result has an offset.

    Raises:
        ValueError: if `kernel_size` is even.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, *, bias: bool = False) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(f"VolumeConv keeps the size, so kernel_size must be odd, got {kernel_size}.")
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Convolve volumes.

        Args:
            input: shape ``(B, in_channels, D, H, W)``.

        Returns:
            Shape ``(B, out_channels, D, H, W)``.
        """
        if not (self.training and torch.is_grad_enabled() and _is_slow(input)):
            return super().forward(input)
        result = _Convolution.apply(input, self.weight)
        return result if self.bias is None else result + self.bias.view(-1, 1, 1, 1)


def _is_slow(volumes: torch.Tensor) -> bool:
    return (
        volumes.device.type == "cpu"
        and volumes.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    )


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, volumes: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(volumes, weight)
        return F.conv3d(volumes, weight, padding=weight.shape[-1] // 2)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        volumes, weight = ctx.saved_tensors
        (gradient,) = gradients
        padding = weight.shape[-1] // 2
        of_volumes = of_weight = None
        if ctx.needs_input_grad[0]:
            of_volumes = conv3d_input(volumes.shape, weight, gradient, padding=padding)
        if ctx.needs_input_grad[1]:
            of_weight = _weight_gradient(volumes, gradient, padding)
        return of_volumes, of_weight


def _weight_gradient(volumes: torch.Tensor, gradient: torch.Tensor, padding: int) -> torch.Tensor:
    samples, filters = (part.transpose(0, 1).contiguous() for part in (volumes, gradient))
    return F.conv3d(samples, filters, padding=padding).transpose(0, 1)
