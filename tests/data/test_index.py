"""The index of headers: spares opening files, and is never believed where it could be wrong."""

from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from recon_monai.data import (
    AcquisitionHeader,
    EncodingLimits,
    FastMRIFile,
    FastMRIFileError,
    FastMRISliceDataset,
    FileIndex,
    FileRecord,
    cache_dir,
    check_files,
    write_fastmri_h5,
)

HEADER = AcquisitionHeader(
    encoded_matrix=(8, 6, 1),
    recon_matrix=(4, 5, 1),
    recon_fov=(12.0, 10.0, 3.5),
    phase_limits=EncodingLimits(0, 4, 2),
    resonance_frequency=123,
    body_part="KNEE",
)


def make(path: Path, *, slices: int = 2, mask: bool = False, **attributes: Any) -> Path:
    return write_fastmri_h5(
        path,
        kspace=np.full((slices, 3, 8, 6), 1 + 2j, np.complex64),
        target=np.ones((slices, 4, 5), np.float32),
        mask=np.ones(6) if mask else None,
        header=HEADER,
        attributes=attributes,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path / "data" / "a.h5", acquisition="AXT2", max=2.5)
    make(tmp_path / "data" / "b.h5", slices=4, mask=True, acceleration=4)
    make(tmp_path / "data" / "c.h5", anatomy="heart")
    return tmp_path / "data"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are opened."""
    names: list[str] = []
    original = FastMRIFile.__init__

    def noted(self: FastMRIFile, path: str | Path) -> None:
        names.append(Path(path).name)
        original(self, path)

    monkeypatch.setattr(FastMRIFile, "__init__", noted)
    return names


def index_file() -> Path:
    return cache_dir() / "index" / "fastmri.json"


def infos_of(folder: Path) -> dict[str, Any]:
    """Headers of the folder's files as a data set has them, without their paths."""
    dataset = FastMRISliceDataset(sorted(folder.glob("*.h5")))
    return {Path(path).name: info.to_json() for path, info in dataset.infos.items()}


def test_a_second_run_opens_nothing_and_knows_the_same(folder: Path, opened: list[str]) -> None:
    first = FastMRISliceDataset(sorted(folder.iterdir()))
    assert opened == ["a.h5", "b.h5", "c.h5"]
    second = FastMRISliceDataset(sorted(folder.iterdir()))
    assert len(opened) == 3
    assert second.infos == first.infos
    assert second.data == first.data
    for path, info in second.infos.items():
        with FastMRIFile(path) as file:
            assert file.info == info
            assert isinstance(info.header.phase_limits, EncodingLimits)


def test_without_index_nothing_is_kept(folder: Path, opened: list[str]) -> None:
    for _ in range(2):
        FastMRISliceDataset(sorted(folder.iterdir()), use_index=False)
    assert len(opened) == 6
    assert not cache_dir().joinpath("index").exists()


@pytest.mark.parametrize("move", [shutil.move, shutil.copytree, lambda a, b: Path(b).symlink_to(a)])
def test_it_is_valid_wherever_the_folder_lies(
    folder: Path, tmp_path: Path, opened: list[str], move: Callable[[Path, Path], Any]
) -> None:
    before = infos_of(folder)
    move(folder, tmp_path / "elsewhere")
    assert infos_of(tmp_path / "elsewhere") == before
    assert len(opened) == 3
    item = FastMRISliceDataset([tmp_path / "elsewhere" / "a.h5"])[0]
    assert item["path"] == str(tmp_path / "elsewhere" / "a.h5")


def test_new_changed_replaced_and_vanished_files(folder: Path, opened: list[str]) -> None:
    infos_of(folder)
    opened.clear()
    make(folder / "d.h5", slices=7)
    make(folder / "b.h5", slices=3)
    with h5py.File(folder / "c.h5", "a") as file:
        file.attrs["anatomy"] = "liver"
    found = infos_of(folder)
    assert opened == ["b.h5", "c.h5", "d.h5"]
    assert {name: info["num_slices"] for name, info in found.items()} == {"a.h5": 2, "b.h5": 3, "c.h5": 2, "d.h5": 7}
    assert found["c.h5"]["stated_anatomy"] == "liver"
    files = sorted(folder.iterdir())
    (folder / "a.h5").unlink()
    with pytest.raises(FastMRIFileError, match=r"a\.h5: the file does not exist"):
        FastMRISliceDataset(files)


