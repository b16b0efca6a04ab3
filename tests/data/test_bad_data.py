"""Every kind of bad file gives one clear error, all of them at once, and can be left out."""

from __future__ import annotations

import logging
import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from recon_monai.data import FastMRIFile, FastMRIFileError, FastMRISliceDataset, check_files

RNG = np.random.default_rng(5)
KSPACE = (RNG.normal(size=(3, 2, 8, 6)) + 1j * RNG.normal(size=(3, 2, 8, 6))).astype(np.complex64)
TARGET = RNG.random((3, 4, 5)).astype(np.float32) + 0.1
XML = (
    '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>'
    "<encodedSpace><matrixSize><x>8</x><y>6</y><z>1</z></matrixSize></encodedSpace>"
    "<encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>5</maximum><center>{center}</center>"
    "</kspace_encoding_step_1></encodingLimits></encoding></ismrmrdHeader>"
)


def write(path: Path, attributes: dict[str, Any] | None = None, **arrays: Any) -> Path:
    """A good file, but for the arrays and attributes given; None leaves one out."""
    path.parent.mkdir(exist_ok=True)
    content = {"kspace": KSPACE, "reconstruction_rss": TARGET, **arrays}
    with h5py.File(path, "w") as file:
        for name, data in content.items():
            if data is not None:
                file[name] = data
        file.attrs.update({"max": 2.0, **(attributes or {})})
    return path


def spoiled(array: np.ndarray, value: float, where: tuple[int, ...]) -> np.ndarray:
    copy = array.copy()
    copy[where] = value
    return copy


def group(path: Path, name: str) -> Path:
    write(path, **{name: None})
    with h5py.File(path, "a") as file:
        file.create_group(name)
    return path


def truncated(path: Path) -> Path:
    write(path)
    os.truncate(path, path.stat().st_size - 200)
    return path


def damaged_chunk(path: Path) -> Path:
    write(path, kspace=None)
    with h5py.File(path, "a") as file:
        kspace = file.create_dataset("kspace", data=KSPACE, chunks=(1, 2, 8, 6), fletcher32=True)
        offset = kspace.id.get_chunk_info(1).byte_offset
    content = bytearray(path.read_bytes())
    content[offset] ^= 255
    path.write_bytes(content)
    return path


def damaged_start(path: Path) -> Path:
    write(path)
    content = bytearray(path.read_bytes())
    content[8:96] = b"\xff" * 88
    path.write_bytes(content)
    return path


def text(path: Path) -> Path:
    path.write_text("<html>404 not found</html>")
    return path


def empty(path: Path) -> Path:
    path.touch()
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def dangling(path: Path) -> Path:
    path.symlink_to(path.parent / "moved" / "away.h5")
    return path


def elsewhere(path: Path) -> Path:
    """A good file outside of the data folder."""
    outside = path.parent.parent / "private"
    outside.mkdir(exist_ok=True)
    return write(outside / path.name)


def external_link(path: Path) -> Path:
    return write(path, kspace=h5py.ExternalLink(str(elsewhere(path)), "/kspace"))


def link_through_external_group(path: Path) -> Path:
    return write(path, other=h5py.ExternalLink(str(elsewhere(path)), "/"), kspace=h5py.SoftLink("/other/kspace"))


def external_storage(path: Path) -> Path:
    write(path, kspace=None)
    raw = path.parent.parent / "raw.bin"
    raw.write_bytes(KSPACE.tobytes())
    with h5py.File(path, "a") as file:
        file.create_dataset("kspace", KSPACE.shape, KSPACE.dtype, external=[(str(raw), 0, KSPACE.nbytes)])
    return path


def virtual(path: Path) -> Path:
    source = elsewhere(path)
    write(path, kspace=None)
    layout = h5py.VirtualLayout(KSPACE.shape, KSPACE.dtype)
    layout[...] = h5py.VirtualSource(source, "kspace", KSPACE.shape)
    with h5py.File(path, "a") as file:
        file.create_virtual_dataset("kspace", layout)
    return path


def pair(path: Path, **images: Any) -> Path:
    """K-space of the paired layout; returns its path, the images lie in the folder beside it."""
    kspace = write(path.parent / "kspace" / path.name, reconstruction_rss=None, mask=np.ones(6, bool))
    (path.parent / "image").mkdir(exist_ok=True)
    if images:
        content = {"kspace": None, "reconstruction_rss": None, **images}
        write(path.parent / "image" / path.name, {"max": 2.0}, **content)
    return kspace


