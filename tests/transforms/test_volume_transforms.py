"""Volumes to pairs of patches: one scale, recipes and patches drawn by key, geometry kept, bad volumes refused."""

from __future__ import annotations

import collections
import dataclasses
import logging

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, MetaTensor, list_data_collate
from monai.transforms import Compose

from recon_monai.physics import LOW_RESOLUTION_RECIPES, simulate_low_resolution, truncate_spectrum
from recon_monai.transforms import (
    DEFAULT_MIXTURE,
    RandomPatchd,
    ScaleToReferenced,
    SimulateLowResolutiond,
    set_epoch,
)

AFFINE = torch.tensor([[0.0, -1.2, 0, 5], [0.9, 0, 0, -7], [0, 0, 1.1, 2], [0, 0, 0, 1]], dtype=torch.float64)


def volume(*shape: int) -> torch.Tensor:
    """A bright ball in dim air, with detail."""
    shape = shape or (24, 26, 28)
    index = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in shape), indexing="ij")
    ball = (sum(i**2 for i in index) < 0.4).float()
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    return (100 * ball * (1 + noise) + noise)[None]


def item(**changes):
    made = MetaTensor(volume(), affine=AFFINE, meta={"filename_or_obj": "a.nii"})
    return {"target": made, "file": "a.nii", **changes}


def pair(**changes):
    """Low and high resolution that hold the number of each voxel."""
    numbers = torch.arange(24 * 26 * 28).float().reshape(1, 24, 26, 28)
    return {"image": -numbers, "target": numbers, "file": "a.nii", **changes}


def test_one_scale_for_both():
    given = item(image=item()["target"] * 0.5 + 3)
    found = ScaleToReferenced()(given)
    assert found["scale"] == pytest.approx(np.percentile(volume().numpy(), 99.9))
    for key in ("image", "target"):
        assert isinstance(found[key], MetaTensor) and torch.equal(found[key].affine, AFFINE)
        torch.testing.assert_close((found[key] * found["scale"]).as_tensor(), given[key].as_tensor())
    assert ScaleToReferenced(reference="image", scale="maximum")(given)["scale"] == float(given["image"].max())
    assert ScaleToReferenced(scale=4095)(given)["scale"] == 4095
    alone = ScaleToReferenced(allow_missing_keys=True)(item())
    assert sorted(alone) == ["file", "scale", "target"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.full((1, 4, 4, 4), 2.0), "'target' is 2 everywhere"),
        (torch.zeros(1, 4, 4, 4), "'target' is 0 everywhere"),
        (torch.tensor([np.nan, 1.0]).reshape(1, 1, 1, 2), "holds NaN or infinity in 1 voxels"),
        (torch.tensor([np.inf, -np.inf, 1.0]).reshape(1, 1, 1, 3), "holds NaN or infinity in 2 voxels"),
        (torch.tensor([-1.0, -2.0]).reshape(1, 1, 1, 2), "expected a positive number"),
        (torch.ones(4, 4, 4), r"expected a real tensor \(C, D, H, W\)"),
        (torch.ones(1, 0, 4, 4), r"is of shape \(1, 0, 4, 4\), expected voxels"),
        (None, "there is no 'target'"),
    ],
)
def test_bad_volumes_are_named(bad, message):
    given = {"file": "bad.nii"} if bad is None else {"file": "bad.nii", "target": bad, "image": bad}
    with pytest.raises(ValueError, match=r"^bad.nii: .*" + message):
        ScaleToReferenced()(given)
    if bad is not None and "positive" not in message:
        with pytest.raises(ValueError, match=r"^bad.nii: "):
            RandomPatchd(patch_size=2)(given)


