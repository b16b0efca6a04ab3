"""A data set of four heads and three volumes, tiny."""

from __future__ import annotations

from pathlib import Path

import pytest

from recon_monai.data.demo import DemoRecipe, DemoVolumeRecipe, Protocol, built_in_dataset, ensure_demo_volumes
from recon_monai.evaluation.gallery import GallerySettings

PARTS = ("image_unet", "unrolled", "kspace_network", "denoiser", "generator", "super_resolution")


@pytest.fixture(scope="session")
def heads(tmp_path_factory: pytest.TempPathFactory) -> str:
    protocols = (Protocol((48, 40), 4.6, 3),)
    recipe = DemoRecipe(brains=(2, 1, 1), knees=(0, 0, 0), slices=1, brain_protocols=protocols)
    return built_in_dataset(tmp_path_factory.mktemp("heads"), recipe=recipe)


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
