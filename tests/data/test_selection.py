"""Filters and sample rates: which files and slices a data set uses."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from recon_monai.data import FastMRISliceDataset, FileFilter, is_sampled


def make(folder: Path, name: str, *, slices: int = 2, coils: int = 3, extra: Any = (), **attributes: Any) -> Path:
    path = folder / f"{name}.h5"
    with h5py.File(path, "w") as file:
        file["kspace"] = np.ones((slices, coils, 4, 4), np.complex64)
        for key, data in dict(extra).items():
            file[key] = data
        file.attrs.update(attributes)
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [
        make(tmp_path, "brain4", coils=4, acquisition="AXT1PRE"),
        make(tmp_path, "brain8", coils=8, acquisition="AXT2", source="simulated"),
        make(tmp_path, "knee15", coils=15, slices=5, acquisition="CORPD_FBK", extra={"mask": np.ones(4)}),
        make(tmp_path, "other", coils=1, extra={"reconstruction_rss": np.ones((2, 4, 4))}),
    ]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["brain4", "brain8", "knee15", "other"]),
        ({"anatomy": "brain"}, ["brain4", "brain8"]),
        ({"anatomy": ["knee", "unknown"]}, ["knee15", "other"]),
        ({"acquisition": "AXT1*"}, ["brain4"]),
        ({"acquisition": ["AXT2", "CORPD_FBK"]}, ["brain8", "knee15"]),
        ({"source": ["simulated"]}, ["brain8"]),
        ({"coils": [4, 8]}, ["brain4", "brain8"]),
        ({"coils": [None, 4]}, ["brain4", "other"]),
        ({"coils": [8, None]}, ["brain8", "knee15"]),
        ({"min_slices": 3}, ["knee15"]),
        ({"target": True}, ["other"]),
        ({"mask": False}, ["brain4", "brain8", "other"]),
        ({"anatomy": "brain", "coils": [5, None]}, ["brain8"]),
    ],
)
def test_filters(files: list[Path], filters: dict[str, Any], expected: list[str]) -> None:
    dataset = FastMRISliceDataset(files, filters=filters)
    assert [path.stem for path in dataset.files] == expected
    assert {entry["file"] for entry in dataset.data} == {f"{name}.h5" for name in expected}


def test_filters_see_the_anatomy_of_the_rules(files: list[Path]) -> None:
    rules = [{"look_at": "file", "pattern": "^other", "anatomy": "knee"}]
    dataset = FastMRISliceDataset(files, filters={"anatomy": "knee"}, anatomy_rules=rules)
    assert [path.stem for path in dataset.files] == ["knee15", "other"]


def test_what_filters_leave_out_is_counted(files: list[Path], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        FastMRISliceDataset(files, filters={"coils": [4, None], "min_slices": 5})
    assert "filters leave out 3 of 4 files (min_slices 2, coils 1)" in caplog.text


def test_first_files_are_counted_after_the_filters(files: list[Path]) -> None:
    dataset = FastMRISliceDataset(files, filters={"coils": [None, 8]}, max_files=2)
    assert [path.stem for path in dataset.files] == ["brain4", "brain8"]
    assert [path.stem for path in FastMRISliceDataset(files[2:], filters={"coils": [None, 8]}, max_files=1).files] == [
        "other"
    ]


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"anatomi": "knee"}, "there is no filter 'anatomi'.*did you mean 'anatomy'"),
        ({"anatomy": []}, "the filter anatomy is"),
        ({"anatomy": 3}, "the filter anatomy is 3, expected a word"),
        ({"coils": 4}, r"the filter coils is 4, expected \[least, most\]"),
        ({"coils": [8, 4]}, r"the filter coils is \[8, 4\]"),
        ({"coils": [0.5, 4]}, "the filter coils is"),
        ({"min_slices": 0}, "the filter min_slices is 0"),
        ({"target": "yes"}, "the filter target is 'yes', expected true or false"),
        (["knee"], "filters is .*, expected conditions"),
    ],
)
def test_filters_that_are_none(filters: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FileFilter.parse(filters)


def test_nothing_left_is_one_clear_error(files: list[Path]) -> None:
    with pytest.raises(ValueError, match=r"no file is left of 4: .*0 bad, 4 by filters; loosen them"):
        FastMRISliceDataset(files, filters={"anatomy": "heart"})
    with pytest.raises(ValueError, match="no file is left of 4: 4 by volume_sample_rate"):
        FastMRISliceDataset(files, volume_sample_rate=1e-9)
    with pytest.raises(ValueError, match="no slice is left; choose a larger slice_sample_rate"):
        FastMRISliceDataset(files, slice_sample_rate=1e-9)


@pytest.mark.parametrize("rate", [0, -0.1, 1.1, "half", True, float("nan")])
def test_rates_that_are_none(files: list[Path], rate: Any) -> None:
    with pytest.raises(ValueError, match=r"volume_sample_rate is .*, expected a number above 0"):
        FastMRISliceDataset(files, volume_sample_rate=rate)
    with pytest.raises(ValueError, match=r"slice_sample_rate is .*, expected a number above 0"):
        FastMRISliceDataset(files, slice_sample_rate=rate)


def test_samples_are_right_in_number_and_nested() -> None:
    names = [f"file{number}.h5" for number in range(4000)]
    chosen = {rate: {name for name in names if is_sampled(rate, 7, name)} for rate in (0.05, 0.3, 0.8, 1.0)}
    for rate, taken in chosen.items():
        # five standard deviations of the binomial distribution
        assert abs(len(taken) - rate * 4000) <= 5 * (4000 * rate * (1 - rate)) ** 0.5
    assert chosen[0.05] < chosen[0.3] < chosen[0.8] < chosen[1.0] == set(names)
    assert chosen[0.3] != {name for name in names if is_sampled(0.3, 8, name)}


def test_volume_samples_depend_on_seed_and_name_alone(tmp_path: Path) -> None:
    files = [make(tmp_path, f"v{number}", slices=1, coils=1) for number in range(30)]

    def chosen(some: list[Path], seed: int = 0) -> list[str]:
        return sorted(path.name for path in FastMRISliceDataset(some, volume_sample_rate=0.4, sample_seed=seed).files)

    all_of_them = chosen(files)
    assert 0 < len(all_of_them) < 30
    assert chosen(files[::-1]) == all_of_them
    assert chosen(files[10:]) == [name for name in all_of_them if name in {path.name for path in files[10:]}]
    assert chosen(files, seed=1) != all_of_them


def test_slice_samples(tmp_path: Path) -> None:
    files = [make(tmp_path, name, slices=40, coils=1) for name in ("a", "b")]
    dataset = FastMRISliceDataset(files, slice_sample_rate=0.5)
    slices = {name: [e["slice"] for e in dataset.data if e["file"] == name] for name in ("a.h5", "b.h5")}
    assert slices["a.h5"] != slices["b.h5"]
    for name, numbers in slices.items():
        assert numbers == [number for number in range(40) if is_sampled(0.5, 0, name, number)]
        (volume,) = {(e["num_slices"], e["first_slice"]) for e in dataset.data if e["file"] == name}
        assert volume == (len(numbers), numbers[0])
    assert dataset[0]["slice"] == slices["a.h5"][0]
