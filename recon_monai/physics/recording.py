"""Whether operations are recorded for a file of another format, which keeps no Python."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["is_recorded", "smaller_size"]


def is_recorded() -> bool:
    """Whether operations are being recorded (``torch.jit.trace``, ``torch.export``, ONNX), not only computed.

    A recording keeps operations on tensors alone: decisions by values are lost, and so are errors.
    """
    return torch.jit.is_tracing() or torch.compiler.is_exporting()


def smaller_size(first: Any, second: Any) -> Any:
    """The smaller of two sizes; where sizes are tensors, as in a trace, one that follows the input."""
    return torch.minimum(first, second) if isinstance(first, torch.Tensor) else min(first, second)
