"""The paired layout: kspace/ and image/ side by side, complete k-space with a mask to apply."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from monai.transforms import Compose

from recon_monai.data import FastMRISliceDataset, SplitError, read_split
from recon_monai.physics import RandomMask, seed_from_name
from recon_monai.transforms import RandomPhased, Undersampled

WIDTH = 24
MASK = RandomMask([0.2], [3])


def own_mask(acceleration: int) -> np.ndarray:
    mask = np.arange(WIDTH) % acceleration == 0
    mask[10:14] = True
    return mask


def arrays(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    kspace = rng.normal(size=(3, 2, 16, WIDTH)) + 1j * rng.normal(size=(3, 2, 16, WIDTH))
    return kspace.astype(np.complex64), rng.random((3, 12, 12)).astype(np.float32)


def make(folder: Path, name: str, acceleration: int = 4, seed: int = 0) -> Path:
    kspace, image = arrays(seed)
    for part in ("kspace", "image"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / "kspace" / name, "w") as file:
        file["kspace"] = kspace
        file["mask"] = own_mask(acceleration).astype(np.float32)
    with h5py.File(folder / "image" / name, "w") as file:
        file["image_label"] = image
        file["image_input"] = image / 2
        file.attrs["max"] = 1.5
    return folder / "kspace" / name


def test_tree(tmp_path: Path) -> None:
    train = [make(tmp_path / "train", name) for name in ("brain_acc4_1.h5", "knee_acc8_2.h5")]
    val = make(tmp_path / "val", "brain_acc8_9.h5")
    test = [make(tmp_path / "leaderboard" / part, "brain_test1.h5") for part in ("acc4", "acc8")]
    assert read_split(tmp_path, "train") == train
    assert read_split(tmp_path / "train", "train") == train
    assert read_split(tmp_path, "val") == [val]
    assert read_split(tmp_path, "test") == test
    assert read_split(tmp_path / "leaderboard", "all") == test
    assert read_split(tmp_path / "train" / "kspace", "all") == train
    assert read_split(tmp_path, "all") == [*test, *train, val]


def test_same_names_only_across_accelerations(tmp_path: Path) -> None:
    for part in ("acc4", "acc8"):
        make(tmp_path / "leaderboard" / part, "knee_test1.h5", int(part[-1]))
    dataset = FastMRISliceDataset(read_split(tmp_path, "test"))
    assert [(e["acceleration"], e["anatomy"]) for e in dataset.data] == [(4, "knee")] * 3 + [(8, "knee")] * 3
    assert [int(dataset[index]["mask"].sum()) for index in (0, 3)] == [own_mask(4).sum(), own_mask(8).sum()]
    with pytest.raises(ValueError, match="have the same name and acceleration"):
        FastMRISliceDataset(dataset.files, file_mask="ignore")
    make(tmp_path / "more" / "test" / "acc4", "knee_test1.h5")
    with pytest.raises(SplitError, match=r"called knee_test1\.h5 \(.*leaderboard/acc4/kspace and .*more/test/acc4"):
        read_split([tmp_path / "leaderboard", tmp_path / "more" / "test"], "test")


def test_item(tmp_path: Path) -> None:
    path = make(tmp_path / "train", "brain_acc4_7.h5", seed=3)
    kspace, image = arrays(3)
    dataset = FastMRISliceDataset([path], accelerations=[4, 8])
    assert len(dataset) == 3, "a file whose mask is used comes once"
    item = dataset[1]
    np.testing.assert_array_equal(item["kspace"].numpy(), kspace[1])
    np.testing.assert_array_equal(item["target"].numpy(), image[1][None])
    assert item["mask"].tolist() == [[own_mask(4).tolist()]]
    assert (item["maximum"], item["acceleration"], item["anatomy"]) == (1.5, 4, "brain")
    assert item["output_size"].tolist() == [12, 12]
    assert dataset.shape_key(1) == ((2, 16, WIDTH), (12, 12), True, True)
    dataset.close()


@pytest.mark.parametrize(("name", "expected"), [("a_acc16.h5", 16), ("acc2.h5", 2), ("accent_1.h5", 8), ("a.h5", 8)])
def test_nominal_acceleration(tmp_path: Path, name: str, expected: int) -> None:
    path = make(tmp_path / "acc8" / "part", name)
    assert FastMRISliceDataset([path])[0]["acceleration"] == expected


def test_attributes_win_over_names(tmp_path: Path) -> None:
    path = make(tmp_path, "knee_acc4_1.h5")
    with h5py.File(path, "a") as file:
        file.attrs.update(acceleration=5, acquisition="AXT1")
    entry = FastMRISliceDataset([path]).data[0]
    assert (entry["acceleration"], entry["anatomy"]) == (5, "brain")


def test_a_target_in_the_file_itself_needs_no_images(tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    (tmp_path / "kspace").mkdir()
    with h5py.File(tmp_path / "kspace" / "a.h5", "w") as file:
        file["kspace"], file["reconstruction_rss"] = arrays(1)
    np.testing.assert_array_equal(
        FastMRISliceDataset([tmp_path / "kspace" / "a.h5"])[2]["target"][0].numpy(), arrays(1)[1][2]
    )


def test_kspace_without_image_folder_has_no_target(tmp_path: Path) -> None:
    path = make(tmp_path / "test", "brain_acc4_1.h5")
    for image in (tmp_path / "test" / "image").iterdir():
        image.unlink()
    (tmp_path / "test" / "image").rmdir()
    item = FastMRISliceDataset(read_split(tmp_path, "test"))[0]
    assert "target" not in item
    assert (item["acceleration"], item["file"]) == (4, path.name)


def test_the_files_mask_is_applied_by_default(tmp_path: Path) -> None:
    dataset = FastMRISliceDataset([make(tmp_path, "brain_acc4_7.h5")], Undersampled(MASK, random=True))
    item = dataset[0]
    sampled = torch.from_numpy(own_mask(4))
    assert torch.equal(item["mask"].flatten(), sampled)
    assert torch.equal(item["kspace"] != 0, sampled.expand(2, 16, WIDTH))
    assert item["acceleration"] == 4
    assert item["effective_acceleration"] == pytest.approx(WIDTH / own_mask(4).sum())


@pytest.mark.parametrize("by", ["transform", "dataset"])
def test_the_files_mask_can_be_ignored(tmp_path: Path, by: str) -> None:
    path = make(tmp_path, "brain_acc4_7.h5")
    where: dict[str, Any] = {"file_mask": "ignore"}
    transform = Undersampled(MASK, **(where if by == "transform" else {}))
    item = FastMRISliceDataset([path], transform, **(where if by == "dataset" else {}))[0]
    expected = MASK((16, WIDTH), seed=seed_from_name(path.name))
    assert torch.equal(item["mask"], expected.mask)
    assert item["acceleration"] == 3


def test_ignored_masks_let_files_repeat(tmp_path: Path) -> None:
    dataset = FastMRISliceDataset([make(tmp_path, "a_acc4_7.h5")], accelerations=[2, 6], file_mask="ignore")
    assert [entry["acceleration"] for entry in dataset.data] == [2] * 3 + [6] * 3
    assert dataset.shape_key(0)[3] is False
    assert "mask" not in dataset[0]


def test_a_phase_may_turn_complete_kspace_that_has_a_mask(tmp_path: Path) -> None:
    path = make(tmp_path, "brain_acc4_7.h5")
    plain = FastMRISliceDataset([path])[0]["kspace"]
    chain = Compose([RandomPhased(3.0), Undersampled(MASK, random=True)])
    turned = FastMRISliceDataset([path], chain)[0]
    assert torch.equal(turned["mask"].flatten(), torch.from_numpy(own_mask(4)))
    assert not torch.allclose(turned["kspace"], torch.where(turned["mask"], plain, 0))


@pytest.mark.parametrize(
    "step", [RandomPhased(3.0), Undersampled(MASK, file_mask="ignore"), Undersampled(None, file_mask="ignore")]
)
@pytest.mark.parametrize("edge", [0, 3])
def test_kspace_with_gaps_is_refused(step: Callable, edge: int) -> None:
    mask = torch.from_numpy(own_mask(4))
    kspace = torch.where(mask, torch.from_numpy(arrays(0)[0][0]), 0)
    kspace[..., :edge] = kspace[..., WIDTH - edge :] = 0
    item = {"kspace": kspace, "mask": mask[None, None], "padding": torch.tensor([0, WIDTH]), "file": "a.h5", "slice": 2}
    with pytest.raises(
        ValueError, match=r"a\.h5 slice 2: its k-space is zero where its own mask .*acquired undersampled"
    ):
        step(item)


def test_zero_padding_that_no_header_tells_of_is_no_gap() -> None:
    """The files of this layout have no header, and edges that the scanner filled with zeros."""
    kspace = torch.from_numpy(arrays(0)[0][0])
    kspace[..., :3] = kspace[..., -3:] = 0
    item = {"kspace": kspace, "padding": torch.tensor([0, WIDTH]), "file": "a.h5", "slice": 2}
    for given in (item, {**item, "mask": torch.from_numpy(own_mask(4))[None, None]}):
        assert RandomPhased(3.0)(given)["kspace"].shape == kspace.shape
        assert int(Undersampled(MASK, file_mask="ignore")(given)["mask"].sum()) < WIDTH
    one_sided = kspace.clone()
    one_sided[..., -9:] = 0
    with pytest.raises(ValueError, match=re.escape("a.h5 slice 2: 33% of its k-space is zero")):
        Undersampled(MASK)({**item, "kspace": one_sided})


def test_unknown_words_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="file_mask is 'drop', expected 'use' or 'ignore'"):
        Undersampled(MASK, file_mask="drop")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="file_mask is 'drop', expected 'use' or 'ignore'"):
        FastMRISliceDataset([make(tmp_path, "a.h5")], file_mask="drop")  # type: ignore[arg-type]
