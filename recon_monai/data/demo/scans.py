"""Coarse scans of the built-in volumes: something to super-resolve where there is nothing else."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

from recon_monai.data.demo.volumes import DemoVolumeRecipe, ensure_demo_volumes
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
    folder = volumes.with_name(volumes.name.replace("volumes", "scans"))
    if folder.is_dir():
        return str(folder)
    temporary = folder.with_name(f".{folder.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    temporary.mkdir()
    try:
        for item in VolumeDataset(volumes, "test", cache=False):
            fine = grid_of(item["target"])
            step = fine.spacing[2]
            coarse = thick_slices(item["target"].as_tensor()[0], 2, step, _COARSER * step).volume
            write_volume(temporary / item["file"], coarse, fine.refined(factor=(1, 1, 1 / _COARSER)))
        try:
            temporary.rename(folder)
        except OSError:  # another process was faster, with the same content
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return str(folder)
