"""The iterative baselines tuned on a data set's validation files."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from monai.transforms import Compose

from recon_monai.data import FastMRISliceDataset, atomic_path, read_split
from recon_monai.evaluation.classical_methods import TunedMethod, find_method
from recon_monai.evaluation.tuning import BaselineTuning, tune
from recon_monai.physics import create_mask
from recon_monai.transforms import Undersampled

__all__ = ["TunedMethod", "tune_on_validation"]

logger = logging.getLogger(__name__)


def tune_on_validation(
    dataset_dir: str,
    output: str,
    accelerations: Sequence[int] = (4, 8),
    center_fractions: Sequence[float] = (0.08, 0.04),
    mask: str = "equispaced_fraction",
    max_slices: int | None = None,
    method: TunedMethod = "cg_sense",
    weights: Sequence[float] | None = None,
    iterations: Sequence[int] | None = None,
) -> dict[str, BaselineTuning]:
    """Choose a baseline's coil maps, weight and iterations for each acceleration on validation files of a data set.

    Args:
        dataset_dir: a data set with a validation split; its test files are not read.
        output: JSON file that gets the best setting per acceleration (under the name of the method, so that it can be
            given to the evaluation as a further configuration file, or to ``classical_method``) and the table of all
            that were tried.
        accelerations: nominal accelerations.
        center_fractions: fraction of calibration lines for each of them.
        mask: kind of mask, see ``recon_monai.physics.create_mask``; drawn by file name, as in an evaluation.
        max_slices: use this many central slices of each volume.
        method: the baseline to tune, a name of ``CLASSICAL_METHODS``.
        weights: weights to try; None takes the method's grid.
        iterations: numbers of iterations to try; None as for the weights.

    Returns:
        The tuning for each acceleration.

    Raises:
        ValueError: if the method is unknown, a setting is out of range, or no validation slice has a signal.
    """
    find_method(method)  # refuses an unknown one before any file is read
    undersampled = Undersampled(create_mask(mask, center_fractions, accelerations))  # type: ignore[arg-type]
    files = read_split(dataset_dir, "val")
    found: dict[str, BaselineTuning] = {}
    for acceleration in accelerations:
        dataset = FastMRISliceDataset(
            files, Compose([undersampled]), accelerations=[acceleration], max_slices=max_slices
        )
        found[str(acceleration)] = tuning = tune(method, _with_signal(dataset), weights, iterations)
        logger.info(
            "%sx: %s maps, weight %g, %d iterations, mean NMSE %.4g over %d slices of %d files",
            acceleration,
            tuning.best.maps,
            tuning.best.weight,
            tuning.best.iterations,
            tuning.best.nmse,
            tuning.num_slices,
            len(files),
        )
    content = {
        method: {
            key: {"maps": t.best.maps, "weight": t.best.weight, "iterations": t.best.iterations}
            for key, t in found.items()
        },
        f"{method}_tuning": {
            "slices": {key: t.num_slices for key, t in found.items()},
            "table": {key: [setting._asdict() for setting in t.table] for key, t in found.items()},
        },
    }
    with atomic_path(Path(output)) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
    logger.info("settings and table: %s", output)
    return found


def _with_signal(dataset: FastMRISliceDataset) -> Iterator[dict[str, Any]]:
    """The items whose NMSE is defined."""
    for index in range(len(dataset)):
        item = dataset[index]
        if "target" in item and bool((item["target"] != 0).any()):
            yield item
