from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy import ndimage

from recon_monai.data import FastMRISliceDataset, read_split
from recon_monai.data.demo import DemoRecipe, Protocol, built_in_dataset

pytest.importorskip("nilearn")

SMALL = DemoRecipe(
    brains=(2, 1, 1),
    knees=(2, 1, 1),
    slices=2,
    brain_protocols=(Protocol((64, 56), 3.5, 2), Protocol((60, 60), 3.7, 3)),
    knee_protocols=(Protocol((64, 48), 2.5, 2), Protocol((64, 53), 2.4, 3)),
    real_slice_step=8,
)
SPLITS = {
    "train": ["brain-01_AXFLAIR", "brain-02_AXT2", "knee-01_CORPD_FBK", "knee-02_CORPDFS_FBK"],
    "val": ["brain-03_AXT1", "knee-03_CORPD_FBK"],
    "test": ["brain-04_AXPD", "knee-04_CORPDFS_FBK", "nibabel-example4d"],
}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def folder(root) -> Path:
    return Path(built_in_dataset(root, recipe=SMALL))


def digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.glob("*.h5")):
        with h5py.File(path) as file:
            found[path.name] = hashlib.sha256(file["kspace"][()].tobytes()).hexdigest()
            if "lesion_mask" in file:
                found[f"{path.name} lesions"] = hashlib.sha256(file["lesion_mask"][()].tobytes()).hexdigest()
    return found


def test_two_makes_are_equal_and_another_seed_differs(folder, tmp_path):
    again = Path(built_in_dataset(tmp_path, recipe=SMALL))
    assert again.name == folder.name
    assert len(digests(folder)) == 9 + 8
    assert digests(again) == digests(folder)
    other = Path(built_in_dataset(tmp_path, recipe=replace(SMALL, brains=(1, 0, 0), knees=(1, 0, 0), seed=1)))
    assert other.name != folder.name
    for name in ("brain-01_AXFLAIR.h5", "knee-01_CORPD_FBK.h5"):
        assert digests(other)[name] != digests(folder)[name]


def test_a_subject_does_not_depend_on_the_others(folder, tmp_path):
    alone = Path(built_in_dataset(tmp_path, recipe=replace(SMALL, brains=(1, 0, 0), knees=(2, 0, 0))))
    for name in ("brain-01_AXFLAIR.h5", "knee-02_CORPDFS_FBK.h5"):
        assert digests(alone)[name] == digests(folder)[name]


def test_subjects_are_disjoint_and_both_anatomies_are_in_each_part(folder):
    subjects = json.loads((folder / "split.json").read_text())["subjects"]
    patients = {}
    for split, names in SPLITS.items():
        paths = read_split(folder, split)
        assert [path.stem for path in paths] == names
        found = []
        for path in paths:
            with h5py.File(path) as file:
                found.append((str(file.attrs["patient_id"]), str(file.attrs["anatomy"])))
                assert subjects[path.name] == file.attrs["patient_id"]
                assert file.attrs["source"] == "simulated"
        patients[split] = {patient for patient, _ in found}
        assert {anatomy for _, anatomy in found} == {"brain", "knee"}
    assert not patients["train"] & patients["val"]
    assert not (patients["train"] | patients["val"]) & patients["test"]
    assert sum(map(len, patients.values())) == 9


def test_files_say_what_they_hold(folder):
    made_up = {subject.name: subject for subject in SMALL.subjects()}
    for path in read_split(folder, "all"):
        with h5py.File(path) as file:
            attributes = dict(file.attrs)
            shape = file["kspace"].shape
        if path.stem == "nibabel-example4d":
            assert attributes["acquisition"] == "AXEPI"
            assert shape[1:] == (2, 64, 56)
            assert "nibabel" in attributes["origin"]
            continue
        subject = made_up[path.stem.split("_")[0]]
        protocol = subject.protocol
        assert path.stem == f"{subject.name}_{attributes['acquisition']}"
        assert attributes["anatomy"] == subject.anatomy
        assert shape == (2, protocol.coils, *protocol.shape)
        assert attributes["lesions"] == subject.lesions
        credit = {"brain": "ICBM152", "knee": "procedural phantom"}[subject.anatomy]
        assert credit in attributes["origin"]


def test_targets_are_the_root_sum_of_squares_of_k_space(folder):
    for path in read_split(folder, "all"):
        with h5py.File(path) as file:
            kspace, target = file["kspace"][()], file["reconstruction_rss"][()]
            maximum = file.attrs["max"]
        images = np.fft.fftshift(
            np.fft.ifft2(np.fft.ifftshift(kspace.astype(complex), axes=(-2, -1)), norm="ortho"), axes=(-2, -1)
        )
        expected = np.sqrt((np.abs(images) ** 2).sum(axis=1))
        np.testing.assert_allclose(target, expected, rtol=1e-4, atol=1e-5 * maximum)
        assert maximum == pytest.approx(expected.max(), rel=1e-4)


def test_the_data_set_reads_every_file(folder):
    """The additional array of lesions is no obstacle, nor is a matrix of odd width."""
    dataset = FastMRISliceDataset(read_split(folder, "all"))
    shapes = Counter(tuple(dataset[i]["kspace"].shape) for i in range(len(dataset)))
    assert {(2, 64, 56), (3, 60, 60), (2, 64, 48), (3, 64, 53)} == set(shapes)
    assert {dataset[i]["anatomy"] for i in range(len(dataset))} == {"brain", "knee"}


