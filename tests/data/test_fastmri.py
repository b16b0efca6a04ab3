from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from recon_monai.data import FastMRIFile, FastMRIFileError, HandleCache

RNG = np.random.default_rng(0)
KSPACE = (RNG.normal(size=(3, 2, 8, 6)) + 1j * RNG.normal(size=(3, 2, 8, 6))).astype(np.complex64)
TARGET = RNG.random((3, 4, 5)).astype(np.float32)
XML = (
    '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>'
    "<encodedSpace><matrixSize><x>8</x><y>6</y><z>1</z></matrixSize></encodedSpace>"
    "<reconSpace><matrixSize><x>4</x><y>10</y><z>1</z></matrixSize>"
    "<fieldOfView_mm><x>6</x><y>5</y><z>3</z></fieldOfView_mm></reconSpace>"
    "<encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>3</maximum><center>2</center>"
    "</kspace_encoding_step_1></encodingLimits></encoding></ismrmrdHeader>"
)


def make(path: Path, attributes: dict[str, Any] | None = None, **datasets: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, data in datasets.items():
            file.create_dataset(name, data=data)
        file.attrs.update(attributes or {})
    return path


def open_handles(folder: Path) -> int:
    """HDF5 files in ``folder`` that this process holds open (other tests may hold others)."""
    files = h5py.h5f.get_obj_ids(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE)
    return sum(Path(os.fsdecode(file.name)).parent == folder for file in files)


def test_multicoil_slice(tmp_path: Path) -> None:
    path = make(tmp_path / "a.h5", kspace=KSPACE, reconstruction_rss=TARGET, ismrmrd_header=XML)
    with FastMRIFile(path) as file:
        for index in range(3):
            kspace, target = file.read_kspace(index), file.read_target(index)
            assert target is not None
            assert (kspace.dtype, target.dtype) == (torch.complex64, torch.float32)
            np.testing.assert_array_equal(kspace.numpy(), KSPACE[index])
            np.testing.assert_array_equal(target.numpy(), TARGET[index][None])
        assert file.read_mask() is None
        assert file.compute_maximum() == TARGET.max()
        assert file.info.num_slices == 3
        assert file.info.kspace_shape == (2, 8, 6)
        assert file.info.output_size == (4, 5)
        # 6 // 2 - 2 = 1 column of zeros on the left, then lines 0 to 3
        assert file.info.padding == (1, 5)
        assert file.info.header.voxel_size == (1.5, 0.5, 3.0)
    assert open_handles(tmp_path) == 0


def test_reads_do_not_share_memory(tmp_path: Path) -> None:
    with FastMRIFile(make(tmp_path / "a.h5", kspace=KSPACE)) as file:
        first = file.read_kspace(0)
        file.read_kspace(1).zero_()
        first += 1
        np.testing.assert_array_equal(file.read_kspace(0).numpy(), KSPACE[0])
        np.testing.assert_array_equal(file.read_kspace(1).numpy(), KSPACE[1])


def test_single_coil_gets_a_coil_axis_and_its_own_target(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.h5", kspace=KSPACE[:, 0], reconstruction_rss=TARGET + 1, reconstruction_esc=TARGET, mask=[1] * 6
    )
    with FastMRIFile(path) as file:
        np.testing.assert_array_equal(file.read_kspace(2).numpy(), KSPACE[2, :1])
        target = file.read_target(2)
        assert target is not None
        np.testing.assert_array_equal(target.numpy(), TARGET[2:3])


def test_other_number_types_are_converted(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.h5",
        kspace=KSPACE.astype(np.complex128),
        reconstruction_rss=TARGET.astype(np.float64),
        mask=np.array([0, 1, 1, 1, 1, 0], np.float32),
    )
    with FastMRIFile(path) as file:
        np.testing.assert_array_equal(file.read_kspace(1).numpy(), KSPACE[1])
        target, mask = file.read_target(1), file.read_mask()
        assert target is not None
        assert mask is not None
        np.testing.assert_array_equal(target[0].numpy(), TARGET[1])
        assert mask.dtype == torch.bool
        assert mask.tolist() == [[[False, True, True, True, True, False]]]


def test_a_slice_is_read_alone(tmp_path: Path) -> None:
    # 2.6 TB on paper: reading more than single slices would fail
    path, chosen = tmp_path / "huge.h5", 123_456
    with h5py.File(path, "w") as file:
        kspace = file.create_dataset("kspace", (200_000, 8, 640, 320), np.complex64, chunks=(1, 8, 640, 320))
        kspace[chosen, 3, 5] = np.arange(320).astype(np.complex64)
        target = file.create_dataset("reconstruction_rss", (200_000, 320, 320), np.float32, chunks=(1, 320, 320))
        target[chosen, 7] = 2
    assert path.stat().st_size < 50e6
    with FastMRIFile(path) as opened:
        slice_data = opened.read_kspace(chosen)
        assert torch.equal(slice_data[3, 5], torch.arange(320).to(torch.complex64))
        assert slice_data.abs().sum() == sum(range(320))
        image = opened.read_target(chosen)
        assert image is not None
        assert image.sum() == 640


@pytest.mark.parametrize(
    ("datasets", "size"),
    [
        ({"kspace": KSPACE}, (8, 6)),
        ({"kspace": KSPACE, "ismrmrd_header": XML}, (4, 10)),
        ({"kspace": KSPACE, "ismrmrd_header": np.bytes_(XML)}, (4, 10)),
        ({"kspace": KSPACE, "ismrmrd_header": XML, "reconstruction_rss": np.ones((3, 20, 30))}, (20, 30)),
    ],
)
def test_output_size(tmp_path: Path, datasets: dict[str, Any], size: tuple[int, int]) -> None:
    with FastMRIFile(make(tmp_path / "a.h5", **datasets)) as file:
        assert file.info.output_size == size


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, ("unknown", "unknown", "unknown")),
        ({"acquisition": "AXT1POST"}, ("brain", "AXT1POST", "measured")),
        ({"acquisition": "CORPD_FBK"}, ("knee", "CORPD_FBK", "measured")),
        ({"acquisition": "SAGT1"}, ("unknown", "SAGT1", "measured")),
        ({"acquisition": np.bytes_("AXT2"), "anatomy": "heart", "source": "simulated"}, ("heart", "AXT2", "simulated")),
        ({"source": "simulated"}, ("unknown", "unknown", "simulated")),
    ],
)
def test_anatomy_acquisition_source(tmp_path: Path, attributes: dict[str, Any], expected: tuple[str, ...]) -> None:
    with FastMRIFile(make(tmp_path / "a.h5", attributes, kspace=KSPACE)) as file:
        assert (file.info.anatomy, file.info.acquisition, file.info.source) == expected


