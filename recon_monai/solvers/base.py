"""What reconstructions without a network have in common: settings, coil maps, scale, batches."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch

from recon_monai.networks.inputs import as_complex_kspace, as_sampling_mask
from recon_monai.physics import SenseOperator
from recon_monai.solvers.arrays import check_slice
from recon_monai.solvers.coil_maps import MAPS, MapMethod, check_methods
from recon_monai.solvers.solution import Step
from recon_monai.solvers.zero_filled import zero_filled

__all__ = ["OperatorReconstruction", "Reconstruction", "check_settings"]


class Reconstruction(ABC):
    """A regularized reconstruction with coil maps by a number of iterations, called as the networks are.

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
        settings = {"weight": f"{self.weight:g}", "iterations": self.iterations, "maps": repr(maps), **self._options()}
        return f"{type(self).__name__}({', '.join(f'{name}={value}' for name, value in settings.items())})"

    def __call__(self, kspace: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Reconstruct one slice, or each slice of a batch in turn.

        Args:
            kspace: complex centered k-space, zero where not sampled, shape ``(coil, H, W)`` or ``(B, coil, H, W)``, or
                real ``(B, coil, H, W, 2)``.
            mask: sampling mask, shape ``(1, 1, W)`` or ``(1, H, W)``, with ``B`` in front for a batch; None infers
                it from the zeros of k-space.

        Returns:
            Real magnitude image on k-space's device, shape ``(1, H, W)`` or ``(B, 1, H, W)``.

        Raises:
            ImportError: if a library that the method needs is missing (the message holds the pip line).
            CalibrationError: if the center of k-space was not sampled.
            ValueError: if k-space, mask or maps have the wrong shape or hold values that are not finite.
        """
        if kspace.ndim < 4:
            check_slice(kspace)
            return self(kspace[None], mask)[0]
        kspace = as_complex_kspace(kspace)
        masks = as_sampling_mask(mask, kspace)
        masks = masks.expand(len(kspace), *masks.shape[1:])
        return torch.stack([self._one(one, its_mask) for one, its_mask in zip(kspace, masks, strict=True)])

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
            ImportError: if a library that the method needs is missing (the message holds the pip line).
            ValueError: if k-space or maps have the wrong shape or hold values that are not finite.
        """
        if maps.shape != kspace.shape:
            raise ValueError(f"maps {tuple(maps.shape)} must have the shape of k-space {tuple(kspace.shape)}.")
        acquired = kspace * (mask != 0)
        largest = check_slice(acquired)
        if largest == 0:
            empty = torch.zeros(1, *kspace.shape[-2:], dtype=kspace.real.dtype, device=kspace.device)
            yield from (empty for _ in iterations)
            return
        scale = self._scale(acquired / largest)
        for image in self._iterates(acquired / largest / scale, mask != 0, maps.to(kspace), iterations):
            yield image.abs() * scale * largest

    def _one(self, kspace: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        check_slice(kspace)
        maps = MAPS[self.maps](kspace, mask) if isinstance(self.maps, str) else self.maps
        (image,) = self.images(kspace, mask, maps, [self.iterations])
        return image

    @abstractmethod
    def _iterates(
        self, kspace: torch.Tensor, mask: torch.Tensor, maps: torch.Tensor, iterations: Sequence[int]
    ) -> Iterator[torch.Tensor]:
        """Images ``(1, H, W)`` after each of the increasing numbers of iterations.

        K-space is scaled and zero outside the mask.
        """

    def _scale(self, kspace: torch.Tensor) -> float:
        """What k-space, of largest magnitude 1, is divided by: the maximum of the zero-filled image becomes 1.

        So a weight is a share of the brightest pixel, and the image follows the scale of the data.
        """
        return float(zero_filled(kspace).max())

    def _options(self) -> dict[str, str]:
        """Further settings, as `repr` shows them."""
        return {}


class OperatorReconstruction(Reconstruction):
    """A reconstruction by a solver over `SenseOperator`; a subclass gives the solver's steps."""

    @abstractmethod
    def _steps(self, operator: SenseOperator, kspace: torch.Tensor) -> Iterator[Step]:
        """The start and then each iterate ``(1, H, W)`` for scaled k-space that is zero outside the mask.

        Where they end early, the last one counts for all larger numbers of iterations.
        """

    def _iterates(
        self, kspace: torch.Tensor, mask: torch.Tensor, maps: torch.Tensor, iterations: Sequence[int]
    ) -> Iterator[torch.Tensor]:
        steps = self._steps(SenseOperator(maps, mask), kspace)
        step, number = next(steps), 0
        for wanted in iterations:
            while number < wanted:
                step, number = next(steps, step), number + 1
            yield step.image

    @staticmethod
    def _step_size(operator: SenseOperator) -> float:
        """``1 / max(sum |S|^2)``, which is at most ``1 / |A|^2`` whatever the mask, and needs no power iteration."""
        bound = float(operator.maps.abs().square().sum(dim=-3).max())
        return 1 / bound if bound else 1.0


def check_settings(weights: Sequence[float], iterations: Sequence[int]) -> None:
    """Raise `ValueError` unless there are weights and numbers of iterations, all in range."""
    if not weights or not iterations:
        raise ValueError("give at least one weight and one number of iterations.")
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
        raise ValueError(f"weights must be finite and at least 0, got {list(weights)}.")
    if not all(number >= 1 and number == int(number) for number in iterations):
        raise ValueError(f"numbers of iterations must be integers of at least 1, got {list(iterations)}.")
