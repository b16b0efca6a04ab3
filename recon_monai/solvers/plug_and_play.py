"""Plug-and-play: proximal gradient whose proximal map is a denoiser (Venkatakrishnan et al. 2013; Kamilov et al. 2017).

"Plug-and-Play Priors for Model Based Reconstruction", GlobalSIP 2013; "A Plug-and-Play Priors Approach for Solving
Nonlinear Imaging Inverse Problems", IEEE Signal Processing Letters 2017.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from recon_monai.physics import LinearOperator
from recon_monai.solvers.coil_maps import MapMethod
from recon_monai.solvers.limited import LimitedReconstruction
from recon_monai.solvers.proximal import proximal_gradient_steps
from recon_monai.solvers.solution import Solution, run
from recon_monai.solvers.time_limit import check_time_limit, within

__all__ = ["Denoiser", "PlugAndPlay", "plug_and_play"]

Denoiser = Callable[[torch.Tensor], torch.Tensor]
"""``denoiser(image)``, images ``(B, *domain_shape)`` to images of the same shape and dtype."""


@torch.no_grad()
def plug_and_play(
    operator: LinearOperator,
    data: torch.Tensor,
    denoiser: Denoiser,
    *,
    strength: float = 1.0,
    step: float | None = None,
    accelerated: bool = False,
    start: torch.Tensor | None = None,
    iterations: int = 50,
    tolerance: float = 0.0,
    time_limit: float | None = None,
) -> Solution:
    """Alternate a gradient step towards the data and a denoiser: ``x <- D(x - step A^H (A x - y))``.

    ``D`` is ``(1 - strength) I + strength denoiser``, the averaged operator. Where the denoiser is the proximal map of
    some ``step R``, this minimizes ``1/2 |A x - y|^2 + R(x)``. A network is none, so nothing is minimized: what is
    reached is a fixed point, ``x = D(x - step A^H (A x - y))``. There is one, and the iterates go to it, where ``D`` is
    a contraction; with ``strength`` below 1 also where the denoiser is only nonexpansive and a fixed point exists
    (Ryu et al. 2019, "Plug-and-Play Methods Provably Converge with Properly Trained Denoisers", ICML). No property of
    a trained network is checked here: where the iterates diverge, lower the strength.

    Args:
        operator: ``A``.
        data: ``y``, shape ``(B, *range_shape)``.
        denoiser: see `Denoiser`. A network is to be in evaluation mode.
        strength: share of the denoised image, from 0 (no denoising: least squares) to 1; the weight of this
            regularization, to be tuned on validation.
        step: size of the gradient step, at most ``1 / |A|^2``; None finds it.
        accelerated: with the momentum of FISTA; faster, and without proof for denoisers.
        start: first iterate; None is zero.
        iterations: largest number of iterations.
        tolerance: stop where the image changes by at most this share of its length.
        time_limit: seconds; the iteration in which they end is completed. None: no limit.

    Returns:
        The solution. Its objective is the data term ``1/2 |A x - y|^2`` alone, and need not fall.

    Raises:
        ValueError: if a setting is out of range, or the denoiser changes the shape of an image.
    """
    _check_strength(strength)
    check_time_limit(time_limit)

    def denoise(point: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
        found = denoiser(point)
        if found.shape != point.shape:
            raise ValueError(
                f"the denoiser made {tuple(found.shape)} of an image {tuple(point.shape)}, expected the same shape."
            )
        return torch.lerp(point, found.to(point.dtype), strength) if strength < 1 else found.to(point.dtype)

    steps = proximal_gradient_steps(operator, data, denoise, step=step, accelerated=accelerated, start=start)
    return run(within(steps, time_limit), iterations, tolerance)


class PlugAndPlay(LimitedReconstruction):
    """Plug-and-play reconstruction of k-space, see `plug_and_play`.

    Args:
        denoiser: maps complex images ``(1, 1, H, W)`` of a maximum of about 1 to the same, for example a trained
            `recon_monai.networks.DenoisingUNet` in evaluation mode, see `fit_denoiser`.
        weight: the strength of `plug_and_play`, from 0 to 1.
        iterations: see `plug_and_play`.
        tolerance: see `plug_and_play`.
        time_limit: seconds for one slice.
        maps: see `LimitedReconstruction`.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        weight: float = 1.0,
        iterations: int = 50,
        tolerance: float = 1e-4,
        time_limit: float | None = 30.0,
        maps: MapMethod | torch.Tensor = "calibration",
    ) -> None:
        super().__init__(weight, iterations, maps, time_limit)
        _check_strength(self.weight)
        self.denoiser = denoiser
        self.tolerance = tolerance

    def solve(self, operator: LinearOperator, data: torch.Tensor, iterations: int | None = None) -> Solution:
        """Solve one inverse problem, see `LimitedReconstruction.solve`."""
        return plug_and_play(
            operator,
            data,
            self.denoiser,
            strength=self.weight,
            iterations=iterations or self.iterations,
            tolerance=self.tolerance,
            time_limit=self.time_limit,
        )


def _check_strength(strength: float) -> None:
    if not 0 <= strength <= 1:
        raise ValueError(f"strength is {strength}, expected a share of the denoised image from 0 to 1.")
