"""All masks by their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from recon_monai.physics.masks.base import SamplingMask
from recon_monai.physics.masks.equispaced import EquispacedFractionMask, EquispacedMask, MagicFractionMask, MagicMask
from recon_monai.physics.masks.poisson import PoissonMask
from recon_monai.physics.masks.random import GaussianMask, RandomMask

__all__ = ["MaskKind", "create_mask"]

MaskKind = Literal["random", "equispaced", "equispaced_fraction", "magic", "magic_fraction", "gaussian", "poisson"]

_WITHOUT_OFFSET: dict[str, type[SamplingMask]] = {mask.kind: mask for mask in (RandomMask, GaussianMask, PoissonMask)}
_WITH_OFFSET = {mask.kind: mask for mask in (EquispacedMask, EquispacedFractionMask, MagicMask, MagicFractionMask)}


def create_mask(
    kind: MaskKind, center_fractions: Sequence[float], accelerations: Sequence[int], offset: int | None = None
) -> SamplingMask:
    """Make a mask by the name of its pattern.

    Args:
        kind: ``"random"``, ``"equispaced"``, ``"equispaced_fraction"``, ``"magic"``, ``"magic_fraction"``,
            ``"gaussian"`` or (2-D) ``"poisson"``.
        center_fractions: fraction of the lines that are calibration lines, each in [0, 1).
        accelerations: nominal acceleration for each of them, integers of at least 1.
        offset: where equispaced and magic patterns begin; None draws it.

    Returns:
        The mask, called as ``mask((H, W), seed=...)``.

    Raises:
        ValueError: for an unknown kind or impossible settings.

    Examples:
        >>> from recon_monai.physics import create_mask
        >>> create_mask("poisson", [0.08], [4])((64, 64), seed=0).mask.shape
        torch.Size([1, 64, 64])
        >>> create_mask("random", [0.08], [4])((64, 64), seed=0).mask.shape
        torch.Size([1, 1, 64])
    """
    if kind in _WITH_OFFSET:
        return _WITH_OFFSET[kind](center_fractions, accelerations, offset)
    if kind not in _WITHOUT_OFFSET:
        known = sorted([*_WITH_OFFSET, *_WITHOUT_OFFSET])
        raise ValueError(f"unknown kind of mask {kind!r}; use one of {known}.")
    if offset is not None:
        raise ValueError(f"a {kind} mask has no offset, got {offset!r}; masks with one are {sorted(_WITH_OFFSET)}.")
    return _WITHOUT_OFFSET[kind](center_fractions, accelerations)
