from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from recon_monai.networks.blocks.data_consistency import (
    combine_measured,
    combine_sampled,
    correct_measured,
    normalize,
)
from recon_monai.physics import decenter_mask, expand, fft2c, ifft2c, normalize_maps, reduce

Maker = Callable[..., torch.Tensor]


@pytest.fixture(params=["columns", "samples", "of each item"])
def mask(request: pytest.FixtureRequest, column_mask: Maker) -> torch.Tensor:
    """Masks for k-space of shape (2, 3, 6, 9)."""
    if request.param == "columns":
        return column_mask(9, lines=3)
    if request.param == "of each item":
        return torch.cat([column_mask(9, lines=3), column_mask(9, lines=5, offset=1)])
    return torch.rand(2, 1, 6, 9, generator=torch.Generator().manual_seed(0)) < 0.5


def draw(random_kspace: Maker) -> tuple[torch.Tensor, ...]:
    """K-space, maps that are not normalized, and two images."""
    kspace, maps = (random_kspace(2, 3, 6, 9, seed=seed, dtype=torch.complex128).requires_grad_() for seed in (0, 1))
    first, second = (random_kspace(2, 1, 6, 9, seed=seed, dtype=torch.complex128).requires_grad_() for seed in (2, 3))
    return kspace, maps, first, second


def sampled_part(images: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return ifft2c(fft2c(images) * mask)


def real_mask(mask: torch.Tensor) -> torch.Tensor:
    return decenter_mask(mask).double()


def test_functions_follow_their_equations(mask: torch.Tensor, random_kspace: Maker) -> None:
    kspace, maps, first, second = draw(random_kspace)
    measured = ifft2c(kspace * mask)
    image, energy = combine_measured(kspace, mask, maps)
    torch.testing.assert_close(image, reduce(measured, maps))
    torch.testing.assert_close(energy, reduce(maps, maps).real)
    torch.testing.assert_close(
        combine_sampled(first, maps, real_mask(mask)), reduce(sampled_part(expand(first, maps), mask), maps)
    )
    expected = measured - expand(first, maps) - sampled_part(expand(second, maps), mask)
    torch.testing.assert_close(correct_measured(kspace, mask, first, second, maps, real_mask(mask)), expected)
    torch.testing.assert_close(normalize(maps), normalize_maps(maps))


def test_gradients(mask: torch.Tensor, random_kspace: Maker) -> None:
    kspace, maps, first, second = draw(random_kspace)
    real = real_mask(mask)
    check = torch.autograd.gradcheck
    assert check(lambda k, s: combine_measured(k, mask, s), (kspace, maps), fast_mode=True)
    assert check(lambda x, s: combine_sampled(x, s, real), (first, maps), fast_mode=True)
    assert check(
        lambda k, a, b, s: correct_measured(k, mask, a, b, s, real), (kspace, first, second, maps), fast_mode=True
    )
    assert check(normalize, maps, fast_mode=True)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # shapes are constants of a trace
def test_plain_operations_for_export_are_the_same(mask: torch.Tensor, random_kspace: Maker) -> None:
    kspace, maps, first, second = (x.detach() for x in draw(random_kspace))
    real = real_mask(mask)

    def everything(k: torch.Tensor, s: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, ...]:
        unit = normalize(s)
        return (
            *combine_measured(k, mask, unit),
            combine_sampled(a, unit, real),
            correct_measured(k, mask, a, b, unit, real),
        )

    traced = torch.jit.trace(everything, (kspace, maps, first, second))
    assert "PythonOp" not in str(traced.graph)
    for ours, expected in zip(
        traced(kspace, maps, first, second), everything(kspace, maps, first, second), strict=True
    ):
        torch.testing.assert_close(ours, expected)


def test_samples_outside_the_mask_are_not_used_whatever_they_are(mask: torch.Tensor, random_kspace: Maker) -> None:
    kspace, maps, first, second = (x.detach() for x in draw(random_kspace))
    garbage = torch.where(mask, kspace, float("nan"))
    torch.testing.assert_close(combine_measured(garbage, mask, maps), combine_measured(kspace, mask, maps))
    real = real_mask(mask)
    torch.testing.assert_close(
        correct_measured(garbage, mask, first, second, maps, real),
        correct_measured(kspace, mask, first, second, maps, real),
    )


def test_empty_maps_stay_empty_and_nan_stays_visible() -> None:
    maps = torch.ones(1, 2, 3, 3, dtype=torch.complex64)
    maps[..., 0] = 0
    maps[..., 1] = 1e-21
    maps[0, 1, 2, 2] = float("nan")
    maps.requires_grad_()
    result = normalize(maps)
    assert not result[..., :2].any()
    assert result.isnan().sum() == 2
    result[..., :2, :].abs().sum().backward()
    assert not maps.grad[..., :2].any()
