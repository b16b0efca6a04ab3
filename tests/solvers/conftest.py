"""A small parallel-imaging problem whose answer is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch

from recon_monai.physics import (
    LinearOperator,
    SenseOperator,
    keyed_generator,
    normalize_maps,
    simulate_coil_maps,
)


class Problem(NamedTuple):
    """Noiseless or noisy k-space of a phantom with sharp edges and a smooth phase, and what it was made of."""

    operator: SenseOperator
    kspace: torch.Tensor  # (coil, H, W)
    truth: torch.Tensor  # complex (1, H, W)
    maps: torch.Tensor
    mask: torch.Tensor


def make_problem(
    size: int = 32,
    coils: int = 8,
    noise: float = 0.0,
    full: bool = False,
    dtype: torch.dtype = torch.complex128,
    phase: float = 0.5,
    seed: int = 0,
) -> Problem:
    generator = keyed_generator("solvers", seed)
    line = torch.linspace(-1, 1, size, dtype=torch.float64)
    y, x = line[:, None], line
    image = ((x / 0.7) ** 2 + (y / 0.85) ** 2 < 1).double() - 0.4 * ((x - 0.2) ** 2 + (y + 0.1) ** 2 < 0.08)
    image = image + 0.5 * ((x + 0.3).abs() < 0.12) * ((y - 0.3).abs() < 0.2)
    truth = torch.polar(image, phase * (x + y * x)).to(dtype)[None]
    maps = normalize_maps(simulate_coil_maps(coils, (size, size), generator).to(dtype))
    mask = (torch.arange(size) % 2 == 0)[None, None]
    mask[..., size // 2 - 5 : size // 2 + 5] = True
    mask |= torch.tensor(full)
    operator = SenseOperator(maps, mask)
    kspace = operator(truth)
    kspace = kspace + noise * torch.randn(kspace.shape, dtype=dtype, generator=generator) * mask
    return Problem(operator, kspace, truth, maps, mask)


def matrix_of(operator: LinearOperator, dtype: torch.dtype = torch.complex128) -> np.ndarray:
    """The operator written out, one column for each sample of its domain."""
    size = int(np.prod(operator.domain_shape))
    basis = torch.eye(size, dtype=dtype).reshape(size, *operator.domain_shape)
    return operator(basis).reshape(size, -1).T.numpy()


@pytest.fixture(name="make_problem")
def make_problem_fixture() -> Callable[..., Problem]:
    """``make_problem``, for test modules."""
    return make_problem


@pytest.fixture(name="matrix_of")
def matrix_of_fixture() -> Callable[..., np.ndarray]:
    """``matrix_of``, for test modules."""
    return matrix_of
