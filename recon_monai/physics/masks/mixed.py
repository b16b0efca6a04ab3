"""One of several patterns for each draw, so that what is trained does not depend on one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from recon_monai.physics.masks.base import SampledMask, SamplingMask, seed_words

__all__ = ["MixedMask"]


class MixedMask:
    """Draws one of several masks, and then as that mask does.

    Args:
        masks: the masks, of different kinds.
        weights: how often each is drawn, any positive numbers; None draws all equally often.

    Attributes:
        kind: their kinds joined by ``+``; what was drawn says its own (`SampledMask.kind`).
        pairs: center fractions and accelerations of all of them.

    Raises:
        ValueError: for no mask, masks of the same kind, or weights that do not fit.
    """

    SEPARATOR: ClassVar[str] = "+"

    def __init__(self, masks: Sequence[SamplingMask], weights: Sequence[float] | None = None) -> None:
        kinds = [mask.kind for mask in masks]
        if not kinds or len(set(kinds)) != len(kinds):
            raise ValueError(f"a mixture needs masks of different kinds, at least one; got {kinds}.")
        shares = [1.0] * len(kinds) if weights is None else [float(weight) for weight in weights]
        if len(shares) != len(kinds) or not all(0 < share < float("inf") for share in shares):
            raise ValueError(f"{len(kinds)} masks need as many positive weights, got {weights}.")
        self.masks = tuple(masks)
        self.weights = tuple(shares)
        self.kind = self.SEPARATOR.join(kinds)
        self.pairs = list(dict.fromkeys(pair for mask in masks for pair in mask.pairs))

    def __repr__(self) -> str:
        return f"MixedMask(masks={list(self.masks)!r}, weights={list(self.weights)!r})"

    def __call__(
        self, shape: int | Sequence[int], *, seed: int | Sequence[int], acceleration: int | None = None
    ) -> SampledMask:
        """Draw a mask.

        Args:
            shape: as for `SamplingMask`.
            seed: as for `SamplingMask`; the mask that is chosen gets it too.
            acceleration: choose among the masks that have it; None among all.

        Returns:
            What the chosen mask draws.

        Raises:
            ValueError: if no mask has this acceleration, or as the chosen mask does.
        """
        chosen = [
            (mask, weight)
            for mask, weight in zip(self.masks, self.weights, strict=True)
            if acceleration is None or any(factor == acceleration for _, factor in mask.pairs)
        ]
        if not chosen:
            known = sorted({factor for _, factor in self.pairs})
            raise ValueError(
                f"no mask of {self.kind} has acceleration {acceleration}; choose one of {known} or add it."
            )
        # a stream of its own: the chosen mask draws what it would draw alone
        shares = np.cumsum([weight for _, weight in chosen])
        place = np.random.RandomState(seed_words(seed)).uniform(high=shares[-1])
        mask = chosen[int(np.searchsorted(shares, place, side="right"))][0]
        return mask(shape, seed=seed, acceleration=acceleration)
