"""NIfTI files that lie exactly where their grid says."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import torch

from recon_monai import RESEARCH_NOTICE
from recon_monai.data.writers import atomic_path
from recon_monai.physics import Grid

__all__ = ["write_volume"]

_RIGHT_ANGLE = 1e-4  # cosine; a qform holds no shear, and headers hold float32
_ALIGNED = 2


def write_volume(path: str | Path, volume: torch.Tensor, grid: Grid, *, space: int = _ALIGNED) -> Path:
    """Write a volume as NIfTI, float32, with the research notice as its description.

    The sform is the grid's affine, in the float32 that NIfTI-1 has for it; where the axes are at right angles the qform
    says the same, else it is marked as unknown, as it could not. Nothing is reoriented.

    Args:
        path: a file name that ends in ``.nii`` or ``.nii.gz``; an existing file is replaced.
        volume: real, ``(D, H, W)`` as the grid's shape.
        grid: where the voxels lie.
        space: code of NIfTI for what the affine leads to: 1 scanner, 2 another image, 3 Talairach, 4 MNI.

    Returns:
        ``path``.

    Raises:
        ValueError: if the name or the volume cannot be used.
    """
    path = Path(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise ValueError(f"{path}: expected a file name that ends in .nii or .nii.gz")
    if tuple(volume.shape) != grid.shape or volume.is_complex():
        raise ValueError(
            f"{path}: the volume is {volume.dtype} of shape {tuple(volume.shape)}, expected real {grid.shape}"
        )
    affine = grid.affine.numpy()
    image = nibabel.Nifti1Image(volume.detach().cpu().to(torch.float32).numpy(), affine)
    image.set_sform(affine, code=space)
    image.set_qform(affine, code=space if _right_angled(affine) else 0, strip_shears=True)
    image.header.set_xyzt_units(xyz="mm")
    image.header["descrip"] = RESEARCH_NOTICE.encode()
    with atomic_path(path) as temporary:
        nibabel.save(image, temporary)
    return path


def _right_angled(affine: np.ndarray) -> bool:
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() < _RIGHT_ANGLE)
