"""`recon-monai prepare`: volumes, DICOM series, images and raw arrays into a data set of fastMRI files."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from recon_monai.commands.values import voxel_size_of, words_of

if TYPE_CHECKING:
    from recon_monai.data.prepare import MeasuredCoils

__all__ = ["prepare"]

logger = logging.getLogger(__name__)

_COILS = 6


def prepare(
    *inputs: str,
    output: str,
    anatomy: str,
    acquisition: str = "unknown",
    kind: str = "auto",
    plane: str = "axial",
    frame: int | None = None,
    series: str | None = None,
    matrix: int | None = None,
    coils: int | None = None,
    noise: float = 0.01,
    readout_oversampling: int = 1,
    slice_step: int = 1,
    max_slices: int | None = None,
    min_foreground: float = 0.05,
    axes: str | Sequence[str] = "coil,phase,readout",
    domain: str = "kspace",
    target: str = "auto",
    prewhiten: bool = False,
    compress_coils: int | None = None,
    compression: str = "svd",
    calibration_scan: str | None = None,
    noise_scan: str | None = None,
    coil_maps: str | None = None,
    calibration_axes: str | Sequence[str] | None = None,
    calibration_oversampling: int = 1,
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
    """Turn NIfTI volumes, DICOM series, numpy images or raw k-space arrays into fastMRI files, split by subject.

    Writes OUTPUT/*.h5 (one file per volume, series, subject or raw array) and OUTPUT/split.json. Further calls with the
    same OUTPUT extend the split; subjects keep their place. Volumes, DICOM series and images are magnitudes: their
    multi-coil k-space is simulated (coil maps, smooth phase, correlated noise; the same on every run) and marked so;
    raw data cannot be got back from them. Raw arrays are marked as measured and taken over unchanged, unless
    --prewhiten or --compress_coils asks for it.

    Examples:
        recon-monai prepare 'brains/sub-*_T1w.nii.gz' --output data --anatomy brain --acquisition AXT1 --matrix 160
        recon-monai prepare hearts.npz --output data --anatomy heart --acquisition CINE --matrix 144
        recon-monai prepare exports/patient1 --output data --anatomy knee --plane native --series 'PD.*sag'
        recon-monai prepare kspace.npy --output test --anatomy brain --axes coil,phase,readout --split test
        recon-monai prepare raw.npy --output out --anatomy brain --noise_scan noise.npy --prewhiten --compress_coils 8
        recon-monai prepare 'brains/*.nii.gz' --output data --anatomy brain --calibration_scan phantom.npy

    Args:
        inputs: files, folders or quoted patterns: .nii, .nii.gz, .npz, .npy, DICOM; one kind per call.
        output: folder of the data set; made if needed.
        anatomy: written into every file, for example brain, knee, heart, phantom.
        acquisition: contrast, for example AXT1, AXT2, AXFLAIR.
        kind: volumes (NIfTI), dicom, images (real arrays (N, H, W)), raw (complex arrays), or auto.
        plane: of volumes and DICOM series: axial, coronal, sagittal (after reorientation to RAS+) or native (slices as
            they are in the file or were acquired).
        frame: which volume of a 4-D NIfTI file, image of each position of a DICOM series, or frame of a raw array.
        series: regular expression that chooses DICOM series by their description.
        matrix: cut k-space so that the longer axis has at most this many points.
        coils: number of simulated coils; 6, or as many as were measured.
        noise: noise of a simulated coil image (standard deviation of real and imaginary part), relative to the 99th
            percentile of the volume.
        readout_oversampling: of the simulated k-space, or of the raw array (the target is cropped by it).
        slice_step: take every so many slices of volumes and images.
        max_slices: at most so many slices of each volume, from its middle.
        min_foreground: drop slices with a smaller fraction of pixels above a tenth of the 99th percentile.
        axes: names of the axes of raw arrays: readout, phase, coil, slice, average, frame, complex.
        domain: of raw arrays: kspace, or image for complex coil images.
        target: of raw arrays: auto (root sum of squares if fully sampled), rss or none.
        prewhiten: make the noise of raw arrays white, by the noise of noise_scan or calibration_scan.
        compress_coils: number of virtual coils that raw arrays are compressed to.
        compression: svd (one matrix per file) or gcc (one for each readout position).
        calibration_scan: raw k-space of a homogeneous phantom: its coil maps and noise are used for the simulation.
        noise_scan: raw k-space without signal, for the noise covariance.
        coil_maps: complex array (coil, rows, columns) of coil maps for the simulation, in place of a calibration scan.
        calibration_axes: axes of calibration_scan and noise_scan, if they differ from axes.
        calibration_oversampling: readout oversampling of calibration_scan.
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
    paths = parts.expand_inputs(inputs, kind)
    kind = parts.find_kind(paths) if kind == "auto" else kind
    for name, flag in (("overwrite", overwrite), ("prewhiten", prewhiten)):
        if not isinstance(flag, bool):
            raise ValueError(f"{name} is {flag!r}, expected --{name} without a value, or True or False")
    processing = parts.RawProcessing(compress_coils=compress_coils, compression=compression)
    scans = {"calibration_scan": calibration_scan, "noise_scan": noise_scan, "coil_maps": coil_maps}
    given = {name: str(file) for name, file in scans.items() if file is not None}
    _check_use(kind, list(given), prewhiten, compress_coils, series)
    layout = words_of(axes if calibration_axes is None else calibration_axes)
    measured = _measured(given, layout, calibration_oversampling, image_key, kind) if given else None
    naming = parts.Naming(*(None if x is None else str(x) for x in (subject, subject_regex, prefix)))
    settings = parts.SimulationSettings(
        _number_of_coils(coils, measured),
        noise,
        matrix,
        readout_oversampling,
        slice_step,
        max_slices,
        min_foreground,
        seed,
    )
    size = voxel_size_of(voxel_size)
    logger.info("%d input file(s), taken as %s", len(paths), kind)
    if kind == "volumes":
        sources = parts.volume_sources(paths, naming, settings, plane=plane, frame=frame, measured=measured)
    elif kind == "dicom":
        sources = parts.dicom_sources(
            paths, naming, settings, plane=plane, frame=frame, series=series, measured=measured
        )
    elif kind == "images":
        keys = {"image_key": image_key, "subject_key": subject_key}
        sources = parts.image_sources(paths, naming, settings, voxel_size=size, **keys, measured=measured)
    else:
        raw = parts.RawSettings(words_of(axes), domain, readout_oversampling, target, size, frame)
        if measured is not None:
            origin = measured.attributes["noise_covariance"]
            processing = replace(processing, covariance=measured.covariance, covariance_from=origin)
        sources = parts.raw_sources(paths, naming, raw, key=image_key, processing=processing)
    description = parts.Description(str(anatomy), str(acquisition), str(credit))
    parts.write_sources(
        sources, str(output), description, split=split, fractions=fractions, seed=seed, overwrite=overwrite
    )


def _check_use(
    kind: str, scans: Sequence[str], prewhiten: bool, compress_coils: int | None, series: str | None
) -> None:
    """Refuse settings that nothing would use, so that nobody thinks they had an effect."""
    if series is not None and kind != "dicom":
        raise ValueError(f"--series chooses among DICOM series, but the inputs are {kind}; leave it out")
    if kind != "raw":
        if prewhiten or compress_coils is not None:
            name = "prewhiten" if prewhiten else "compress_coils"
            raise ValueError(f"--{name} is for raw arrays, but the inputs are {kind}; leave it out")
        return
    if "coil_maps" in scans:
        raise ValueError("--coil_maps is for simulated k-space, but the inputs are raw; leave it out")
    if prewhiten and not scans:
        raise ValueError("--prewhiten needs the noise: give --noise_scan FILE or --calibration_scan FILE")
    if scans and not prewhiten:
        raise ValueError(f"--{scans[0]} has no use for raw arrays without --prewhiten; give both or neither")


def _measured(scans: Mapping[str, str], axes: Sequence[str], oversampling: int, key: str, kind: str) -> MeasuredCoils:
    """Coil maps and noise covariance of the scans."""
    from recon_monai.data import prepare as parts

    files = {}
    for name, file in scans.items():
        files[name] = Path(file).expanduser()
        if not files[name].is_file():
            raise FileNotFoundError(f"{file}: no such file (--{name})")
    settings = parts.RawSettings(axes, readout_oversampling=oversampling)
    return parts.measure_coils(settings, key=key, with_maps=kind != "raw", **files)


def _number_of_coils(coils: int | None, measured: MeasuredCoils | None) -> int:
    if measured is None:
        return _COILS if coils is None else coils
    if coils not in (None, measured.coils):
        raise ValueError(f"coils is {coils!r}, but {measured.coils} coils were measured; leave --coils out")
    return measured.coils
