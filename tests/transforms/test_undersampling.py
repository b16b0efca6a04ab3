"""Retrospective undersampling: which mask, when, and what is noted."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.transforms import Compose

from recon_monai.physics import (
    EquispacedFractionMask,
    MaskKind,
    RandomMask,
    create_mask,
    fft2c,
    ifft2c,
    rss,
    seed_from_name,
)
from recon_monai.transforms import Undersampled, ZeroFilledd, set_epoch

MASK = RandomMask(center_fractions=[0.08, 0.04], accelerations=[4, 8])


def item(**changes):
    generator = torch.Generator().manual_seed(3)
    kspace = torch.randn(2, 20, 64, dtype=torch.complex64, generator=generator)
    base = {"kspace": kspace, "file": "a.h5", "slice": 4, "padding": torch.tensor([0, 64])}
    return {**base, "output_size": torch.tensor([20, 64]), **changes}


def columns(result) -> list[int]:
    return result["mask"].flatten().nonzero().flatten().tolist()


def test_validation_mask_is_that_of_the_file_name():
    result = Undersampled(MASK)(item(acceleration=4))
    expected = MASK(64, seed=seed_from_name("a.h5"), acceleration=4)
    assert torch.equal(result["mask"], expected.mask)
    assert result["acceleration"] == 4
    assert result["center_fraction"] == 0.08
    assert result["effective_acceleration"] == pytest.approx(64 / expected.mask.sum().item())
    again = Undersampled(MASK)(item(acceleration=4, slice=9))
    assert torch.equal(result["mask"], again["mask"])


def test_sampled_values_are_kept_and_the_rest_is_zero():
    given = item()
    result = Undersampled(MASK)(given)
    sampled = columns(result)
    others = sorted(set(range(64)) - set(sampled))
    assert torch.equal(result["kspace"][..., sampled], given["kspace"][..., sampled])
    assert result["kspace"][..., others].abs().max() == 0
    assert "mask" not in given, "the given item must stay as it is"


def test_training_masks_change_with_epoch_and_slice_and_are_reproducible():
    def masks(seed: int, epoch: int) -> list[list[int]]:
        transform = Undersampled(MASK, random=True, seed=seed)
        transform.epoch = epoch
        return [columns(transform(item(slice=slice_))) for slice_ in range(6)]

    assert masks(0, 1) == masks(0, 1)
    assert masks(0, 1) != masks(0, 2)
    assert masks(0, 1) != masks(1, 1)
    assert len({tuple(mask) for mask in masks(0, 1)}) > 1


def test_training_draws_every_acceleration():
    transform = Undersampled(MASK, random=True)
    drawn = [transform(item(slice=slice_))["acceleration"] for slice_ in range(40)]
    assert set(drawn) == {4, 8}


def test_a_file_with_its_own_mask_keeps_it():
    own = torch.zeros(1, 1, 64, dtype=torch.bool)
    own[..., ::2] = True
    result = Undersampled(MASK, random=True)(item(mask=own))
    assert torch.equal(result["mask"], own)
    assert result["acceleration"] == 2
    assert math.isnan(result["center_fraction"])


def test_a_file_with_its_own_mask_loses_its_zero_padded_edges_and_keeps_the_acceleration_it_states():
    own = torch.ones(1, 1, 64, dtype=torch.bool)
    result = Undersampled(None)(item(mask=own, padding=torch.tensor([10, 50]), acceleration=4))
    assert columns(result) == list(range(10, 50))
    assert result["kspace"][..., :10].abs().max() == 0
    assert result["acceleration"] == 4
    assert result["effective_acceleration"] == pytest.approx(64 / 40)


@pytest.mark.parametrize("pattern", ["columns", "samples"])
def test_kspace_that_was_acquired_undersampled_is_not_undersampled_again(pattern):
    kspace = item()["kspace"].clone()
    if pattern == "columns":
        kspace[..., ::2] = 0
    else:
        kspace[:, torch.rand(20, 64, generator=torch.Generator().manual_seed(0)) < 0.5] = 0
    with pytest.raises(ValueError, match=r"a\.h5 slice 4: \d\d% of its k-space is zero.*without --acceleration"):
        Undersampled(MASK)(item(kspace=kspace))
    assert torch.equal(Undersampled(None)(item(kspace=kspace))["kspace"], kspace)


def test_zero_padded_readout_and_edges_are_no_undersampling():
    kspace = item()["kspace"].clone()
    kspace[:, :5] = 0
    kspace[..., 50:] = 0
    assert Undersampled(MASK)(item(kspace=kspace, padding=torch.tensor([0, 50])))["mask"].any()
    assert Undersampled(MASK)(item(kspace=torch.zeros_like(kspace)))["mask"].any(), "an empty slice has no pattern"


def test_no_mask_leaves_the_item_alone():
    result = Undersampled(None)(item())
    assert "mask" not in result
    assert torch.equal(result["kspace"], item()["kspace"])


def test_zero_padded_edges_are_not_sampled():
    result = Undersampled(EquispacedFractionMask([0.1], [2]))(item(padding=torch.tensor([10, 50])))
    assert min(columns(result)) >= 10
    assert max(columns(result)) < 50


@pytest.mark.parametrize("workers", [0, 2])
def test_epochs_reach_the_workers(workers):
    """Also workers that were started in an earlier epoch."""
    transform = Compose([Compose([Undersampled(MASK, random=True)])])
    dataset = Dataset([item(slice=slice_) for slice_ in range(4)], transform)
    loader = DataLoader(dataset, batch_size=1, num_workers=workers, persistent_workers=workers > 0)
    for epoch in (1, 2):
        assert set_epoch(transform, epoch) == 1
        loaded = [columns({"mask": batch["mask"][0]}) for batch in loader]
        direct = Undersampled(MASK, random=True)
        direct.epoch = epoch
        assert loaded == [columns(direct(item(slice=slice_))) for slice_ in range(4)]


def test_zero_filled_is_the_cropped_rss():
    result = ZeroFilledd()(item(output_size=torch.tensor([10, 80])))
    image = rss(ifft2c(item()["kspace"]), dim=0)
    assert result["zero_filled"].shape == (1, 10, 80)
    assert torch.equal(result["zero_filled"][0, :, 8:72], image[0, 5:15])
    assert result["zero_filled"][0, :, :8].abs().max() == 0


def test_zero_filled_of_an_image_is_that_image():
    image = torch.rand(1, 20, 64).to(torch.complex64)
    result = ZeroFilledd()(item(kspace=fft2c(image)))
    torch.testing.assert_close(result["zero_filled"], image.abs(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", get_args(MaskKind))
def test_every_mask_serves(kind):
    mask = create_mask(kind, [0.2], [2])
    result = Undersampled(mask)(item(padding=torch.tensor([10, 50])))
    expected = mask((20, 64), seed=seed_from_name("a.h5")).mask
    assert result["mask"].shape == ((1, 20, 64) if kind == "poisson" else (1, 1, 64))
    assert torch.equal(result["mask"][..., 10:50], expected[..., 10:50])
    assert not result["mask"][..., :10].any()
    assert not result["mask"][..., 50:].any()
    assert result["effective_acceleration"] == pytest.approx(1 / result["mask"].float().mean().item())
    sampled = result["mask"].expand(2, 20, 64)
    assert torch.equal(result["kspace"][sampled], item()["kspace"][sampled])
    assert result["kspace"][~sampled].abs().max() == 0
