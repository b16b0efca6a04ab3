"""CG-SENSE beside a network: as a transform in an evaluation, and tuned on a data set's validation files."""

from __future__ import annotations

import json
import logging
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.transforms import Compose, Transform

from recon_monai.data import FastMRISliceDataset, atomic_path, read_split
from recon_monai.evaluation.baselines import CGSense, CGSenseTuning, tune_cg_sense
from recon_monai.physics import center_crop_or_pad, create_mask
from recon_monai.transforms import Undersampled

__all__ = ["CGSensed", "tune_on_validation"]

logger = logging.getLogger(__name__)


class CGSensed(Transform):
    """CG-SENSE reconstruction of an item's undersampled k-space.

    Args:
        settings: for each nominal acceleration (as a string, for JSON) the arguments of ``CGSense``, for example
            ``{"4": {"maps": "espirit", "weight": 0.01, "iterations": 10}}``; see ``tune_on_validation``.
        key: complex k-space ``(coil, H, W)``.
        output_key: where the magnitude image ``(1, h, w)`` goes.
        size_key: ``(h, w)``, the size of the image.
    """

    def __init__(
        self,
        settings: Mapping[str, Mapping[str, Any]],
        key: str = "kspace",
        output_key: str = "cg_sense",
        size_key: str = "output_size",
    ) -> None:
        self.solvers = {int(acceleration): CGSense(**values) for acceleration, values in settings.items()}
        self.key = key
        self.output_key = output_key
        self.size_key = size_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a new item with the image added.

        Raises:
            ValueError: if there is no setting for the item's acceleration.
        """
        acceleration = int(data["acceleration"])
        if acceleration not in self.solvers:
            raise ValueError(
                f"{data['file']} is undersampled {acceleration}x and CG-SENSE has settings for "
                f"{sorted(self.solvers)} only; tune it for this acceleration too"
            )
        height, width = (int(size) for size in data[self.size_key])
        image = self.solvers[acceleration](data[self.key], data.get("mask"))
        return {**data, self.output_key: center_crop_or_pad(image, (height, width))}


def tune_on_validation(
    dataset_dir: str,
    output: str,
    accelerations: Sequence[int] = (4, 8),
    center_fractions: Sequence[float] = (0.08, 0.04),
    mask: str = "equispaced_fraction",
    max_slices: int | None = None,
) -> dict[str, CGSenseTuning]:
    """Choose CG-SENSE's coil maps, weight and iterations for each acceleration on the validation files of a data set.

    Args:
        dataset_dir: a data set with a validation split; its test files are not read.
        output: JSON file that gets the best setting per acceleration (``cg_sense``, so that it can be given to the
            evaluation as a further configuration file) and the table of all that were tried.
        accelerations: nominal accelerations.
        center_fractions: fraction of calibration lines for each of them.
        mask: kind of mask, see ``recon_monai.physics.create_mask``; drawn by file name, as in an evaluation.
        max_slices: use this many central slices of each volume.

    Returns:
        The tuning for each acceleration.
    """
    undersampled = Undersampled(create_mask(mask, center_fractions, accelerations))  # type: ignore[arg-type]
    files = read_split(dataset_dir, "val")
    found: dict[str, CGSenseTuning] = {}
    for acceleration in accelerations:
        dataset = FastMRISliceDataset(
            files, Compose([undersampled]), accelerations=[acceleration], max_slices=max_slices
        )
        found[str(acceleration)] = tuning = tune_cg_sense(_with_signal(dataset))
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
        "cg_sense": {
            key: {"maps": t.best.maps, "weight": t.best.weight, "iterations": t.best.iterations}
            for key, t in found.items()
        },
        "table": {key: [setting._asdict() for setting in t.table] for key, t in found.items()},
        "slices": {key: t.num_slices for key, t in found.items()},
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
