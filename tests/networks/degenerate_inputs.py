"""K-space without signal in places where networks divide by it."""

from __future__ import annotations

from collections.abc import Callable

import torch

Maker = Callable[..., torch.Tensor]


def _degenerate_inputs() -> dict[str, Callable[[Maker, Maker], tuple[torch.Tensor, torch.Tensor | None]]]:
    def empty_in_batch(noise: Maker, columns: Maker) -> tuple[torch.Tensor, torch.Tensor | None]:
        kspace = noise(2, 3, 32, 32) * columns(32)
        kspace[1] = 0
        return kspace, None

    def constant(noise: Maker, columns: Maker) -> tuple[torch.Tensor, torch.Tensor | None]:
        kspace = torch.zeros(1, 3, 32, 32, dtype=torch.complex64)
        kspace[..., 16, 16] = 32.0
        return kspace, columns(32)

    def empty_coil(noise: Maker, columns: Maker) -> tuple[torch.Tensor, torch.Tensor | None]:
        kspace = noise(1, 3, 32, 32) * columns(32)
        kspace[:, 1] = 0
        return kspace, columns(32)

    return {
        "empty slice": lambda noise, columns: (noise(1, 3, 32, 32) * 0, columns(32)),
        "empty slice in a batch": empty_in_batch,
        "empty coil": empty_coil,
        "constant slice": constant,
        "one coil": lambda noise, columns: (noise(1, 1, 32, 32) * columns(32), columns(32)),
        "full mask": lambda noise, columns: (noise(1, 3, 32, 32), torch.ones(32)),
        "odd sizes": lambda noise, columns: (noise(1, 2, 35, 29) * columns(29), columns(29)),
        "one calibration line": lambda noise, columns: (noise(1, 2, 32, 32), columns(32, lines=1)),
        "smallest": lambda noise, columns: (noise(1, 2, 4, 3), torch.ones(3)),
    }


DEGENERATE = _degenerate_inputs()
"""Makers of k-space and mask by name, called with the fixtures `random_kspace` and `column_mask`."""