@pytest.mark.parametrize(
    ("attributes", "datasets", "message"),
    [
        ({}, {"image": TARGET}, r"holds \['image'\] but no 'kspace'"),
        ({}, {"kspace": KSPACE[0, 0]}, r"kspace has shape \(8, 6\), expected \(slices, coil, H, W\)"),
        ({}, {"kspace": KSPACE.real}, "kspace has type float32, expected complex64"),
        ({}, {"kspace": KSPACE[:0]}, r"kspace has shape \(0, 2, 8, 6\) and so no data"),
        ({}, {"kspace": KSPACE, "mask": np.ones(5)}, r"mask has shape \(5,\), expected \(6,\)"),
        ({}, {"kspace": KSPACE, "reconstruction_rss": TARGET[:2]}, r"has shape \(2, 4, 5\), expected \(3, h, w\)"),
        ({}, {"kspace": KSPACE, "reconstruction_rss": TARGET[0]}, r"has shape \(4, 5\), expected \(3, h, w\)"),
        ({}, {"kspace": KSPACE, "reconstruction_rss": TARGET + 0j}, "reconstruction_rss has type complex64"),
        ({"max": np.nan}, {"kspace": KSPACE}, "attribute max is .*nan.*, expected a finite number"),
        ({"max": "big"}, {"kspace": KSPACE}, "attribute max is 'big', expected a finite number"),
        ({}, {"kspace": KSPACE, "ismrmrd_header": "<html>"}, "not well-formed XML"),
        ({}, {"kspace": KSPACE, "ismrmrd_header": 3.0}, "ismrmrd_header is .*float64, expected XML text"),
        ({}, {"kspace": KSPACE, "ismrmrd_header": XML.replace("<center>2<", "<center>9<")}, "leave no acquired column"),
    ],
)
def test_wrong_layouts(tmp_path: Path, attributes: dict[str, Any], datasets: dict[str, Any], message: str) -> None:
    path = make(tmp_path / "a.h5", attributes, **datasets)
    with pytest.raises(FastMRIFileError, match=message) as caught:
        FastMRIFile(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert open_handles(tmp_path) == 0


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FastMRIFileError, match=r"gone\.h5: the file does not exist"):
        FastMRIFile(tmp_path / "gone.h5")
    text = tmp_path / "text.h5"
    text.write_text("no HDF5")
    with pytest.raises(FastMRIFileError, match=r"text\.h5: cannot be opened as HDF5"):
        FastMRIFile(text)
    with h5py.File(tmp_path / "group.h5", "w") as file:
        file.create_group("kspace")
    with pytest.raises(FastMRIFileError, match=r"group\.h5: kspace is a group, expected an array"):
        FastMRIFile(tmp_path / "group.h5")
    assert open_handles(tmp_path) == 0


