"""Paths of one machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from recon_monai.sharing import check_no_machine_paths, machine_paths


@pytest.mark.parametrize(
    "path",
    ["/home/ann/data", "/Users/ann/x.h5", "/mnt/disk1/fastmri", "/scratch/ann/run", "C:\\Users\\ann", "D:/Users/ann"],
)
def test_what_is_found(path, tmp_path):
    file = tmp_path / "train.json"
    file.write_text(f'{{\n  "dataset_dir": "{path}"\n}}\n')
    assert machine_paths(file) == [(2, path)]


def test_folders_of_this_machine(tmp_path, monkeypatch):
    folder = tmp_path / "odd_place"
    folder.mkdir()
    monkeypatch.chdir(folder)
    file = tmp_path / "notes.txt"
    file.write_text(f"{folder}/run\n{folder}s\n{Path.home()}/x\n")
    assert {(1, f"{folder}/run"), (3, f"{Path.home()}/x")} <= set(machine_paths(file))


@pytest.mark.parametrize(
    "text",
    [
        "/data/fastmri/knee",
        "https://zenodo.org/home/x",
        "bundles/x/tmp/y",
        "~/.cache/recon_monai",
        "../../home/x",
        "and/or",
    ],
)
def test_what_anybody_may_have(text, tmp_path):
    file = tmp_path / "README.md"
    file.write_text(text)
    assert machine_paths(file) == []


def test_weights_are_read_too(tmp_path):
    file = tmp_path / "model.pt"
    file.write_bytes(b"PK\x03\x04\xff\xfe" + b"/home/ann/train.py" + b"\x00\xff")
    assert [path for _, path in machine_paths(file)] == ["/home/ann/train.py"]


def test_the_refusal_names_file_and_line(tmp_path):
    (tmp_path / "configs").mkdir()
    file = tmp_path / "configs" / "train.json"
    file.write_text("{\n\n/home/ann/a\n" + "/home/ann/b\n" * 12)
    with pytest.raises(
        ValueError, match=r"configs/train\.json:3: /home/ann/a; .*:12: /home/ann/b; and 3 more"
    ) as refused:
        check_no_machine_paths(tmp_path, [file])
    assert "\n" not in str(refused.value)
