"""A data set of four heads and three volumes, tiny."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recon_monai.data import write_fastmri_h5, write_split
from recon_monai.data.demo import DemoVolumeRecipe, ensure_demo_volumes
from recon_monai.evaluation.gallery import GallerySettings
from recon_monai.physics import ifft2c, keyed_generator, rss, simulate_coil_maps, simulate_kspace, simulate_phase

PARTS = ("image_unet", "unrolled", "kspace_network", "denoiser", "generator", "super_resolution", "losses")


@pytest.fixture(scope="session")
def heads(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Four heads of ellipses, in the names and parts of the built-in set, whose own take seconds to draw."""
    folder = tmp_path_factory.mktemp("heads")
    size = (48, 40)
    y, x = torch.linspace(-1, 1, size[0])[:, None], torch.linspace(-1, 1, size[1])
    subjects = {}
    for number, contrast in enumerate(("AXFLAIR", "AXT2", "AXT1", "AXT2"), start=1):
        generator = keyed_generator("gallery heads", number)
        head = ((x / 0.7) ** 2 + (y / 0.8) ** 2 < 1).float() * (1 + 0.5 * ((x - 0.1 * number) ** 2 + y**2 < 0.1))
        maps, phase = simulate_coil_maps(4, size, generator), simulate_phase(size, generator)
        kspace = simulate_kspace(head, maps, phase=phase, noise_std=0.01, generator=generator)
        path = folder / f"brain-{number:02d}_{contrast}.h5"
        attributes = {"acquisition": contrast, "anatomy": "brain", "source": "simulated"}
        write_fastmri_h5(path, kspace=[kspace], target=[rss(ifft2c(kspace))[0]], attributes=attributes)
        subjects[path.name] = path.stem
    write_split(folder, subjects, (0.5, 0.25, 0.25))
    return str(folder)


@pytest.fixture(scope="session")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> str:
    recipe = DemoVolumeRecipe(heads=(1, 1, 1), shape=(20, 24, 16), spacing=8.0, real=False)
    return ensure_demo_volumes(tmp_path_factory.mktemp("volumes"), recipe=recipe)


@pytest.fixture
def tiny() -> GallerySettings:
    return GallerySettings(time_limit=0.1, steps=dict.fromkeys(PARTS, 2), channels=2, pools=2, patch=8)


@pytest.fixture
def raw(heads: str, tmp_path: Path) -> Path:
    """Two files as they are, and one that is damaged."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for name in sorted(Path(heads).glob("brain-0[12]*.h5")):
        (folder / name.name).symlink_to(name)
    (folder / "broken.h5").write_bytes(b"nothing")
    return folder
