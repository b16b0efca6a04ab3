"""Reconstructions that are too slow for every file, and therefore have a limit of time for each slice."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

import torch

from recon_monai.physics import LinearOperator, SenseOperator
from recon_monai.solvers.base import Reconstruction
from recon_monai.solvers.coil_maps import MapMethod
from recon_monai.solvers.solution import Solution
from recon_monai.solvers.time_limit import check_time_limit

__all__ = ["LimitedReconstruction"]


class LimitedReconstruction(Reconstruction):
    """A reconstruction by a solver that ends when its time is over.

    The usual maps are those by ``"calibration"``: they hold the phase of the low-resolution image, so that the image
    to find is nearly real and positive, as are the images that denoisers and generators learn from.

    Args:
        weight: see `Reconstruction`.
        iterations: largest number of iterations, at least 1.
        maps: see `Reconstruction`.
        time_limit: seconds for one slice, maps not included; the iteration in which they end is completed. None: no
            limit.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(
        self, weight: float, iterations: int, maps: MapMethod | torch.Tensor, time_limit: float | None
    ) -> None:
        super().__init__(weight, iterations, maps)
        check_time_limit(time_limit)
        self.time_limit = time_limit

    @abstractmethod
    def solve(self, operator: LinearOperator, data: torch.Tensor, iterations: int | None = None) -> Solution:
        """Solve one inverse problem, of k-space or any other.

        Args:
            operator: ``A``.
            data: ``y``, shape ``(1, *range_shape)``; ``A^H y`` should have a maximum of about 1.
            iterations: largest number of iterations; None takes the setting.

        Returns:
            The solution, image of shape ``(1, *domain_shape)``.
        """

    def _iterates(
        self, kspace: torch.Tensor, mask: torch.Tensor, maps: torch.Tensor, iterations: Sequence[int]
    ) -> Iterator[torch.Tensor]:
        operator = SenseOperator(maps[None], mask[None])
        for number in iterations:
            yield self.solve(operator, (kspace * mask).detach()[None], number).image[0]

    def _options(self) -> dict[str, str]:
        return {"time_limit": "None" if self.time_limit is None else f"{self.time_limit:g}"}
