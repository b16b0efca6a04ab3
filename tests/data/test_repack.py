"""Slow files become fast ones of the same content: compared by reading both, and byte by byte where it counts."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from recon_monai.cli import main
from recon_monai.data.repack import (
    RepackError,
    check_layout,
    repack,
    rewrite,
    rewriting,
    same_content,
    slow_reasons,
)

SHAPE = (3, 4, 40, 36)


def arrays(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    kspace = rng.standard_normal(SHAPE, dtype=np.float32) + 1j * rng.standard_normal(SHAPE, dtype=np.float32)
    kspace[0, 0, 0, :2] = np.nan, -0.0
    return kspace.astype(np.complex64), rng.random((3, 20, 18), dtype=np.float32)


def write(path: Path, seed: int = 0, **storage: Any) -> Path:
    """A file as fastMRI has them, and with what else HDF5 can hold."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kspace, target = arrays(seed)
    with h5py.File(path, "w") as file:
        file.create_dataset("kspace", data=kspace, **storage)
        file.create_dataset("reconstruction_rss", data=target.astype(">f4"), **storage)
        file["mask"] = np.arange(SHAPE[-1]) % 2 == 0
        file["ismrmrd_header"] = "<ismrmrdHeader>ä</ismrmrdHeader>"
        file["empty"] = h5py.Empty("f4")
        file.create_group("extra/deeper")["numbers"] = np.arange(5, dtype=np.int16)
        file["also"] = h5py.SoftLink("/kspace")
        file.attrs["acquisition"] = "AXT2"
        file.attrs["fixed"] = np.bytes_(b"fixed")
        file.attrs["max"] = np.float64(target.max())
        file.attrs["words"] = ["a", "bc"]
        file.attrs["nothing"] = h5py.Empty("i4")
        file["kspace"].attrs["units"] = np.array([1, 2], dtype=">i2")
    return path


STORAGES = {
    "gzip": {"compression": "gzip", "compression_opts": 6, "chunks": True},
    "lzf": {"compression": "lzf", "chunks": True},
    "shuffled": {"compression": "gzip", "shuffle": True, "fletcher32": True, "chunks": (1, *SHAPE[1:])},
    "auto-chunks": {"chunks": True},
}


def write_stored(path: Path, storage: str) -> Path:
    settings = STORAGES[storage]
    if isinstance(settings["chunks"], tuple):
        write(path)
        with h5py.File(path, "a") as file:
            kspace, units = file["kspace"][()], file["kspace"].attrs["units"]
            del file["kspace"]
            file.create_dataset("kspace", data=kspace, **settings).attrs["units"] = units
        return path
    return write(path, **settings)


def layout(path: Path, name: str = "kspace") -> tuple[Any, ...]:
    with h5py.File(path) as file:
        return file[name].chunks, file[name].id.get_create_plist().get_nfilters()


@pytest.mark.parametrize("storage", STORAGES)
def test_content_stays_and_each_slice_is_one_plain_chunk(tmp_path: Path, storage: str) -> None:
    source = write_stored(tmp_path / "in" / "slow.h5", storage)
    before = source.read_bytes()
    rewrite(source, tmp_path / "fast.h5")
    assert source.read_bytes() == before
    assert layout(tmp_path / "fast.h5") == ((1, *SHAPE[1:]), 0)
    with h5py.File(source) as old, h5py.File(tmp_path / "fast.h5") as new:
        assert slow_reasons(old)
        assert slow_reasons(new) == []
        assert sorted(new) == sorted(old)
        for name in ("kspace", "reconstruction_rss", "mask", "extra/deeper/numbers"):
            assert new[name].dtype == old[name].dtype
            assert new[name].maxshape == old[name].maxshape
            assert new[name][()].tobytes() == old[name][()].tobytes()
        assert new["ismrmrd_header"][()] == old["ismrmrd_header"][()] == "<ismrmrdHeader>ä</ismrmrdHeader>".encode()
        assert new["empty"].shape is None
        assert new.get("also", getlink=True).path == "/kspace"
        assert dict(new.attrs).keys() == dict(old.attrs).keys()
        assert new.attrs["acquisition"] == "AXT2"
        assert new.attrs["fixed"] == b"fixed"
        assert new.attrs["max"] == old.attrs["max"]
        assert list(new.attrs["words"]) == ["a", "bc"]
        assert isinstance(new.attrs["nothing"], h5py.Empty)
        assert new["kspace"].attrs["units"].dtype == ">i2"
        assert same_content(source, tmp_path / "fast.h5")