def test_the_simulated_volume_is_that_of_its_recipe():
    found = SimulateLowResolutiond(recipes={"thick4mm": {"interpolations": ["cubic"]}}, slice_axis=1)(item())
    assert torch.equal(found["target"].as_tensor(), volume())
    expected = simulate_low_resolution(
        volume(), LOW_RESOLUTION_RECIPES["thick4mm"], spacing=(0.9, 1.2, 1.1), slice_axis=1, interpolation="cubic"
    )
    assert torch.equal(found["image"].as_tensor(), expected.volume)
    assert torch.equal(found["image"].affine, AFFINE)
    assert (found["recipe"], found["slice_axis"], found["interpolation"]) == ("thick4mm", 1, "cubic")
    torch.testing.assert_close(found["factor"], torch.tensor([1, 4 / 1.2, 1]))
    torch.testing.assert_close(found["spacing"], torch.tensor([0.9, 1.2, 1.1]))
    coarsest = SimulateLowResolutiond(recipes=["inplane2"], slice_axis="coarsest")(item())
    expected_image = truncate_spectrum(volume(), 0.5, (1, 3), output="magnitude")
    if coarsest["interpolation"] == "fourier":
        torch.testing.assert_close(coarsest["image"].as_tensor(), expected_image)
    assert coarsest["slice_axis"] == 1


def test_draws_follow_probabilities_and_depend_on_seed_epoch_and_file_alone():
    transform = SimulateLowResolutiond(noise=(0.001, 0.1), noise_probability=0.5, seed=3)
    draws = [transform.draw(f"{number}.nii", (1, 1, 1)) for number in range(2000)]
    shares = {name: count / 2000 for name, count in collections.Counter(d.recipe for d in draws).items()}
    assert shares == pytest.approx(dict(DEFAULT_MIXTURE), abs=0.04)
    axes = collections.Counter(d.slice_axis for d in draws)
    assert sorted(axes) == [0, 1, 2] and min(axes.values()) > 600
    levels = np.array([d.noise_level for d in draws])
    assert np.mean(levels > 0) == pytest.approx(0.5, abs=0.04)
    assert np.median(levels[levels > 0]) == pytest.approx(0.01, rel=0.25), "log-uniform"
    assert levels.max() <= 0.1
    assert transform.draw("7.nii", (1, 1, 1)) == draws[7]
    transform.epoch = 1
    assert transform.draw("7.nii", (1, 1, 1)) != draws[7]
    ways = {d.interpolation for d in draws if d.recipe.startswith("thick")}
    assert ways == {"linear", "cubic", "fourier"}
    never = SimulateLowResolutiond(recipes={"mild20": 0, "gaussian": 1, "inplane5": 0.0})
    assert {never.draw(str(number), (1, 1, 1)).recipe for number in range(200)} == {"gaussian"}


@pytest.mark.parametrize("way", ["linear", "cubic", "fourier"])
def test_one_interpolation_holds_for_all_recipes_with_coarse_samples(way):
    """The draws of one recipe do not move when the interpolation is fixed; those on the fine grid stay as they are."""
    names = list(LOW_RESOLUTION_RECIPES)
    free, fixed = SimulateLowResolutiond(recipes=names), SimulateLowResolutiond(recipes=names, interpolation=way)
    coarse = 0
    for name in names:
        before, after = free.recipes[name], fixed.recipes[name]
        if after.mode in ("gaussian", "mixed"):
            assert after == before and after.interpolations == ("fourier",)
            continue
        coarse += 1
        assert after == dataclasses.replace(before, interpolations=(way,))
        for number in range(20):
            drawn, again = (made.draw(f"{number}.nii", (1, 1, 1), recipe=name) for made in (fixed, free))
            assert drawn.interpolation == way
            assert drawn == dataclasses.replace(again, interpolation=way)
    assert coarse > 6
    assert {"gaussian", "slide1", "slide2", "slide5"} <= {n for n in names if fixed.recipes[n] == free.recipes[n]}


