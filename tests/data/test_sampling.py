"""Which slices come together: every slice once, equal shapes, the same order whoever computes it."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest

from recon_monai.data import SliceBatchSampler, VolumeSampler


class Shapes:
    """A data set of slices of three shapes in volumes of five."""

    def __init__(self, counts: dict[str, int]) -> None:
        self.shapes = [shape for shape, count in counts.items() for _ in range(count)]
        self.data = [{"path": f"volume{index // 5}", "acceleration": None} for index in range(len(self.shapes))]

    def __len__(self) -> int:
        return len(self.shapes)

    def shape_key(self, index: int) -> str:
        return self.shapes[index]


MIXED = {"brain": 37, "knee": 23, "heart": 3}


@pytest.mark.parametrize(("batch_size", "accumulation"), list(product((1, 2, 4, 5), (1, 3))))
def test_a_mixed_epoch_holds_each_slice_once_in_batches_of_one_shape(batch_size, accumulation):
    data = Shapes(MIXED)
    sampler = SliceBatchSampler(data, batch_size, accumulation_steps=accumulation, seed=7)
    for epoch in (1, 2):
        sampler.epoch = epoch
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert sorted(index for batch in batches for index in batch) == list(range(len(data)))
        assert all(len({data.shapes[index] for index in batch}) == 1 for batch in batches)
        assert max(map(len, batches)) <= batch_size


def test_epochs_and_seeds_differ_and_repeat():
    data = Shapes(MIXED)

    def order(seed: int, epoch: int) -> list[list[int]]:
        sampler = SliceBatchSampler(data, 4, seed=seed)
        sampler.epoch = epoch
        return list(sampler)

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


def test_rare_shapes_come_anywhere_in_an_epoch():
    """Fair over epochs: the slices of a rare shape are not always first or last."""
    data = Shapes({"common": 60, "rare": 4})
    sampler = SliceBatchSampler(data, 2)
    places = []
    for epoch in range(40):
        sampler.epoch = epoch
        places += [place / len(sampler) for place, batch in enumerate(sampler) if data.shapes[batch[0]] == "rare"]
    assert 0.35 < sum(places) / len(places) < 0.65
    assert min(places) < 0.2
    assert max(places) > 0.8


@pytest.mark.parametrize("world_size", [2, 3, 8])
def test_processes_share_an_epoch(world_size):
    data = Shapes(MIXED)
    samplers = [SliceBatchSampler(data, 2, rank=rank, world_size=world_size) for rank in range(world_size)]
    parts = [list(sampler) for sampler in samplers]
    assert {len(part) for part in parts} == {len(samplers[0])}, "a process with fewer batches would hang the others"
    seen = Counter(index for part in parts for batch in part for index in batch)
    assert set(seen) == set(range(len(data)))
    batches = sum(len(part) for part in parts)
    alone = len(SliceBatchSampler(data, 2))
    assert 0 <= batches - alone < world_size, "no more is repeated than is needed for equal numbers"


@pytest.mark.parametrize(
    ("batch_size", "accumulation", "world_size"), [(8, 1, 1), (2, 4, 1), (1, 1, 8), (2, 2, 2), (4, 1, 2), (1, 8, 1)]
)
def test_updates_see_the_same_slices_however_they_are_divided(batch_size, accumulation, world_size):
    data = Shapes({"brain": 48, "knee": 24})

    def updates(batch_size: int, accumulation: int, world_size: int) -> list[frozenset[int]]:
        sampler = SliceBatchSampler(data, batch_size, accumulation_steps=accumulation, rank=0, world_size=world_size)
        return [frozenset(index for batch in step for index in batch) for step in sampler.steps()]

    assert updates(batch_size, accumulation, world_size) == updates(8, 1, 1)


@pytest.mark.parametrize("slices", [6, 10, 11])
@pytest.mark.parametrize(("batch_size", "accumulation", "world_size"), [(2, 2, 1), (1, 4, 1), (1, 2, 2)])
def test_a_short_update_comes_last_however_it_is_divided(slices, batch_size, accumulation, world_size):
    data = Shapes({"brain": slices})

    def updates(batch_size: int, accumulation: int, world_size: int) -> list[frozenset[int]]:
        sampler = SliceBatchSampler(data, batch_size, accumulation_steps=accumulation, rank=0, world_size=world_size)
        sampler.epoch = 3
        return [frozenset(index for batch in step for index in batch) for step in sampler.steps()]

    found, expected = updates(batch_size, accumulation, world_size), updates(4, 1, 1)
    if world_size == 1:
        assert found == expected
    else:  # the last step may repeat a batch, so that every process has one
        assert found[:-1] == expected[:-1]
        assert found[-1] >= expected[-1]


def test_a_pass_can_begin_in_the_middle_once():
    sampler = SliceBatchSampler(Shapes(MIXED), 2)
    whole = list(sampler)
    sampler.start = 10
    assert list(sampler) == whole[10:]
    assert list(sampler) == whole
    assert len(sampler) == len(whole)


def test_without_shuffling_the_order_is_that_of_the_data():
    sampler = SliceBatchSampler(Shapes({"brain": 7}), 3, shuffle=False)
    assert list(sampler) == [[0, 1, 2], [3, 4, 5], [6]]


def test_steps_of_single_slices_can_mix_shapes():
    data = Shapes({"brain": 40, "knee": 40})
    sampler = SliceBatchSampler(data, accumulation_steps=8, mix_shapes=True)
    steps = sampler.steps()
    assert [len(step) for step in steps] == [8] * 10
    assert sorted(index for step in steps for [index] in step) == list(range(80))
    assert all(0 < sum(data.shapes[index] == "brain" for [index] in step) < 8 for step in steps)
    with pytest.raises(ValueError, match="use batch_size 1"):
        SliceBatchSampler(data, 2, mix_shapes=True)


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"batch_size": 1.5}, {"accumulation_steps": 0}])
def test_impossible_sizes(wrong):
    with pytest.raises(ValueError, match="expected a whole number of at least 1"):
        SliceBatchSampler(Shapes(MIXED), **wrong)


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_volumes_stay_whole_and_are_shared_out(world_size):
    data = Shapes({"brain": 23})
    shares = [list(VolumeSampler(data, rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert sorted(index for share in shares for index in share) == list(range(23))
    for share in shares:
        assert share == sorted(share)
        volumes = {data.data[index]["path"] for index in share}
        assert sum(entry["path"] in volumes for entry in data.data) == len(share)
    assert max(map(len, shares)) - min(map(len, shares)) <= 5


def test_more_processes_than_volumes():
    data = Shapes({"brain": 8})
    shares = [list(VolumeSampler(data, rank=rank, world_size=4)) for rank in range(4)]
    assert shares[:2] == [[0, 1, 2, 3, 4], [5, 6, 7]]
    assert shares[2:] == [[5, 6, 7]] * 2, "the smallest volume again, so that every process runs"
