"""Coarse scans of the built-in volumes: something to super-resolve where there is nothing else."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from recon_monai.data.demo.once import made_once
from recon_monai.data.demo.volumes import DemoVolumeRecipe, ensure_demo_volumes
from recon_monai.data.splits import write_assignment
from recon_monai.data.volumes import VolumeDataset, grid_of, write_volume
from recon_monai.physics import thick_slices

__all__ = ["ensure_demo_scans"]

_COARSER = 2


def ensure_demo_scans(root: str | Path | None = None, *, recipe: DemoVolumeRecipe | None = None) -> str:
    """Folder with the test volumes of the built-in set as scans with slices twice as thick, made on first use.

    Slices lie along the last axis of the file, without gaps, so that ``--factor "[1,1,2]"`` gives the voxels of the
    volumes again.

    Args:
        root: see `ensure_demo_volumes`.
        recipe: see `ensure_demo_volumes`.

    Returns:
        Path of the folder of NIfTI files.
    """
    volumes = Path(ensure_demo_volumes(root, recipe=recipe))
    folder = volumes.with_name(volumes.name.replace("volumes", "coarse_scans"))
    return made_once(folder, partial(_make, volumes=volumes), "built-in scans")


def _make(folder: Path, volumes: Path) -> None:
    folder.mkdir()
    parts, subjects = {}, {}
    for item in VolumeDataset(volumes, "test", cache=False):
        fine = grid_of(item["target"])
        step = fine.spacing[2]
        coarse = thick_slices(item["target"].as_tensor()[0], 2, step, _COARSER * step).volume
        write_volume(folder / item["file"], coarse, fine.refined(factor=(1, 1, 1 / _COARSER)))
        parts[item["file"]], subjects[item["file"]] = "test", item["subject"]
    write_assignment(folder, (parts, subjects), seed=0)
