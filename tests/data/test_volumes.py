"""Volumes from files: values and geometry, layouts, splits by subject, the cache, and what cannot be used."""

from __future__ import annotations

import collections
import json
import logging
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.data import DataLoader, MetaTensor, NibabelReader, list_data_collate
from monai.transforms import Compose

from recon_monai.data import (
    SplitError,
    VolumeCache,
    VolumeDataset,
    VolumeError,
    find_volumes,
    grid_of,
    load_volume,
    split_subjects,
)
from recon_monai.data.volumes import HCP_FILE
from recon_monai.physics import truncate_spectrum
from recon_monai.transforms import RandomPatchd, ScaleToReferenced, SimulateLowResolutiond

OBLIQUE = np.array([[-0.8, 0.1, 0.2, 30], [0.1, 0.9, -0.3, -20], [0.1, 0.2, 1.9, 7.5], [0, 0, 0, 1]])


def values(shape=(12, 14, 10), seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1000, shape).astype(np.int16)


def save(path: Path, data: np.ndarray | None = None, affine: np.ndarray = OBLIQUE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values() if data is None else data, affine), path)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_nifti_keeps_the_order_of_the_file_and_its_affine(tmp_path, name):
    path = save(tmp_path / name)
    found = load_volume(path)
    assert found.dtype == torch.float32 and np.array_equal(found[0], values())
    np.testing.assert_allclose(found.affine, OBLIQUE, atol=1e-6)
    reader = NibabelReader()
    array, meta = reader.get_data(reader.read(path))
    assert np.array_equal(found[0], array)
    np.testing.assert_array_equal(found.affine, meta["affine"])
    assert grid_of(found).shape == (12, 14, 10)
    np.testing.assert_allclose(grid_of(found).spacing, nibabel.affines.voxel_sizes(OBLIQUE), rtol=1e-6)


def test_scaling_of_the_file_is_applied_and_frames_are_chosen(tmp_path):
    image = nibabel.Nifti1Image(np.stack([values(), values(seed=1)], -1), OBLIQUE)
    image.header.set_slope_inter(2.0, -3.0)
    nibabel.save(image, tmp_path / "4d.nii")
    np.testing.assert_allclose(load_volume(tmp_path / "4d.nii", frame=1)[0], 2.0 * values(seed=1) - 3.0)
    with pytest.raises(VolumeError, match=r"4d\.nii: shape .* holds 2 volumes; choose one"):
        load_volume(tmp_path / "4d.nii")


