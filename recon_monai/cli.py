"""The command line: `recon-monai COMMAND`, also `python -m recon_monai COMMAND`."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Sequence

__all__ = ["main", "prepare", "tune_cg_sense"]

logger = logging.getLogger(__name__)

# What bad input and settings raise; anything else is a defect and keeps its traceback.
_USER_ERRORS = (ValueError, OSError, ImportError)


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
    size = _voxel_size(voxel_size)
    logger.info("%d input file(s), taken as %s", len(paths), kind)
    if kind == "volumes":
        sources = parts.volume_sources(paths, naming, settings, plane=plane, frame=frame)
    elif kind == "images":
        sources = parts.image_sources(
            paths, naming, settings, voxel_size=size, image_key=image_key, subject_key=subject_key
        )
    else:
        raw = parts.RawSettings(_words(axes), domain, readout_oversampling, target, size)
        sources = parts.raw_sources(paths, naming, raw, key=image_key)
    description = parts.Description(str(anatomy), str(acquisition), str(credit))
    parts.write_sources(
        sources, str(output), description, split=split, fractions=fractions, seed=seed, overwrite=overwrite
    )


def tune_cg_sense(
    dataset_dir: str,
    output: str,
    accelerations: float | Sequence[float] = (4, 8),
    center_fractions: float | Sequence[float] = (0.08, 0.04),
    mask: str = "equispaced_fraction",
    max_slices: int | None = None,
) -> None:
    """Choose coil maps, weight and iterations of the CG-SENSE baseline on the validation files of a data set.

    Example:
        recon-monai tune_cg_sense data --output cg_sense_tuning.json --max_slices 6

    Args:
        dataset_dir: a data set with a validation split; its test files are not read.
        output: JSON file that gets the best setting per acceleration and the table of all that were tried.
        accelerations: nominal accelerations, for example 4,8 or 4.
        center_fractions: fraction of calibration lines for each of them.
        mask: random, equispaced or equispaced_fraction.
        max_slices: use this many central slices of each volume.
    """
    from recon_monai.data.prepare.checks import check_integer
    from recon_monai.evaluation import tune_on_validation

    if max_slices is not None:
        check_integer("max_slices", max_slices, 1)
    factors = _numbers("accelerations", accelerations, "4,8")
    centers = _numbers("center_fractions", center_fractions, "0.08,0.04")
    if len(factors) != len(centers):
        raise ValueError(
            f"accelerations are {_joined(factors)} and center_fractions {_joined(centers)}, "
            "expected one center fraction for each acceleration, for example 4,8 and 0.08,0.04"
        )
    if not all(factor >= 1 and factor == int(factor) for factor in factors):
        raise ValueError(f"accelerations are {_joined(factors)}, expected whole numbers of at least 1, for example 4,8")
    tune_on_validation(str(dataset_dir), str(output), [int(factor) for factor in factors], centers, mask, max_slices)


def _joined(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)


def _numbers(name: str, value: float | Sequence[float], example: str) -> list[float]:
    """Numbers separated by commas; fire gives a single one as itself."""
    words = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    try:
        numbers = [float(word) for word in words]
    except (TypeError, ValueError):
        numbers = []
    if not numbers or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{name} is {value!r}, expected numbers separated by commas, for example {example}")
    return numbers


def _words(value: str | Sequence[str]) -> list[str]:
    """Words separated by commas; fire has already split some of them."""
    parts = value.split(",") if isinstance(value, str) else value
    return [str(part).strip() for part in parts]


def _voxel_size(value: Sequence[float] | None) -> tuple[float, float, float]:
    if value is None:
        return math.nan, math.nan, math.nan
    try:
        sizes = [float(size) for size in value] if isinstance(value, Sequence) and not isinstance(value, str) else []
    except (TypeError, ValueError):
        sizes = []
    if len(sizes) != 3 or not all(size > 0 or math.isnan(size) for size in sizes):
        raise ValueError(f"voxel_size is {value!r}, expected three lengths in mm (row, column, slice): 1.4,1.4,8")
    return sizes[0], sizes[1], sizes[2]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; bad input ends with one sentence and exit status 1.

    Args:
        arguments: words after the program's name; None takes them from the command line.
    """
    import fire

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        fire.Fire(
            {"prepare": prepare, "tune_cg_sense": tune_cg_sense},
            command=None if arguments is None else list(arguments),
            name="recon-monai",
        )
    except _USER_ERRORS as error:
        logger.debug("traceback", exc_info=True)
        logger.error("error: %s", error)
        sys.exit(1)
