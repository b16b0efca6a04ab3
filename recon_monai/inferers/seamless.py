"""MONAI's sliding window, made exact: blended windows in which no edge of a window can be seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.inferers import SlidingWindowInferer

from recon_monai.inferers.windows import check_volume, plain, predict, progress_bar, window_sides

__all__ = ["SeamlessInferer"]

_LEAST_OVERLAP = 0.25


class SeamlessInferer(SlidingWindowInferer):
    """``SlidingWindowInferer`` with Gaussian weights, for image-to-image networks.

    What the parent class gets wrong and this one does not: it multiplies the network's answer by the weights in place,
    so that an answer that is a view of its input (an identity, a crop, a network with its first activation in place)
    spoils the volume; it multiplies in the precision of the answer, so that weights in bfloat16 leave a pattern of
    0.4 %; and it pads volumes smaller than a window with zeros, an edge that was never there. Here every window is a
    copy, blending is done in the precision of the volume (float32 at least), and small volumes are continued by their
    border. Constants and ramps come back to 1e-6.

    Beyond input and output, memory holds one volume of weights, one batch of windows and what the network needs.

    Args:
        window: side of the windows in voxels, or one for each axis.
        overlap: share of a window that the next one covers too, 0.25 to below 1, or one for each axis.
        batch_size: windows given to the network at once.
        network_device: where the windows go; None takes the device of the volume.
        device: of the output; None takes the device of the volume.
        progress: whether to show a progress bar.
        amp: run the network in bfloat16; windows are put together in the precision of the volume.

    Raises:
        ValueError: if a setting is out of range.

    Examples:
        >>> import torch
        >>> from recon_monai.inferers import SeamlessInferer
        >>> volume = torch.rand(1, 1, 20, 24, 16)
        >>> result = SeamlessInferer(window=12, overlap=0.25)(volume, lambda patch: 2 * patch)
        >>> torch.allclose(result, 2 * volume, atol=1e-5)
        True
    """

    def __init__(
        self,
        window: int | Sequence[int] = 64,
        overlap: float | Sequence[float] = 0.25,
        batch_size: int = 1,
        network_device: torch.device | str | None = None,
        device: torch.device | str | None = None,
        progress: bool = False,
        amp: bool = False,
    ) -> None:
        overlaps = (overlap,) * 3 if isinstance(overlap, int | float) else tuple(overlap)
        if len(overlaps) != 3 or not all(_LEAST_OVERLAP <= one < 1 for one in overlaps):
            raise ValueError(
                f"overlap is {overlap!r}, expected {_LEAST_OVERLAP} to below 1; with less, windows meet in edges"
            )
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected at least 1 window")
        super().__init__(
            roi_size=window_sides(window),
            sw_batch_size=batch_size,
            overlap=overlaps,
            mode="gaussian",
            padding_mode="replicate",
            sw_device=network_device,
            device=device,
        )
        self.amp = amp
        self.show_progress = progress  # the parent's own bar would show beside this one

    def count(self, shape: Sequence[int]) -> int:
        """How many windows a volume has.

        Args:
            shape: of the volume, three sizes.

        Returns:
            Their number.
        """
        numbers = []
        for size, side, overlap in zip(shape, self.roi_size, self.overlap, strict=True):
            step = max(int(side * (1 - overlap)), 1)
            numbers.append(max(math.ceil((size - side) / step), 0) + 1)
        return math.prod(numbers)

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Run the network over a volume.

        Args:
            inputs: ``(B, C, D, H, W)`` of a floating type; half precision is blended in float32.
            network: makes ``(n, K, d, h, w)`` of windows ``(n, C, d, h, w)``.
            args: handed on to the network.
            kwargs: handed on to the network.

        Returns:
            ``(B, K, D, H, W)``, float32 or float64; a ``MetaTensor`` if ``inputs`` is one.

        Raises:
            ValueError: if the input is no volume, or the network changes the size of windows.
        """
        check_volume(inputs)
        volume = inputs.to(torch.promote_types(inputs.dtype, torch.float32))
        with progress_bar(len(inputs) * self.count(inputs.shape[2:]), self.show_progress) as bar:

            def one_batch(windows: torch.Tensor, *more: Any, **named: Any) -> torch.Tensor:
                answer = predict(network, plain(windows), *more, amp=self.amp, **named)
                bar.update(len(windows))
                return answer

            return super().__call__(volume, one_batch, *args, **kwargs)