def change_value(file: h5py.File) -> None:
    file["kspace"][2, 3, 39, 35] += 1


def change_sign_of_zero(file: h5py.File) -> None:
    file["kspace"][0, 0, 0, 1] = 0.0


def change_attribute(file: h5py.File) -> None:
    file.attrs["acquisition"] = "AXT1"


def change_type_of_attribute(file: h5py.File) -> None:
    file.attrs["max"] = np.float32(file.attrs["max"])


def drop_attribute(file: h5py.File) -> None:
    del file["kspace"].attrs["units"]


def drop_array(file: h5py.File) -> None:
    del file["mask"]


def change_header(file: h5py.File) -> None:
    file["ismrmrd_header"][()] = "<other/>"


def change_link(file: h5py.File) -> None:
    del file["also"]
    file["also"] = h5py.SoftLink("/mask")


def change_kind(file: h5py.File) -> None:
    del file["extra/deeper/numbers"]
    file.create_group("extra/deeper/numbers")


def change_type(file: h5py.File) -> None:
    values = file["mask"][()]
    del file["mask"]
    file["mask"] = values.astype(np.uint8)


@pytest.mark.parametrize(
    "change",
    [
        change_value,
        change_sign_of_zero,
        change_attribute,
        change_type_of_attribute,
        drop_attribute,
        drop_array,
        change_header,
        change_link,
        change_kind,
        change_type,
    ],
)
def test_every_difference_is_seen(tmp_path: Path, change: Any) -> None:
    first, second = write(tmp_path / "a.h5"), write(tmp_path / "b.h5")
    assert same_content(first, second)
    with h5py.File(second, "a") as file:
        change(file)
    assert not same_content(first, second)


def test_a_file_that_does_not_come_back_as_written_is_no_result(tmp_path: Path, monkeypatch) -> None:
    source = write(tmp_path / "slow.h5", compression="gzip")
    monkeypatch.setattr(rewriting, "_copy_attributes", lambda old, new: None, raising=True)
    with pytest.raises(RepackError, match=r"slow\.h5: / has the attributes \[\] instead of .* after writing"):
        rewrite(source, tmp_path / "out" / "slow.h5")
    assert list((tmp_path / "out").iterdir()) == []


