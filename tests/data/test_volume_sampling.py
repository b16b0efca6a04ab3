"""Visits of volumes: rounds, epochs of a fixed number of steps, processes, and what a visit changes."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.data import DataLoader

from recon_monai.data import VolumeBatchSampler, VolumeDataset, VolumeError, VolumeVisit, volume_facts
from recon_monai.transforms import RandomPatchd, SimulateLowResolutiond

OBLIQUE = np.array([[0, -1.2, 0, 5], [0.8, 0, -1.2, -7], [0.6, 0, 1.6, 2], [0, 0, 0, 1]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four subjects, of whom two train, and low resolution of the same for the paired layout."""
    for number in range(4):
        values = np.random.default_rng(number).integers(1, 1000, (8, 10, 6)).astype(np.int16)
        (tmp_path / "volumes").mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(values, OBLIQUE), tmp_path / "volumes" / f"sub-{number}_T1w.nii.gz")
    return tmp_path / "volumes"


def epochs(sampler: VolumeBatchSampler, count: int) -> list[list[VolumeVisit]]:
    batches = []
    for epoch in range(1, count + 1):
        sampler.epoch = epoch
        found = list(sampler)
        assert len(found) == len(sampler)
        batches += found
    return batches


def test_every_round_visits_every_volume_once_however_long_epochs_are():
    batches = epochs(VolumeBatchSampler(range(7), 3, 5), 7)
    visits = list(itertools.chain(*batches))
    assert len(visits) == 7 * 5 * 3
    for turn in range(15):
        part = visits[7 * turn : 7 * turn + 7]
        assert {visit.visit for visit in part} == {turn}
        assert {visit.volume for visit in part} == set(range(7))
    orders = {tuple(visit.volume for visit in visits[7 * turn : 7 * turn + 7]) for turn in range(15)}
    assert len(orders) > 10, "shuffled anew"
    assert epochs(VolumeBatchSampler(range(7), 3, 35), 1) == batches
    assert epochs(VolumeBatchSampler(range(7), 3, 5, seed=1), 7) != batches


def test_an_epoch_can_begin_in_its_middle_once():
    sampler = VolumeBatchSampler(range(5), 2, 6)
    sampler.epoch = 3
    whole = list(sampler)
    sampler.start = 4
    assert list(sampler) == whole[4:]
    assert sampler.start == 0 and list(sampler) == whole


def test_processes_share_the_batches_of_one_large_one():
    whole = epochs(VolumeBatchSampler(range(5), 4, 6), 2)
    shares = [epochs(VolumeBatchSampler(range(5), 2, 6, rank=rank, world_size=2), 2) for rank in range(2)]
    assert [first + second for first, second in zip(*shares, strict=True)] == whole


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"steps": 0}, {"steps": 1.5}, {"dataset": []}])
def test_what_makes_no_batches_is_refused(options):
    with pytest.raises(ValueError, match="expected a whole number of at least 1"):
        VolumeBatchSampler(**{"dataset": range(3), **options})


def test_visits_draw_other_recipes_and_patches(folder):
    low = SimulateLowResolutiond(recipes=["inplane2", "isotropic2"], noise=0.1)
    dataset = VolumeDataset(folder, "train", [low, RandomPatchd(patch_size=4, patches=2)], cache=False)
    first, again, second = (dataset[VolumeVisit(1, visit)] for visit in (0, 0, 1))
    assert first[0]["visit"] == 0 and second[0]["visit"] == 1
    assert torch.equal(first[1]["image"], again[1]["image"])
    drawn = [
        (found[0]["noise_seed"], *(int(one) for part in found for one in part["patch_start"]))
        for found in (dataset[VolumeVisit(1, visit)] for visit in range(6))
    ]
    assert len(set(drawn)) == 6
    assert len({seed for seed, *_ in drawn}) == 6
    low.epoch = 5
    assert dataset[VolumeVisit(1, 1)][0]["noise_seed"] == second[0]["noise_seed"], "by visit, not by epoch"


def test_a_loader_takes_the_sampler(folder):
    dataset = VolumeDataset(folder, "train", RandomPatchd(keys="target", patch_size=4, patches=3), cache=False)
    sampler = VolumeBatchSampler(dataset, 2, 3)
    batches = list(DataLoader(dataset, batch_sampler=sampler, num_workers=0))
    assert [tuple(batch["target"].shape) for batch in batches] == [(6, 1, 4, 4, 4)] * 3
    assert Counter(name for batch in batches for name in batch["file"]) == dict.fromkeys(
        (entry["file"] for entry in dataset.data), 9
    )


def test_each_volume_once_per_recipe(folder):
    low = SimulateLowResolutiond(noise=0.1)
    dataset = VolumeDataset(folder, "train", low, cache=False, recipes=["isotropic2", "thick4mm"])
    assert [entry["recipe"] for entry in dataset.data] == ["isotropic2", "thick4mm"] * 2
    items = list(dataset)
    assert [item["recipe"] for item in items] == ["isotropic2", "thick4mm"] * 2
    torch.testing.assert_close(items[0]["factor"], torch.full((3,), 2.0))
    assert sorted(items[1]["factor"].tolist())[:2] == [1, 1]
    # the rest is drawn as it would be
    assert items[0]["noise_seed"] == items[1]["noise_seed"] == low.draw(items[0]["file"], [1, 1, 1]).noise_seed
    assert len(dataset.files) == 2
    unknown = VolumeDataset(folder, "train", cache=False, recipes=["none"])[0]
    with pytest.raises(ValueError, match=r"sub-\d_T1w.nii.gz: the recipe 'none' is none of inplane2"):
        low(unknown)


def test_measured_pairs_come_once_and_count_with_both_files(folder, tmp_path):
    folder.rename(tmp_path / "high")
    (tmp_path / "low").mkdir()
    for path in (tmp_path / "high").iterdir():
        (tmp_path / "low" / path.name).write_bytes(path.read_bytes())
    dataset = VolumeDataset(tmp_path, "train", cache=False, recipes=["isotropic2", "thick4mm"])
    assert len(dataset) == 2 and dataset[0]["recipe"] == "measured"
    assert {path.parent.name for path in dataset.files} == {"low", "high"}
    assert len(dataset.files) == 4


def test_facts_come_from_the_header_alone(folder, tmp_path):
    facts = volume_facts(folder / "sub-0_T1w.nii.gz")
    assert facts.spacing == pytest.approx((1.0, 1.2, 2.0)) and facts.contrast == "T1"
    assert facts.shape == nibabel.load(folder / "sub-0_T1w.nii.gz").shape
    damaged = tmp_path / "x_FLAIR.nii"
    content = nibabel.load(folder / "sub-0_T1w.nii.gz")
    nibabel.save(content, damaged)
    damaged.write_bytes(damaged.read_bytes()[:400])
    assert volume_facts(damaged).contrast == "FLAIR", "values are not read"
    with pytest.raises(VolumeError, match="does not exist"):
        volume_facts(tmp_path / "none.nii")
    (tmp_path / "text.nii").write_text("no image")
    with pytest.raises(VolumeError, match=r"text\.nii"):
        volume_facts(tmp_path / "text.nii")
