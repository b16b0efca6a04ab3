"""Bundles are tested as users run them: a subprocess per command, in a copy of the tree's outline."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from bundle_tools import ROOT, run_bundle, student_alone
from dircn_tools import CONFIGS, TINY_DIRCN
from mdcsrn_tools import CONFIGS as MDCSRN_CONFIGS
from mdcsrn_tools import TINY_TRAINING, write_head

from recon_monai.data import write_fastmri_h5, write_split
from recon_monai.data.header import AcquisitionHeader
from recon_monai.physics import ifft2c, keyed_generator, rss, simulate_coil_maps, simulate_kspace


@pytest.fixture(scope="session")
def checkout(tmp_path_factory) -> Path:
    """A folder that looks like the repository's root to a user, so that results stay out of the real one."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "bundles", root / "bundles", ignore=shutil.ignore_patterns("eval"))
    return root


@pytest.fixture(scope="session")
def student(tmp_path_factory) -> dict:
    """Options that train the student alone."""
    return student_alone(tmp_path_factory.mktemp("stages"))


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory) -> Path:
    """Three subjects of two slices: ellipses seen by three coils, with an oversampled readout."""
    folder = tmp_path_factory.mktemp("tiny_data")
    size = 48
    header = AcquisitionHeader(
        encoded_matrix=(2 * size, size, 1),
        recon_matrix=(size, size, 1),
        encoded_fov=(480.0, 240.0, 5.0),
        recon_fov=(240.0, 240.0, 5.0),
    )
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    for subject in range(3):
        slices, targets = [], []
        for number in range(2):
            generator = keyed_generator("tiny", subject, number)
            center = 0.4 * torch.rand(2, generator=generator) - 0.2
            image = ((x / 0.8) ** 2 + (y / 0.9) ** 2 < 1).float() + ((x - center[0]) ** 2 + (y - center[1]) ** 2 < 0.1)
            maps = simulate_coil_maps(3, (size, size), keyed_generator("coils", subject))
            kspace = simulate_kspace(image * 1e-4, maps, noise_std=1e-7, readout_oversampling=2, generator=generator)
            slices.append(kspace)
            targets.append(rss(ifft2c(kspace), dim=0)[0, size // 2 : size // 2 + size])
        write_fastmri_h5(
            folder / f"subject{subject}.h5",
            kspace=slices,
            target=targets,
            header=header,
            attributes={"acquisition": "AXT2", "anatomy": "brain", "source": "simulated", "patient_id": str(subject)},
        )
    write_split(folder, {f"subject{n}.h5": str(n) for n in range(3)}, fractions=(0.34, 0.33, 0.33), seed=0)
    return folder


@pytest.fixture(scope="session")
def trained_dircn(checkout, tiny_data) -> Path:
    """A run of the bundle weighted_dircn by its acceptance command from the repository's root, made small."""
    options = {**TINY_DIRCN, "dataset_dir": tiny_data, "max_epochs": 2, "aug_delay": 0, "run_name": "tiny"}
    printed = run_bundle("training", f"{CONFIGS}/train.json", checkout, options)
    assert str(tiny_data) in printed, "the log must say which data it uses"
    return checkout / "bundles" / "weighted_dircn" / "eval" / "tiny"


@pytest.fixture(scope="session")
def tiny_volumes(tmp_path_factory) -> Path:
    """Four subjects of one volume each: two for training, one for validation, one for the test."""
    folder = tmp_path_factory.mktemp("tiny_volumes")
    for number in range(4):
        write_head(folder / f"sub-{number}_T1w.nii.gz", number)
    return folder


@pytest.fixture(scope="session")
def trained_mdcsrn(checkout, tiny_volumes) -> Path:
    """A run of both stages of the bundle mdcsrn_wgan_gp from the repository's root, made small."""
    options = {**TINY_TRAINING, "dataset_dir": tiny_volumes, "run_name": "tiny"}
    run_bundle("training", f"{MDCSRN_CONFIGS}/train.json", checkout, options)
    return checkout / "bundles" / "mdcsrn_wgan_gp" / "eval" / "tiny"
