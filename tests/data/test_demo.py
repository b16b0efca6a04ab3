from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from recon_monai.data import read_split
from recon_monai.data.demo import DemoRecipe, built_in_dataset

pytest.importorskip("nilearn")

SMALL = DemoRecipe(subjects=(2, 1, 1), slices=2, shape=(64, 56), pixel_mm=3.5, coils=2, real_slice_step=8)


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
    return found


def test_two_makes_are_equal_and_another_seed_differs(folder, tmp_path):
    again = Path(built_in_dataset(tmp_path, recipe=SMALL))
    assert again.name == folder.name
    assert digests(again) == digests(folder)
    other = Path(built_in_dataset(tmp_path, recipe=replace(SMALL, subjects=(1, 0, 0), seed=1)))
    assert other.name != folder.name
    assert digests(other)["demo-01_AXT1.h5"] != digests(folder)["demo-01_AXT1.h5"]


def test_subjects_are_disjoint_and_the_real_brain_is_only_tested(folder):
    patients = {}
    for split in ("train", "val", "test"):
        patients[split] = []
        for path in read_split(folder, split):
            with h5py.File(path) as file:
                patients[split].append(str(file.attrs["patient_id"]))
                assert file.attrs["source"] == "simulated"
                assert file.attrs["anatomy"] == "brain"
                named = path.stem.split("_")[-1] if path.stem.startswith("demo") else "AXEPI"
                assert file.attrs["acquisition"] == named
                assert file["kspace"].shape[1:] == (2, 64, 56)
    assert patients == {
        "train": ["demo-01", "demo-02"],
        "val": ["demo-03"],
        "test": ["demo-04", "nibabel-example4d"],
    }


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


def test_heads_have_skull_scalp_and_differ(folder):
    targets = []
    for name in ("demo-01_AXT1.h5", "demo-04_AXT1.h5"):
        with h5py.File(folder / name) as file:
            targets.append(file["reconstruction_rss"][-1] / file.attrs["max"])
    for target in targets:
        column = target[:, 28]
        rim = np.flatnonzero(column > 0.4)[0]
        # from the front: air, bright scalp, dark skull, brain
        assert column[: max(rim - 3, 1)].max() < 0.15
        assert column[rim : rim + 10].min() < 0.5 * column[rim : rim + 3].max()
        assert target[20:44, 14:42].mean() > 0.2
    assert np.corrcoef(targets[0].ravel(), targets[1].ravel())[0, 1] < 0.95


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