def test_k_space_is_full_up_to_its_edge(tmp_path):
    """Without noise the outermost lines still hold signal, as sharp edges do and smooth pictures do not."""
    recipe = replace(SMALL, brains=(1, 0, 0), knees=(1, 0, 0), slices=1, noise=0.0)
    folder = Path(built_in_dataset(tmp_path, recipe=recipe))
    for path in read_split(folder, "train"):
        with h5py.File(path) as file:
            kspace = np.abs(file["kspace"][0])
        total = np.sqrt((kspace**2).mean())
        for line in (kspace[:, 0], kspace[:, -1], kspace[:, :, 0], kspace[:, :, -1]):
            assert np.sqrt((line**2).mean()) > 0.02 * total


def test_lesions_are_where_the_mask_says(tmp_path):
    """Bright against the white matter round them under FLAIR, on the images that the k-space gives."""
    protocol = Protocol((128, 112), 1.75, 2)
    recipe = replace(
        SMALL, brains=(2, 0, 0), knees=(0, 0, 0), brain_protocols=(protocol,), slices=4, heights=(12.0, 36.0)
    )
    folder = Path(built_in_dataset(tmp_path, recipe=recipe))
    with h5py.File(folder / "brain-01_AXFLAIR.h5") as file:
        target, mask = file["reconstruction_rss"][()], file["lesion_mask"][()]
    with h5py.File(folder / "brain-02_AXT2.h5") as file:
        assert not file["lesion_mask"][()].any()
    assert mask.dtype == np.uint8
    assert mask.shape == target.shape
    assert set(np.unique(mask)) == {0, 1}
    assert 0.0002 < mask.mean() < 0.01
    flat = ndimage.generate_binary_structure(3, 1)
    flat[0], flat[2] = False, False
    near = ndimage.binary_dilation(mask, flat, iterations=2)
    ring = ndimage.binary_dilation(near, flat, iterations=2) & ~near
    labels, count = ndimage.label(mask, flat)
    assert count >= 5
    assert target[mask == 1].mean() > 1.4 * np.median(target[ring])
    # the size of a lesion is a few millimeters
    areas = ndimage.sum_labels(mask, labels, np.arange(1, count + 1)) * protocol.pixel_mm**2
    assert 2 * np.sqrt(areas.max() / np.pi) < 15


def test_the_default_set_is_balanced():
    subjects = list(DemoRecipe().subjects())
    assert len({subject.name for subject in subjects}) == len(subjects)
    split = {name: [s for s in subjects if s.split == name] for name in ("train", "val", "test")}
    assert DemoRecipe().slices * len(split["train"]) == 110
    for members in split.values():
        assert {s.anatomy for s in members} == {"brain", "knee"}
        assert {s.lesions for s in members} == {True, False}
    assert {s.acquisition for s in split["train"]} == {"AXT1", "AXT2", "AXPD", "AXFLAIR", "CORPD_FBK", "CORPDFS_FBK"}
    shapes = {s.protocol.shape for s in split["train"]}
    assert len(shapes) == 6
    assert any(width % 2 for _, width in shapes)
    assert {s.protocol.coils for s in split["train"]} == {4, 5, 6}


def test_lesions_go_with_no_contrast_and_no_protocol():
    subjects = list(DemoRecipe(brains=(60, 0, 0), knees=(60, 0, 0)).subjects())
    combinations = {(s.anatomy, s.acquisition, s.protocol, s.lesions) for s in subjects}
    assert len(combinations) == 4 * 3 * 2 + 2 * 3 * 2


def test_made_once_and_reused(folder, root):
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert built_in_dataset(root, recipe=SMALL) == str(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert [path.name for path in root.iterdir()] == [folder.name]


def test_cache_folder_is_the_default(folder, root, monkeypatch):
    monkeypatch.setenv("RECON_MONAI_CACHE", str(root))
    assert built_in_dataset(recipe=SMALL) == str(folder)


def test_a_faster_process_wins(folder, tmp_path, monkeypatch):
    from recon_monai.data.demo import built_in

    def make_while_another_finishes(temporary: Path, recipe: DemoRecipe) -> None:
        for place in (temporary, tmp_path / f"built_in-{recipe.key}"):
            place.mkdir()
            (place / "split.json").write_text(str(place))

    monkeypatch.setattr(built_in, "_make", make_while_another_finishes)
    winner = tmp_path / f"built_in-{SMALL.key}"
    assert built_in_dataset(tmp_path, recipe=SMALL) == str(winner)
    assert (winner / "split.json").read_text() == str(winner)
    assert list(tmp_path.iterdir()) == [winner]


def test_nothing_is_left_of_a_failed_make(tmp_path, monkeypatch):
    from recon_monai.data.demo import built_in

    def fail(temporary: Path, recipe: DemoRecipe) -> None:
        temporary.mkdir()
        (temporary / "half.h5").touch()
        raise OSError("disk full")

    monkeypatch.setattr(built_in, "_make", fail)
    with pytest.raises(OSError, match="disk full"):
        built_in_dataset(tmp_path, recipe=SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_reading_data_does_not_need_what_drawing_heads_needs() -> None:
    """SciPy and nilearn come with the extra ``demo``; without it the error says so, and the rest works."""
    code = (
        "import sys; sys.modules['scipy'] = None\n"
        "import recon_monai.data as data\n"
        "assert data.read_split\n"
        "try:\n    data.built_in_dataset\n"
        "except ImportError as error:\n    assert \"pip install 'recon-monai[demo]'\" in str(error), error\n"
        "else:\n    raise SystemExit('no error')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
