"""What the configuration of a super-resolution training asks for: lengths, starts, domains, plans."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator
from monai.transforms import Compose, CropForegroundd
from wgan_tools import copies, make_trainer, networks, same

from recon_monai.data import VolumeBatchSampler, VolumeDataset
from recon_monai.engines import (
    check_volumes,
    differences_from_training,
    epoch_length,
    plan_super_resolution,
    prepare_generator,
    volume_domain,
)
from recon_monai.inferers import SeamlessInferer
from recon_monai.metrics import SSIM_WINDOW
from recon_monai.transforms import RandomPatchd, SimulateLowResolutiond


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three subjects, one for each part."""
    for number, contrast in enumerate(("T1w", "T1w", "T2w")):
        values = np.random.default_rng(number).integers(1, 1000, (10, 10, 10)).astype(np.int16)
        place = tmp_path / "volumes" / f"sub-{number}_{contrast}.nii"
        place.parent.mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 1.0, 1.5, 1.0])), place)
    return tmp_path / "volumes"


@pytest.mark.parametrize(("steps", "wanted", "length"), [(12, 4, 4), (3, 1000, 3), (1, 1, 1), (250_000, 1000, 1000)])
def test_whole_epochs_make_up_a_run(steps: int, wanted: int, length: int) -> None:
    assert epoch_length(steps, wanted) == length


def test_a_run_that_epochs_do_not_divide_is_refused_with_what_does() -> None:
    with pytest.raises(ValueError, match=r"2500 steps .* epochs of 1000; give --steps_per_epoch 1250, or 2000 steps"):
        epoch_length(2500, 1000)
    with pytest.raises(ValueError, match="at least 1 of each"):
        epoch_length(0, 10)


def test_a_generator_starts_from_weights_or_untrained_where_that_is_no_nonsense(tmp_path: Path) -> None:
    trained, other = networks(seed=1)[0], networks(seed=2)[0]
    torch.save(trained.state_dict(), tmp_path / "model.pt")
    before = copies(other)
    assert same(copies(prepare_generator(other)), before)
    prepare_generator(other, str(tmp_path / "model.pt"), adversarial_only=True)
    assert same(copies(other), copies(trained))
    with pytest.raises(ValueError, match="starts from a pretrained generator; give --pretrained FILE"):
        prepare_generator(other, adversarial_only=True)
    with pytest.raises(FileNotFoundError, match="no such file"):
        prepare_generator(other, str(tmp_path / "none.pt"))


def test_the_domain_of_simulated_and_measured_low_resolution(folder: Path, tmp_path: Path) -> None:
    low = SimulateLowResolutiond(recipes={"inplane2": 1, "thick3mm": 2, "isotropic2": 0})
    found = volume_domain(VolumeDataset(folder, "all", cache=False), low, "linear")
    assert found == {
        "spacings": [1.0, 1.5],
        "voxels": [[1.0, 1.0, 1.5]],
        # slices of 3 mm across an axis of 1 mm, and of 1.5 mm
        "factors": [[2.0, 1.0, 1.0], [2.0, 2.0, 1.0], [3.0, 1.0, 1.0]],
        "contrasts": {"T1": 2, "T2": 1},
        "recipes": {"inplane2": 1, "thick3mm": 1},
        "interpolation": "linear",
        "scale": "percentile",
        "percentile": 99.9,
    }
    numbers = volume_domain(VolumeDataset(folder, "all", cache=False), low, scale=4095, percentile=99)
    assert (numbers["scale"], numbers["percentile"]) == (4095, None)
    folder.rename(tmp_path / "high")
    (tmp_path / "low").mkdir()
    for path in (tmp_path / "high").iterdir():
        coarse = nibabel.Nifti1Image(np.ones((10, 10, 3), np.int16), np.diag([1.0, 1.0, 4.5, 1.0]))
        nibabel.save(coarse, tmp_path / "low" / path.name)
    found = volume_domain(VolumeDataset(tmp_path, "all", cache=False), low)
    assert (found["factors"], found["recipes"]) == ([[3.0, 1.0, 1.0]], {"measured": 3})
    for path in (tmp_path / "high").iterdir():  # interpolated by someone already
        (tmp_path / "low" / path.name).write_bytes(path.read_bytes())
    found = volume_domain(VolumeDataset(tmp_path, "all", cache=False), low)
    assert found["factors"] == []
    volume = {"spacing": [1.0, 1.0, 1.5], "factor": [1.0, 1.0, 9.0]}
    assert differences_from_training(found, **volume, contrast="T1") == []
    assert len(differences_from_training(found, **volume, contrast="FLAIR")) == 1


