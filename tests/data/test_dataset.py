from __future__ import annotations

import copy
import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, partition_dataset

from recon_monai.data import FastMRIFile, FastMRIFileError, FastMRISliceDataset, write_fastmri_h5
from recon_monai.networks import VarNet
from recon_monai.physics import RandomMask, fft2c
from recon_monai.transforms import Undersampled, ZeroFilledd

SLICES, COILS, ROWS, COLUMNS = 4, 3, 8, 6


def kspace_of(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    shape = (SLICES, COILS, ROWS, COLUMNS)
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


def target_of(number: int) -> np.ndarray:
    return np.random.default_rng(1000 + number).random((SLICES, 4, 5)).astype(np.float32)


def make(folder: Path, number: int, *, target: bool = True, **attributes: Any) -> Path:
    path = folder / f"file{number:02}.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("kspace", data=kspace_of(number))
        if target:
            file.create_dataset("reconstruction_rss", data=target_of(number))
        file.attrs.update(attributes)
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [make(tmp_path, number) for number in range(3)]


def open_handles(folder: Path) -> int:
    """HDF5 files in ``folder`` that this process holds open (other tests may hold others)."""
    files = h5py.h5f.get_obj_ids(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE)
    return sum(Path(os.fsdecode(file.name)).parent == folder for file in files)


def log_opened_files(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    """Append process and file name to ``log`` whenever a file is opened, in workers too."""
    original = FastMRIFile.__init__

    def logged(self: FastMRIFile, path: str | Path) -> None:
        with log.open("a") as lines:
            lines.write(f"{os.getpid()} {Path(path).name}\n")
        original(self, path)

    monkeypatch.setattr(FastMRIFile, "__init__", logged)


def test_item(tmp_path: Path) -> None:
    path = make(tmp_path, 1, acquisition="AXFLAIR", max=9.5)
    dataset = FastMRISliceDataset([path])
    assert len(dataset) == SLICES
    item = dataset[2]
    assert set(item) == {
        *("kspace", "target", "maximum", "file", "path", "slice", "first_slice"),
        *("num_slices", "coils", "anatomy", "acquisition", "source"),
        *("output_size", "padding", "voxel_size"),
    }
    np.testing.assert_array_equal(item["kspace"].numpy(), kspace_of(1)[2])
    np.testing.assert_array_equal(item["target"].numpy(), target_of(1)[2][None])
    assert (item["kspace"].dtype, item["target"].dtype) == (torch.complex64, torch.float32)
    assert (item["maximum"], item["slice"], item["num_slices"]) == (9.5, 2, SLICES)
    assert (item["file"], item["path"]) == ("file01.h5", str(path))
    assert (item["anatomy"], item["acquisition"], item["source"]) == ("brain", "AXFLAIR", "measured")
    assert torch.equal(item["output_size"], torch.tensor([4, 5]))
    assert torch.equal(item["padding"], torch.tensor([0, COLUMNS]))
    assert item["voxel_size"].dtype == torch.float32
    assert item["voxel_size"].isnan().tolist() == [True, True, True]


def test_file_without_target_with_mask_and_header(tmp_path: Path) -> None:
    path = make(tmp_path, 0, target=False)
    with h5py.File(path, "a") as file:
        file["mask"] = np.array([False, True, True, True, False, True])
        file["ismrmrd_header"] = (
            '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>'
            "<encodedSpace><matrixSize><x>8</x><y>6</y><z>1</z></matrixSize></encodedSpace>"
            "<reconSpace><matrixSize><x>4</x><y>8</y><z>1</z></matrixSize>"
            "<fieldOfView_mm><x>6</x><y>6</y><z>3</z></fieldOfView_mm></reconSpace>"
            "<encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>4</maximum><center>2</center>"
            "</kspace_encoding_step_1></encodingLimits></encoding></ismrmrdHeader>"
        )
    item = FastMRISliceDataset([path])[0]
    assert "target" not in item
    assert "maximum" not in item
    assert item["mask"].tolist() == [[[False, True, True, True, False, True]]]
    assert item["output_size"].tolist() == [4, 8]
    assert item["padding"].tolist() == [1, 6]
    assert item["voxel_size"].tolist() == [1.5, 0.75, 3.0]


def test_contract_of_monai_datasets(files: list[Path]) -> None:
    dataset = FastMRISliceDataset(files, [lambda item: item["slice"], lambda number: number + 10])
    assert isinstance(dataset, Dataset)
    assert [dataset[index] for index in range(len(dataset))] == [10, 11, 12, 13] * 3
    assert list(dataset[2:5]) == [12, 13, 10]
    assert dataset[-1] == 13
    assert dataset.data[5]["path"] == str(files[1])
    assert dataset.data[5]["slice"] == 1
    dataset.transform = lambda item: item["file"]
    dataset.data = partition_dataset(dataset.data, num_partitions=3, shuffle=False)[1]
    assert [dataset[index] for index in range(len(dataset))] == ["file00.h5", "file01.h5", "file01.h5", "file02.h5"]


def test_a_transform_cannot_change_the_data_set(files: list[Path]) -> None:
    def spoil(item: dict[str, Any]) -> dict[str, Any]:
        for name in ("kspace", "target", "output_size", "padding"):
            item[name].zero_()
        item["slice"] = 99
        return item

    spoiled = FastMRISliceDataset(files, spoil)
    assert spoiled[1]["slice"] == 99
    spoiled.transform = None
    item = spoiled.load(spoiled.data[1])
    np.testing.assert_array_equal(item["kspace"].numpy(), kspace_of(0)[1])
    assert item["slice"] == 1
    assert item["output_size"].tolist() == [4, 5]


def test_repeats_volume_by_volume(files: list[Path]) -> None:
    dataset = FastMRISliceDataset(files[:2], accelerations=[4, 8])
    order = [(entry["file"], entry["acceleration"], entry["slice"]) for entry in dataset.data]
    expected = [(f"file0{file}.h5", factor, number) for file in (0, 1) for factor in (4, 8) for number in range(SLICES)]
    assert order == expected
    assert dataset[5]["acceleration"] == 8
    assert torch.equal(dataset[5]["kspace"], dataset[1]["kspace"])
    assert "acceleration" not in FastMRISliceDataset(files)[0]


def test_quick_runs_take_first_files_and_central_slices(files: list[Path]) -> None:
    dataset = FastMRISliceDataset(files, max_files=2, max_slices=2)
    assert [(entry["file"], entry["slice"]) for entry in dataset.data] == [
        ("file00.h5", 1),
        ("file00.h5", 2),
        ("file01.h5", 1),
        ("file01.h5", 2),
    ]
    item = dataset[1]
    assert item["num_slices"] == 2
    np.testing.assert_array_equal(item["kspace"].numpy(), kspace_of(0)[2])
    # the maximum is that of the volume, not of the chosen slices
    assert item["maximum"] == target_of(0).max()
    assert len(FastMRISliceDataset(files, max_files=99, max_slices=99)) == 3 * SLICES


def test_given_anatomy_wins(tmp_path: Path) -> None:
    path = make(tmp_path, 0, acquisition="AXT2", anatomy="head")
    assert FastMRISliceDataset([path])[0]["anatomy"] == "head"
    assert FastMRISliceDataset([path], anatomy="brain")[0]["anatomy"] == "brain"


def test_maximum_is_computed_once(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    original = FastMRIFile.compute_maximum

    def counted(self: FastMRIFile) -> float:
        calls.append(self.path.name)
        return original(self)

    monkeypatch.setattr(FastMRIFile, "compute_maximum", counted)
    dataset = FastMRISliceDataset(files, max_open_files=1)
    assert calls == []
    for _ in range(2):
        found = [dataset[index]["maximum"] for index in range(len(dataset))]
        assert found == [float(target_of(number).max()) for number in range(3) for _ in range(SLICES)]
    assert calls == ["file00.h5", "file01.h5", "file02.h5"]


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_one_handle_per_worker_and_file(files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = FastMRISliceDataset(files)
    before = dataset[0]
    log = tmp_path / "opened.txt"
    log_opened_files(monkeypatch, log)
    loader = DataLoader(dataset, batch_size=1, num_workers=2, multiprocessing_context="fork")
    for epoch in range(2):
        batches = list(loader)
        assert len(batches) == 3 * SLICES
        for index, batch in enumerate(batches):
            number, position = divmod(index, SLICES)
            np.testing.assert_array_equal(batch["kspace"][0].numpy(), kspace_of(number)[position])
            assert batch["maximum"].item() == target_of(number).max()
        opened = Counter(log.read_text().splitlines())
        assert set(opened.values()) == {1}
        assert len(opened) == (epoch + 1) * 2 * len(files)
        assert str(os.getpid()) not in {line.split()[0] for line in opened}
    # what the workers computed stays known
    monkeypatch.setattr(FastMRIFile, "compute_maximum", lambda self: math.inf)
    assert dataset[SLICES]["maximum"] == target_of(1).max()
    assert torch.equal(dataset[0]["kspace"], before["kspace"])
    dataset.close()


def test_handles_do_not_grow(tmp_path: Path) -> None:
    many = [make(tmp_path, number, target=False) for number in range(20)]
    dataset = FastMRISliceDataset(many, max_open_files=3)
    assert open_handles(tmp_path) == 0
    for index in range(len(dataset)):
        dataset[index]
        assert open_handles(tmp_path) <= 3
    assert open_handles(tmp_path) == 3
    dataset.close()
    assert open_handles(tmp_path) == 0
    np.testing.assert_array_equal(dataset[0]["kspace"].numpy(), kspace_of(0)[0])
    dataset.close()


def test_one_read_per_array_of_one_slice(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[tuple[str, tuple[int, ...]]] = []
    original = h5py.Dataset.read_direct

    def counted(self: h5py.Dataset, destination: np.ndarray, *selections: Any) -> None:
        reads.append((self.name, destination.shape))
        original(self, destination, *selections)

    dataset = FastMRISliceDataset(files)
    dataset[0]
    monkeypatch.setattr(h5py.Dataset, "read_direct", counted)
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda self, key: pytest.fail(f"{self.name}[{key}] was read"))
    dataset[1]
    assert sorted(reads) == [("/kspace", (COILS, ROWS, COLUMNS)), ("/reconstruction_rss", (4, 5))]
    dataset.close()


def test_copies_read_too(files: list[Path]) -> None:
    dataset = FastMRISliceDataset(files)
    dataset[0]
    twin = copy.deepcopy(dataset)
    assert torch.equal(twin[7]["kspace"], dataset[7]["kspace"])
    dataset.close()
    twin.close()


def test_errors_name_the_file(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(FastMRIFileError, match=r"gone\.h5: the file does not exist"):
        FastMRISliceDataset([*files, tmp_path / "gone.h5"])
    dataset = FastMRISliceDataset(files)
    files[1].unlink()
    with pytest.raises(FastMRIFileError, match=r"file01\.h5: the file does not exist"):
        dataset.load(dataset.data[SLICES])


def test_shape_keys_tell_what_can_be_collated_without_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(name: str, coils: int, width: int, *, single: bool = False, target: int = 0, mask: bool = False) -> Path:
        with h5py.File(tmp_path / name, "w") as file:
            file["kspace"] = np.ones((2, 8, width) if single else (2, coils, 8, width), np.complex64)
            if target:
                file["reconstruction_esc" if single else "reconstruction_rss"] = np.ones((2, target, 4), np.float32)
            if mask:
                file["mask"] = np.ones(width)
        return tmp_path / name

    files = [
        write("a.h5", 3, 6),
        write("b.h5", 3, 6),
        write("wide.h5", 3, 7),
        write("coils.h5", 1, 6),
        write("single.h5", 1, 6, single=True),
        write("target.h5", 3, 6, target=4),
        write("tall.h5", 3, 6, target=5),
        write("mask.h5", 3, 6, mask=True),
    ]
    dataset = FastMRISliceDataset(files)
    assert [entry["coils"] for entry in dataset.data[::2]] == [3, 3, 3, 1, 1, 3, 3, 3]
    items = [dataset[index] for index in range(len(dataset))]
    dataset.close()
    monkeypatch.setattr(h5py, "File", lambda *args: pytest.fail("a file was opened"))
    keys = [dataset.shape_key(index) for index in range(len(dataset))]
    arrays = ("kspace", "target", "mask", "output_size", "voxel_size", "padding")
    for key, item in zip(keys, items, strict=True):
        for other, twin in zip(keys, items, strict=True):
            same = item.keys() == twin.keys() and all(item[n].shape == twin[n].shape for n in arrays if n in item)
            same = same and torch.equal(item["output_size"], twin["output_size"])
            assert (key == other) == same
    # after partitioning, as well
    dataset.data = dataset.data[6:]
    assert [dataset.shape_key(0), dataset.shape_key(-1)] == [keys[6], keys[-1]]


def test_single_coil_files_end_to_end(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    image = rng.normal(size=(3, 24, 20)) + 1j * rng.normal(size=(3, 24, 20))
    kspace = fft2c(torch.from_numpy(image).to(torch.complex64)).numpy()
    target = np.abs(image[:, 4:20, 2:18]).astype(np.float32)
    path = write_fastmri_h5(tmp_path / "knee.h5", kspace=kspace, target=target, attributes={"acquisition": "CORPD_FBK"})
    with h5py.File(path) as file:
        assert sorted(file) == ["kspace", "reconstruction_esc"]
    item = FastMRISliceDataset([path], ZeroFilledd())[1]
    assert item["kspace"].shape == (1, 24, 20)
    assert (item["coils"], item["anatomy"]) == (1, "knee")
    # one coil, fully sampled: the zero-filled image is the target
    torch.testing.assert_close(item["zero_filled"], item["target"], atol=1e-5, rtol=1e-4)
    masked = FastMRISliceDataset([path], Undersampled(RandomMask([0.3], [2])))[1]
    network = VarNet(num_cascades=1, channels=2, sensitivity_channels=2, pools=2).eval()
    with torch.no_grad():
        image = network(masked["kspace"][None], masked["mask"][None])
    assert image.shape == (1, 1, 24, 20)
    assert bool(image.isfinite().all())
    assert float(image.max()) > 0


def test_volumes_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files.append(make(tmp_path / name, 1))
    with pytest.raises(ValueError, match=r"one/file01\.h5 and .*two/file01\.h5 have the same name and acceleration"):
        FastMRISliceDataset(files)


def test_impossible_arguments(files: list[Path]) -> None:
    with pytest.raises(ValueError, match="list of files is empty"):
        FastMRISliceDataset([])
    with pytest.raises(ValueError, match="expected a list of paths"):
        FastMRISliceDataset(files[0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"accelerations is \[4, 0\]"):
        FastMRISliceDataset(files, accelerations=[4, 0])
    with pytest.raises(ValueError, match=r"accelerations is \[\]"):
        FastMRISliceDataset(files, accelerations=[])
    with pytest.raises(ValueError, match="max_files is 0"):
        FastMRISliceDataset(files, max_files=0)
    with pytest.raises(ValueError, match="max_slices is -1"):
        FastMRISliceDataset(files, max_slices=-1)
    with pytest.raises(ValueError, match="max_open_files is 0"):
        FastMRISliceDataset(files, max_open_files=0)


def test_a_file_with_its_own_mask_is_not_repeated(tmp_path):
    kspace = np.ones((2, 1, 8, 8), np.complex64)
    for name, mask in (("full.h5", None), ("masked.h5", np.arange(8) % 2 == 0)):
        with h5py.File(tmp_path / name, "w") as file:
            file["kspace"] = kspace
            if mask is not None:
                file["mask"] = mask
    dataset = FastMRISliceDataset([tmp_path / "full.h5", tmp_path / "masked.h5"], accelerations=[4, 8])
    found = [(entry["file"], entry["slice"], entry.get("acceleration")) for entry in dataset.data]
    assert found == [("full.h5", n, a) for a in (4, 8) for n in (0, 1)] + [("masked.h5", n, None) for n in (0, 1)]


def test_a_masked_file_says_its_acceleration(tmp_path):
    for name, value in (("four.h5", 4), ("fraction.h5", 3.7), ("wrong.h5", 0.5), ("text.h5", "fast")):
        with h5py.File(tmp_path / name, "w") as file:
            file["kspace"] = np.ones((1, 1, 8, 8), np.complex64)
            file["mask"] = np.arange(8) % 2 == 0
            file.attrs["acceleration"] = value
    assert FastMRISliceDataset([tmp_path / "four.h5"])[0]["acceleration"] == 4
    assert FastMRISliceDataset([tmp_path / "fraction.h5"])[0]["acceleration"] == 4
    for name in ("wrong.h5", "text.h5"):
        with pytest.raises(ValueError, match=rf"{name}.*acceleration is .*expected a number >= 1"):
            FastMRISliceDataset([tmp_path / name])
    with h5py.File(tmp_path / "text.h5", "a") as file:
        del file["mask"]
    assert "acceleration" not in FastMRISliceDataset([tmp_path / "text.h5"])[0], "without a mask nobody asks for it"


def test_files_without_target_are_named_where_targets_are_needed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = make(tmp_path, 1), make(tmp_path, 2, target=False)
    with pytest.raises(FastMRIFileError, match=r"file02\.h5: holds no target, expected reconstruction_rss"):
        FastMRISliceDataset([good, bad], require_target=True)
    assert FastMRISliceDataset([good, bad], require_target=True, skip_bad=True).files == [good]
    assert "left out" in caplog.text
    assert FastMRISliceDataset([good, bad]).files == [good, bad]
