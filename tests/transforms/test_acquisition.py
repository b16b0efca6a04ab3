"""Augmentation of the acquisition: noise, coils and matrix size, against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import list_data_collate
from monai.transforms import Compose

from recon_monai.physics import (
    RandomMask,
    fft2c,
    keyed_generator,
    rss,
    simulate_coil_maps,
    simulate_phase,
)
from recon_monai.transforms import RandomCoilsd, RandomNoised, RandomResolutiond, Undersampled
from recon_monai.transforms.coils import _smooth_maps, combine_coils

SHAPE = (48, 40)
PHASE = simulate_phase(SHAPE, keyed_generator("phase"), max_phase=6.0)


def magnitude() -> torch.Tensor:
    y, x = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    body = np.exp(-2 * (x**2 + y**2)) * (1 + 0.5 * np.cos(9 * x) * np.cos(7 * y))
    return torch.from_numpy((1e-4 * body).astype(np.float32))


def item(coils=6, size=(40, 36), **changes):
    maps = simulate_coil_maps(coils, SHAPE, keyed_generator("maps"))
    images = magnitude() * torch.polar(torch.ones(SHAPE), PHASE) * maps
    kspace = fft2c(images)
    return {
        "kspace": kspace,
        "target": torch.from_numpy(oracle_target(kspace, size)),
        "maximum": 1e-4,
        "output_size": torch.tensor(size),
        "padding": torch.tensor([0, SHAPE[1]]),
        "voxel_size": torch.tensor([1.0, 1.5, 4.0]),
        "coils": coils,
        "file": "a.h5",
        "slice": 2,
        **changes,
    }


def images_of(kspace) -> np.ndarray:
    shifted = np.fft.ifftshift(np.asarray(kspace), axes=(-2, -1))
    return np.fft.fftshift(np.fft.ifft2(shifted, norm="ortho"), axes=(-2, -1))


def oracle_target(kspace, size) -> np.ndarray:
    root = np.sqrt((np.abs(images_of(kspace)) ** 2).sum(0))
    top, left = ((full - wanted) // 2 for full, wanted in zip(root.shape, size, strict=True))
    return root[None, top : top + size[0], left : left + size[1]].astype(np.float32)


def assert_target_fits(result) -> None:
    expected = oracle_target(result["kspace"], result["output_size"].tolist())
    np.testing.assert_allclose(result["target"].numpy(), expected, rtol=1e-4, atol=1e-9)


ALL = [
    (lambda **keys: RandomNoised(0.05, **keys), {"noise_level", "noise_seed"}),
    (lambda **keys: RandomCoilsd([2, 3, 8, 16], **keys), {"coils_redrawn", "coils_mixed", "coils_seed"}),
    (lambda **keys: RandomResolutiond(16, **keys), {"resolution"}),
]
OFF = [RandomNoised(0), RandomCoilsd(None), RandomCoilsd([]), RandomResolutiond(None)]


@pytest.mark.parametrize(("make", "keys"), ALL)
def test_draws_depend_on_seed_epoch_file_and_slice_alone(make, keys):
    def drawn(seed=0, epoch=0, **changes):
        transform = make(seed=seed)
        transform.epoch = epoch
        result = transform(item(**changes))
        return [result["kspace"].shape, result["kspace"].abs().sum().item(), *(result[key] for key in sorted(keys))]

    first = drawn()
    assert first == drawn()
    others = [drawn(seed=seed) for seed in range(1, 4)]
    for changes in ({"epoch": 1}, {"epoch": 2}, {"slice": 3}, {"slice": 4}, {"file": "b.h5"}, {"file": "c.h5"}):
        others.append(drawn(**changes))
    # a matrix size can come up twice by chance
    assert sum(other != first for other in others) >= len(others) - 1


@pytest.mark.parametrize(("make", "keys"), ALL)
def test_every_item_gets_the_same_numbers_whether_changed_or_not(make, keys):
    transform = make(probability=0.5)
    given = [item(slice=number) for number in range(12)]
    results = [transform(one) for one in given]
    untouched = [
        result
        for result, one in zip(results, given, strict=True)
        if result["kspace"].shape == one["kspace"].shape and torch.equal(result["kspace"], one["kspace"])
    ]
    assert 0 < len(untouched) < len(results)
    assert all(torch.equal(result["target"], item()["target"]) for result in untouched)
    for result in results:
        assert set(result) == set(item()) | keys
    numbers = list_data_collate([{key: result[key] for key in keys | {"coils"}} for result in results])
    assert all(len(values) == len(results) and isinstance(values, torch.Tensor) for values in numbers.values())


@pytest.mark.parametrize("transform", OFF)
def test_off_leaves_items_as_they_are(transform):
    given = item()
    result = transform(given)
    assert result == given
    assert result is not given


@pytest.mark.parametrize(("make", "keys"), ALL)
def test_kspace_that_was_acquired_undersampled_is_refused(make, keys):
    given = item()
    given["kspace"] = torch.where(torch.arange(SHAPE[1]) % 3 == 0, given["kspace"], 0)
    with pytest.raises(ValueError, match=r"a\.h5 slice 2: .*acquired undersampled already"):
        make()(given)


@pytest.mark.parametrize(("make", "keys"), ALL)
def test_undersampling_takes_what_they_give(make, keys):
    result = Compose([make(), Undersampled(RandomMask([0.2], [2]), random=True)])(item())
    assert 0 < result["mask"].float().mean() < 1
    assert keys < set(result)


def test_noise_has_the_recorded_level_and_is_white_and_in_the_target():
    given = item()
    result = RandomNoised(0.05, min_noise=0.02)(given)
    noise = (result["kspace"] - given["kspace"]).numpy() / (result["noise_level"] * 1e-4)
    assert 0.02 <= result["noise_level"] <= 0.05
    assert noise.real.std() == pytest.approx(1, abs=0.03)
    assert noise.imag.std() == pytest.approx(1, abs=0.03)
    correlation = np.corrcoef(np.concatenate([noise.real, noise.imag]).reshape(12, -1))
    assert np.abs(correlation - np.eye(12)).max() < 0.1
    assert_target_fits(result)
    assert not torch.equal(result["target"], given["target"])
    assert result["maximum"] == given["maximum"]


def test_noise_levels_are_log_uniform_from_a_hundredth():
    transform = RandomNoised(0.1)
    levels = [transform(item(coils=1, slice=number))["noise_level"] for number in range(200)]
    assert 1e-3 <= min(levels) < 1.2e-3
    assert 0.08 < max(levels) <= 0.1
    assert np.mean(np.log10(levels)) == pytest.approx(-2, abs=0.15)


def test_noise_goes_only_where_something_was_measured():
    given = item(padding=torch.tensor([3, 37]))
    given["kspace"][..., :3] = 0
    given["kspace"][..., 37:] = 0
    given["kspace"][:, :5] = 0
    result = RandomNoised(0.05)(given)
    assert torch.equal(result["kspace"] == 0, given["kspace"] == 0)
    assert_target_fits(result)
    empty = item(kspace=torch.zeros(2, *SHAPE, dtype=torch.complex64))
    assert (RandomNoised(0.05)(empty)["kspace"] != 0).all(), "an empty slice is measured all the same"


def test_noise_without_a_maximum_is_refused():
    given = item()
    del given["maximum"]
    with pytest.raises(ValueError, match=r"a\.h5 slice 2: there is no maximum of the volume"):
        RandomNoised(0.05)(given)


@pytest.mark.parametrize("coils", [1, 2, 6, 16])
def test_new_coils_keep_the_target_and_the_common_phase(coils):
    given = item(size=SHAPE)
    result = RandomCoilsd([coils])(given)
    assert result["kspace"].shape == (coils, *SHAPE)
    assert result["kspace"].dtype == torch.complex64
    assert (result["coils"], result["coils_redrawn"]) == (coils, 1)
    np.testing.assert_allclose(oracle_target(result["kspace"], SHAPE), given["target"], rtol=1e-3, atol=1e-8)
    assert torch.equal(result["target"], given["target"])
    left = combine_coils(given["kspace"])[0] * torch.polar(torch.ones(SHAPE), -PHASE)
    inner = left[12:36, 10:30]
    steps = torch.cat([(inner[1:] / inner[:-1]).flatten(), (inner[:, 1:] / inner[:, :-1]).flatten()]).angle()
    assert steps.abs().max() < 0.2, "what is left of the phase once the background is taken off is smooth"


def test_new_maps_are_smooth_and_differ_from_coil_to_coil():
    result = RandomCoilsd([4])(item(size=SHAPE))
    images = images_of(result["kspace"])
    maps = images / np.sqrt((np.abs(images) ** 2).sum(0))
    neighbors = np.abs(maps[:, 1:] / maps[:, :-1] - 1)
    ratios = maps[1:] / maps[:1]
    assert np.median(neighbors) < 0.2
    assert np.abs(ratios).max() > 2


def test_interpolated_maps_are_those_of_the_full_size():
    fine = simulate_coil_maps(5, (160, 96), keyed_generator("a"))
    quick = _smooth_maps(5, (160, 96), keyed_generator("a"))
    # the last pixels lie beyond the last coarse one
    assert (quick - fine)[:, :-3, :-2].abs().max() < 0.01 * fine.abs().max()
    assert (quick - fine).abs().max() < 0.05 * fine.abs().max()


def test_mixing_is_unitary_and_mixes():
    given = item()
    result = RandomCoilsd(None, mix_probability=1.0)(given)
    assert (result["coils"], result["coils_redrawn"], result["coils_mixed"]) == (6, 0, 1)
    flat, mixed = (one["kspace"].reshape(6, -1).to(torch.complex128) for one in (given, result))
    matrix = mixed @ torch.linalg.pinv(flat)
    torch.testing.assert_close(matrix @ matrix.mH, torch.eye(6, dtype=torch.complex128), atol=1e-4, rtol=0)
    assert (matrix.abs() > 0.02).float().mean() > 0.9
    np.testing.assert_allclose(oracle_target(result["kspace"], (40, 36)), given["target"], rtol=1e-4)


def test_mixing_has_no_preferred_phase():
    """QR alone would make the real part of the first element negative always."""
    transform, given = RandomCoilsd(None, mix_probability=1.0), item(coils=2)
    inverse = torch.linalg.pinv(given["kspace"].reshape(2, -1))
    first = [
        (transform({**given, "slice": number})["kspace"].reshape(2, -1) @ inverse)[0, 0].real for number in range(40)
    ]
    assert 10 < sum(value > 0 for value in first) < 30


def test_every_number_of_coils_comes_up():
    transform = RandomCoilsd([2, 4, 5])
    found = [transform(item(slice=number))["coils"] for number in range(30)]
    assert {number: found.count(number) > 3 for number in set(found)} == {2: True, 4: True, 5: True}


def test_an_empty_slice_gets_empty_coils():
    result = RandomCoilsd([3])(item(kspace=torch.zeros(6, *SHAPE, dtype=torch.complex64)))
    assert result["kspace"].shape == (3, *SHAPE)
    assert result["kspace"].abs().max() == 0


def test_coils_look_at_the_field_of_view_of_the_target():
    """Not at that of an oversampled readout, which is longer than the object."""
    long = item(size=(24, 40))
    maps = images_of(RandomCoilsd([4])(long)["kspace"])
    maps = np.abs(maps) / np.sqrt((np.abs(maps) ** 2).sum(0))
    np.testing.assert_allclose(maps[:, :12], np.repeat(maps[:, 12:13], 12, axis=1), atol=1e-3)
    assert np.abs(maps[:, 12] - maps[:, 35]).max() > 0.3


def test_lower_resolution_is_the_center_of_kspace_in_the_same_field_of_view():
    given = item(size=SHAPE)
    result = RandomResolutiond(20, 20)(given)
    assert result["resolution"] == 0.5
    assert result["output_size"].tolist() == [24, 20]
    np.testing.assert_allclose(result["kspace"], given["kspace"][:, 12:36, 10:30].numpy() / 2, rtol=1e-5, atol=1e-12)
    assert_target_fits(result)
    torch.testing.assert_close(result["voxel_size"], torch.tensor([2.0, 3.0, 4.0]))
    # an image of large structures is the same image, on every second pixel, of the same intensities
    inner = np.s_[2:-2, 2:-2]
    np.testing.assert_allclose(result["target"][0][inner], given["target"][0, ::2, ::2][inner], atol=1e-6)
    assert result["maximum"] == given["maximum"]


def test_padding_and_mask_are_cut_with_kspace():
    given = item(padding=torch.tensor([4, 36]), mask=(torch.arange(40) % 2 == 0)[None, None])
    given["kspace"][..., :4] = 0
    given["kspace"][..., 36:] = 0
    result = RandomResolutiond(32, 32)(given)
    assert result["kspace"].shape == (6, 42, 36)
    assert result["padding"].tolist() == [2, 34]
    assert torch.equal(result["mask"], given["mask"][..., 2:38])
    assert result["kspace"][..., :2].abs().max() == 0
    assert_target_fits(result)
    samples = RandomResolutiond(32, 32)(item(mask=torch.ones(1, *SHAPE, dtype=torch.bool)))
    assert samples["mask"].shape == (1, *samples["kspace"].shape[1:])


def test_sizes_are_even_and_span_what_is_asked():
    transform = RandomResolutiond(20, 30)
    sizes = [transform(item(slice=number))["output_size"].tolist() for number in range(60)]
    assert {min(size) for size in sizes} == {20, 22, 24, 26, 28, 30}
    assert all(length % 2 == 0 for size in sizes for length in size)
    assert all(abs(size[0] / size[1] - 40 / 36) < 0.06 for size in sizes)


def test_images_that_are_small_already_stay():
    result = RandomResolutiond(64)(item())
    assert result["resolution"] == 1.0
    assert torch.equal(result["kspace"], item()["kspace"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomNoised(-0.1), "max_noise is -0.1"),
        (lambda: RandomNoised(float("nan")), "max_noise is nan"),
        (lambda: RandomNoised(0.1, min_noise=0.2), "min_noise is 0.2"),
        (lambda: RandomNoised(0.1, probability=1.1), "probability is 1.1"),
        (lambda: RandomCoilsd([4, 0]), r"num_coils is \[4, 0\]"),
        (lambda: RandomCoilsd([4], mix_probability=-1), "mix_probability is -1"),
        (lambda: RandomResolutiond(33), "min_size is 33"),
        (lambda: RandomResolutiond(32, 30), "max_size is 30"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_they_work_in_one_chain():
    chain = Compose([RandomCoilsd([8], mix_probability=1.0), RandomResolutiond(24, 30), RandomNoised(0.02)])
    result = chain(item())
    assert result["kspace"].shape[0] == 8
    assert_target_fits(result)
    assert rss(result["kspace"]).isfinite().all()
