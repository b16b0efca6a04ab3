"""`recon-monai compare`: any methods on the same data, one table, images, and a report if asked for."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Sequence

from recon_monai.commands.values import numbers_of, words_of

__all__ = ["compare"]

logger = logging.getLogger(__name__)


def compare(
    output: str,
    methods: str | Sequence[str] | None = None,
    dataset_dir: str | Sequence[str] | None = None,
    accelerations: float | Sequence[float] = (4,),
    center_fractions: float | Sequence[float] | None = None,
    mask: str = "equispaced_fraction",
    file_mask: str = "use",
    split: str = "test",
    max_files: int | None = None,
    max_slices: int | None = None,
    recipes: str | Sequence[str] = ("inplane2", "isotropic2"),
    noise: float = 0.0,
    block: int | None = None,
    anatomy: str | None = None,
    bootstrap: int = 0,
    bootstrap_by: str = "noise",
    consistency: bool = True,
    downstream: bool = True,
    tuning: str | None = None,
    device: str = "cpu",
    seed: int = 0,
    report: bool = False,
) -> None:
    """Compare bundles, checkpoints and classical methods on the same masks, and write one table and all images.

    Methods for k-space: zero_filled, cg_sense, l1_wavelet, total_variation, tikhonov and others of recon-monai gallery,
    folders of bundles. For volumes: trilinear, cubic, sinc, total_variation_3d, folders of bundles. A bundle takes
    overlays and weights: BUNDLE+OVERLAY.json@CHECKPOINT; NAME=... names a method. Data sets that hold k-space and such
    that hold volumes may be given together. Simulated and measured data are never put together. A second run in the
    same folder computes only what is missing, has failed or was made with other settings.

    Examples:
        recon-monai compare comparison --report
        recon-monai compare comparison --methods zero_filled,cg_sense,bundles/universal_varnet --dataset_dir FOLDER
        recon-monai compare volumes --methods trilinear,cubic,sinc --dataset_dir NIFTI_FOLDER --recipes inplane2

    Args:
        output: folder.
        methods: separated by commas; without it classical methods, interpolations and the bundles that have weights.
        dataset_dir: folders of k-space (fastMRI HDF5) or volumes (NIfTI), separated by commas; without it the built-in
            data of the kinds that the methods are for.
        accelerations: of the masks, separated by commas; classical methods have to be tuned for each (--tuning).
        center_fractions: share of calibration lines for each; without it 0.32 over the acceleration.
        mask: random, equispaced, equispaced_fraction, magic, magic_fraction, gaussian or poisson.
        file_mask: use, or ignore for masks that files bring.
        split: train, val, test or all.
        max_files: at most so many files of each anatomy and contrast, or volumes of a folder.
        max_slices: at most so many central slices of each file of k-space.
        recipes: low resolutions of volumes, separated by commas.
        noise: of the low resolution, relative to the volume's robust maximum.
        block: measure and show so many voxels of the middle of volumes along each axis, of which networks see no more
            than that and its surroundings; the low resolution is that of the whole volume.
        anatomy: of the volumes, for example brain; without it BodyPartExamined of DICOM, or of a JSON file beside it.
        bootstrap: so many simulated acquisitions of each one measured, for the spread; takes so many times as long.
        bootstrap_by: noise or mask, what they vary.
        consistency: measure the residual against k-space and the error in its null space.
        downstream: measure the overlap of segmentations of target and reconstruction.
        tuning: folder of files METHOD.json of recon-monai tune, in place of those of the built-in set.
        device: of networks, for example cuda.
        seed: of simulated acquisitions and small trainings.
        report: write OUTPUT/report.html as well, see recon-monai report.
    """
    from recon_monai.evaluation.comparing import ComparisonSettings, compare_methods
    from recon_monai.evaluation.comparing.defaults import default_folders, default_methods
    from recon_monai.optional import require

    for name, value in (("consistency", consistency), ("downstream", downstream), ("report", report)):
        if not isinstance(value, bool):
            raise ValueError(f"{name} is {value!r}, expected True or False")
    if report:
        require("jinja2", extra="report")  # before hours of computing
    factors = [int(one) for one in numbers_of("accelerations", accelerations, "4,8")]
    shares = (
        [0.32 / factor for factor in factors]
        if center_fractions is None
        else numbers_of("center_fractions", center_fractions, "0.08,0.04")
    )
    settings = ComparisonSettings(
        accelerations=tuple(factors),
        center_fractions=tuple(shares),
        mask=mask,
        file_mask=file_mask,  # type: ignore[arg-type]
        split=split,
        max_files=max_files,
        max_slices=max_slices,
        recipes=tuple(words_of(recipes)),
        noise=float(noise),
        block=block,
        anatomy=None if anatomy is None else str(anatomy),
        bootstrap=bootstrap,
        bootstrap_by=bootstrap_by,  # type: ignore[arg-type]
        consistency=consistency,
        downstream=downstream,
        tuning=tuning,
        device=device,
        seed=seed,
    )
    folders = None if dataset_dir is None else words_of(dataset_dir)
    names = default_methods(folders) if methods is None else words_of(methods)
    done = compare_methods(
        str(output),
        names,
        default_folders(names) if folders is None else folders,
        settings,
        command=shlex.join(["recon-monai", *sys.argv[1:]]),
    )
    logger.info(
        "%d rows (%d computed now, %d failed) in %s/comparison.csv and comparison.json",
        len(done.rows),
        done.computed,
        done.failed,
        done.folder,
    )
    if report:
        from recon_monai.commands.report import report as write

        write(str(output))