BAD = {
    "nan": np.where(np.arange(27).reshape(3, 3, 3) == 5, np.nan, 1.0).astype(np.float32),
    "infinite": np.where(np.arange(27).reshape(3, 3, 3) < 2, np.inf, 1.0).astype(np.float32),
    "constant": np.full((3, 3, 3), 7, dtype=np.int16),
    "complex": np.ones((3, 3, 3), dtype=np.complex64),
    "flat": np.arange(9, dtype=np.int16).reshape(3, 3),
}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nan", "NaN or infinity in 1 voxels"),
        ("infinite", "NaN or infinity in 2 voxels"),
        ("constant", "is 7 everywhere"),
        ("complex", "holds complex numbers"),
        ("flat", r"shape \(3, 3\), expected \(x, y, z\)"),
        ("text", "cannot be read as a NIfTI image"),
        ("cut", "cannot be read as a NIfTI image"),
        ("affine", "affine of a grid is .* correct the header"),
        ("missing", "does not exist"),
        ("empty folder", "holds no DICOM file"),
        ("unknown", "holds no DICOM file, expected"),
    ],
)
def test_what_cannot_be_used_is_said_with_the_name_of_the_file(tmp_path, kind, message):
    path = tmp_path / "bad.nii.gz"
    if kind in BAD:
        save(path, BAD[kind])
    elif kind == "text":
        path.write_text("no image")
    elif kind == "cut":
        path = save(tmp_path / "bad.nii")
        path.write_bytes(path.read_bytes()[:1000])
    elif kind == "affine":
        image = nibabel.Nifti1Image(values(), np.eye(4))
        image.header["srow_x"] = image.header["srow_y"]
        image.header["sform_code"] = 1
        image.update_header = lambda: None
        nibabel.save(image, path)
        rows = nibabel.load(path).header["srow_x"]
        assert np.array_equal(rows, [0, 1, 0, 0])
    elif kind == "empty folder":
        path = tmp_path / "scan"
        path.mkdir()
    elif kind == "unknown":
        path = tmp_path / "bad.mgz"
        path.write_bytes(b"x" * 500)
    for read in (load_volume, VolumeCache(tmp_path / "cache").load):
        with pytest.raises(VolumeError, match=message) as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_layouts_and_subjects(tmp_path):
    for name in ("sub-01_T1w.nii.gz", "sub-01_T2w.nii.gz", "sub-02/anat/sub-02_ses-1_T1w.nii", "other.nii", ".x.nii"):
        save(tmp_path / "flat" / name)
    (tmp_path / "flat" / "README").write_text("text")
    found = {source.name: source.subject for source in find_volumes(tmp_path / "flat")}
    assert found == {
        "other.nii": "other",
        "sub-01_T1w.nii.gz": "sub-01",
        "sub-01_T2w.nii.gz": "sub-01",
        "sub-02/anat/sub-02_ses-1_T1w.nii": "sub-02",
    }
    chosen = find_volumes(tmp_path / "flat", pattern="*_T1w.nii*", subject_pattern=r"sub-(\d+)")
    assert [(source.name, source.subject) for source in chosen] == [
        ("sub-01_T1w.nii.gz", "01"),
        ("sub-02/anat/sub-02_ses-1_T1w.nii", "02"),
    ]
    (alone,) = find_volumes(tmp_path / "flat" / "other.nii")
    assert alone.path == tmp_path / "flat" / "other.nii" and alone.name == "other.nii"
    for subject in ("100206", "100307"):
        save(tmp_path / "hcp" / subject / HCP_FILE)
        save(tmp_path / "hcp" / subject / "T1w" / "T1w_acpc_dc.nii.gz")
    hcp = find_volumes(tmp_path / "hcp")
    assert [source.subject for source in hcp] == ["100206", "100307"] and hcp[0].name == f"100206/{HCP_FILE}"
    assert len(find_volumes(tmp_path / "hcp", "volumes")) == 4
    for subject in ("100206", "100307"):
        for scan in ("T1w_MPR1", "T1w_MPR2", "T2w_SPC1"):
            save(tmp_path / "hcp" / subject / "unprocessed" / "3T" / scan / f"{subject}_3T_{scan}.nii.gz")
        save(tmp_path / "hcp" / subject / "unprocessed" / "3T" / "T1w_MPR1" / f"{subject}_3T_BIAS_BC.nii.gz")
    assert [source.name for source in find_volumes(tmp_path / "hcp")] == [source.name for source in hcp]
    acquired = find_volumes(tmp_path / "hcp", "hcp_unprocessed")
    assert [source.subject for source in acquired] == ["100206", "100307"]
    assert acquired[1].name == "100307/unprocessed/3T/T1w_MPR1/100307_3T_T1w_MPR1.nii.gz"
    for source in hcp:
        source.path.unlink()
    assert [source.name for source in find_volumes(tmp_path / "hcp")] == [source.name for source in acquired]
    for part in ("low", "high"):
        save(tmp_path / "pairs" / part / "a.nii")
    save(tmp_path / "pairs" / "high" / "b.nii")
    with pytest.raises(
        VolumeError, match=r"1 of 2 volumes of high/ have no partner of the same name, the first is b\.nii"
    ):
        find_volumes(tmp_path / "pairs")
    (pair,) = find_volumes(tmp_path / "pairs", pattern="a*")
    assert pair.low == tmp_path / "pairs" / "low" / "a.nii"


def test_folders_that_do_not_fit_are_said(tmp_path):
    save(tmp_path / "a.nii")
    for arguments, message in (
        ({"layout": "bids"}, "layout is 'bids'"),
        ({"layout": "hcp"}, "expected <subject>/T1w"),
        ({"layout": "hcp_unprocessed"}, "expected <subject>/unprocessed/3T/T1w_MPR1"),
        ({"layout": "paired"}, "there is no folder low/"),
        ({"pattern": "*.gz"}, "none of 1 volumes matches"),
        ({"subject_pattern": "("}, "no regular expression"),
        ({"subject_pattern": "x"}, "does not match 'a.nii'"),
    ):
        with pytest.raises(VolumeError, match=message):
            find_volumes(tmp_path, **arguments)
    with pytest.raises(VolumeError, match="does not exist"):
        find_volumes(tmp_path / "none")
    with pytest.raises(VolumeError, match="different names"):
        VolumeDataset([tmp_path, tmp_path], "all")


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1113, (780, 111, 111, 111)), (14, (11, 1, 1, 1)), (10, (7, 1, 1, 1)), (9, (7, 1, 0, 1)), (3, (1, 1, 0, 1))],
)
def test_subjects_are_split_by_a_hash(count, expected):
    names = [f"sub-{number:04d}" for number in range(count)]
    parts = split_subjects(names)
    held = collections.Counter(parts.values())
    assert tuple(held[part] for part in ("train", "val", "evaluation", "test")) == expected
    assert split_subjects(reversed(names)) == parts, "the order of the files does not matter"
    if count > 10:
        assert split_subjects(names, seed=1) != parts


