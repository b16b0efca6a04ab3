"""Forward passes of batch normalization that leave no trace."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["keep_running_statistics"]


class keep_running_statistics:  # noqa: N801 - called like a function
    """Let layers normalize as they do in training, and keep their running statistics as they are.

    Forward passes in the ``with`` block update copies. The statistics themselves are not touched, not even to restore
    them, so that a graph made before the block can still be differentiated after it. One object can be entered any
    number of times.

    Args:
        module: a network, with or without such layers.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._kept: list[list[tuple[nn.Module, str, Tensor]]] = []

    def __enter__(self) -> None:
        self._kept.append(
            [
                (layer, name, buffer)
                for layer in self.module.modules()
                if getattr(layer, "running_mean", None) is not None
                for name, buffer in layer.named_buffers(recurse=False)
            ]
        )
        for layer, name, buffer in self._kept[-1]:
            setattr(layer, name, buffer.clone())

    def __exit__(self, *error: object) -> None:
        for layer, name, buffer in self._kept.pop():
            setattr(layer, name, buffer)
