"""Reconstructions by sigpy's solvers, step by step.

They were chosen as baselines over the same ones on this package's `SenseOperator`, though that is faster, because they
share no code with the networks that they are compared with.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy.typing as npt
import torch

from recon_monai.solvers.arrays import to_numpy
from recon_monai.solvers.base import Reconstruction

__all__ = ["SigpyReconstruction"]


class SigpyReconstruction(Reconstruction):
    """A reconstruction by an app of sigpy; a subclass makes the app. No gradients."""

    @abstractmethod
    def _app(self, kspace: npt.NDArray[Any], maps: npt.NDArray[Any], sampled: npt.NDArray[Any], iterations: int) -> Any:
        """The app of sigpy, which starts from zero, for scaled k-space and a mask ``(H, W)`` of 0 and 1."""

    def _iterates(
        self, kspace: torch.Tensor, mask: torch.Tensor, maps: torch.Tensor, iterations: Sequence[int]
    ) -> Iterator[torch.Tensor]:
        sampled = mask.to(kspace.real.dtype).expand(1, *kspace.shape[-2:])[0]
        app = self._app(to_numpy(kspace), to_numpy(maps), to_numpy(sampled), iterations[-1])
        for number in iterations:
            while app.alg.iter < number and not app.alg.done():
                app.alg.update()
            yield torch.from_numpy(app.alg.x.copy())[None].to(kspace)
