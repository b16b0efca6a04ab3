from __future__ import annotations

import math

import pytest
import torch

from recon_monai.evaluation import calibration_maps
from recon_monai.physics import (
    CalibrationError,
    low_resolution_maps,
    reduce,
    rss,
    simulate_coil_maps,
    simulate_kspace,
)


def columns(width: int, lines: int, offset: int = 0) -> torch.Tensor:
    mask = torch.zeros(1, 1, width, dtype=torch.bool)
    mask[..., offset::4] = True
    start = (width - lines + 1) // 2
    mask[..., start : start + lines] = True
    return mask


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.complex128)


@pytest.mark.parametrize("height, width", [(16, 24), (15, 27)])
def test_a_batch_with_masks_of_its_own_gives_the_maps_of_each_slice(height: int, width: int) -> None:
    masks = torch.stack([columns(width, 4), columns(width, 10, offset=2), torch.ones(1, 1, width, dtype=torch.bool)])
    kspace = noise(3, 4, height, width) * masks
    found = low_resolution_maps(kspace, masks)
    for one, mask, maps in zip(kspace, masks, found, strict=True):
        torch.testing.assert_close(maps, calibration_maps(one, mask), rtol=1e-9, atol=1e-12)


def test_columns_and_boxes_of_rows_can_share_a_batch() -> None:
    box = torch.zeros(1, 16, 20, dtype=torch.bool)
    box[:, 5:12, 6:14] = True
    box[:, ::3, ::3] = True
    masks = torch.stack([box, columns(20, 6).expand(1, 16, 20)])
    kspace = noise(2, 3, 16, 20) * masks
    found = low_resolution_maps(kspace, masks)
    for one, mask, maps in zip(kspace, masks, found, strict=True):
        torch.testing.assert_close(maps, calibration_maps(one, mask), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found[1:], low_resolution_maps(kspace[1:], columns(20, 6)[None]), rtol=1e-9, atol=1e-12)


def test_smooth_maps_are_found_up_to_a_phase() -> None:
    """Combining by them gives nearly the root sum of squares, and an object's own phase is taken out."""
    generator = torch.Generator().manual_seed(1)
    true = simulate_coil_maps(4, (48, 48), generator)
    grid = torch.linspace(-1, 1, 48)
    disc = (grid[:, None].square() + grid.square() < 0.6).to(torch.complex64)
    kspace = simulate_kspace(disc * torch.polar(torch.ones(()), torch.tensor(1.3)), true)[None]
    mask = columns(48, 24)[None]
    coil_images = disc * true
    combined = reduce(coil_images * torch.polar(torch.ones(()), torch.tensor(1.3)), low_resolution_maps(kspace, mask))
    inside = grid[:, None].square() + grid.square() < 0.4
    ratio = combined[0, 0][inside] / rss(coil_images[None])[0, 0][inside]
    assert float((ratio.abs() - 1).abs().max()) < 0.05
    assert float(ratio.angle().abs().max()) < 0.1


def test_empty_coils_and_slices_give_zeros_and_others_unit_energy() -> None:
    kspace = noise(2, 3, 8, 12)
    kspace[0, 1] = 0
    kspace[1] = 0
    maps = low_resolution_maps(kspace, columns(12, 4)[None])
    energy = maps.abs().square().sum(dim=1)
    torch.testing.assert_close(energy[0], torch.ones_like(energy[0]))
    assert not bool(maps[0, 1].any())
    assert not bool(maps[1].any())


def test_samples_outside_the_mask_are_not_used() -> None:
    mask = columns(12, 4)[None]
    kspace = noise(1, 2, 8, 12)
    bad = torch.where(mask, kspace, torch.full_like(kspace, math.nan))
    torch.testing.assert_close(low_resolution_maps(bad, mask), low_resolution_maps(kspace, mask), rtol=0, atol=0)


def test_a_missing_center_is_an_error() -> None:
    mask = torch.zeros(1, 1, 1, 12, dtype=torch.bool)
    mask[..., 0] = True
    with pytest.raises(CalibrationError, match="center of k-space"):
        low_resolution_maps(noise(1, 2, 8, 12), mask)