def test_subjects_are_never_in_two_parts(tmp_path):
    for number in range(12):
        for contrast in ("T1w", "T2w"):
            save(tmp_path / f"sub-{number:02d}_{contrast}.nii")
    seen: dict[str, str] = {}
    for split in ("train", "val", "evaluation", "test"):
        for entry in VolumeDataset(tmp_path, split).data:
            assert seen.setdefault(entry["subject"], split) == split
    assert len(seen) == 12 and len(VolumeDataset(tmp_path, "all").data) == 24
    (tmp_path / "split.json").write_text(
        json.dumps({"train": ["sub-03", "sub-04_T1w.nii"], "test": ["sub-05_T2w.nii"]})
    )
    assert [entry["file"] for entry in VolumeDataset(tmp_path, "train").data] == [
        "sub-03_T1w.nii",
        "sub-03_T2w.nii",
        "sub-04_T1w.nii",
    ]
    assert [e["file"] for e in VolumeDataset(tmp_path, "train", pattern="*T2w*").data] == ["sub-03_T2w.nii"]
    for content, message in (
        ({"train": ["sub-03_T1w.nii"], "test": ["sub-03_T2w.nii"]}, "subject sub-03 is in"),
        ({"train": ["sub-03"], "test": ["sub-03_T2w.nii"]}, "subject sub-03 is in"),
        ({"train": ["sub-03"], "test": ["sub-03"]}, "keep it in one"),
        ({"train": ["sub-77"]}, "the first is sub-77"),
        ({"train": "sub-03"}, "expected {"),
        ({"train": ["sub-03"]}, "the split 'val' holds no volume"),
    ):
        (tmp_path / "split.json").write_text(json.dumps(content))
        with pytest.raises(SplitError, match=message):
            VolumeDataset(tmp_path, "val")


def test_too_few_subjects_for_a_split(tmp_path):
    save(tmp_path / "a.nii"), save(tmp_path / "b.nii")
    with pytest.raises(SplitError, match="there are 2 subjects"):
        VolumeDataset(tmp_path, "train")
    with pytest.raises(SplitError, match="split is 'holdout'"):
        VolumeDataset(tmp_path, "holdout")
    assert len(VolumeDataset(tmp_path, "all", max_volumes=1)) == 1


def test_items_and_several_folders(tmp_path):
    save(tmp_path / "one" / "sub-01.nii"), save(tmp_path / "two" / "sub-01.nii", values(seed=1))
    data = VolumeDataset([tmp_path / "one", tmp_path / "two"], "all")
    assert [(entry["file"], entry["subject"]) for entry in data.data] == [
        ("one/sub-01.nii", "one/sub-01"),
        ("two/sub-01.nii", "two/sub-01"),
    ]
    (tmp_path / "one" / "split.json").write_text(json.dumps({"test": ["sub-01.nii"]}))
    (tmp_path / "two" / "split.json").write_text(json.dumps({"train": ["sub-01.nii"]}))
    test = VolumeDataset([tmp_path / "one", tmp_path / "two"], "test")
    assert [entry["file"] for entry in test.data] == ["one/sub-01.nii"], "a folder may lack a part"
    with pytest.raises(SplitError, match="holds no volume in any of"):
        VolumeDataset([tmp_path / "one", tmp_path / "two"], "val")
    item = data[1]
    assert np.array_equal(item["target"][0], values(seed=1)) and item["path"] == str(tmp_path / "two" / "sub-01.nii")
    torch.testing.assert_close(item["spacing"].numpy(), nibabel.affines.voxel_sizes(OBLIQUE).astype(np.float32))
    assert "image" not in item and sorted(item) == ["file", "path", "spacing", "subject", "target"]


