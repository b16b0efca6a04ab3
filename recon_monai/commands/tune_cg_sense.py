"""`recon-monai tune_cg_sense`: the settings of the classical baseline."""

from __future__ import annotations

from collections.abc import Sequence

from recon_monai.commands.values import joined, numbers_of

__all__ = ["tune_cg_sense"]


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
        mask: kind of mask, for example random, equispaced_fraction, magic, gaussian or poisson (docs/masks.md).
        max_slices: use this many central slices of each volume.
    """
    from recon_monai.data.prepare.checks import check_integer
    from recon_monai.evaluation import tune_on_validation

    if max_slices is not None:
        check_integer("max_slices", max_slices, 1)
    factors = numbers_of("accelerations", accelerations, "4,8")
    centers = numbers_of("center_fractions", center_fractions, "0.08,0.04")
    if len(factors) != len(centers):
        raise ValueError(
            f"accelerations are {joined(factors)} and center_fractions {joined(centers)}, "
            "expected one center fraction for each acceleration, for example 4,8 and 0.08,0.04"
        )
    if not all(factor >= 1 and factor == int(factor) for factor in factors):
        raise ValueError(f"accelerations are {joined(factors)}, expected whole numbers of at least 1, for example 4,8")
    tune_on_validation(str(dataset_dir), str(output), [int(factor) for factor in factors], centers, mask, max_slices)
