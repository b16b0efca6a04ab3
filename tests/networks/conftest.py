from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

FIXTURES = Path(__file__).parent.parent / "fixtures"


class Golden(NamedTuple):
    """Inputs, weights and outputs of fastMRI's own VarNet."""

    kspace: torch.Tensor
    mask: torch.Tensor
    state_dict: dict[str, torch.Tensor]
    sensitivity_maps: torch.Tensor
    reconstruction: torch.Tensor


@pytest.fixture(params=["varnet_even", "varnet_odd"])
def golden(request: pytest.FixtureRequest) -> Golden:
    with np.load(FIXTURES / f"{request.param}.npz") as file:
        arrays = {name: torch.from_numpy(file[name]) for name in file.files}
    return Golden(
        kspace=arrays["kspace"],
        mask=arrays["mask"],
        state_dict={key.removeprefix("state_dict/"): v for key, v in arrays.items() if key.startswith("state_dict/")},
        sensitivity_maps=arrays["sensitivity_maps"],
        reconstruction=arrays["reconstruction"],
    )


@pytest.fixture
def column_mask() -> Callable[..., torch.Tensor]:
    """Make a mask ``(1, 1, 1, W)`` of every fourth column and some calibration lines."""

    def make(width: int, *, offset: int = 0, lines: int = 8) -> torch.Tensor:
        mask = torch.zeros(1, 1, 1, width, dtype=torch.bool)
        mask[..., offset::4] = True
        start = (width - lines + 1) // 2
        mask[..., start : start + lines] = True
        return mask

    return make


@pytest.fixture
def random_kspace() -> Callable[..., torch.Tensor]:
    """Make complex noise, seeded."""

    def make(*shape: int, seed: int = 0, dtype: torch.dtype = torch.complex64) -> torch.Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)

    return make
