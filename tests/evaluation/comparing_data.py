"""Small data sets and bundles for the tests of comparisons."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from monai.bundle import ConfigParser

from recon_monai.data import write_fastmri_h5
from recon_monai.data.header import AcquisitionHeader
from recon_monai.physics import center_crop_or_pad, ifft2c, keyed_generator, rss, simulate_coil_maps, simulate_kspace

BUNDLES = Path(__file__).parents[2] / "bundles"
TINY: dict[str, dict[str, Any]] = {
    "universal_varnet": {
        "network_def::num_cascades": 1,
        "network_def::refinement::channels": 2,
        "network_def::refinement::pools": 2,
        "network_def::sensitivity_network::channels": 2,
        "network_def::sensitivity_network::pools": 2,
    },
    "weighted_dircn": {
        "network_def::num_cascades": 1,
        "network_def::refinement::channels": 4,
        "network_def::sensitivity_network::refinement::channels": 2,
    },
    "mdcsrn_wgan_gp": {
        "network_def::blocks": 1,
        "network_def::units": 1,
        "network_def::growth": 2,
        "network_def::first_channels": 2,
        "window": 12,
    },
}


def write_scan(path: Path, seed: int, *, source: str = "simulated", slices: int = 2, coils: int = 3) -> None:
    """Ellipses with an oversampled readout."""
    size = 40
    header = AcquisitionHeader(
        encoded_matrix=(2 * size, size, slices),
        recon_matrix=(size, size, slices),
        encoded_fov=(480.0, 240.0, 5.0 * slices),
        recon_fov=(240.0, 240.0, 5.0 * slices),
    )
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    head, kspaces, targets = (x / 0.7) ** 2 + (y / 0.8) ** 2 < 1, [], []
    for number in range(slices):
        generator = keyed_generator("scan", seed, number)
        inner = (x - 0.2) ** 2 + (y - 0.2 + 0.1 * number) ** 2 < 0.1
        image = 1e-4 * (head.float() + 0.6 * inner + 0.4 * (x * head > 0.3) + 0.1 * torch.cos(9 * x) * head)
        maps = simulate_coil_maps(coils, (size, size), keyed_generator("coils", seed))
        kspaces.append(simulate_kspace(image, maps, noise_std=1e-6, readout_oversampling=2, generator=generator))
        targets.append(center_crop_or_pad(rss(ifft2c(kspaces[-1])), (size, size))[0])
    write_fastmri_h5(
        path,
        kspace=kspaces,
        target=targets,
        header=header,
        attributes={"acquisition": "AXT2", "anatomy": "brain", "source": source, "patient_id": str(seed)},
    )


def write_volume(path: Path, seed: int, shape: tuple[int, int, int] = (20, 24, 16)) -> None:
    """A bright ball in a bigger one, with noise."""
    rng = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(*[np.linspace(-1, 1, size) for size in shape], indexing="ij"))
    inner = place - rng.uniform(-0.2, 0.2, 3)[:, None, None, None]
    values = 900.0 * ((place**2).sum(0) < 0.8) + 600 * ((inner**2).sum(0) < 0.2) + rng.normal(0, 10, shape)
    nibabel.save(nibabel.Nifti1Image(np.abs(values).astype(np.int16), np.diag([2.0, 2, 2, 1])), path)


def tiny_bundle(root: Path, name: str) -> tuple[str, ConfigParser]:
    """A copy of a bundle with an overlay of small sizes and untrained weights.

    Returns:
        The method as on the command line, and the configuration of the bundle's own evaluation.
    """
    folder = root / name
    shutil.copytree(BUNDLES / name / "configs", folder / "configs")
    (folder / "configs" / "tiny.json").write_text(json.dumps(TINY[name]))
    parser = ConfigParser()
    parser.read_config([str(folder / "configs" / "evaluate.json"), str(folder / "configs" / "tiny.json")])
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = parser.get_parsed_content("network_def")
    (folder / "models").mkdir()
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    parser = ConfigParser()
    parser.read_config([str(folder / "configs" / "evaluate.json"), str(folder / "configs" / "tiny.json")])
    parser["bundle_root"], parser["device"], parser["num_workers"] = str(folder), "cpu", 0
    parser["output_dir"] = str(root / "evaluation" / name)
    return f"{name}={folder}+tiny.json", parser