def save(path: Path, shape: tuple[int, int, int], spacing: tuple[float, float, float] = (1, 1, 1)) -> Path:
    """A bright block of half the length in air."""
    values = np.zeros(shape, np.int16)
    middle = tuple(slice(size // 4, size // 4 + (size + 1) // 2) for size in shape)
    values[middle] = np.random.default_rng(0).integers(500, 1000, values[middle].shape)
    path.parent.mkdir(exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([*spacing, 1.0])), path)
    return path.parent


def test_recipes_that_do_not_fit_the_volumes_are_said_at_the_start(tmp_path: Path) -> None:
    """Not in the step that draws them, and what they would be is no part of the record."""
    for number in range(3):
        folder = save(tmp_path / "volumes" / f"sub-{number}_T1w.nii", (12, 12, 8), (1, 1, 5))
    data = VolumeDataset(folder, "all", cache=False)
    recipes = {"inplane2": 1, "thick3mm": 1, "thick5mm": 1, "thick6mm": 1, "thick4mm": 0}
    low = SimulateLowResolutiond(recipes=recipes)
    words = (
        r"sub-\d_T1w\.nii: the recipes thick3mm, thick5mm do not fit its voxels of 1 x 1 x 5 mm: across axis 2, slices "
        r"of 3\.0 mm cannot be made of voxels 5 mm apart.* --recipes::thick3mm::probability 0 "
        r"--recipes::thick5mm::probability 0 .*--slice_axis.*2 more volumes"
    )
    with pytest.raises(ValueError, match=words):
        check_volumes(data, low)
    with pytest.raises(ValueError, match="the recipes thick4mm do not fit"):
        check_volumes(data, low, ["inplane2", "thick4mm"])
    check_volumes(data, low, ["inplane2"])
    across = SimulateLowResolutiond(recipes=recipes, slice_axis=0)
    check_volumes(data, across)
    assert volume_domain(data, across)["factors"] == [[2, 2, 1], [3, 1, 1], [5, 1, 1], [6, 1, 1]]
    factors = volume_domain(data, low)["factors"]
    assert all(min(triple) >= 1 and max(triple) > 1 for triple in factors), factors
    assert [1.2, 1, 1] in factors
    whole = SimulateLowResolutiond(recipes={"all": {"mode": "truncate", "keep": 1.0}})
    assert volume_domain(data, whole)["factors"] == []


@pytest.mark.parametrize("form", ["alone", "paired"])
def test_volumes_too_small_for_the_validation_are_said_at_the_start(tmp_path: Path, form: str) -> None:
    root = tmp_path / "volumes"
    root.mkdir()
    for folder in [root] if form == "alone" else [root / "low", root / "high"]:
        save(folder / "sub-0_T1w.nii", (12, 12, 12))
        save(folder / "sub-1_T1w.nii", (12, 6, 12))
    data = VolumeDataset(root, "all", cache=False)
    low = SimulateLowResolutiond(recipes=["inplane2"])
    check_volumes(data, low)
    words = r"sub-1_T1w\.nii: 12 x 6 x 12 voxels are too few for the validation.* windows of 7 voxels"
    with pytest.raises(ValueError, match=words):
        check_volumes(data, low, ["inplane2"], SSIM_WINDOW, 8)


def test_what_cropping_leaves_counts(tmp_path: Path) -> None:
    folder = save(tmp_path / "volumes" / "sub-0_T1w.nii", (10, 10, 16))
    low = SimulateLowResolutiond(recipes=["inplane2"])
    names = ["target", "image"]
    for margin, message in ((0, "5 x 5 x 8 voxels after cropping are too few.*--crop_margin"), (1, None), (8, None)):
        crop = CropForegroundd(names, "target", margin=margin, allow_smaller=True, allow_missing_keys=True)
        data = VolumeDataset(folder, "all", Compose([crop, low]), cache=False, recipes=["inplane2"])
        if message is None:
            check_volumes(data, low, ["inplane2"], SSIM_WINDOW, margin)
        else:
            with pytest.raises(ValueError, match=message):
                check_volumes(data, low, ["inplane2"], SSIM_WINDOW, margin)


def test_a_plan_measures_every_kind_of_step_and_changes_nothing(folder: Path, caplog: Any) -> None:
    low = SimulateLowResolutiond(recipes=["isotropic2"])
    cut = RandomPatchd(patch_size=6, patches=2)
    data = VolumeDataset(folder, "train", Compose([low, cut]), cache=False)
    held = VolumeDataset(folder, "val", low, cache=False, recipes=["isotropic2"])
    pair = networks()
    sampler = VolumeBatchSampler(data, 1, 8)
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(held, batch_size=1),
        network=pair[0],
        inferer=SeamlessInferer(window=6),
    )
    trainer = make_trainer(
        DataLoader(data, batch_sampler=sampler),
        pair,
        adam=True,
        max_epochs=3,
        pretrain_steps=8,
        critic_steps=3,
        adversarial_options={"lr": 0.5},
    )
    before = [copies(network) for network in pair]
    with caplog.at_level(logging.INFO):
        plan = plan_super_resolution(trainer, evaluator, sampler, val_interval=2)
    assert plan.updates == {"pretraining": 8, "critic": 12, "generator": 4}
    assert set(plan.seconds_step) == {"pretraining", "critic", "generator"}
    assert all(seconds > 0 for seconds in (*plan.seconds_step.values(), plan.seconds_read, plan.seconds_window))
    assert plan.seconds_run == pytest.approx(
        24 * plan.seconds_read + sum(plan.updates[kind] * each for kind, each in plan.seconds_step.items())
    )
    assert all(same(copies(network), state) for network, state in zip(pair, before, strict=True))
    assert trainer.optimizer.param_groups[0]["lr"] == 0.01
    assert not trainer.optimizer.state and not trainer.critic_optimizer.state
    assert trainer.state.updates == {"pretraining": 0, "critic": 0, "generator": 0}
    assert "validation: 1 volumes of 1 subjects, each as isotropic2" in caplog.text
    assert "3 epochs of 8 steps" in caplog.text