def test_the_interpolation_is_that_of_the_simulated_volume():
    options = {"recipes": {"thick4mm": {"gap": 0.5}}, "slice_axis": 1}
    found = SimulateLowResolutiond(**options, interpolation="linear")(item())
    recipe = dataclasses.replace(LOW_RESOLUTION_RECIPES["thick4mm"], gap=0.5)
    expected = simulate_low_resolution(
        volume(), recipe, spacing=(0.9, 1.2, 1.1), slice_axis=1, interpolation="linear"
    ).volume
    assert found["interpolation"] == "linear"
    assert torch.equal(found["image"].as_tensor(), expected)
    cubic = SimulateLowResolutiond(**options, interpolation="cubic")(item())
    assert not torch.allclose(cubic["image"].as_tensor(), expected)
    with pytest.raises(ValueError, match="interpolation is 'nearest', expected one of fourier, linear, cubic, or None"):
        SimulateLowResolutiond(interpolation="nearest")
    own = {"thick4mm": {"interpolations": ["linear"]}}
    with pytest.raises(ValueError, match=r"has interpolations \['linear'\], and 'cubic' is the one for all recipes"):
        SimulateLowResolutiond(recipes=own, interpolation="cubic")
    assert SimulateLowResolutiond(recipes=own, interpolation="linear").recipes == {
        "thick4mm": dataclasses.replace(LOW_RESOLUTION_RECIPES["thick4mm"], interpolations=("linear",))
    }


def test_noise_and_mixing_repeat_with_their_key():
    transform = SimulateLowResolutiond(recipes=["slide5"], noise=0.05)
    first, again = transform(item()), transform(item())
    assert torch.equal(first["image"], again["image"]) and 0 < first["alpha"] < 1
    other = transform(item(file="b.nii"))
    assert first["noise_seed"] != other["noise_seed"] and not torch.allclose(first["image"], other["image"])


def test_a_measured_low_resolution_passes():
    measured = volume() * 0.5
    found = SimulateLowResolutiond()(item(image=measured))
    assert found["image"] is measured
    assert (found["recipe"], found["noise_level"], found["slice_axis"]) == ("measured", 0.0, -1)
    assert set(found) == set(SimulateLowResolutiond()(item())), "both kinds make one batch"


def test_patches_lie_at_one_place_and_mostly_in_the_foreground():
    transform = RandomPatchd(patch_size=(8, 9, 10), patches=200, threshold=12000, foreground=0.8)
    patches = transform(pair())
    starts = torch.stack([patch["patch_start"] for patch in patches])
    inside = 0
    for patch, (i, j, k) in zip(patches, starts.tolist(), strict=True):
        assert torch.equal(patch["target"], pair()["target"][:, i : i + 8, j : j + 9, k : k + 10])
        assert torch.equal(patch["image"], -patch["target"])
        inside += int(patch["target"][0, 4, 4, 5] > 12000) or int(patch["target"].max() > 12000)
    assert (starts.amin(0) >= 0).all() and (starts.amax(0) <= torch.tensor([16, 17, 18])).all()
    assert inside >= 160
    assert len(starts.unique(dim=0)) > 100
    assert [patch["patch"] for patch in patches] == list(range(200))
    with_less = RandomPatchd(patch_size=(8, 9, 10), patches=3, threshold=12000, foreground=0.8)(pair())
    assert all(torch.equal(a["target"], b["target"]) for a, b in zip(with_less, patches[:3], strict=True))
    transform.epoch = 1
    assert not torch.equal(transform(pair())[0]["patch_start"], starts[0])


def test_without_foreground_patches_lie_anywhere():
    starts = [p["patch_start"] for p in RandomPatchd(patch_size=12, patches=300, foreground=0.0)(pair())]
    middle = torch.stack(starts).float().mean(0)
    torch.testing.assert_close(middle, torch.tensor([6.0, 7.0, 8.0]), atol=0.6, rtol=0)
    assert len(RandomPatchd(patch_size=12, patches=5, foreground=1.0, threshold=1e9)(pair())) == 5


