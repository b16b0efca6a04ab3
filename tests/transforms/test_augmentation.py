"""Physics-coupled augmentation, against plain numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, decollate_batch, list_data_collate
from monai.transforms import Compose
from scipy import ndimage

from recon_monai.physics import RandomMask, fft2c
from recon_monai.transforms import PhysicsAugmentd, Undersampled, set_epoch
from recon_monai.transforms.affine import affine_matrix, resample
from recon_monai.transforms.augmentation import AugmentationDraws

SHAPE = (24, 20)
OFF = {f"weight_{name}": 0.0 for name in ("fliph", "translation")}
NUMBERS = set(AugmentationDraws.__dataclass_fields__)


def coil_images(shape=SHAPE) -> np.ndarray:
    rng = np.random.default_rng(3)
    return (rng.normal(size=(3, *shape)) + 1j * rng.normal(size=(3, *shape))).astype(np.complex64)


def item(shape=SHAPE, size=(20, 22), **changes):
    kspace = fft2c(torch.from_numpy(coil_images(shape)))
    return {
        "kspace": kspace,
        "target": torch.from_numpy(oracle_target(coil_images(shape), size)),
        "maximum": 5.0,
        "output_size": torch.tensor(size),
        "padding": torch.tensor([0, shape[1]]),
        "file": "a.h5",
        "slice": 2,
        **changes,
    }


def oracle_target(images, size) -> np.ndarray:
    """Rows are cropped and columns zero-padded, or left."""
    root = np.sqrt((np.abs(images) ** 2).sum(0))
    top, pad = (root.shape[0] - size[0]) // 2, (size[1] - root.shape[1]) // 2
    return np.pad(root[top : top + size[0]], ((0, 0), (pad, pad)))[None].astype(np.float32)


def images_of(kspace) -> np.ndarray:
    shifted = np.fft.ifftshift(np.asarray(kspace), axes=(-2, -1))
    return np.fft.fftshift(np.fft.ifft2(shifted, norm="ortho"), axes=(-2, -1))


def always(epoch=1, **arguments):
    """Only what is named, in every item."""
    transform = PhysicsAugmentd(0, 1.0, 10, "constant", **OFF | arguments)
    transform.epoch = epoch
    return transform


def applied(given, **draws):
    return always().apply(given, AugmentationDraws(**{f"augmented_{name}": value for name, value in draws.items()}))


def assert_images(result, expected, size=(20, 22)) -> None:
    np.testing.assert_allclose(images_of(result["kspace"]), expected, atol=1e-5)
    np.testing.assert_allclose(result["target"], oracle_target(expected, size), atol=1e-5)
    assert result["target"].dtype == torch.float32
    assert result["maximum"] == 5.0


@pytest.mark.parametrize(("name", "axis"), [("fliph", -1), ("flipv", -2)])
def test_flips(name, axis):
    result = always(**{f"weight_{name}": 1.0})(item())
    assert result[f"augmented_{name}"] == 1
    assert_images(result, np.flip(coil_images(), axis))


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_of_square_data(quarters):
    expected = np.rot90(coil_images((20, 20)), quarters, axes=(-2, -1))
    assert_images(applied(item((20, 20), (20, 20)), rot90=quarters), expected, (20, 20))


@pytest.mark.parametrize(
    ("shape", "size", "padding", "expected"),
    [
        ((20, 20), (20, 20), [0, 20], {1, 2, 3}),
        ((20, 20), (20, 22), [0, 20], {2}),
        ((24, 20), (20, 20), [0, 20], {2}),
        ((20, 20), (20, 20), [1, 19], {2}),
    ],
)
def test_only_half_turns_where_a_quarter_does_not_fit(shape, size, padding, expected):
    transform = always(weight_rot90=1.0)
    results = [transform(item(shape, size, slice=number, padding=torch.tensor(padding))) for number in range(30)]
    assert {result["augmented_rot90"] for result in results} == expected
    assert all(result["kspace"].shape == (3, *shape) and result["target"].shape == (1, *size) for result in results)


@pytest.mark.parametrize(("down", "right"), [(3, 0), (-2, 0), (0, 4), (0, -1), (5, -6), (-9, 9)])
def test_translation_is_a_slice_of_the_reflected_image(down, right):
    result = applied(item(), translation_x=down, translation_y=right)
    padded = np.pad(coil_images(), ((0, 0), (abs(down),) * 2, (abs(right),) * 2), mode="reflect")
    top, left = abs(down) - down, abs(right) - right
    assert_images(result, padded[:, top : top + SHAPE[0], left : left + SHAPE[1]])


def test_translation_of_what_touches_no_edge_is_a_linear_phase():
    images = np.zeros((3, *SHAPE), np.complex64)
    images[:, 8:16, 7:13] = coil_images()[:, 8:16, 7:13]
    given = item(kspace=fft2c(torch.from_numpy(images)))
    result = applied(given, translation_x=4, translation_y=-3)
    row, column = (np.arange(length) - length // 2 for length in SHAPE)
    phase = np.exp(-2j * np.pi * (4 * row[:, None] / SHAPE[0] - 3 * column / SHAPE[1]))
    np.testing.assert_allclose(result["kspace"], given["kspace"].numpy() * phase, atol=1e-5)


def test_translations_are_whole_pixels_up_to_their_shares_and_x_moves_rows():
    transform = always(weight_translation=1.0, max_translation_x=0.125, max_translation_y=0.1)
    results = [transform(item(slice=number)) for number in range(100)]
    assert {result["augmented_translation_x"] for result in results} == set(range(-3, 4))
    assert {result["augmented_translation_y"] for result in results} == set(range(-2, 3))
    rows = always(weight_translation=1.0, max_translation_x=0.3, max_translation_y=0.0)(item())
    down = rows["augmented_translation_x"]
    assert (abs(down) > 0, rows["augmented_translation_y"]) == (True, 0)
    inner = np.s_[:, 8:16]
    np.testing.assert_allclose(
        images_of(rows["kspace"])[inner], np.roll(coil_images(), down, axis=-2)[inner], atol=1e-5
    )


@pytest.mark.parametrize(
    "draws",
    [
        {"rotation": 17.0},
        {"rotation": -90.0},
        {"shearing_x": 8.0},
        {"shearing_y": -12.0},
        {"scaling": 0.8},
        {"scaling": 1.3, "rotation": 30.0, "shearing_x": 5.0, "shearing_y": 3.0},
    ],
)
def test_affine_maps_are_those_of_scipy(draws):
    given = item()
    result = applied(given, **draws)
    angle, shear_x, shear_y = (np.deg2rad(draws.get(name, 0)) for name in ("rotation", "shearing_x", "shearing_y"))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ [[1, np.tan(shear_x)], [0, 1]] @ [[1, 0], [np.tan(shear_y), 1]] * draws.get("scaling", 1.0)
    back = np.linalg.inv(matrix)
    middle = (np.array(SHAPE) - 1) / 2
    expected = [
        ndimage.affine_transform(part, back, middle - back @ middle, order=1, mode="mirror")
        for coil in coil_images()
        for part in (coil.real, coil.imag)
    ]
    expected = np.stack(expected[::2]) + 1j * np.stack(expected[1::2])
    inner = np.s_[:, 6:-6, 6:-6]
    np.testing.assert_allclose(images_of(result["kspace"])[inner], expected[inner], atol=1e-4)
    assert np.abs(expected[inner] - coil_images()[inner]).max() > 0.5
    np.testing.assert_allclose(result["target"], oracle_target(images_of(result["kspace"]), (20, 22)), atol=1e-5)


def test_affine_signs():
    """Turning by 90 degrees is a quarter turn, scaling above 1 enlarges."""
    square = torch.from_numpy(coil_images((20, 20)))
    torch.testing.assert_close(
        resample(square, affine_matrix(90, 0, 0, 1)), torch.rot90(square, 1, (-2, -1)), atol=1e-4, rtol=0
    )
    spot = torch.zeros(1, 21, 21, dtype=torch.complex64)
    spot[0, 10, 13] = 1
    assert resample(spot, affine_matrix(0, 0, 0, 2))[0, 10].abs().argmax() == 16


def test_order_is_flips_turn_translation_affine():
    draws = {"fliph": 1, "flipv": 1, "rot90": 3, "translation_x": 2, "translation_y": 1, "rotation": 10.0}
    given = item((20, 20), (20, 20))
    step = given
    for name in ("fliph", "flipv", "rot90"):
        step = applied(step, **{name: draws[name]})
    step = applied(step, translation_x=2, translation_y=1)
    step = applied(step, rotation=10.0)
    whole = applied(given, **draws)
    np.testing.assert_allclose(images_of(whole["kspace"]), images_of(step["kspace"]), atol=1e-4)
    np.testing.assert_allclose(whole["target"], step["target"], atol=1e-4)


@pytest.mark.parametrize(
    ("limit", "weight", "key"),
    [
        ("max_rotation", "weight_rotation", "rotation"),
        ("max_shearing_x", "weight_shearing", "shearing_x"),
        ("max_shearing_y", "weight_shearing", "shearing_y"),
        ("max_scaling", "weight_scaling", "scaling"),
    ],
)
def test_affine_draws_keep_to_their_limits(limit, weight, key):
    transform = always(**{weight: 1.0, limit: 0.2})
    values = np.array([transform(item(slice=number))[f"augmented_{key}"] for number in range(80)])
    values -= key == "scaling"
    assert np.abs(values).max() <= 0.2
    assert values.max() > 0.15
    assert values.min() < -0.15


def test_columns_that_were_not_acquired_stay_empty():
    given = item(padding=torch.tensor([3, 17]))
    given["kspace"][..., :3] = 0
    given["kspace"][..., 17:] = 0
    result = applied(given, fliph=1, translation_x=2)
    assert result["kspace"][..., :3].abs().max() == 0
    assert result["kspace"][..., 17:].abs().max() == 0
    np.testing.assert_allclose(result["target"], oracle_target(images_of(result["kspace"]), (20, 22)), atol=1e-5)


def test_an_item_without_target_gets_none():
    given = item()
    del given["target"], given["maximum"]
    result = always(weight_fliph=1.0)(given)
    assert set(result) == set(given) | NUMBERS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("delay", 4),
        ("strength", 0.2),
        ("max_epochs", 400),
        ("kind", "constant"),
        ("weight_fliph", 0.0),
        ("weight_flipv", 1.0),
        ("weight_rot90", 1.0),
        ("weight_translation", 0.0),
        ("weight_rotation", 1.0),
        ("weight_shearing", 1.0),
        ("weight_scaling", 1.0),
        ("max_translation_x", 0.4),
        ("max_translation_y", 0.4),
        ("seed", 1),
    ],
)
def test_every_argument_of_the_recipe_changes_items(name, value):
    recipe = {"delay": 2, "strength": 0.6, "max_epochs": 8, "weight_fliph": 0.5, "weight_translation": 0.5}

    def drawn(**changes):
        transform = PhysicsAugmentd(**recipe | {"max_translation_x": 0.1, "max_translation_y": 0.1} | changes)
        transform.epoch = 4
        return [transform(item(slice=number))["kspace"] for number in range(30)]

    same = [torch.equal(one, other) for one, other in zip(drawn(), drawn(**{name: value}), strict=True)]
    assert not all(same)


def test_one_weight_leaves_the_draws_of_the_others():
    def drawn(**changes):
        return [always(weight_flipv=0.5, weight_rotation=0.5, **changes)(item(slice=number)) for number in range(20)]

    for one, other in zip(drawn(), drawn(weight_fliph=1.0, weight_translation=1.0), strict=True):
        assert one["augmented_flipv"] == other["augmented_flipv"]
        assert one["augmented_rotation"] == other["augmented_rotation"]


def test_changes_happen_as_often_as_weight_times_probability():
    transform = PhysicsAugmentd(10, 0.6, 100, weight_fliph=0.5, weight_translation=0.8)
    transform.epoch = 50
    results = [transform(item((4, 4), (4, 4), slice=number)) for number in range(1000)]
    assert all(result["augmented_probability"] == pytest.approx(0.539, abs=5e-4) for result in results)
    assert np.mean([result["augmented_fliph"] for result in results]) == pytest.approx(0.27, abs=0.04)


def test_draws_depend_on_seed_epoch_file_and_slice_alone():
    def drawn(seed=0, epoch=1, **changes):
        transform = always(epoch, weight_translation=1.0, weight_rotation=1.0, seed=seed)
        result = transform(item(**changes))
        return [result["kspace"].sum().item(), *(result[key] for key in sorted(NUMBERS))]

    first = drawn()
    assert first == drawn()
    for changes in ({"seed": 1}, {"epoch": 2}, {"file": "b.h5"}, {"slice": 3}):
        assert drawn(**changes) != first


def test_items_collate_whether_changed_or_not():
    transform = always(weight_fliph=0.5, weight_scaling=0.5)
    results = [transform(item(slice=number)) for number in range(12)]
    batch = list_data_collate(results)
    for key in NUMBERS:
        assert isinstance(batch[key], torch.Tensor)
        assert len(batch[key]) == 12
    assert 0 < batch["augmented_fliph"].sum() < 12
    assert decollate_batch(batch)[3]["augmented_scaling"] == pytest.approx(results[3]["augmented_scaling"])
    for result in results:
        if not result["augmented_fliph"] and result["augmented_scaling"] == 1:
            assert torch.equal(result["kspace"], item()["kspace"])
            assert torch.equal(result["target"], item()["target"])


@pytest.mark.parametrize("transform", [PhysicsAugmentd(0, 0.0, 10), PhysicsAugmentd(0, 1.0, 10, **OFF)])
def test_off_leaves_items_as_they_are(transform):
    transform.epoch = 5
    given = item()
    assert transform(given) == given


def test_kspace_that_was_acquired_undersampled_is_refused():
    given = item()
    given["kspace"] = torch.where(torch.arange(SHAPE[1]) % 3 == 0, given["kspace"], 0)
    with pytest.raises(ValueError, match=r"a\.h5 slice 2: .*acquired undersampled already"):
        always(weight_fliph=1.0)(given)


def test_masks_come_afterwards():
    """Sampled columns hold the k-space of the augmented image, the others nothing."""
    chain = Compose([always(weight_fliph=1.0), Undersampled(RandomMask([0.2], [2]))])
    result = chain(item())
    full = always(weight_fliph=1.0)(item())
    assert torch.equal(result["kspace"], torch.where(result["mask"], full["kspace"], 0))
    assert torch.equal(result["target"], full["target"])


def test_the_schedule_reaches_workers_that_outlive_an_epoch():
    transform = Compose([PhysicsAugmentd(2, 1.0, 4, weight_fliph=1.0, weight_translation=0.0)])
    dataset = Dataset([item(slice=number) for number in range(6)], transform)
    loader = DataLoader(dataset, batch_size=2, num_workers=1, persistent_workers=True)
    flips = {}
    for epoch in range(1, 6):
        assert set_epoch(transform, epoch) == 1
        batches = list(loader)
        flips[epoch] = int(sum(batch["augmented_fliph"].sum() for batch in batches))
        probabilities = torch.cat([batch["augmented_probability"] for batch in batches])
        expected = {1: 0.0, 2: 0.0, 3: (1 - np.exp(-2.5)) / (1 - np.exp(-5)), 4: 1.0, 5: 1.0}[epoch]
        np.testing.assert_allclose(probabilities, expected, rtol=1e-6)
    assert flips[1] == flips[2] == 0
    assert flips[3] > 0
    assert flips[4] == flips[5] == 6


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weight_fliph", 1.5),
        ("weight_scaling", -0.1),
        ("max_translation_x", 0.5),
        ("max_translation_y", -0.1),
        ("max_rotation", 190.0),
        ("max_shearing_x", 90.0),
        ("max_scaling", 1.0),
        ("strength", 2.0),
    ],
)
def test_what_cannot_be_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        PhysicsAugmentd(**{"delay": 0, "strength": 0.5, "max_epochs": 10} | {name: value})
