from __future__ import annotations

import json
from pathlib import Path

import pytest

from recon_monai.data import SplitError, read_split, write_split


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def test_split_by_subject_is_a_partition(tmp_path: Path) -> None:
    subjects = {f"s{number:02}_{scan}.h5": f"sub-{number:02}" for number in range(20) for scan in "ab"}
    make(tmp_path, *subjects)
    write_split(tmp_path, subjects, (0.7, 0.15, 0.15), seed=3)
    parts = {split: {path.name for path in read_split(tmp_path, split)} for split in ("train", "val", "test")}
    assert [len(part) for part in parts.values()] == [28, 6, 6]
    assert set.union(*parts.values()) == set(subjects)
    for part in parts.values():
        assert len({subjects[name] for name in part}) == len(part) // 2
    assert sorted(path.name for path in read_split(tmp_path, "all")) == sorted(subjects)
    content = json.loads((tmp_path / "split.json").read_text())
    assert content["subjects"] == subjects
    assert content["seed"] == 3
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".h5"] == ["split.json"]


def test_split_depends_on_the_seed_only(tmp_path: Path) -> None:
    subjects = {f"{number}.h5": f"sub-{number}" for number in range(30)}
    texts = [
        write_split(tmp_path, given, seed=seed).read_text()
        for given, seed in [(subjects, 0), (dict(reversed(subjects.items())), 0), (subjects, 1)]
    ]
    assert texts[0] == texts[1]
    assert json.loads(texts[0])["test"] != json.loads(texts[2])["test"]


@pytest.mark.parametrize(
    ("total", "fractions", "counts"),
    [
        (20, (0.7, 0.15, 0.15), [14, 3, 3]),
        (3, (0.8, 0.1, 0.1), [1, 1, 1]),
        (5, (0.9, 0.1, 0.0), [4, 1, 0]),
        (4, (0.0, 0.0, 1.0), [0, 0, 4]),
        (10, (0.5, 0.25, 0.25), [5, 3, 2]),
    ],
)
def test_sizes_of_parts(tmp_path: Path, total: int, fractions: tuple[float, ...], counts: list[int]) -> None:
    path = write_split(tmp_path, {f"{number}.h5": str(number) for number in range(total)}, fractions)
    content = json.loads(path.read_text())
    assert [len(content[split]) for split in ("train", "val", "test")] == counts


@pytest.mark.parametrize(
    ("subjects", "fractions", "message"),
    [
        ({"a.h5": "1"}, (0.5, 0.6, 0.1), "sum 1"),
        ({"a.h5": "1"}, (0.5, 0.5), "expected three numbers"),
        ({"a.h5": "1", "b.h5": "1"}, (0.5, 0.25, 0.25), "1 subjects for 3 parts"),
        ({}, (1.0, 0.0, 0.0), "0 subjects for 1 parts"),
        ({"../a.h5": "1"}, (1.0, 0.0, 0.0), "leaves the folder"),
        ({"a.h5": "1"}, ("a", "b", "c"), "fractions are a,b,c, expected three numbers"),
        ({"a.h5": "1"}, 0.5, "fractions are 0.5, expected three numbers"),
        ({"a.h5": "1"}, (float("nan"), 0.0, 0.0), "fractions are nan,"),
    ],
)
def test_impossible_splits(
    tmp_path: Path, subjects: dict[str, str], fractions: tuple[float, ...], message: str
) -> None:
    with pytest.raises(SplitError, match=message):
        write_split(tmp_path, subjects, fractions)
    assert list(tmp_path.iterdir()) == []


def test_fastmri_tree(tmp_path: Path) -> None:
    make(tmp_path, "multicoil_train/b.h5", "multicoil_train/a.h5", "multicoil_train/.9-c.h5", "multicoil_train/x.txt")
    make(tmp_path, "multicoil_val/v.h5", "knee_TEST/t.h5", "contest/no.h5")
    assert read_split(tmp_path, "train") == [tmp_path / "multicoil_train" / name for name in ("a.h5", "b.h5")]
    assert read_split(tmp_path, "val") == [tmp_path / "multicoil_val" / "v.h5"]
    assert read_split(tmp_path / "multicoil_val", "val") == [tmp_path / "multicoil_val" / "v.h5"]
    assert read_split(tmp_path, "test") == [tmp_path / "knee_TEST" / "t.h5"]
    assert [path.name for path in read_split(tmp_path, "all")] == ["t.h5", "a.h5", "b.h5", "v.h5"]
    make(tmp_path, "singlecoil_train/a.h5")
    with pytest.raises(SplitError, match=r"several files of the split 'train' are called a\.h5"):
        read_split(tmp_path, "train")


