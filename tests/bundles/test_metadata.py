"""Metadata against the rules of schema 20240725 (the schema itself is only to be had from the network)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser

import recon_monai
from recon_monai.sharing import metadata_faults

BUNDLES = Path(__file__).parents[2] / "bundles"
NAMES = sorted(folder.name for folder in BUNDLES.iterdir() if (folder / "configs").is_dir())


@pytest.fixture(params=NAMES)
def bundle(request):
    return BUNDLES / request.param


def test_rules_of_the_schema_and_version_of_the_package(bundle):
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert metadata_faults(metadata) == []
    assert metadata["required_packages_version"]["recon-monai"] == recon_monai.__version__


def test_tensor_formats(bundle):
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    formats = [content for name, content in metadata.items() if name.endswith("_data_format")]
    assert metadata["network_data_format"] in formats
    entries = [one for part in formats for side in ("inputs", "outputs") for one in part[side].values()]
    assert entries
    for entry in entries:
        # MONAI puts n = 1 when it verifies, and instance norm needs more than one value at the bottom of the U-Net
        assert all(size == 2 or re.fullmatch(r"32\*n", str(size)) for size in entry["spatial_shape"])


def test_the_critic_has_the_format_that_is_stated():
    """MONAI verifies the network's format alone."""
    configs = BUNDLES / "mdcsrn_wgan_gp" / "configs"
    stated = json.loads((configs / "metadata.json").read_text())["discriminator_data_format"]
    parser = ConfigParser()
    parser.read_config(configs / "train.json")
    critic = parser.get_parsed_content("critic_def")
    ((_, image),) = stated["inputs"].items()
    ((_, score),) = stated["outputs"].items()
    for multiple in (1, 2):
        sides = [eval(str(side), {"n": multiple}) for side in image["spatial_shape"]]
        given = torch.rand(2, image["num_channels"], *sides, dtype=getattr(torch, image["dtype"]))
        with torch.inference_mode():
            found = critic(given)
        assert "shape (B,)" in score["channel_def"]["0"]
        assert (score["num_channels"], score["spatial_shape"], found.shape) == (1, [], (2,))
        assert found.dtype == getattr(torch, score["dtype"])


def test_dicom_needs_what_reads_its_headers():
    for name in NAMES:
        metadata = json.loads((BUNDLES / name / "configs" / "metadata.json").read_text())
        if "dicom" in metadata["data_type"]:
            assert {"pydicom", "itk"} <= metadata["required_packages_version"].keys()


def test_versions_are_those_of_the_constraints(bundle):
    """What the metadata declares is what the project is tested with."""
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    lines = (BUNDLES.parent / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    declared = {
        "torch": metadata["pytorch_version"],
        "monai": metadata["monai_version"],
        "numpy": metadata["numpy_version"],
        **metadata["required_packages_version"],
    }
    declared.pop("recon-monai")
    assert declared == {name: pinned[name] for name in declared}


def test_files_of_a_bundle(bundle):
    for name in ("LICENSE", "docs/README.md", "docs/data_license.txt", "configs/logging.conf"):
        assert (bundle / name).is_file(), name
    assert "Apache License" in (bundle / "LICENSE").read_text()
    large = [file for file in bundle.rglob("*") if file.is_file() and "eval" not in file.parts]
    assert max(file.stat().st_size for file in large) < 25 * 2**20, "the zoo's limit for one file"