def pair_with_text(path: Path) -> Path:
    kspace = pair(path)
    text(path.parent / "image" / path.name)
    return kspace


HEADERS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda p: p, "the file does not exist, expected an .h5 file"),
    "dangling_link": (dangling, r"symbolic link to .*away\.h5, which does not exist"),
    "zero_bytes": (empty, r"is empty \(0 bytes\), expected HDF5"),
    "folder": (folder, "is a folder, expected an .h5 file"),
    "pipe": (pipe, "is a pipe or device"),
    "text": (text, "cannot be opened as HDF5"),
    "truncated": (truncated, "cannot be opened as HDF5 .*truncated"),
    "damaged_start": (damaged_start, "cannot be opened as HDF5"),
    "no_kspace": (lambda p: write(p, kspace=None), r"holds \['reconstruction_rss'\] but no 'kspace'"),
    "kspace_group": (lambda p: group(p, "kspace"), "kspace is a group, expected an array"),
    "kspace_2d": (lambda p: write(p, kspace=KSPACE[0, 0]), r"kspace has shape \(8, 6\), expected \(slices, coil"),
    "kspace_5d": (lambda p: write(p, kspace=KSPACE[None]), r"kspace has shape \(1, 3, 2, 8, 6\)"),
    "kspace_real": (lambda p: write(p, kspace=KSPACE.real), "kspace has type float32, expected complex64"),
    "kspace_pairs": (
        lambda p: write(p, kspace=np.zeros((3, 2, 8, 6), [("real", "f4"), ("imag", "f4")])),
        "kspace has type .*real.*, expected complex64",
    ),
    "kspace_text": (lambda p: write(p, kspace="k-space"), r"kspace has shape \(\)"),
    "no_slices": (lambda p: write(p, kspace=KSPACE[:0]), r"kspace has shape \(0, 2, 8, 6\) and so no data"),
    "kspace_null": (lambda p: write(p, kspace=h5py.Empty("c8")), "kspace has no shape and so no data"),
    "target_slices": (lambda p: write(p, reconstruction_rss=TARGET[:2]), r"shape \(2, 4, 5\), expected \(3, h, w\)"),
    "target_2d": (lambda p: write(p, reconstruction_rss=TARGET[0]), r"shape \(4, 5\), expected \(3, h, w\)"),
    "target_complex": (lambda p: write(p, reconstruction_rss=TARGET + 0j), "type complex64, expected real"),
    "target_group": (lambda p: group(p, "reconstruction_rss"), "reconstruction_rss is a group"),
    "mask_length": (lambda p: write(p, mask=np.ones(5)), r"mask has shape \(5,\), expected \(6,\)"),
    "mask_2d": (lambda p: write(p, mask=np.ones((8, 6))), r"mask has shape \(8, 6\), expected \(6,\)"),
    "mask_nan": (lambda p: write(p, mask=np.full(6, np.nan)), "mask holds NaN"),
    "mask_nothing": (lambda p: write(p, mask=np.zeros(6)), "mask samples none of its columns"),
    "mask_text": (lambda p: write(p, mask=np.array([b"a"] * 6)), "mask has type .*, expected bool or numbers"),
    "max_nan": (lambda p: write(p, {"max": np.nan}), "attribute max is .*nan.*, expected a finite number > 0"),
    "max_zero": (lambda p: write(p, {"max": 0.0}), "attribute max is .*0.*, expected a finite number > 0"),
    "max_text": (lambda p: write(p, {"max": "big"}), "attribute max is 'big'"),
    "acceleration": (lambda p: write(p, {"acceleration": 0.5}, mask=np.ones(6)), "attribute acceleration is .*0.5"),
    "anatomy": (lambda p: write(p, {"anatomy": 7}), "attribute anatomy is .*7.*, expected a text"),
    "acquisition": (lambda p: write(p, {"acquisition": [1.0, 2.0]}), "attribute acquisition is .*, expected a text"),
    "header_html": (lambda p: write(p, ismrmrd_header="<html/>"), "root element is <html>"),
    "header_cut": (lambda p: write(p, ismrmrd_header=XML[:90]), "not well-formed XML"),
    "header_number": (lambda p: write(p, ismrmrd_header=3.0), "ismrmrd_header is .*, expected XML text"),
    "header_list": (lambda p: write(p, ismrmrd_header=[b"a", b"b"]), r"ismrmrd_header has shape \(2,\)"),
    "header_limits": (lambda p: write(p, ismrmrd_header=XML.format(center=40)), "leave no acquired column"),
    "external_link": (external_link, r"kspace is a link to another file \(.*private.*\), which is not followed"),
    "external_group": (link_through_external_group, r"kspace is a link to another file \(.*private"),
    "external_storage": (external_storage, "kspace is stored in external files"),
    "virtual": (virtual, "kspace is stored as a virtual view"),
    "link_to_nothing": (lambda p: write(p, mask=h5py.SoftLink("/gone")), "mask is a link to something that the file"),
    "link_to_itself": (lambda p: write(p, mask=h5py.SoftLink("mask")), "mask is a link to itself"),
    "pair_without_image": (pair, r"kspace/pair_without_image\.h5: has no image file .*image/pair_without_image\.h5"),
    "pair_image_text": (pair_with_text, r"image/pair_image_text\.h5: cannot be opened as HDF5"),
    "pair_no_label": (lambda p: pair(p, image_input=TARGET), r"image/.*holds \['image_input'\] but no 'image_label'"),
    "pair_slices": (lambda p: pair(p, image_label=TARGET[1:]), r"image/.*image_label has shape \(2, 4, 5\), expected"),
}
CONTENTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "kspace_nan": (
        lambda p: write(p, kspace=spoiled(KSPACE, np.nan, (1, 0, 2, 3))),
        "slice 1: kspace holds 1 values that are NaN",
    ),
    "kspace_inf": (lambda p: write(p, kspace=spoiled(KSPACE, np.inf, (2,))), "slice 2: kspace holds .* infinite"),
    "target_nan": (
        lambda p: write(p, reconstruction_rss=spoiled(TARGET, np.nan, (0,))),
        "slice 0: reconstruction_rss holds 20 values that are NaN",
    ),
    "kspace_zero": (lambda p: write(p, kspace=KSPACE * 0, reconstruction_rss=None), "kspace is zero everywhere"),
    "target_zero": (lambda p: write(p, reconstruction_rss=TARGET * 0), "reconstruction_rss is zero everywhere"),
    "slice_zero": (
        lambda p: write(p, kspace=spoiled(KSPACE, 0, (1,))),
        "slice 1: kspace is zero everywhere and reconstruction_rss is not",
    ),
    "damaged_chunk": (damaged_chunk, "slice 1 of kspace cannot be read"),
    "pair_nan": (
        lambda p: pair(p, image_label=spoiled(TARGET, np.nan, (2, 0, 0))),
        r"image/pair_nan\.h5: slice 2: image_label holds 1 values that are NaN",
    ),
}
BAD = HEADERS | CONTENTS