def test_reasons_say_what_is_slow(tmp_path: Path) -> None:
    for storage, expected in (
        (STORAGES["gzip"], "kspace: gzip (level 6), chunks of "),
        (STORAGES["lzf"], "kspace: lzf, chunks of "),
        ({"chunks": (2, 4, 20, 36)}, "kspace: chunks of 2 x 4 x 20 x 36 (a slice of 4 x 40 x 36 touches 2)"),
    ):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset("kspace", data=arrays()[0], **storage)
            assert slow_reasons(file)[0].startswith(expected)
    for chunks in (None, (1, *SHAPE[1:]), (1, 1, *SHAPE[2:])):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset("kspace", data=arrays()[0], chunks=chunks)
            file.create_dataset("small", data=np.arange(100), compression="gzip")
            assert slow_reasons(file) == []


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A data set in the paired layout: one slow file, one fast, and its split."""
    root = tmp_path / "data"
    write(root / "kspace" / "brain_acc4_1.h5", seed=1, compression="gzip")
    write(root / "image" / "brain_acc4_1.h5", seed=2)
    (root / "split.json").write_text('{"train": []}')
    (root / "kspace" / ".123-half.h5").write_bytes(b"left over")
    return root


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_folder_keeps_its_structure_and_says_what_it_gained(tree: Path, tmp_path: Path, caplog) -> None:
    with caplog.at_level(logging.INFO):
        main(["repack", str(tree), "--output", str(tmp_path / "out")])
    out = tmp_path / "out"
    assert names(out) == ["image/brain_acc4_1.h5", "kspace/brain_acc4_1.h5", "repack.jsonl", "split.json"]
    assert (out / "split.json").read_bytes() == (tree / "split.json").read_bytes()
    assert (out / "image" / "brain_acc4_1.h5").read_bytes() == (tree / "image" / "brain_acc4_1.h5").read_bytes()
    assert layout(out / "kspace" / "brain_acc4_1.h5") == ((1, *SHAPE[1:]), 0)
    assert same_content(tree / "kspace" / "brain_acc4_1.h5", out / "kspace" / "brain_acc4_1.h5")
    assert f"1 repacked, 1 copied, 0 done before of 2 files, in {out}" in caplog.text
    assert "ms to read a slice before" in caplog.records[-1].getMessage()
    lines = {
        entry["file"]: entry["result"] for entry in map(json.loads, (out / "repack.jsonl").read_text().splitlines())
    }
    result = lines["kspace/brain_acc4_1.h5"]
    assert result["bytes_before"] == (tree / "kspace" / "brain_acc4_1.h5").stat().st_size
    assert result["bytes_after"] == (out / "kspace" / "brain_acc4_1.h5").stat().st_size
    assert min(result["seconds_before"], result["seconds_after"]) > 0


def test_check_writes_nothing(tree: Path, caplog) -> None:
    before = names(tree)
    with caplog.at_level(logging.INFO):
        main(["repack", str(tree), "--check"])
    assert names(tree) == before
    assert f"{tree / 'kspace' / 'brain_acc4_1.h5'}: slow (kspace: gzip (level 4), chunks of" in caplog.text
    assert "1 of 2 files are slow to read; nothing was written" in caplog.text
    found, failures = check_layout([tree / "image"])
    assert (list(found.values()), failures) == ([[]], [])


def test_finished_files_are_skipped_and_changed_ones_are_not_overwritten(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    repack([tree], out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.h5")}
    again = repack([tree], out)
    assert [result.outcome for result in again.files.values()] == ["kept", "kept"]
    assert times == {path: path.stat().st_mtime_ns for path in out.rglob("*.h5")}

    # without a record the content decides
    (out / "repack.jsonl").unlink()
    assert {result.outcome for result in repack([tree], out).files.values()} == {"kept"}
    assert len((out / "repack.jsonl").read_text().splitlines()) == 2

    changed = tree / "kspace" / "brain_acc4_1.h5"
    with h5py.File(changed, "a") as file:
        file.attrs["acquisition"] = "AXT1"
    summary = repack([tree], out)
    assert [result.outcome for result in summary.files.values()] == ["kept"]
    assert len(summary.failures) == 1
    assert summary.failures[0].startswith(f"{changed}: {out / 'kspace' / changed.name} exists and is not the repacked")
    assert not same_content(changed, out / "kspace" / changed.name)
    assert repack([tree], out, overwrite=True).failures == []
    assert same_content(changed, out / "kspace" / changed.name)

    (tree / "split.json").write_text("{}")
    assert "split.json exists and differs" in repack([tree], out).failures[0]


def test_an_interrupted_run_goes_on(tree: Path, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "out"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rewriting, "_copy_attributes", stop)
        with pytest.raises(KeyboardInterrupt):
            repack([tree], out)
    assert "kspace/brain_acc4_1.h5" not in names(out)
    with (out / "repack.jsonl").open("a") as file:
        file.write('{"file": "kspace/brain_acc4_1.h5", "sou')
    outcomes = {path.parent.name: result.outcome for path, result in repack([tree], out).files.items()}
    assert outcomes == {"image": "kept", "kspace": "repacked"}
    assert {result.outcome for result in repack([tree], out).files.values()} == {"kept"}


def test_a_bad_file_does_not_stop_the_others(tree: Path, tmp_path: Path, caplog) -> None:
    good = tree / "kspace" / "brain_acc4_1.h5"
    (tree / "a_text.h5").write_text("no HDF5")
    (tree / "b_cut.h5").write_bytes(good.read_bytes()[:-2000])
    damaged = write(tree / "c_damaged.h5", compression="gzip", fletcher32=True)
    with h5py.File(damaged) as file:
        chunk = file["kspace"].id.get_chunk_info(1)
    content = bytearray(damaged.read_bytes())
    content[chunk.byte_offset + 20] ^= 0xFF
    damaged.write_bytes(bytes(content))
    with h5py.File(tree / "d_link.h5", "w") as file:
        file["kspace"] = h5py.ExternalLink("kspace/brain_acc4_1.h5", "/kspace")
    with h5py.File(tree / "e_virtual.h5", "w") as file:
        virtual = h5py.VirtualLayout(SHAPE, np.complex64)
        virtual[...] = h5py.VirtualSource(str(good), "kspace", SHAPE)
        file.create_virtual_dataset("kspace", virtual)
    with pytest.raises(SystemExit) as ended:
        main(["repack", str(tree), "--output", str(tmp_path / "out")])
    assert ended.value.code == 1
    first, *lines = caplog.records[-1].getMessage().splitlines()
    assert first == "error: 5 file(s) failed, all others are done:"
    for line, name, expected in zip(
        lines,
        ["a_text.h5", "b_cut.h5", "c_damaged.h5", "d_link.h5", "e_virtual.h5"],
        [
            "cannot be read as HDF5",
            "cannot be read as HDF5",
            "cannot be read (",
            "/kspace is a link into another file (kspace/brain_acc4_1.h5)",
            "the values of /kspace lie in other files",
        ],
        strict=True,
    ):
        assert line.startswith(f"{tree / name}: ")
        assert expected in line
    assert names(tmp_path / "out") == ["image/brain_acc4_1.h5", "kspace/brain_acc4_1.h5", "repack.jsonl", "split.json"]


def test_several_inputs_keep_their_names(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    repack([tree / "kspace", tree / "image"], out)
    assert names(out) == ["image/brain_acc4_1.h5", "kspace/brain_acc4_1.h5", "repack.jsonl"]
    repack([tree / "image" / "brain_acc4_1.h5"], tmp_path / "single")
    assert names(tmp_path / "single") == ["brain_acc4_1.h5", "repack.jsonl"]
    with pytest.raises(RepackError, match=r"would both become .*brain_acc4_1\.h5; repack them in two calls"):
        repack([tree / folder / "brain_acc4_1.h5" for folder in ("kspace", "image")], out)


def test_unusable_inputs_and_outputs_are_refused(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for inputs, output, expected in (
        ([tmp_path / "none"], "out", "none does not exist, expected a fastMRI"),
        ([tmp_path / "empty"], "out", r"empty holds no \.h5 file"),
        ([tree], "data/fast", "lies in the input"),
        ([tree], "data", "lies in the input"),
        ([tree / "image" / "brain_acc4_1.h5"], "data/image", "would be replaced by itself"),
    ):
        with pytest.raises(RepackError, match=expected):
            repack(inputs, tmp_path / output)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(tree: Path, tmp_path: Path) -> None:
    closed = tree / "kspace" / "brain_acc4_1.h5"
    closed.chmod(0)
    assert repack([tree], tmp_path / "out").failures[0].startswith(f"{closed}: cannot be read as HDF5")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no input was given"),
        (["data"], "no output was given, expected --output FOLDER"),
        (["data", "--check", "maybe"], "check is 'maybe', expected --check without a value"),
        (["data", "--output", "out", "--overwrite", "2"], "overwrite is 2, expected"),
    ],
)
def test_bad_settings_end_with_one_sentence(words: list[str], message: str, caplog) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["repack", *words])
    assert ended.value.code == 1
    assert message in caplog.records[-1].getMessage()