def test_pairs_come_to_the_grid_of_the_high_resolution(tmp_path):
    high = np.round(1000 * truncate_spectrum(torch.rand(15, 12, 9, dtype=torch.float64), (5, 12, 3)).numpy())
    save(tmp_path / "high" / "a.nii", high)
    coarse = OBLIQUE @ np.diag([3, 1, 3, 1.0])
    coarse[:3, 3] += OBLIQUE[:3, :3] @ [1, 0, 1]
    save(tmp_path / "low" / "a.nii", high[1::3, :, 1::3], coarse)
    save(tmp_path / "high" / "b.nii", high)
    save(tmp_path / "low" / "b.nii", high / 2)
    resampled, same = VolumeDataset(tmp_path, "all", interpolation="fourier")
    # the integers of the file are not band-limited any more, by rounding alone
    np.testing.assert_allclose(resampled["image"][0], high, atol=3)
    assert isinstance(resampled["image"], MetaTensor)
    torch.testing.assert_close(resampled["image"].affine, resampled["target"].affine)
    torch.testing.assert_close(resampled["factor"], torch.tensor([3.0, 1, 3]))
    np.testing.assert_allclose(same["image"][0], high / 2)
    assert bool(same["factor"].isnan().all()) and same["recipe"] == "measured"
    save(tmp_path / "low" / "b.nii", high, np.eye(4))
    with pytest.raises(VolumeError, match=r"low.b\.nii: does not lie along the axes"):
        VolumeDataset(tmp_path, "all")[1]


def test_the_cache_knows_files_by_their_content(tmp_path, caplog):
    path = save(tmp_path / "a.nii.gz")
    cache = VolumeCache(tmp_path / "cache")
    first = cache.load(path)
    (entry,) = (tmp_path / "cache").iterdir()
    again = VolumeCache(tmp_path / "cache").load(path)
    assert torch.equal(first.as_tensor(), again.as_tensor()) and torch.equal(first.affine, again.affine)
    assert again.meta["filename_or_obj"] == str(path) and again.affine.dtype == torch.float64
    moved = shutil.copy(path, tmp_path / "b.nii.gz")
    cache.load(moved)
    assert len(list((tmp_path / "cache").iterdir())) == 1
    save(path, values(seed=5))
    assert np.array_equal(cache.load(path)[0], values(seed=5)), "a changed file is read anew"
    entry.write_bytes(b"damaged")
    assert np.array_equal(cache.load(moved)[0], values()) and entry.stat().st_size > 1000, (
        "and a damaged entry made anew"
    )
    (tmp_path / "file").write_text("in the way")
    caplog.set_level(logging.WARNING)
    assert np.array_equal(VolumeCache(tmp_path / "file").load(moved)[0], values())
    assert "cannot be kept" in caplog.text


def test_reading_from_the_cache_takes_no_file_apart(tmp_path, monkeypatch):
    path = save(tmp_path / "a.nii.gz")
    data = VolumeDataset(path, "all", cache_folder=tmp_path / "cache")
    expected = data[0]["target"]
    monkeypatch.setattr("recon_monai.data.volumes.cache.load_volume", None)
    assert torch.equal(data[0]["target"].as_tensor(), expected.as_tensor())


def test_from_files_to_a_batch_of_patches(tmp_path):
    for number in range(2):
        save(tmp_path / f"{number}.nii", values((20, 18, 22), seed=number))
    chain = Compose(
        [
            ScaleToReferenced("target"),
            SimulateLowResolutiond(recipes=["isotropic2"]),
            RandomPatchd(patch_size=16, patches=2),
        ]
    )
    data = VolumeDataset(tmp_path, "all", chain)
    (batch,) = DataLoader(data, batch_size=2, collate_fn=list_data_collate, num_workers=0)
    assert batch["image"].shape == (4, 1, 16, 16, 16) and batch["image"].dtype == torch.float32
    assert batch["recipe"] == ["isotropic2"] * 4 and batch["subject"] == ["0", "0", "1", "1"]
    (start, scale) = batch["patch_start"][3].tolist(), float(batch["scale"][3])
    cut = tuple(slice(first, first + 16) for first in start)
    np.testing.assert_allclose(batch["target"][3, 0] * scale, values((20, 18, 22), seed=1)[cut], rtol=1e-5, atol=1e-3)
