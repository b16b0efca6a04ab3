"""Make the built-in demo set on first use and find it again afterwards."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import nibabel
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from recon_monai.data.cache import cache_dir
from recon_monai.data.demo.contrast import draw_contrast
from recon_monai.data.demo.fields import random_deformation, receive_shading
from recon_monai.data.demo.head import draw_head_slice
from recon_monai.data.demo.knee import draw_knee_slice
from recon_monai.data.demo.knee_anatomy import random_knee
from recon_monai.data.demo.lesions import draw_lesions
from recon_monai.data.demo.once import made_once
from recon_monai.data.demo.painting import DrawnSlice
from recon_monai.data.demo.recipe import DemoRecipe, DemoSubject, Protocol
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
from recon_monai.physics import center_crop_or_pad, fft2c, ifft2c, keyed_seed, truncate_kspace

__all__ = ["built_in_dataset", "draw_subject"]


_OVERDRAW = 2
_FAT_SUPPRESSED_NOISE = 1.5
_REAL_NAME = "nibabel-example4d"
_REAL_FILE = "example4d.nii.gz"
_CREDITS = {
    "brain": "made-up heads: ICBM152 2009a nonlinear symmetric template (Fonov et al. 2009, 2011; "
    "https://nist.mni.mcgill.ca/icbm-152-nonlinear-atlases-2009/), as shipped with nilearn (https://nilearn.github.io)",
    "knee": "made-up knees: procedural phantom of recon_monai, without template or measured data",
}
_REAL_CREDIT = "example4d.nii.gz of nibabel's test data (https://github.com/nipy/nibabel)"


def built_in_dataset(root: str | Path | None = None, *, recipe: DemoRecipe | None = None) -> str:
    """Folder of the built-in demo set, which is made on first use (well under a minute, no download).

    It holds simulated multi-coil acquisitions in fastMRI files, split by subject: made-up heads (ICBM152 template,
    randomly deformed; contrast, folds, skull and scalp drawn anew for every subject, small lesions in some) and
    made-up knees (procedural phantom; a torn meniscus and marrow edema in some) for training, validation and test,
    and as a further test subject a real brain, the volume `example4d` of nibabel. The files of made-up subjects hold
    one more data set, `lesion_mask` `(slices, h, w)` uint8, 1 where a lesion takes more than half of the pixel. The
    set is for trying things out and for tests of software; numbers measured on it say nothing about patients.

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
    return made_once(parent / f"built_in-{recipe.key}", partial(_make, recipe=recipe), "built-in demo set")


def draw_subject(recipe: DemoRecipe, subject: DemoSubject) -> list[DrawnSlice]:
    """Draw all slices of a made-up subject at twice the resolution of its scan, without receiver shading.

    Args:
        recipe: positions of the slices and seed.
        subject: one of `recipe.subjects()`.

    Returns:
        The slices, from inferior to superior (brain) or from anterior to posterior (knee).
    """
    rng = np.random.default_rng(_seed(recipe, subject))
    contrast = draw_contrast(subject.acquisition, rng)
    shape, pixel_mm = _fine(subject.protocol)
    # every slice has a source of randomness of its own, so that it does not depend on how many there are
    if subject.anatomy == "brain":
        template, deformation = load_template(), random_deformation(rng)
        lesions = draw_lesions(template, rng) if subject.lesions else ()
        return [
            draw_head_slice(
                template,
                deformation,
                contrast,
                shape=shape,
                pixel_mm=pixel_mm,
                z=position,
                rng=np.random.default_rng(_seed(recipe, subject, index)),
                lesions=lesions,
            )
            for index, position in enumerate(_positions(recipe.heights, recipe.slices))
        ]
    knee = random_knee(rng, lesions=subject.lesions)
    return [
        draw_knee_slice(
            knee,
            contrast,
            shape=shape,
            pixel_mm=pixel_mm,
            y=position,
            rng=np.random.default_rng(_seed(recipe, subject, index)),
        )
        for index, position in enumerate(_positions(recipe.depths, recipe.slices))
    ]


def _seed(recipe: DemoRecipe, subject: DemoSubject, *key: int) -> int:
    return keyed_seed("built-in", recipe.seed, subject.name, *key)


