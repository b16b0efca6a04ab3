"""`recon-monai prepare`: volumes, images and raw arrays into a data set of fastMRI files."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from recon_monai.commands.values import voxel_size_of, words_of

__all__ = ["prepare"]

logger = logging.getLogger(__name__)


def prepare(
    *inputs: str,
    output: str,
    anatomy: str,
    acquisition: str = "unknown",
    kind: str = "auto",
    plane: str = "axial",
    frame: int | None = None,
    matrix: int | None = None,
    coils: int = 6,
    noise: float = 0.01,
    readout_oversampling: int = 1,
    slice_step: int = 1,
    max_slices: int | None = None,
    min_foreground: float = 0.05,
    axes: str | Sequence[str] = "coil,phase,readout",
    domain: str = "kspace",
    target: str = "auto",
    voxel_size: Sequence[float] | None = None,
    image_key: str = "image",
    subject_key: str = "subject",
    subject: str | None = None,
    subject_regex: str | None = None,
    prefix: str | None = None,
    credit: str = "not stated",
    split: str | None = None,
    fractions: Sequence[float] = (0.7, 0.15, 0.15),
    seed: int = 0,
    overwrite: bool = False,
) -> None:
    """Turn NIfTI volumes, numpy images or raw k-space arrays into a data set of fastMRI files, split by subject.

    Writes OUTPUT/*.h5 (one file per volume, subject or raw array) and OUTPUT/split.json. Further calls with the same
    OUTPUT extend the split; subjects keep their place. Volumes and images are magnitudes: their multi-coil k-space is
    simulated (coil maps, smooth phase, correlated noise; the same on every run) and marked so. Raw arrays are taken
    over unchanged and marked as measured.

    Examples:
        recon-monai prepare 'brains/sub-*_T1w.nii.gz' --output data --anatomy brain --acquisition AXT1 --matrix 160
        recon-monai prepare hearts.npz --output data --anatomy heart --acquisition CINE --matrix 144
        recon-monai prepare kspace.npy --output test --anatomy brain --axes coil,phase,readout --split test

    Args:
        inputs: files, folders or quoted patterns: .nii, .nii.gz, .npz, .npy; one kind per call.
        output: folder of the data set; made if needed.
        anatomy: written into every file, for example brain, knee, heart, phantom.
        acquisition: contrast, for example AXT1, AXT2, AXFLAIR.
        kind: volumes (NIfTI), images (real arrays (N, H, W)), raw (complex arrays), or auto.
        plane: of NIfTI volumes: axial, coronal, sagittal (after reorientation to RAS+) or native (order of the file).
        frame: which volume of a 4-D NIfTI file.
        matrix: cut k-space so that the longer axis has at most this many points.
        coils: number of simulated coils.
        noise: noise of a simulated coil image (standard deviation of real and imaginary part), relative to the 99th
            percentile of the volume.
        readout_oversampling: of the simulated k-space, or of the raw array (the target is cropped by it).
        slice_step: take every so many slices of volumes and images.
        max_slices: at most so many slices of each volume, from its middle.
        min_foreground: drop slices with a smaller fraction of pixels above a tenth of the 99th percentile.
        axes: names of the axes of raw arrays: coil, slice, readout, phase.
        domain: of raw arrays: kspace, or image for complex coil images.
        target: of raw arrays: auto (root sum of squares if fully sampled), rss or none.
        voxel_size: distances of rows, columns and slices in mm of images and raw arrays, for example 1.4,1.4,8.
        image_key: name of the array in .npz files.
        subject_key: name of the array with one subject per image in .npz files.
        subject: subject of all inputs; else sub-XX in the file name, else the file name.
        subject_regex: regular expression that finds the subject in the file name (its first group).
        prefix: put before file names and subjects, to keep data sets with like names apart.
        credit: public source of the data, written into every file.
        split: train, val or test for everything in this call.
        fractions: shares of the subjects for train, val, test.
        seed: of the simulation and the split.
        overwrite: replace files that exist.
    """
    # torch and the readers take seconds to import, which --help need not wait for
    from recon_monai.data import prepare as parts

    if kind not in ("auto", *parts.KINDS):
        raise ValueError(f"kind is {kind!r}, expected auto, {', '.join(parts.KINDS)}")
    paths = parts.expand_inputs(inputs)
    kind = parts.find_kind(paths) if kind == "auto" else kind
    if not isinstance(overwrite, bool):
        raise ValueError(f"overwrite is {overwrite!r}, expected --overwrite without a value, or True or False")
    naming = parts.Naming(*(None if x is None else str(x) for x in (subject, subject_regex, prefix)))
    settings = parts.SimulationSettings(
        coils, noise, matrix, readout_oversampling, slice_step, max_slices, min_foreground, seed
    )
    size = voxel_size_of(voxel_size)
    logger.info("%d input file(s), taken as %s", len(paths), kind)
    if kind == "volumes":
        sources = parts.volume_sources(paths, naming, settings, plane=plane, frame=frame)
    elif kind == "images":
        sources = parts.image_sources(
            paths, naming, settings, voxel_size=size, image_key=image_key, subject_key=subject_key
        )
    else:
        raw = parts.RawSettings(words_of(axes), domain, readout_oversampling, target, size)
        sources = parts.raw_sources(paths, naming, raw, key=image_key)
    description = parts.Description(str(anatomy), str(acquisition), str(credit))
    parts.write_sources(
        sources, str(output), description, split=split, fractions=fractions, seed=seed, overwrite=overwrite
    )