def test_several_roots(tmp_path: Path) -> None:
    make(tmp_path, "brain/multicoil_train/b.h5", "knee/multicoil_train/k.h5", "knee/multicoil_val/v.h5")
    make(tmp_path, "own/x.h5", "own/y.h5")
    (tmp_path / "own" / "split.json").write_text('{"train": ["y.h5"], "val": ["x.h5"]}')
    roots = [tmp_path / name for name in ("knee", "brain", "own")]
    found = [path.relative_to(tmp_path).as_posix() for path in read_split(roots, "train")]
    assert found == ["knee/multicoil_train/k.h5", "brain/multicoil_train/b.h5", "own/y.h5"]
    assert read_split([str(roots[2]), tmp_path / "knee"], "val") == [
        tmp_path / "own" / "x.h5",
        tmp_path / "knee" / "multicoil_val" / "v.h5",
    ]
    with pytest.raises(SplitError, match=r"brain holds neither split\.json nor a folder whose name ends in 'val'"):
        read_split(roots, "val")
    make(tmp_path, "brain/multicoil_train/y.h5")
    with pytest.raises(SplitError, match=r"called y\.h5 \(.*brain/multicoil_train and .*own\); results are kept"):
        read_split(roots, "train")
    for wrong in ([], [3], 3, None):
        with pytest.raises(SplitError, match="expected a folder or a list of folders"):
            read_split(wrong, "train")  # type: ignore[arg-type]


def test_single_file_and_flat_folder_serve_for_inference(tmp_path: Path) -> None:
    make(tmp_path, "b.h5", "a.h5")
    assert read_split(tmp_path / "a.h5", "all") == [tmp_path / "a.h5"]
    assert read_split(tmp_path, "all") == [tmp_path / "a.h5", tmp_path / "b.h5"]
    with pytest.raises(SplitError, match=r"b\.h5 is a single file and has no split 'train'"):
        read_split(tmp_path / "b.h5", "train")
    with pytest.raises(SplitError, match=r"holds neither split\.json nor a folder"):
        read_split(tmp_path, "val")


def test_missing_folder_split_and_files(tmp_path: Path) -> None:
    with pytest.raises(SplitError, match="nowhere does not exist"):
        read_split(tmp_path / "nowhere", "train")
    with pytest.raises(SplitError, match="split is 'validation', expected one of"):
        read_split(tmp_path, "validation")
    with pytest.raises(SplitError, match=r"split 'all' holds no \.h5 file"):
        read_split(tmp_path, "all")
    make(tmp_path, "here.h5")
    names = ["here.h5", *(f"gone{number:02}.h5" for number in range(12))]
    (tmp_path / "split.json").write_text(json.dumps({"train": names, "val": []}))
    with pytest.raises(SplitError, match=r"12 of 13 files .*gone00\.h5, gone01\.h5, .* and 2 more"):
        read_split(tmp_path, "train")
    for split in ("val", "test"):
        with pytest.raises(SplitError, match=f"the split '{split}' holds no"):
            read_split(tmp_path, split)


@pytest.mark.parametrize("name", ["../x.h5", "/etc/x.h5", "a/../../x.h5", "C:\\x.h5", "..\\x.h5", ""])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    make(tmp_path, "ok.h5")
    (tmp_path / "split.json").write_text(json.dumps({"train": ["ok.h5"], "test": [name]}))
    with pytest.raises(SplitError, match="leaves the folder"):
        read_split(tmp_path, "train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "expected"),
        ('{"train": "a.h5"}', "expected"),
        ('{"train": [1]}', "expected"),
        ('{"train": ["a.h5"], "val": ["a.h5"]}', "a.h5 is listed twice"),
        ('{"train": ["a.h5"], "val": ["b.h5"], "subjects": {"a.h5": "s", "b.h5": "s"}}', "subject s is in 'train'"),
        ('{"train": ["a.h5"], "subjects": []}', "no mapping"),
    ],
)
def test_broken_split_files(tmp_path: Path, text: str, message: str) -> None:
    make(tmp_path, "a.h5", "b.h5")
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(SplitError, match=message) as caught:
        read_split(tmp_path, "train")
    assert "split.json" in str(caught.value)
