"""`recon-monai tune`, `tune_cg_sense` and `tune_l1_wavelet`: the settings of the classical baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recon_monai.commands.values import joined, numbers_of

if TYPE_CHECKING:
    from recon_monai.evaluation.classical_methods import TunedMethod

__all__ = ["tune", "tune_cg_sense", "tune_l1_wavelet"]


def tune(
    method: TunedMethod,
    dataset_dir: str,
    output: str,
    accelerations: float | Sequence[float] = (4, 8),
    center_fractions: float | Sequence[float] = (0.08, 0.04),
    mask: str = "equispaced_fraction",
    max_slices: int | None = None,
    weights: float | Sequence[float] | None = None,
    iterations: float | Sequence[float] | None = None,
) -> None:
    """Choose coil maps, weight and iterations of a classical method on the validation files of a data set.

    Example:
        recon-monai tune total_variation data --output total_variation_tuning.json --max_slices 2

    Args:
        method: cg_sense, dictionary (slow: minutes for each slice), l1_wavelet, least_squares, tikhonov,
            tikhonov_gradient or total_variation.
        dataset_dir: a data set with a validation split; its test files are not read.
        output: JSON file that gets the best setting per acceleration and the table of all that were tried.
        accelerations: nominal accelerations, for example 4,8 or 4.
        center_fractions: fraction of calibration lines for each of them.
        mask: kind of mask, for example random, equispaced_fraction, magic, gaussian or poisson (docs/masks.md).
        max_slices: use this many central slices of each volume.
        weights: weights to try, for example 0.001,0.01,0.1.
        iterations: numbers of iterations to try, for example 20,40,80.
    """
    _tune(method, dataset_dir, output, accelerations, center_fractions, mask, max_slices, weights, iterations)


def tune_cg_sense(
    dataset_dir: str,
    output: str,
    accelerations: float | Sequence[float] = (4, 8),
    center_fractions: float | Sequence[float] = (0.08, 0.04),
    mask: str = "equispaced_fraction",
    max_slices: int | None = None,
    weights: float | Sequence[float] | None = None,
    iterations: float | Sequence[float] | None = None,
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
        weights: weights to try, for example 0.001,0.01,0.1.
        iterations: numbers of iterations to try, for example 10,20,40.
    """
    _tune("cg_sense", dataset_dir, output, accelerations, center_fractions, mask, max_slices, weights, iterations)


def tune_l1_wavelet(
    dataset_dir: str,
    output: str,
    accelerations: float | Sequence[float] = (4, 8),
    center_fractions: float | Sequence[float] = (0.08, 0.04),
    mask: str = "equispaced_fraction",
    max_slices: int | None = None,
    weights: float | Sequence[float] | None = None,
    iterations: float | Sequence[float] | None = None,
) -> None:
    """Choose coil maps, weight and iterations of the L1-wavelet baseline on the validation files of a data set.

    Example:
        recon-monai tune_l1_wavelet data --output l1_wavelet_tuning.json --max_slices 2

    Args:
        dataset_dir: a data set with a validation split; its test files are not read.
        output: JSON file that gets the best setting per acceleration and the table of all that were tried.
        accelerations: nominal accelerations, for example 4,8 or 4.
        center_fractions: fraction of calibration lines for each of them.
        mask: kind of mask, for example random, equispaced_fraction, magic, gaussian or poisson (docs/masks.md).
        max_slices: use this many central slices of each volume.
        weights: weights to try, for example 0.001,0.01,0.1.
        iterations: numbers of iterations to try, for example 20,40,80.
    """
    _tune("l1_wavelet", dataset_dir, output, accelerations, center_fractions, mask, max_slices, weights, iterations)


def _tune(
    method: TunedMethod,
    dataset_dir: str,
    output: str,
    accelerations: float | Sequence[float],
    center_fractions: float | Sequence[float],
    mask: str,
    max_slices: int | None,
    weights: float | Sequence[float] | None,
    iterations: float | Sequence[float] | None,
) -> None:
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
    tune_on_validation(
        str(dataset_dir),
        str(output),
        _whole("accelerations", factors, "4,8"),
        centers,
        mask,
        max_slices,
        method,
        None if weights is None else numbers_of("weights", weights, "0.001,0.01"),
        None if iterations is None else _whole("iterations", numbers_of("iterations", iterations, "20,40"), "20,40"),
    )


def _whole(name: str, values: Sequence[float], example: str) -> list[int]:
    if not all(value >= 1 and value == int(value) for value in values):
        raise ValueError(f"{name} are {joined(values)}, expected whole numbers of at least 1, for example {example}")
    return [int(value) for value in values]
