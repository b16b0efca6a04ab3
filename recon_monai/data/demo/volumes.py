"""The built-in set of volumes: made-up heads in three dimensions and one real brain, for super-resolution."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from recon_monai import RESEARCH_NOTICE
from recon_monai.data.cache import cache_dir
from recon_monai.data.demo.contrast import BRAIN_ACQUISITIONS, draw_contrast
from recon_monai.data.demo.fields import random_deformation
from recon_monai.data.demo.head import draw_head
from recon_monai.data.demo.lesions import draw_lesions
from recon_monai.data.demo.once import made_once
from recon_monai.data.demo.template import load_template
from recon_monai.data.prepare.volumes import open_nifti
from recon_monai.data.splits import SPLITS, write_assignment
from recon_monai.data.writers import atomic_path
from recon_monai.physics import Grid, keyed_generator, keyed_seed, resample_to_grid, truncate_spectrum

__all__ = ["DemoVolumeRecipe", "draw_head_volume", "ensure_demo_volumes"]


_VERSION = 1  # counts changes that the fields of the recipe do not show
_OVERDRAW = 1.5
_CENTER_MM = (0.0, -11.0, 4.0)  # of a head, in the coordinates of the template
_STORED_MAXIMUM = 2500.0  # 12-bit integers, as scanners store them: this is what white matter comes to
_REAL_NAME = "nibabel-example4d"
_REAL_FILE = "example4d.nii.gz"


@dataclass(frozen=True)
class DemoVolumeRecipe:
    """Size of the built-in set of volumes; another recipe makes another folder.

    Args:
        heads: made-up heads for training, validation and test.
        shape: voxels towards right, anterior and superior.
        spacing: size of a voxel in mm.
        acquisitions: contrasts, which take turns.
        noise: standard deviation of real and imaginary part, relative to white matter of a T1-weighted scan.
        real: whether nibabel's real brain is among the test volumes.
        seed: another seed draws other heads.
    """

    heads: tuple[int, int, int] = (3, 1, 1)
    shape: tuple[int, int, int] = (104, 128, 104)
    spacing: float = 1.6
    acquisitions: tuple[str, ...] = ("AXT1",)
    noise: float = 0.01
    real: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.acquisitions if name not in BRAIN_ACQUISITIONS]
        if unknown or not self.acquisitions:
            raise ValueError(f"acquisitions are {self.acquisitions}, expected some of {', '.join(BRAIN_ACQUISITIONS)}")

    @property
    def key(self) -> str:
        """Short hash of everything that decides the content."""
        return hashlib.sha256(f"volumes {_VERSION} {self!r}".encode()).hexdigest()[:12]

    @property
    def grid(self) -> Grid:
        """Voxels of the made-up heads."""
        affine = np.diag([*([self.spacing] * 3), 1.0])
        affine[:3, 3] = np.subtract(_CENTER_MM, self.spacing * (np.array(self.shape) - 1) / 2)
        return Grid(self.shape, torch.from_numpy(affine))


def ensure_demo_volumes(root: str | Path | None = None, *, recipe: DemoVolumeRecipe | None = None) -> str:
    """Folder of the built-in set of volumes, which is made on first use (a minute or two, no download).

    It holds NIfTI files and ``split.json``: made-up whole heads (ICBM152 template, randomly deformed; contrast, folds,
    skull and scalp drawn anew for each, band-limited to their voxels, with receiver noise) for training, validation
    and test, and as a further test subject a real brain, the first frame of `example4d` of nibabel, with its oblique
    affine. The set is for trying things out and for tests of software; numbers measured on it say nothing about
    patients.

    Processes that call this at the same time are safe: each makes the set in a folder of its own, and the first to
    finish moves it to its place.

    Args:
        root: folder under which the set is kept; the cache folder by default.
        recipe: size of the set.

    Returns:
        Path of the folder, fit for `recon_monai.data.VolumeDataset`.

    Raises:
        ImportError: if nilearn is missing and the set has to be made.
    """
    recipe = recipe or DemoVolumeRecipe()
    parent = Path(root) if root is not None else cache_dir()
    return made_once(parent / f"built_in_volumes-{recipe.key}", partial(_make, recipe=recipe), "built-in volumes")


def draw_head_volume(recipe: DemoVolumeRecipe, name: str, acquisition: str) -> NDArray[np.float32]:
    """Draw one made-up head, without noise.

    It is drawn on a finer grid and its k-space cut to the voxels, so that it is full up to its edge.

    Args:
        recipe: size and seed.
        name: of the subject; another name draws another head.
        acquisition: contrast.

    Returns:
        Magnitude of the shape of the recipe, white matter of a T1-weighted scan near 0.9.
    """
    rng = np.random.default_rng(keyed_seed("built-in volume", recipe.seed, name))
    template, contrast = load_template(), draw_contrast(acquisition, rng)
    deformation, lesions = random_deformation(rng), draw_lesions(template, rng)
    fine = recipe.grid.refined(_OVERDRAW)
    axes = [
        np.float32(float(fine.affine[axis, 3])) + np.float32(fine.spacing[axis]) * np.arange(size, dtype=np.float32)
        for axis, size in enumerate(fine.shape)
    ]
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    drawn = draw_head(
        template, deformation, contrast, points=points, pixel_mm=fine.spacing[0], rng=rng, lesions=lesions
    )
    limited = truncate_spectrum(torch.from_numpy(drawn.image), recipe.shape)
    return resample_to_grid(limited, fine, recipe.grid, "fourier").abs().numpy()


def _make(folder: Path, recipe: DemoVolumeRecipe) -> None:
    folder.mkdir(parents=True)
    parts: dict[str, str] = {}
    subjects = [part for part, count in zip(SPLITS, recipe.heads, strict=True) for _ in range(count)]
    for index, part in enumerate(tqdm(subjects, desc="built-in volumes", unit="head", disable=None)):
        name, acquisition = f"head-{index + 1:02d}", recipe.acquisitions[index % len(recipe.acquisitions)]
        clean = torch.from_numpy(draw_head_volume(recipe, name, acquisition))
        generator = keyed_generator("built-in volume", recipe.seed, name, "noise")
        real, imaginary = (recipe.noise * torch.randn(clean.shape, generator=generator) for _ in range(2))
        stored = (torch.hypot(clean + real, imaginary) * _STORED_MAXIMUM).round().clamp(max=32767)
        file = f"{name}_{acquisition}.nii.gz"
        _save(folder / file, stored.numpy().astype(np.int16), recipe.grid.affine.numpy())
        parts[file] = part
    if recipe.real:
        image = open_nifti(Path(nibabel.__file__).parent / "tests" / "data" / _REAL_FILE, frame=0)
        _save(folder / f"{_REAL_NAME}.nii.gz", np.asarray(image.dataobj), image.affine)
        parts[f"{_REAL_NAME}.nii.gz"] = "test"
    write_assignment(folder, (parts, {name: name.split("_")[0].split(".")[0] for name in parts}), seed=recipe.seed)


def _save(path: Path, values: NDArray, affine: NDArray[np.float64]) -> None:
    image = nibabel.Nifti1Image(values, affine)
    image.header["descrip"] = RESEARCH_NOTICE
    image.header.set_xyzt_units("mm")
    with atomic_path(path) as temporary:
        nibabel.save(image, temporary)