def test_a_file_with_size_and_time_of_another_is_found_out_on_reading(folder: Path, opened: list[str]) -> None:
    """Nothing can be known of that before; but it is neither used nor believed twice."""
    path = folder / "a.h5"
    times = path.stat()
    FastMRISliceDataset([path])
    with h5py.File(path, "a") as file:
        file.attrs["max"] = 3.5
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_size == times.st_size
    stale = FastMRISliceDataset([path])
    assert stale.infos[str(path)].maximum == 2.5
    with pytest.raises(FastMRIFileError, match=r"a\.h5: its headers are not those of the check before the run"):
        stale[0]
    assert FastMRISliceDataset([path])[0]["maximum"] == 3.5


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[]",
        b"null",
        b'{"entries": {}}',
        b'{"format": 1, "entries": []}',
        b'{"format": 1}',
        b'{"format": 0, "entries": {"a": 1}}',
    ],
)
def test_a_damaged_or_outdated_index_is_made_anew(folder: Path, opened: list[str], damage: bytes) -> None:
    before = infos_of(folder)
    index_file().write_bytes(damage)
    assert infos_of(folder) == before
    assert len(opened) == 6
    assert infos_of(folder) == before
    assert len(opened) == 6


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.clear(),
        lambda entry: entry.update(info=None),
        lambda entry: entry.update(contents=5),
        lambda entry: entry["info"].pop("header"),
        lambda entry: entry["info"].update(more=1),
        lambda entry: entry["info"].update(num_slices="2"),
        lambda entry: entry["info"].update(kspace_shape=[8, 6]),
        lambda entry: entry["info"].update(target_shape=None),
        lambda entry: entry["info"].update(acquisition=None),
        lambda entry: entry["info"].update(maximum="9"),
        lambda entry: entry["info"]["header"].update(phase_limits=[1]),
        lambda entry: entry["info"].update(header=[]),
    ],
)
def test_damaged_entries_are_read_again(folder: Path, opened: list[str], change: Callable[[Any], None]) -> None:
    before = infos_of(folder)
    content = json.loads(index_file().read_text())
    (key,) = (key for key in content["entries"] if key.startswith("b.h5|"))
    change(content["entries"][key])
    index_file().write_text(json.dumps(content))
    opened.clear()
    assert infos_of(folder) == before
    assert opened == ["b.h5"]


