"""Windows whose margins are cut off before they are laid side by side: the scheme of the reference evaluation."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.inferers import Inferer
from torch.nn import functional

from recon_monai.inferers.windows import check_volume, plain, predict, progress_bar, window_sides

__all__ = ["MarginTrimInferer"]


class MarginTrimInferer(Inferer):
    """Run a network over windows, trim a margin from each answer and tile the rest; nothing is blended.

    The scheme of mDCSRN's reference evaluation (Chen et al. 2018, MICCAI): the volume is padded by zeros so that
    windows at a stride of ``window - 2 * margin`` cover it, ``256 x 320 x 320`` by (20, 17, 17) on each side for 180
    windows of 64 at a stride of 58. Every voxel comes from one window alone, so that tiles of a network that sees
    farther than the margin can meet in visible edges; `SeamlessInferer` has none. For any size; odd padding has its
    larger half at the end. The padded volume is never made: beyond input and output, memory holds one batch of
    windows and what the network needs.

    Args:
        window: side of the windows in voxels, or one for each axis.
        margin: voxels cut from each face of an answer.
        batch_size: windows given to the network at once.
        device: of the network, where the windows go; None takes that of the volume. The output stays with the volume.
        progress: whether to show a progress bar.
        amp: run the network in bfloat16; windows are put together in the precision of the volume.

    Raises:
        ValueError: if nothing is left of a window without its margins, or the batch size is not positive.
    """

    def __init__(
        self,
        window: int | Sequence[int] = 64,
        margin: int = 3,
        batch_size: int = 1,
        device: torch.device | str | None = None,
        progress: bool = False,
        amp: bool = False,
    ) -> None:
        super().__init__()
        self.window = window_sides(window)
        if margin < 0 or min(self.window) <= 2 * margin:
            raise ValueError(f"a margin of {margin} leaves nothing of a window of {self.window}; choose a smaller one")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected at least 1 window")
        self.margin = margin
        self.batch_size = batch_size
        self.device = device
        self.amp = amp
        self.progress = progress

    @property
    def stride(self) -> tuple[int, int, int]:
        """From one window to the next, which is also what is kept of each, in voxels."""
        first, second, third = (side - 2 * self.margin for side in self.window)
        return first, second, third

    def counts(self, shape: Sequence[int]) -> tuple[int, ...]:
        """How many windows there are along each axis.

        Args:
            shape: of the volume, three sizes.

        Returns:
            Three numbers.
        """
        return tuple(-(-size // step) for size, step in zip(shape, self.stride, strict=True))

    def padding(self, shape: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """The zeros that the scheme adds before and after each axis.

        Args:
            shape: of the volume, three sizes.

        Returns:
            Three pairs.
        """
        pairs = []
        for size, step, count in zip(shape, self.stride, self.counts(shape), strict=True):
            total = count * step + 2 * self.margin - size
            pairs.append((total // 2, total - total // 2))
        return tuple(pairs)

    def corners(self, shape: Sequence[int]) -> list[tuple[int, ...]]:
        """The first voxel of each window in the volume; negative where the window begins in the padding.

        Args:
            shape: of the volume, three sizes.

        Returns:
            Corners, the last axis fastest.
        """
        axes = zip(self.counts(shape), self.stride, self.padding(shape), strict=True)
        return list(itertools.product(*([index * step - pad[0] for index in range(n)] for n, step, pad in axes)))

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Run the network over a volume.

        Args:
            inputs: ``(B, C, D, H, W)`` of a floating type.
            network: makes ``(n, K, d, h, w)`` of windows ``(n, C, d, h, w)``.
            args: handed on to the network.
            kwargs: handed on to the network.

        Returns:
            ``(B, K, D, H, W)`` of the type of ``inputs``, on its device; a ``MetaTensor`` if that is one.

        Raises:
            ValueError: if the input is no volume, or the network changes the size of windows.
        """
        check_volume(inputs)
        volume = plain(inputs)
        shape = tuple(volume.shape[2:])
        places = list(itertools.product(range(len(volume)), self.corners(shape)))
        output: torch.Tensor | None = None
        with progress_bar(len(places), self.progress) as bar:
            for start in range(0, len(places), self.batch_size):
                chosen = places[start : start + self.batch_size]
                windows = torch.cat([self._cut(volume[item : item + 1], corner) for item, corner in chosen])
                answers = predict(network, windows.to(self.device or volume.device), *args, amp=self.amp, **kwargs)
                if output is None:
                    output = volume.new_empty((len(volume), answers.shape[1], *shape))
                for (item, corner), answer in zip(chosen, answers, strict=True):
                    self._lay(output[item], answer, corner)
                bar.update(len(chosen))
        assert output is not None  # a volume that is not empty has at least one window
        return _like(output, inputs)

    def _cut(self, volume: torch.Tensor, corner: Sequence[int]) -> torch.Tensor:
        """One window ``(1, C, d, h, w)``, zero outside the volume."""
        inside, padding = [slice(None), slice(None)], []
        for start, side, size in zip(corner, self.window, volume.shape[2:], strict=True):
            inside.append(slice(max(start, 0), min(start + side, size)))
            padding.append((max(-start, 0), max(start + side - size, 0)))
        return functional.pad(volume[tuple(inside)], [width for pair in reversed(padding) for width in pair])

    def _lay(self, output: torch.Tensor, answer: torch.Tensor, corner: Sequence[int]) -> None:
        """Write the middle of a window's answer ``(K, d, h, w)`` to its place."""
        into, of = [slice(None)], [slice(None)]
        for start, step, size in zip(corner, self.stride, output.shape[1:], strict=True):
            first = start + self.margin
            begin, end = max(first, 0), min(first + step, size)
            into.append(slice(begin, end))
            of.append(slice(begin - start, end - start))
        output[tuple(into)] = answer[tuple(of)]


def _like(output: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """With the metadata of the input, if it has any."""
    from monai.data import MetaTensor

    return MetaTensor(output).copy_meta_from(inputs) if isinstance(inputs, MetaTensor) else output