def make(folder: Path, name: str) -> Path:
    return BAD[name][0](folder / f"{name}.h5")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def deny(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let opening a file fail as it does for a user who may not read it; the system lets root read everything."""
    original = h5py.File

    def opened(path: Path, *args: Any, **kwargs: Any) -> h5py.File:
        if Path(path).name == name:
            raise PermissionError(13, "Unable to synchronously open file", str(path))
        return original(path, *args, **kwargs)

    monkeypatch.setattr(h5py, "File", opened)


@pytest.mark.parametrize("name", HEADERS)
def test_each_is_refused_when_opened(data: Path, name: str) -> None:
    path = make(data, name)
    with pytest.raises(FastMRIFileError, match=BAD[name][1]) as caught:
        FastMRIFile(path)
    message = str(caught.value)
    assert message.partition(": ")[0] in (str(path), str(data / "image" / path.name))
    assert "\n" not in message
    # found, expected, what to do
    assert ";" in message


@pytest.mark.parametrize("name", CONTENTS)
def test_each_is_found_by_reading_all_of_it(data: Path, name: str) -> None:
    path = make(data, name)
    assert not check_files([path]).problems, "headers do not show it"
    (message,) = check_files([path], "full").problems.values()
    assert message.partition(": ")[0] in (str(path), str(data / "image" / path.name))
    with pytest.raises(FastMRIFileError, match=BAD[name][1]) as caught:
        FastMRISliceDataset([path], check_data="full")
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["kspace_nan", "kspace_inf", "target_nan", "damaged_chunk", "pair_nan"])
def test_each_is_found_on_the_way_too(data: Path, name: str) -> None:
    """Where a data set is too large to be read before the run."""
    dataset = FastMRISliceDataset([make(data, name)], check_data="headers")
    with pytest.raises(FastMRIFileError, match=rf"{name}\.h5: slice \d"):
        [dataset.load(entry) for entry in dataset.data]


@pytest.mark.parametrize("use_index", [False, True])
def test_all_are_found_at_once(
    data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, use_index: bool
) -> None:
    good = [write(data / f"good{number}.h5") for number in range(3)]
    bad = [make(data, name) for name in BAD]
    denied = write(data / "denied.h5")
    deny(monkeypatch, denied.name)
    files = [good[0], *bad, good[1], denied, good[2]]
    assert len(bad) > 50
    for _ in range(2 if use_index else 1):
        with pytest.raises(FastMRIFileError) as caught:
            FastMRISliceDataset(files, check_data="auto", use_index=use_index)
        head, *lines = str(caught.value).split("\n")
        assert head.startswith(f"{len(bad) + 1} of {len(files)} files cannot be used")
        for path, line in zip([*bad, denied], lines, strict=True):
            assert line.partition(": ")[0] in (str(path), str(data / "image" / path.name))
        assert "may not be read (permission denied)" in lines[-1]
        with caplog.at_level(logging.WARNING):
            dataset = FastMRISliceDataset(files, check_data="auto", skip_bad=True, use_index=use_index)
        assert dataset.files == good
        assert len(dataset) == 3 * len(KSPACE)
        assert list(dataset.problems.values()) == lines
        left_out = [record.getMessage() for record in caplog.records if record.getMessage().startswith("left out: ")]
        assert left_out == [f"left out: {line}" for line in lines]
        caplog.clear()


def test_skipping_must_leave_something(data: Path) -> None:
    bad = [make(data, name) for name in ("text", "kspace_2d", "kspace_nan")]
    with pytest.raises(FastMRIFileError, match=r"none of 3 files can be used, .*text\.h5: cannot be opened"):
        FastMRISliceDataset(bad, check_data="full", skip_bad=True)
    with pytest.raises(ValueError, match="skip_bad is 'yes', expected true or false"):
        FastMRISliceDataset(bad, skip_bad="yes")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="check_data is 'half', expected one of"):
        FastMRISliceDataset(bad, check_data="half")  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("place", ["file", "folder"])
def test_permission_denied_by_the_system(place: str) -> None:
    """Not simulated: the child gives up the rights of root, if it has them."""
    with tempfile.TemporaryDirectory() as name:
        path = write(Path(name) / "data" / "secret.h5")
        Path(name).chmod(0o755)
        (path if place == "file" else path.parent).chmod(0)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                if os.geteuid() == 0:
                    os.setuid(65534)
                FastMRIFile(path)
            except FastMRIFileError as error:
                status = 0 if str(error).startswith(f"{path}: may not be read (permission denied)") else 2
            finally:
                os._exit(status)
        status = os.waitpid(child, 0)[1]
        path.parent.chmod(0o755)
        assert os.waitstatus_to_exitcode(status) == 0


def test_links_that_stay_inside_are_followed(data: Path) -> None:
    path = write(data / "soft.h5", kspace=None, values=KSPACE)
    with h5py.File(path, "a") as file:
        file["raw/kspace"] = file["values"]
        file["kspace"] = h5py.SoftLink("raw/./kspace")
        file["raw/mask"] = np.ones(6)
        file["mask"] = h5py.SoftLink("/raw/mask")
    with FastMRIFile(path) as opened:
        np.testing.assert_array_equal(opened.read_kspace(2).numpy(), KSPACE[2])
        assert opened.info.has_mask


def test_a_linked_file_counts_as_the_file(tmp_path: Path, data: Path) -> None:
    """Labs keep data in one place and link them from another; such links are made by who uses them."""
    (tmp_path / "store").mkdir()
    (data / "linked.h5").symlink_to(write(tmp_path / "store" / "original.h5"))
    item = FastMRISliceDataset([data / "linked.h5"])[1]
    assert item["file"] == "linked.h5"
    np.testing.assert_array_equal(item["kspace"].numpy(), KSPACE[1])


def test_what_an_external_link_names_is_not_even_opened(data: Path) -> None:
    pipe_path = pipe(data.parent / "pipe")  # opening it would wait for ever
    path = write(data / "a.h5", mask=h5py.ExternalLink(str(pipe_path), "/mask"))
    with pytest.raises(FastMRIFileError, match="mask is a link to another file"):
        FastMRIFile(path)


def test_empty_slices_are_no_problem(data: Path) -> None:
    path = write(data / "a.h5", kspace=spoiled(KSPACE, 0, (0,)), reconstruction_rss=spoiled(TARGET, 0, (0,)))
    assert not check_files([path], "full").problems


def test_large_values_are_not_taken_for_infinite(data: Path) -> None:
    """Their sum overflows float32, they do not."""
    path = write(data / "a.h5", kspace=KSPACE * 0 + np.complex64(3e38))
    assert not check_files([path], "full").problems


def test_files_that_change_under_a_run(data: Path) -> None:
    big = np.repeat(KSPACE, 200, axis=1)
    files = [write(data / f"{name}.h5", kspace=big) for name in ("gone", "cut", "other")]
    dataset = FastMRISliceDataset(files, max_open_files=1)
    files[0].unlink()
    with pytest.raises(FastMRIFileError, match=r"gone\.h5: the file does not exist"):
        dataset.load(dataset.data[0])
    entries = [entry for entry in dataset.data if entry["file"] == "cut.h5"]
    dataset.load(entries[0])
    os.truncate(files[1], 5000)
    with pytest.raises(FastMRIFileError, match=r"cut\.h5: slice 2 of kspace cannot be read"):
        dataset.load(entries[2])
    write(files[2], kspace=KSPACE)
    with pytest.raises(FastMRIFileError, match=r"other\.h5: its headers are not those of the check before the run"):
        dataset.load(dataset.data[-1])
    assert FastMRISliceDataset(files[2:])[0]["kspace"].shape == KSPACE.shape[1:]
    dataset.close()


def test_auto_reads_all_only_where_that_is_little(
    data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = make(data, "kspace_nan")
    monkeypatch.setattr("recon_monai.data.checks._AUTO_BYTES", 10)
    with caplog.at_level(logging.INFO):
        assert len(FastMRISliceDataset([path], check_data="auto")) == 3
    assert "1 files (0.0 GB) were never read in full, so only their headers are checked" in caplog.text
    FastMRISliceDataset([path], check_data="headers")
    # once it was read in full that is remembered, whatever its size
    with pytest.raises(FastMRIFileError, match="kspace holds 1 values"):
        FastMRISliceDataset([path], check_data="full")
    with pytest.raises(FastMRIFileError, match="kspace holds 1 values"):
        FastMRISliceDataset([path], check_data="auto")


def memory() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_two_thousand_reads_hold_neither_memory_nor_handles(data: Path) -> None:
    shape = (10, 4, 48, 40)
    kspace = (RNG.normal(size=shape) + 1j * RNG.normal(size=shape)).astype(np.complex64)
    target = RNG.random((10, 40, 40)).astype(np.float32)
    files = [write(data / f"{number}.h5", kspace=kspace * number, reconstruction_rss=target) for number in range(1, 11)]
    for number in range(11, 13):
        pair(data / f"{number}.h5", image_label=target)
        files.append(write(data / "kspace" / f"{number}.h5", kspace=kspace * number, reconstruction_rss=None))
    dataset = FastMRISliceDataset(files, max_open_files=4)
    # in runs of five slices, so that files are opened and closed some 300 times
    runs = [dataset.data[start : start + 5] for start in range(0, len(dataset), 5)] * 17
    random.Random(0).shuffle(runs)
    entries = [entry for run in runs for entry in run]
    assert len(entries) >= 2000

    def read(some: list[dict[str, Any]]) -> tuple[int, int]:
        for entry in some:
            item = dataset.load(entry)
            assert item["kspace"][0, 0, 0] == torch.tensor(kspace[entry["slice"], 0, 0, 0]) * int(
                Path(item["file"]).stem
            )
        return memory(), len(list(Path("/proc/self/fd").iterdir()))

    start, _ = read(entries[:200])
    before = len(list(Path("/proc/self/fd").iterdir())) - 8  # four files, each perhaps with its images
    middle, _ = read(entries[200:1000])
    end, handles = read(entries[1000:2000])
    # one slice kept would be 61 kB: 110 MB for all of them
    assert end - start < 12e6
    assert end - middle < 6e6
    assert handles - before <= 16
    assert len(dataset._handles) == 4
    dataset.close()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 8 - 4