def test_geometry_of_patches_and_of_padded_volumes(caplog):
    caplog.set_level(logging.WARNING)
    transform = RandomPatchd(keys="target", patch_size=(40, 8, 30), patches=2)
    (first, _), _ = transform(item()), transform(item())
    patch = first["target"]
    assert patch.shape == (1, 40, 8, 30) and patch.untyped_storage().nbytes() == patch.numel() * 4
    # a voxel of the patch and the voxel of the file at the same place in mm hold the same value
    place = torch.linalg.solve(AFFINE, patch.affine @ torch.tensor([20.0, 3, 15, 1]).double()).round().long()
    assert float(patch[0, 20, 3, 15]) == float(volume()[0, place[0], place[1], place[2]])
    assert float(patch[0, :8].abs().sum()) == 0, "zeros around"
    assert [record.getMessage() for record in caplog.records] == [
        "a.nii: (24, 26, 28) voxels are padded to patches of (40, 8, 30)"
    ]


def test_a_chain_batches_caches_and_hears_of_the_epoch():
    chain = Compose(
        [
            ScaleToReferenced("target", allow_missing_keys=True),
            SimulateLowResolutiond(recipes={"inplane2": 1, "thick4mm": 1}, noise=0.01),
            RandomPatchd(patch_size=12, patches=3),
        ]
    )
    cached = CacheDataset([item(file=f"{n}.nii") for n in range(2)], chain, progress=False)
    loader = DataLoader(cached, batch_size=2, collate_fn=list_data_collate, num_workers=0)
    (batch,) = loader
    assert batch["image"].shape == batch["target"].shape == (6, 1, 12, 12, 12)
    assert batch["factor"].shape == (6, 3) and batch["file"] == ["0.nii"] * 3 + ["1.nii"] * 3
    assert set_epoch(chain, 2) == 2
    (later,) = loader
    assert not torch.equal(batch["image"], later["image"])
    assert set_epoch(chain, 0) == 2
    (again,) = loader
    assert torch.equal(batch["image"], again["image"]) and torch.equal(batch["target"], again["target"])


def test_wrong_arguments_are_said():
    for recipes, message in (
        (["blur"], "'blur' is unknown"),
        ({"inplane2": -1}, "of at least 0"),
        ({"inplane2": 0}, "at least one with a positive"),
        ({"inplane2": {"kep": 1}}, "the recipe 'inplane2': a recipe is set by"),
        ({"own": {"keep": 0.5}}, "the recipe 'own': a recipe is set by"),
    ):
        with pytest.raises(ValueError, match=message):
            SimulateLowResolutiond(recipes=recipes)
    own = SimulateLowResolutiond(recipes={"own": {"mode": "thick_slices", "thickness": 1.0}}, slice_axis=1)
    with pytest.raises(ValueError, match=r"^a.nii: the recipe 'own' does not fit it: slices of 1.0 mm"):
        own(item())
    with pytest.raises(ValueError, match="the voxel size is not known"):
        SimulateLowResolutiond()({"target": volume(), "file": "a.nii"})
    with pytest.raises(ValueError, match="does not name its file"):
        SimulateLowResolutiond(noise=0.1)({"target": volume(), "spacing": [1, 1, 1]})
    for arguments in ({"slice_axis": 3}, {"noise": -1.0}, {"noise": (0.0, 1.0)}, {"noise_probability": 2}):
        with pytest.raises(ValueError, match="expected"):
            SimulateLowResolutiond(**arguments)
    for arguments in ({"patch_size": (8, 8)}, {"patches": 0}, {"foreground": 2}):
        with pytest.raises(ValueError, match="expected"):
            RandomPatchd(**arguments)
    for arguments in ({"scale": "mean"}, {"scale": 0}, {"percentile": 0}):
        with pytest.raises(ValueError, match="expected"):
            ScaleToReferenced(**arguments)
    with pytest.raises(ValueError, match="one grid for all"):
        RandomPatchd(patch_size=8)(pair(image=torch.rand(1, 12, 26, 28)))
