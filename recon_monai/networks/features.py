"""Features of the cascades of a network in use."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.hooks import RemovableHandle

__all__ = ["FeatureTap"]


class FeatureTap:
    """Within its ``with`` block, collects one feature tensor per cascade when the network is called.

    What it collects are the outputs of ``cascade.refinement.unet.encoder[level]``, on the graph of the forward pass:
    gradients go through them as through any other tensor, also with activation checkpointing, whose second forward
    pass is not collected. The network computes the same with or without it.

    ::

        with FeatureTap(network, level=1) as tap:
            image = network(kspace, mask)
        first, *rest = tap.features

    Args:
        network: a network whose ``cascades`` refine by a U-Net, as ``VarNet`` does; ``DistributedDataParallel`` is
            looked into.
        level: level of the U-Nets' encoders: 0 at full resolution, each next at half of it, -1 for the bottleneck.

    Raises:
        ValueError: if the network has no such blocks.
    """

    def __init__(self, network: nn.Module, level: int = 1) -> None:
        self.network: nn.Module = network.module if isinstance(network, DistributedDataParallel) else network
        self.level = level
        self.blocks = _blocks(self.network, level)
        self._handles: list[RemovableHandle] = []
        self._in_pass = False
        self._found: list[Tensor] = []

    def __len__(self) -> int:
        """Number of cascades."""
        return len(self.blocks)

    @property
    def features(self) -> list[Tensor]:
        """Features of the last call, in the order of the cascades, each ``(B, C, h, w)``; kept after the block.

        Raises:
            RuntimeError: if the network has not been called within the block, or not all of its cascades ran.
        """
        if len(self._found) != len(self.blocks):
            raise RuntimeError(
                f"features of {len(self._found)} of {len(self.blocks)} cascades were collected; call the network "
                "itself (not a method of it) within the block of the FeatureTap"
            )
        return list(self._found)

    def __enter__(self) -> FeatureTap:
        if self._handles:
            raise RuntimeError("this FeatureTap is in use already; make another one")
        # The network's own hooks bound the pass: a block also runs when checkpointing computes it again for gradients.
        self._handles = [
            self.network.register_forward_pre_hook(self._begin),
            self.network.register_forward_hook(self._end),
            # cascades that share a block run it one after the other
            *(block.register_forward_hook(self._collect) for block in dict.fromkeys(self.blocks)),
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._in_pass = False

    def _begin(self, network: nn.Module, inputs: Any) -> None:
        self._in_pass, self._found = True, []

    def _end(self, network: nn.Module, inputs: Any, output: Any) -> None:
        self._in_pass = False

    def _collect(self, block: nn.Module, inputs: Any, output: Tensor) -> None:
        if self._in_pass:
            self._found.append(output)


def _blocks(network: nn.Module, level: int) -> list[nn.Module]:
    """The encoder block of each cascade."""
    try:
        encoders = [cascade.refinement.unet.encoder for cascade in network.cascades]  # type: ignore[union-attr]
    except AttributeError as error:
        raise ValueError(
            f"{type(network).__name__} has no U-Net encoders to take features from ({error}); expected "
            "'cascades', each with 'refinement.unet.encoder', as VarNet has"
        ) from error
    levels = min((len(encoder) for encoder in encoders), default=0)
    if not -levels <= level < levels:
        raise ValueError(
            f"level {level} is not among the {levels} levels of the U-Nets of {type(network).__name__}; use 0 to "
            f"{levels - 1}, or -1 for the bottleneck"
        )
    return [encoder[level] for encoder in encoders]
