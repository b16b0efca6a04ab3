"""The README's commands for a lab and for a student, as they stand there, on an emulated fastMRI tree."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from bundle_tools import ROOT, TINY

from recon_monai.data import write_fastmri_h5
from recon_monai.data.header import AcquisitionHeader
from recon_monai.physics import ifft2c, keyed_generator, rss

pytestmark = pytest.mark.slow

# part of the tree, names, acquisition, coils, columns
_PARTS = [
    ("knee/multicoil_train", ["file1000001.h5", "file1000002.h5"], "CORPD_FBK", 3, 46),
    ("knee/multicoil_train", ["file1000003.h5"], "CORPDFS_FBK", 3, 40),
    ("knee/multicoil_val", ["file1000007.h5"], "CORPD_FBK", 3, 46),
    ("brain/multicoil_train", ["file_brain_AXT2_200_2000001.h5"], "AXT2", 4, 48),
    ("brain/multicoil_val", ["file_brain_AXT2_200_2000002.h5"], "AXT2", 2, 48),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """Knees and brains in separate trees; sizes and coil counts differ."""
    root = tmp_path_factory.mktemp("fastmri")
    for part, names, acquisition, coils, width in _PARTS:
        for name in names:
            kspace = torch.randn(2, coils, 64, width, dtype=torch.complex64, generator=keyed_generator(name)) * 1e-5
            header = AcquisitionHeader(
                encoded_matrix=(64, width, 1),
                recon_matrix=(32, 32, 1),
                encoded_fov=(400.0, 200.0, 5.0),
                recon_fov=(200.0, 200.0, 5.0),
            )
            target = rss(ifft2c(kspace))[:, 0, 16:48, (width - 32) // 2 : (width - 32) // 2 + 32]
            (root / part).mkdir(parents=True, exist_ok=True)
            write_fastmri_h5(
                root / part / name,
                kspace=kspace,
                target=target,
                header=header,
                attributes={"acquisition": acquisition, "patient_id": name},
            )
    return root


def commands() -> list[str]:
    """The commands of the section about one's own data."""
    section = (ROOT / "README.md").read_text().split("## Your own data")[1].split("\n## ")[0]
    blocks = re.findall(r"```bash\n(.*?)```", section, flags=re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def run(command: str, tree: Path, checkout: Path, extra: dict | None = None) -> str:
    words = shlex.split(command.replace("/data/fastmri", str(tree)).replace("--nproc_per_node=8", "--nproc_per_node=2"))
    programs = {
        "python": [sys.executable],
        "torchrun": [sys.executable, "-m", "torch.distributed.run"],
        "recon-monai": [sys.executable, "-m", "recon_monai"],
    }
    words = [*programs[words[0]], *words[1:]]
    words += [word for name, value in (extra or {}).items() for word in (f"--{name}", str(value))]
    done = subprocess.run(
        words,
        cwd=checkout,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-5000:]}"
    return done.stdout


def test_a_lab_checks_plans_and_starts(tree, checkout):
    check, plan, start, _ = commands()
    assert check.startswith("recon-monai check")
    printed = run(check, tree, checkout)
    assert re.search(r"brain +AXT2 +measured +2 +4 +2-4", printed), printed
    assert re.search(r"knee +CORPD_FBK +measured +3 +6 +3", printed), printed
    printed = run(plan, tree, checkout, {**TINY, "max_epochs": 1})
    assert "training: 4 files, 8 slices (knee 6, brain 2)" in printed
    assert "in each of 2 process(es)" in printed
    folder = checkout / "bundles" / "universal_varnet" / "eval" / "full"
    assert not folder.exists()
    run(start, tree, checkout, {**TINY, "max_epochs": 1})
    finished = json.loads((folder / "finished.json").read_text())
    assert finished["epochs"] == 1
    described = json.loads((folder / "model.json").read_text())
    assert described["anatomies"] == {"knee": 6, "brain": 2}
    assert described["coils"] == [3, 4]
    metrics = described["metrics"]
    assert {"val_ssim/knee/4x", "val_ssim/knee/8x", "val_ssim/brain/4x", "val_ssim/brain/8x"} <= set(metrics)


def test_a_student_trains_on_one_contrast(tree, checkout):
    command = commands()[-1]
    name = {"run_name": "student", "max_epochs": 1}
    run(command, tree, checkout, name)
    folder = checkout / "bundles" / "universal_varnet" / "eval" / "student"
    described = json.loads((folder / "model.json").read_text())
    assert described["acquisitions"] == {"CORPD_FBK": 4}


def test_the_commands_are_whole():
    """What the tests above change is only sizes and places."""
    found = commands()
    assert len(found) == 4
    for command in found[1:]:
        files = re.findall(r"bundles/universal_varnet/configs/\w+\.json", command)
        assert files
        assert all((ROOT / file).is_file() for file in files)
