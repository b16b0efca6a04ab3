"""Splitting measured samples: three disjoint parts that make up what was measured, and nothing else gets in."""

from __future__ import annotations

import pytest
import torch

from recon_monai.physics import EquispacedFractionMask, calibration_mask, infer_mask
from recon_monai.transforms import SplitMeasuredd, Undersampled

HEIGHT, WIDTH = 20, 64


def complete(width: int = WIDTH, **changes):
    generator = torch.Generator().manual_seed(1)
    kspace = torch.randn(3, HEIGHT, width, dtype=torch.complex64, generator=generator)
    target, maximum = torch.rand(1, HEIGHT, width, generator=generator), 0.9
    return {
        "kspace": kspace,
        "target": target,
        "maximum": maximum,
        "file": "a.h5",
        "slice": 2,
        "padding": torch.tensor([0, width]),
        **changes,
    }


def undersampled(width: int = WIDTH, **changes):
    return Undersampled(EquispacedFractionMask([0.12], [4]))(complete(width, **changes))


def with_2d_mask():
    mask = torch.rand(HEIGHT, WIDTH, generator=torch.Generator().manual_seed(2)) < 0.3
    mask[8:13, 29:36] = True
    return complete(mask=mask[None], kspace=torch.where(mask, complete()["kspace"], 0))


def split(item, *, epoch: int = 1, **options):
    transform = SplitMeasuredd(**options)
    transform.epoch = epoch
    return transform(item)


@pytest.mark.parametrize("make", [undersampled, lambda: undersampled(63), with_2d_mask], ids=["even", "odd", "2-D"])
@pytest.mark.parametrize("unit", ["auto", "samples"])
def test_the_parts_are_disjoint_and_make_up_what_was_measured(make, unit):
    item = make()
    measured = item["mask"].expand(1, *item["kspace"].shape[-2:])
    training, validation = split(item, unit=unit), split(item, part="validation")
    inputs, loss, unseen = training["mask"], training["loss_mask"], validation["loss_mask"]
    parts = torch.stack([part.expand_as(measured) for part in (inputs, loss, unseen)])
    assert torch.equal(parts.sum(dim=0), measured.long())
    assert all(bool(part.any()) for part in parts)
    assert torch.equal((validation["mask"] | unseen).expand_as(measured), measured)
    assert not bool((validation["mask"] & unseen).any())


@pytest.mark.parametrize("make", [undersampled, lambda: undersampled(63), with_2d_mask], ids=["even", "odd", "2-D"])
@pytest.mark.parametrize("epoch", range(4))
def test_the_calibration_region_stays_as_it_was(make, epoch):
    item = make()
    for part in ("train", "validation"):
        result = split(item, epoch=epoch, fraction=0.9, part=part)
        region = calibration_mask(item["mask"])
        assert torch.equal(calibration_mask(result["mask"]), region)
        assert torch.equal(torch.where(region, result["kspace"], 0), torch.where(region, item["kspace"], 0))


def test_samples_are_where_the_masks_say():
    item = undersampled()
    result = split(item)
    assert torch.equal(result["kspace"], torch.where(result["mask"], item["kspace"], 0))
    assert torch.equal(result["loss_kspace"], torch.where(result["loss_mask"], item["kspace"], 0))
    assert result["held_out"] == int(result["loss_mask"].sum())


def test_columns_are_split_by_columns_unless_samples_are_asked_for():
    item = undersampled()
    free = int((item["mask"] & ~calibration_mask(item["mask"], "run")).sum())
    result = split(item, fraction=0.5, validation_fraction=0.25)
    assert result["mask"].shape == (1, 1, WIDTH)
    assert result["held_out"] == round(0.5 * (free - round(0.25 * free)))
    single = split(item, fraction=0.5, unit="samples")
    assert single["held_out"] == round(0.5 * HEIGHT * (free - round(0.2 * free)))
    assert single["mask"].shape == (1, HEIGHT, WIDTH)
    assert bool((single["loss_mask"].any(dim=1) & single["mask"].any(dim=1)).any()), "a column in both parts"


def test_draws_depend_on_seed_epoch_file_and_slice():
    item = undersampled()
    first = split(item)["loss_mask"]
    assert torch.equal(first, split(item)["loss_mask"])
    for other in (
        split(item, seed=1),
        split(item, epoch=2),
        split({**item, "slice": 3}),
        split({**item, "file": "b.h5"}),
    ):
        assert not torch.equal(first, other["loss_mask"])


@pytest.mark.parametrize("unit", ["auto", "columns", "samples"])
def test_the_validation_part_is_fixed_for_a_file_and_is_never_trained_on(unit):
    item = undersampled()
    fixed = split(item, part="validation", unit=unit)["loss_mask"]
    assert fixed.shape == (1, 1, WIDTH), "whole columns"
    for epoch in range(20):
        other = {**item, "slice": epoch}
        assert torch.equal(fixed, split(other, epoch=epoch, seed=epoch, part="validation")["loss_mask"])
        training = split(other, epoch=epoch, seed=epoch, unit=unit)
        assert not bool((fixed & (training["mask"] | training["loss_mask"])).any())
    assert not torch.equal(fixed, split({**item, "file": "b.h5"}, part="validation")["loss_mask"])


@pytest.mark.parametrize("part", ["train", "validation"])
def test_neither_unsampled_kspace_nor_the_target_gets_in(part):
    """The same from complete k-space with a mask beside it, whatever its gaps and the target hold."""
    item = undersampled()
    noise = complete()["kspace"] * 1e3
    changed = {**item, "kspace": torch.where(item["mask"], item["kspace"], noise), "target": item["target"] * 7}
    one, two = split(item, part=part), split(changed, part=part)
    assert one.keys() == two.keys()
    assert "target" not in one
    assert "maximum" not in one
    for key in ("kspace", "mask", "loss_kspace", "loss_mask"):
        assert torch.equal(one[key], two[key]), key
    assert "target" in item, "the given item stays as it is"


def test_without_a_mask_the_zeros_tell():
    item = undersampled()
    bare = {key: value for key, value in item.items() if key != "mask"}
    assert torch.equal(split(item)["loss_mask"], split(bare)["loss_mask"])


def test_a_partial_readout_is_split_by_columns():
    item = undersampled()
    item["kspace"][:, :5] = 0
    item["mask"] = infer_mask(item["kspace"])
    assert item["mask"].shape == (1, HEIGHT, WIDTH)
    result = split(item)
    held = result["loss_mask"][0]
    assert not bool(held[:5].any())
    assert torch.equal(held[5:], held[5:6].expand(HEIGHT - 5, -1))
    assert torch.equal(result["held_out"] * torch.tensor(HEIGHT - 5), held.sum())


def test_an_empty_slice_holds_nothing_out():
    item = complete(kspace=torch.zeros(3, HEIGHT, WIDTH, dtype=torch.complex64))
    result = split(item)
    assert not bool(result["loss_mask"].any())
    assert bool(result["mask"].all())
    assert result["held_out"] == 0


def test_what_cannot_be_split_is_refused():
    with pytest.raises(ValueError, match=r"a\.h5 slice 2: 0 columns were sampled outside .*--acceleration"):
        split(complete())
    with pytest.raises(ValueError, match=r"a\.h5 slice 2: its mask is 2-D"):
        split(with_2d_mask(), unit="columns")
    for option in ({"fraction": 0.0}, {"validation_fraction": 1.0}, {"part": "test"}, {"unit": "rows"}):
        with pytest.raises(ValueError, match=next(iter(option))):
            SplitMeasuredd(**option)
