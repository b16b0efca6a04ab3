"""What the iterative baselines have in common: settings, coil maps, scale, batches, sigpy's solver step by step.

sigpy's solvers were chosen over the same ones on this package's `SenseOperator`, though that is faster, because they
share no code with the networks that they are compared with.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recon_monai.evaluation.arrays import check_slice, to_numpy
from recon_monai.evaluation.coil_maps import MAPS, MapMethod, check_methods
from recon_monai.physics import infer_mask

__all__ = ["IterativeBaseline", "check_settings"]


class IterativeBaseline(ABC):
    """A regularized reconstruction of one slice with coil maps, by a fixed number of iterations from zero.

    Args:
        weight: weight of the regularization, at least 0.
        iterations: number of iterations, at least 1.
        maps: ``"espirit"`` (`espirit_maps`), ``"calibration"`` (`calibration_maps`), or complex maps of the slice,
            shape ``(coil, H, W)``, with unit root sum of squares.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(self, weight: float, iterations: int, maps: MapMethod | torch.Tensor) -> None:
        check_settings([weight], [iterations])
        if isinstance(maps, str):
            check_methods([maps])
        self.weight = float(weight)
        self.iterations = int(iterations)
        self.maps = maps

    def __repr__(self) -> str:
        maps = self.maps if isinstance(self.maps, str) else "given"
        return f"{type(self).__name__}(weight={self.weight:g}, iterations={self.iterations}, maps={maps!r})"

    def __call__(self, kspace: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Reconstruct one slice (or each slice of a batch in turn).

        Args:
            kspace: complex centered k-space, zero where not sampled, shape ``(coil, H, W)`` or ``(B, coil, H, W)``.
            mask: sampling mask, shape ``(1, 1, W)`` or ``(1, H, W)``, with ``B`` in front for a batch; None infers
                it from the zeros of k-space.

        Returns:
            Real magnitude image on k-space's device, shape ``(1, H, W)`` or ``(B, 1, H, W)``.

        Raises:
            ImportError: if sigpy is missing (the message holds the pip line).
            CalibrationError: if the center of k-space was not sampled.
            ValueError: if k-space or maps have the wrong shape or hold values that are not finite.
        """
        if kspace.ndim == 4:
            masks = [None] * len(kspace) if mask is None else mask.expand(len(kspace), *mask.shape[-3:])
            return torch.stack([self(one, its_mask) for one, its_mask in zip(kspace, masks, strict=True)])
        check_slice(kspace)
        mask = infer_mask(kspace) if mask is None else mask
        maps = MAPS[self.maps](kspace, mask) if isinstance(self.maps, str) else self.maps
        (image,) = self.images(kspace, mask, maps, [self.iterations])
        return image

    def images(
        self, kspace: torch.Tensor, mask: torch.Tensor, maps: torch.Tensor, iterations: Sequence[int]
    ) -> Iterator[torch.Tensor]:
        """Yield the magnitude image after each of several numbers of iterations, in one run of the solver.

        Args:
            kspace: one slice, shape ``(coil, H, W)``.
            mask: sampling mask, shape ``(1, 1, W)`` or ``(1, H, W)``.
            maps: coil maps, shape ``(coil, H, W)``.
            iterations: increasing numbers of iterations; they take the place of the setting.

        Yields:
            Images of shape ``(1, H, W)``.

        Raises:
            ImportError: if sigpy is missing (the message holds the pip line).
            ValueError: if k-space or maps have the wrong shape or hold values that are not finite.
        """
        if maps.shape != kspace.shape:
            raise ValueError(f"maps {tuple(maps.shape)} must have the shape of k-space {tuple(kspace.shape)}.")
        largest = check_slice(kspace)
        if largest == 0:
            empty = torch.zeros(1, *kspace.shape[-2:], dtype=kspace.real.dtype, device=kspace.device)
            yield from (empty for _ in iterations)
            return
        unit = kspace / largest
        scale = self._scale(unit)
        sampled = (mask != 0).to(kspace.real.dtype).expand(1, *kspace.shape[-2:])[0]
        app = self._app(to_numpy(unit / scale), to_numpy(maps.to(kspace.dtype)), to_numpy(sampled), iterations[-1])
        for number in iterations:
            while app.alg.iter < number and not app.alg.done():
                app.alg.update()
            yield torch.from_numpy(np.abs(app.alg.x))[None].to(kspace.real) * scale * largest

    @abstractmethod
    def _app(self, kspace: npt.NDArray[Any], maps: npt.NDArray[Any], sampled: npt.NDArray[Any], iterations: int) -> Any:
        """The app of sigpy, which starts from zero, for scaled k-space and a mask ``(H, W)`` of 0 and 1."""

    def _scale(self, kspace: torch.Tensor) -> float:
        """What k-space, of largest magnitude 1, is divided by."""
        return 1.0


def check_settings(weights: Sequence[float], iterations: Sequence[int]) -> None:
    """Raise `ValueError` unless there are weights and numbers of iterations, all in range."""
    if not weights or not iterations:
        raise ValueError("give at least one weight and one number of iterations.")
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
        raise ValueError(f"weights must be finite and at least 0, got {list(weights)}.")
    if not all(number >= 1 and number == int(number) for number in iterations):
        raise ValueError(f"numbers of iterations must be integers of at least 1, got {list(iterations)}.")