def _fine(protocol: Protocol) -> tuple[tuple[int, int], float]:
    height, width = protocol.shape
    return (height * _OVERDRAW, width * _OVERDRAW), protocol.pixel_mm / _OVERDRAW


def _positions(limits: tuple[float, float], slices: int) -> list[float]:
    return [float(z) for z in np.linspace(*limits, slices)] if slices > 1 else [sum(limits) / 2]


def _make(folder: Path, recipe: DemoRecipe) -> None:
    for subject in tqdm(list(recipe.subjects()), desc="built-in demo set", unit="file", disable=None):
        _make_subject(folder, recipe, subject)
    real = Source(_REAL_NAME, _REAL_NAME, _REAL_FILE, partial(_real_acquisition, recipe))
    _write(folder, recipe, "test", Description("brain", "AXEPI", _REAL_CREDIT), real)


def _make_subject(folder: Path, recipe: DemoRecipe, subject: DemoSubject) -> None:
    name = f"{subject.name}_{subject.acquisition}"
    drawn = draw_subject(recipe, subject)
    shape, _ = _fine(subject.protocol)
    shading = receive_shading(np.random.default_rng(_seed(recipe, subject, -1)), shape)
    images = np.stack([drawn_slice.image for drawn_slice in drawn]) * shading
    load = partial(_simulate, recipe, subject, name, _reduce(images, subject.protocol.shape))
    description = Description(subject.anatomy, subject.acquisition, _CREDITS[subject.anatomy])
    _write(folder, recipe, subject.split, description, Source(name, subject.name, "drawn", load))
    lesions = _reduce(np.stack([drawn_slice.lesion for drawn_slice in drawn]), subject.protocol.shape) > 0.5
    with h5py.File(folder / f"{name}.h5", "a") as file:
        file.create_dataset("lesion_mask", data=lesions.astype(np.uint8), chunks=(1, *lesions.shape[1:]))


def _write(folder: Path, recipe: DemoRecipe, split: str, description: Description, source: Source) -> None:
    write_sources([source], folder, description, split=split, seed=recipe.seed, log_level=logging.DEBUG)


def _reduce(images: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Cut the k-space of drawn images to the matrix of the scan, so that it is full up to its edge."""
    kspace = fft2c(torch.from_numpy(images).to(torch.complex64))
    return ifft2c(truncate_kspace(kspace, shape)).abs().numpy()


def _simulate(recipe: DemoRecipe, subject: DemoSubject, name: str, images: NDArray[np.float32]) -> Acquisition:
    noise = recipe.noise * (_FAT_SUPPRESSED_NOISE if "FS" in subject.acquisition else 1.0)
    protocol = subject.protocol
    limits = recipe.heights if subject.anatomy == "brain" else recipe.depths
    spacing = abs(limits[1] - limits[0]) / max(recipe.slices - 1, 1)
    volume = ImageVolume(name, images, (protocol.pixel_mm, protocol.pixel_mm, spacing))
    acquisition = simulate_acquisition(volume, _settings(recipe, protocol.coils, noise))
    return replace(acquisition, attributes={**acquisition.attributes, "lesions": subject.lesions})


def _real_acquisition(recipe: DemoRecipe) -> Acquisition:
    """The real volume, brought to the matrix of the first brain protocol by cropping and padding, then reduced."""
    path = Path(nibabel.__file__).parent / "tests" / "data" / _REAL_FILE
    protocol = recipe.brain_protocols[0]
    volume = read_volume(path, name=_REAL_NAME, plane="axial", frame=0)
    images = center_crop_or_pad(torch.from_numpy(volume.images), protocol.shape).numpy()
    settings = _settings(recipe, protocol.coils, recipe.noise, slice_step=recipe.real_slice_step)
    return simulate_acquisition(ImageVolume(volume.name, images, volume.voxel_size), settings)


def _settings(recipe: DemoRecipe, coils: int, noise: float, slice_step: int = 1) -> SimulationSettings:
    return SimulationSettings(coils=coils, noise=noise, slice_step=slice_step, min_foreground=0.0, seed=recipe.seed)
