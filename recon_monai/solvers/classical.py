"""Reconstructions by this package's solvers, called as the networks are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from recon_monai.physics import SenseOperator
from recon_monai.solvers.base import OperatorReconstruction
from recon_monai.solvers.coil_maps import MapMethod
from recon_monai.solvers.dictionary_learning import DictionarySettings, dictionary_steps
from recon_monai.solvers.krylov import TikhonovTarget, conjugate_gradient_steps, tikhonov_regularizer
from recon_monai.solvers.proximal import Penalty, Prox, proximal_gradient_steps
from recon_monai.solvers.solution import Step
from recon_monai.solvers.variation import TotalVariationProx

__all__ = ["DictionaryLearning", "LeastSquares", "ProximalGradient", "Tikhonov", "TotalVariation"]


class LeastSquares(OperatorReconstruction):
    """Least squares over the coils by conjugate gradients (`least_squares`): CG-SENSE without a weight.

    Noise grows with the iterations as artifacts vanish: their number is the only regularization.

    Args:
        iterations: number of iterations, at least 1.
        maps: as for `CGSense`.
        weight: 0; here so that all methods are tuned alike.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(self, iterations: int = 10, maps: MapMethod | torch.Tensor = "espirit", weight: float = 0.0) -> None:
        if weight != 0:
            raise ValueError(f"weight is {weight}, expected 0: least squares has none; take Tikhonov for one.")
        super().__init__(weight, iterations, maps)

    def _steps(self, operator: SenseOperator, kspace: torch.Tensor) -> Iterator[Step]:
        return conjugate_gradient_steps(operator, kspace)


class Tikhonov(OperatorReconstruction):
    """Least squares with the squared length of the image or of its gradient (`tikhonov`).

    On the image this is the problem of `CGSense`, solved on this package's operator: with the same weight the two
    agree.

    Args:
        weight: at least 0.
        iterations: number of iterations of conjugate gradients, at least 1.
        maps: as for `CGSense`.
        on: ``"image"`` or ``"gradient"``.

    Raises:
        ValueError: if a setting is out of range.

    Examples:
        >>> import torch
        >>> from recon_monai.physics import simulate_coil_maps, simulate_kspace
        >>> from recon_monai.solvers import Tikhonov
        >>> maps = simulate_coil_maps(4, (32, 32), torch.Generator().manual_seed(0))
        >>> mask = (torch.arange(32) % 2 == 0).reshape(1, 1, 32)
        >>> kspace = simulate_kspace(torch.ones(32, 32), maps)
        >>> image = Tikhonov(weight=0.001, iterations=30, maps=maps)(kspace * mask, mask)  # called as networks are
        >>> image.shape, bool((image - 1).abs().mean() < 0.05)
        (torch.Size([1, 32, 32]), True)
    """

    def __init__(
        self,
        weight: float = 0.01,
        iterations: int = 20,
        maps: MapMethod | torch.Tensor = "espirit",
        on: TikhonovTarget = "image",
    ) -> None:
        super().__init__(weight, iterations, maps)
        tikhonov_regularizer(on, (2, 2))  # refuses an unknown name now
        self.on: TikhonovTarget = on

    def _steps(self, operator: SenseOperator, kspace: torch.Tensor) -> Iterator[Step]:
        lift = tikhonov_regularizer(self.on, operator.domain_shape)
        return conjugate_gradient_steps(operator, kspace, weight=self.weight, regularizer=lift)

    def _options(self) -> dict[str, str]:
        return {"on": repr(self.on)}


class TotalVariation(OperatorReconstruction):
    """Least squares with the total variation of the complex image (`total_variation`; Block et al. 2007).

    Args:
        weight: at least 0; the maximum of the zero-filled image counts as 1.
        iterations: number of iterations of FISTA, at least 1.
        maps: as for `CGSense`.
        isotropic: see `TotalVariationProx`.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(
        self,
        weight: float = 0.002,
        iterations: int = 60,
        maps: MapMethod | torch.Tensor = "espirit",
        isotropic: bool = True,
    ) -> None:
        super().__init__(weight, iterations, maps)
        self.isotropic = isotropic

    def _steps(self, operator: SenseOperator, kspace: torch.Tensor) -> Iterator[Step]:
        prox = TotalVariationProx(operator.domain_shape, self.weight, isotropic=self.isotropic)
        step = self._step_size(operator)
        return proximal_gradient_steps(operator, kspace, prox, penalty=prox.penalty, step=step)

    def _options(self) -> dict[str, str]:
        return {"isotropic": str(self.isotropic)}


class ProximalGradient(OperatorReconstruction):
    """Proximal gradient with any proximal map (`proximal_gradient`).

    Args:
        prox: makes the map for a weight, of complex images ``(1, H, W)`` whose zero-filled maximum is 1; called anew
            for every slice, so that a map may keep a state.
        weight: at least 0; handed to ``prox``.
        iterations: number of iterations, at least 1.
        maps: as for `CGSense`.
        penalty: what the map belongs to, for a weight; for the objective only.
        accelerated: FISTA instead of ISTA.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(
        self,
        prox: Callable[[float], Prox],
        weight: float = 0.002,
        iterations: int = 60,
        maps: MapMethod | torch.Tensor = "espirit",
        penalty: Callable[[float], Penalty] | None = None,
        accelerated: bool = True,
    ) -> None:
        super().__init__(weight, iterations, maps)
        self.prox, self.penalty, self.accelerated = prox, penalty, accelerated

    def _steps(self, operator: SenseOperator, kspace: torch.Tensor) -> Iterator[Step]:
        return proximal_gradient_steps(
            operator,
            kspace,
            self.prox(self.weight),
            penalty=None if self.penalty is None else self.penalty(self.weight),
            step=self._step_size(operator),
            accelerated=self.accelerated,
        )

    def _options(self) -> dict[str, str]:
        return {"accelerated": str(self.accelerated)}


class DictionaryLearning(OperatorReconstruction):
    """Patches that are sparse in a dictionary learned from the image itself (`dictionary`). Slow, see there.

    Args:
        weight: of the patches against the data, at least 0.
        iterations: number of alternations, at least 1.
        maps: as for `CGSense`.
        patch: see `DictionarySettings`.
        stride: see `DictionarySettings`.
        atoms: see `DictionarySettings`.
        sparsity: see `DictionarySettings`.
        seed: see `DictionarySettings`.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(
        self,
        weight: float = 0.1,
        iterations: int = 5,
        maps: MapMethod | torch.Tensor = "espirit",
        patch: int = 6,
        stride: int = 2,
        atoms: int = 48,
        sparsity: int = 4,
        seed: int = 0,
    ) -> None:
        super().__init__(weight, iterations, maps)
        self.settings = DictionarySettings(patch, stride, atoms, sparsity, seed)

    def _steps(self, operator: SenseOperator, kspace: torch.Tensor) -> Iterator[Step]:
        return dictionary_steps(operator, kspace, self.weight, settings=self.settings)

    def _options(self) -> dict[str, str]:
        return {name: str(value) for name, value in vars(self.settings).items()}