def test_a_cache_that_cannot_be_written_is_said_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A file where the folder should be, which stops root too."""
    (tmp_path / "cache").write_text("")
    monkeypatch.setenv("RECON_MONAI_CACHE", str(tmp_path / "cache"))
    with caplog.at_level(logging.WARNING):
        assert infos_of(folder) == infos_of(folder)
    (message,) = (record.getMessage() for record in caplog.records)
    assert "the index of data files cannot be written to" in message
    assert "RECON_MONAI_CACHE" in message


def test_full_checks_are_remembered_but_not_failures_to_read(
    folder: Path, opened: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = folder / "c.h5"
    with h5py.File(bad, "a") as file:
        file["kspace"][1, 0, 0, 0] = np.nan
    files = sorted(folder.iterdir())
    (first,) = check_files(files, "full", FileIndex()).problems.values()
    opened.clear()
    report = check_files(files, "full", FileIndex())
    assert opened == []
    assert report.problems == {bad: first}
    assert report.read == {folder / "a.h5", folder / "b.h5"}
    # with the folder's new name in the message
    moved = tmp_path / "moved"
    folder.rename(moved)
    (message,) = check_files(sorted(moved.iterdir()), "headers", FileIndex()).problems.values()
    assert message == first.replace(str(folder), str(moved))
    assert opened == []

    def failing(self: FastMRIFile, index: int) -> None:
        raise FastMRIFileError(f"{self.path}: slice {index} of kspace cannot be read (stale)") from OSError()

    make(moved / "d.h5")
    with monkeypatch.context() as patch:
        patch.setattr(FastMRIFile, "read_kspace", failing)
        assert "stale" in check_files([moved / "d.h5"], "full", FileIndex()).problems[moved / "d.h5"]
    assert not check_files([moved / "d.h5"], "full", FileIndex()).problems


def test_twins_in_folders_of_accelerations_are_kept_apart(tmp_path: Path) -> None:
    """Alike in name, size and time, as archives unpack them."""
    for part in ("acc4", "acc8"):
        path = make(tmp_path / part / "kspace" / "brain_test1.h5", mask=True, source=part)
        os.utime(path, ns=(10**18, 10**18))
    files = [tmp_path / part / "kspace" / "brain_test1.h5" for part in ("acc4", "acc8")]
    assert files[0].stat().st_size == files[1].stat().st_size
    for _ in range(2):
        dataset = FastMRISliceDataset(files)
        assert [(entry["acceleration"], entry["source"]) for entry in dataset.data[::2]] == [(4, "acc4"), (8, "acc8")]


def test_images_of_the_paired_layout_count_too(tmp_path: Path, opened: list[str]) -> None:
    (tmp_path / "image").mkdir()
    path = tmp_path / "kspace" / "knee_acc4_1.h5"
    write_fastmri_h5(path, kspace=np.ones((2, 1, 4, 4), np.complex64))
    for size in (3, 5):
        with h5py.File(tmp_path / "image" / path.name, "w") as file:
            file["image_label"] = np.ones((2, size, size), np.float32)
        for _ in range(2):
            (info,) = FastMRISliceDataset([path]).infos.values()
            assert info.target_shape == (size, size)
            assert info.image_path == tmp_path / "image" / path.name
    assert len(opened) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_processes_may_write_at_once(tmp_path: Path) -> None:
    """Each adds files of its own many times; the index stays whole and in the end holds those of all of them."""
    folders = {name: [make(tmp_path / name / f"{name}{n}.h5", slices=1) for n in range(5)] for name in "pqrs"}

    def add_again_and_again(files: list[Path]) -> None:
        for _ in range(20):
            for file in files:
                index = FileIndex()
                with FastMRIFile(file) as opened_file:
                    index.add(index.key(file), FileRecord(opened_file.info))
                index.save()
                content = json.loads(index_file().read_text())
                assert content["format"] == 1

    children = []
    for files in folders.values():
        child = os.fork()
        if child == 0:
            status = 1
            try:
                add_again_and_again(files)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    for files in folders.values():
        check_files(files, "headers", FileIndex())
    found = sorted(key.partition("|")[0] for key in json.loads(index_file().read_text())["entries"])
    assert found == sorted(file.name for files in folders.values() for file in files)
    assert [path.name for path in index_file().parent.iterdir()] == [index_file().name]


def test_the_oldest_entries_go_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recon_monai.data.index._MOST_ENTRIES", 2)
    infos_of(folder)
    content = json.loads(index_file().read_text())
    assert [key.partition("|")[0] for key in content["entries"]] == ["b.h5", "c.h5"]


def test_a_data_set_that_goes_to_workers_does_not_carry_the_index(folder: Path) -> None:
    infos_of(folder)
    content = json.loads(index_file().read_text())
    some = next(iter(content["entries"].values()))
    content["entries"] |= {f"{number}.h5|1|1": some for number in range(2000)}
    index_file().write_text(json.dumps(content))
    dataset = FastMRISliceDataset([folder / "a.h5"], transform=None)
    assert len(pickle.dumps(dataset.__dict__["infos"])) < 5000
    state = {name: value for name, value in dataset.__dict__.items() if name != "_maxima"}
    assert len(pickle.dumps(state)) < 20_000
