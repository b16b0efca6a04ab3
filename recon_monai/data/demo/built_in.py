"""Make the built-in demo set on first use and find it again afterwards."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import torch
from tqdm import tqdm

from recon_monai.data.cache import cache_dir
from recon_monai.data.demo.contrast import ACQUISITIONS, draw_contrast
from recon_monai.data.demo.fields import random_deformation, receive_shading
from recon_monai.data.demo.head import draw_slice
from recon_monai.data.demo.template import load_template
from recon_monai.data.prepare import (
    Acquisition,
    Description,
    ImageVolume,
    SimulationSettings,
    Source,
    read_volume,
    simulate_acquisition,
    write_sources,
)
from recon_monai.data.splits import SPLIT_FILE, SPLITS
from recon_monai.physics import center_crop_or_pad, keyed_seed

__all__ = ["DemoRecipe", "built_in_dataset"]

logger = logging.getLogger(__name__)

# Counts changes of the recipe that its fields do not show (drawing, simulation, layout of the files).
_VERSION = 2
_OVERDRAW = 2
_REAL_NAME = "nibabel-example4d"
_REAL_FILE = "example4d.nii.gz"
_TEMPLATE_CREDIT = (
    "made-up heads: ICBM152 2009a nonlinear symmetric template (Fonov et al. 2009, 2011; "
    "https://nist.mni.mcgill.ca/icbm-152-nonlinear-atlases-2009/), as shipped with nilearn (https://nilearn.github.io)"
)
_REAL_CREDIT = "example4d.nii.gz of nibabel's test data (https://github.com/nipy/nibabel)"


@dataclass(frozen=True)
class DemoRecipe:
    """Size of the demo set; another recipe makes another folder.

    Args:
        subjects: made-up subjects for training, validation and test; contrasts take turns.
        slices: axial slices per made-up subject.
        shape: matrix `(H, W)`.
        pixel_mm: size of a pixel in mm.
        coils: number of receiver coils.
        noise: see `SimulationSettings`.
        heights: lowest and highest slice in mm (MNI coordinates).
        real_slice_step: every how many slices one of the real volume is taken.
        seed: another seed draws other heads.
    """

    subjects: tuple[int, int, int] = (10, 2, 3)
    slices: int = 11
    shape: tuple[int, int] = (128, 112)
    pixel_mm: float = 1.75
    coils: int = 5
    noise: float = 0.01
    heights: tuple[float, float] = (-34.0, 64.0)
    real_slice_step: int = 2
    seed: int = 0

    @property
    def key(self) -> str:
        """Short hash of everything that decides the content."""
        return hashlib.sha256(f"{_VERSION} {self!r}".encode()).hexdigest()[:12]


def built_in_dataset(root: str | Path | None = None, *, recipe: DemoRecipe | None = None) -> str:
    """Folder of the built-in demo set, which is made on first use (well under a minute, no download).

    It holds simulated multi-coil brain acquisitions in fastMRI files, split by subject: made-up heads (ICBM152
    template, randomly deformed; contrast, folds, skull and scalp drawn anew for every subject) for training, validation
    and test, and as a further test subject a real brain, the volume `example4d` of nibabel. The set is for trying
    things out and for tests of software; numbers measured on it say nothing about patients.

    Processes that call this at the same time are safe: each makes the set in a folder of its own, and the first to
    finish moves it to its place.

    Args:
        root: folder under which the set is kept; the cache folder by default.
        recipe: size of the set.

    Returns:
        Path of the folder, fit as `dataset_dir`.

    Raises:
        ImportError: if nilearn is missing and the set has to be made.
    """
    recipe = recipe or DemoRecipe()
    parent = Path(root) if root is not None else cache_dir()
    folder = parent / f"built_in-{recipe.key}"
    if (folder / SPLIT_FILE).exists():
        return str(folder)
    parent.mkdir(parents=True, exist_ok=True)
    temporary = parent / f".{folder.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    logger.info("making the built-in demo set in %s (once)", folder)
    start = time.monotonic()
    try:
        _make(temporary, recipe)
        _move(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    logger.info("made the built-in demo set in %.0f s", time.monotonic() - start)
    return str(folder)


def _move(temporary: Path, folder: Path) -> None:
    """Rename a finished set; another process may have been faster with the same content."""
    try:
        temporary.rename(folder)
    except OSError:
        if not (folder / SPLIT_FILE).exists():
            raise


def _make(folder: Path, recipe: DemoRecipe) -> None:
    jobs = list(_made_up(recipe))
    real = Source(_REAL_NAME, _REAL_NAME, _REAL_FILE, partial(_real_acquisition, recipe))
    jobs.append(("test", Description("brain", "AXEPI", _REAL_CREDIT), real))
    for split, description, source in tqdm(jobs, desc="built-in demo set", unit="file", disable=None):
        write_sources([source], folder, description, split=split, seed=recipe.seed, log_level=logging.DEBUG)


def _made_up(recipe: DemoRecipe) -> Iterator[tuple[str, Description, Source]]:
    number = 0
    for split, count in zip(SPLITS, recipe.subjects, strict=True):
        for index in range(count):
            number += 1
            acquisition = ACQUISITIONS[index % len(ACQUISITIONS)]
            subject = f"demo-{number:02d}"
            name = f"{subject}_{acquisition}"
            load = partial(_made_up_acquisition, recipe, name, acquisition)
            yield split, Description("brain", acquisition, _TEMPLATE_CREDIT), Source(name, subject, "template", load)


def _made_up_acquisition(recipe: DemoRecipe, name: str, acquisition: str) -> Acquisition:
    """Draw a head at twice the resolution and simulate it, k-space cut to the recipe's matrix."""
    rng = np.random.default_rng(keyed_seed("built-in", recipe.seed, name))
    template, deformation = load_template(), random_deformation(rng)
    contrast = draw_contrast(acquisition, rng)
    shape = recipe.shape[0] * _OVERDRAW, recipe.shape[1] * _OVERDRAW
    pixel_mm = recipe.pixel_mm / _OVERDRAW
    heights = np.linspace(*recipe.heights, recipe.slices) if recipe.slices > 1 else [sum(recipe.heights) / 2]
    slices = [
        draw_slice(template, deformation, contrast, shape=shape, pixel_mm=pixel_mm, z=float(z), rng=rng)
        for z in heights
    ]
    spacing = (recipe.heights[1] - recipe.heights[0]) / max(recipe.slices - 1, 1)
    images = np.stack(slices) * receive_shading(rng, shape)
    volume = ImageVolume(name, images, (pixel_mm, pixel_mm, spacing))
    return simulate_acquisition(volume, _settings(recipe))


def _real_acquisition(recipe: DemoRecipe) -> Acquisition:
    """The real volume, brought to the recipe's matrix by cropping and padding."""
    path = Path(nibabel.__file__).parent / "tests" / "data" / _REAL_FILE
    volume = read_volume(path, name=_REAL_NAME, plane="axial", frame=0)
    images = center_crop_or_pad(torch.from_numpy(volume.images), recipe.shape).numpy()
    settings = _settings(recipe, slice_step=recipe.real_slice_step)
    return simulate_acquisition(ImageVolume(volume.name, images, volume.voxel_size), settings)


def _settings(recipe: DemoRecipe, slice_step: int = 1) -> SimulationSettings:
    return SimulationSettings(
        coils=recipe.coils,
        noise=recipe.noise,
        matrix=max(recipe.shape),
        slice_step=slice_step,
        min_foreground=0.0,
        seed=recipe.seed,
    )
