"""The built-in volumes: three-dimensional heads that differ, a real brain with its affine, made once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from recon_monai.data import (
    DemoVolumeRecipe,
    VolumeDataset,
    ensure_demo_scans,
    ensure_demo_volumes,
    grid_of,
    load_volume,
)
from recon_monai.data.demo import draw_head_volume
from recon_monai.data.demo import volumes as demo
from recon_monai.physics import keyed_generator, truncate_spectrum

TINY = DemoVolumeRecipe(heads=(1, 1, 1), shape=(21, 25, 21), spacing=8.0)
REAL = Path(nibabel.__file__).parent / "tests" / "data" / "example4d.nii.gz"


def blob(recipe: DemoVolumeRecipe, name: str, acquisition: str) -> np.ndarray:
    """Instead of a head, which takes seconds to draw."""
    noise = torch.rand(recipe.shape, generator=keyed_generator(name, acquisition))
    return truncate_spectrum(noise, 0.5).abs().numpy()


@pytest.fixture
def folder(tmp_path, monkeypatch) -> str:
    monkeypatch.setattr(demo, "draw_head_volume", blob)
    return ensure_demo_volumes(tmp_path, recipe=TINY)


def test_the_set_is_a_data_set_with_a_split(folder):
    names = {
        split: [entry["file"] for entry in VolumeDataset(folder, split).data] for split in ("train", "val", "test")
    }
    assert names == {
        "train": ["head-01_AXT1.nii.gz"],
        "val": ["head-02_AXT1.nii.gz"],
        "test": ["head-03_AXT1.nii.gz", "nibabel-example4d.nii.gz"],
    }
    made, real = VolumeDataset(folder, "test")
    assert made["target"].shape == (1, 21, 25, 21) and made["subject"] == "head-03"
    torch.testing.assert_close(made["spacing"], torch.full((3,), 8.0))
    middle = nibabel.affines.apply_affine(made["target"].affine.numpy(), [10, 12, 10])
    np.testing.assert_allclose(middle, [0, -11, 4], atol=1e-5)
    original = nibabel.load(REAL)
    assert np.array_equal(real["target"][0], original.dataobj[..., 0])
    np.testing.assert_allclose(real["target"].affine, original.affine, atol=1e-6)


def test_stored_values_are_the_drawing_with_its_noise(folder):
    clean = blob(TINY, "head-01", "AXT1") * 2500
    stored = load_volume(Path(folder) / "head-01_AXT1.nii.gz").numpy()[0]
    error = stored - clean
    bright = clean > 500
    assert error[bright].std() == pytest.approx(25, rel=0.05) and abs(error[bright].mean()) < 2
    header = nibabel.load(Path(folder) / "head-01_AXT1.nii.gz").header
    assert header.get_data_dtype() == np.int16 and b"not for diagnosis" in header["descrip"].item()


def test_the_set_is_made_once_and_per_recipe(folder, monkeypatch):
    monkeypatch.setattr(demo, "_make", lambda folder, recipe: pytest.fail("made again"))
    assert ensure_demo_volumes(Path(folder).parent, recipe=TINY) == folder
    assert dataclasses.replace(TINY, seed=1).key != TINY.key
    assert [path.name for path in Path(folder).parent.iterdir()] == [Path(folder).name], "no temporary folder is left"
    with pytest.raises(ValueError, match="acquisitions are"):
        DemoVolumeRecipe(acquisitions=("CT",))


@pytest.mark.slow
def test_heads_are_drawn_in_three_dimensions():
    recipe = DemoVolumeRecipe(shape=(36, 40, 32), spacing=1.6)  # the middle of the brain
    head = draw_head_volume(recipe, "head-01", "AXT1")
    assert head.shape == (36, 40, 32) and 0.8 < np.percentile(head, 99) < 1.2
    assert np.array_equal(draw_head_volume(recipe, "head-01", "AXT1"), head)
    other = draw_head_volume(recipe, "head-02", "AXT1")
    assert np.corrcoef(head.ravel(), other.ravel())[0, 1] < 0.9
    # folds run on from slice to slice: neighbors along any axis are about equally alike
    alike = []
    for axis in range(3):
        lines = np.moveaxis(head, axis, 0)
        alike.append(np.corrcoef(lines[1:].ravel(), lines[:-1].ravel())[0, 1])
    assert min(alike) > 0.75 and max(alike) - min(alike) < 0.1
    # and there is detail up to the Nyquist frequency along each axis
    for axis in range(3):
        lines = np.moveaxis(head, axis, -1)
        power = (np.abs(np.fft.rfft(lines * np.hanning(lines.shape[-1]))) ** 2).mean(axis=(0, 1))
        assert power[-3:].mean() > 1e-4 * power[1:4].mean()


def test_scans_are_the_test_volumes_with_slices_twice_as_thick(folder, tmp_path):
    scans = Path(ensure_demo_scans(tmp_path, recipe=TINY))
    found = {path.name for path in scans.glob("*.nii.gz")}
    assert found == {"head-03_AXT1.nii.gz", "nibabel-example4d.nii.gz"}
    fine, coarse = (load_volume(Path(place) / "nibabel-example4d.nii.gz") for place in (folder, scans))
    pairs = fine.numpy()[0].reshape(128, 96, 12, 2).mean(-1)
    np.testing.assert_allclose(coarse.numpy()[0], pairs, rtol=1e-5, atol=1e-3)
    assert grid_of(coarse).refined(factor=(1, 1, 2)).matches(grid_of(fine))
    assert {entry["file"] for entry in VolumeDataset(scans, "test", cache=False).data} == found
    before = (scans / "nibabel-example4d.nii.gz").stat().st_mtime_ns
    assert ensure_demo_scans(tmp_path, recipe=TINY) == str(scans)
    assert (scans / "nibabel-example4d.nii.gz").stat().st_mtime_ns == before
    assert not list(tmp_path.glob(".*")), "nothing is left behind"