def test_damaged_slice_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        kspace = file.create_dataset("kspace", data=KSPACE, chunks=(1, 2, 8, 6), fletcher32=True)
        offset = kspace.id.get_chunk_info(1).byte_offset
    damaged = bytearray(path.read_bytes())
    damaged[offset] ^= 255
    path.write_bytes(damaged)
    with FastMRIFile(path) as opened:
        np.testing.assert_array_equal(opened.read_kspace(0).numpy(), KSPACE[0])
        with pytest.raises(FastMRIFileError, match=r"a\.h5: slice 1 of kspace cannot be read"):
            opened.read_kspace(1)


@pytest.mark.parametrize("index", [-1, 3])
def test_slice_out_of_range(tmp_path: Path, index: int) -> None:
    path = make(tmp_path / "a.h5", kspace=KSPACE, reconstruction_rss=TARGET)
    with FastMRIFile(path) as file:
        for read in (file.read_kspace, file.read_target):
            with pytest.raises(FastMRIFileError, match=rf"a\.h5: slice {index} was asked for, expected 0 to 2"):
                read(index)


def test_maximum_needs_a_finite_target(tmp_path: Path) -> None:
    with (
        FastMRIFile(make(tmp_path / "a.h5", kspace=KSPACE)) as file,
        pytest.raises(FastMRIFileError, match=r"a\.h5: has no target"),
    ):
        file.compute_maximum()
    spoiled = TARGET.copy()
    spoiled[1, 2, 3] = np.nan
    with (
        FastMRIFile(make(tmp_path / "b.h5", kspace=KSPACE, reconstruction_rss=spoiled)) as file,
        pytest.raises(FastMRIFileError, match=r"b\.h5: slice 1: the target holds nan"),
    ):
        file.compute_maximum()


def test_cache_closes_the_least_recently_used(tmp_path: Path) -> None:
    paths = [make(tmp_path / f"{number}.h5", kspace=KSPACE + number) for number in range(3)]
    cache = HandleCache(max_files=2)
    with cache.open(paths[0]) as first:
        pass
    with cache.open(paths[1]):
        pass
    with cache.open(paths[0]) as again:
        assert again is first
    with cache.open(paths[2]) as third:
        np.testing.assert_array_equal(third.read_kspace(0).numpy(), KSPACE[0] + 2)
    assert (len(cache), open_handles(tmp_path)) == (2, 2)
    with cache.open(paths[0]) as again:
        assert again is first
    copy = pickle.loads(pickle.dumps(cache))
    assert (len(copy), copy.max_files) == (0, 2)
    cache.close()
    assert (len(cache), open_handles(tmp_path)) == (0, 0)
    with pytest.raises(ValueError, match="max_files is 0"):
        HandleCache(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_process_opens_its_own_handle(tmp_path: Path) -> None:
    path = make(tmp_path / "a.h5", kspace=KSPACE)
    cache = HandleCache()
    with cache.open(path) as of_parent:
        pass
    child = os.fork()
    if child == 0:
        status = 1
        try:
            inherited = len(cache)
            with cache.open(path) as own:
                right = np.array_equal(own.read_kspace(1).numpy(), KSPACE[1])
                fresh = own is not of_parent and open_handles(tmp_path) == 1
            status = 0 if right and fresh and inherited == 0 else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with cache.open(path) as again:
        assert again is of_parent
        np.testing.assert_array_equal(again.read_kspace(0).numpy(), KSPACE[0])
    cache.close()
