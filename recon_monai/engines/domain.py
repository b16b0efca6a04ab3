"""What weights were trained on, in a form that later runs can compare their data with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from recon_monai.data import FastMRISliceDataset
from recon_monai.transforms import mask_kind

__all__ = ["training_domain"]


def training_domain(
    dataset: FastMRISliceDataset, mask: Any, num_coils: Sequence[int] | None = None, min_size: int | None = None
) -> dict[str, Any]:
    """Describe a training set and its undersampling; written beside the weights as ``model.json``.

    Args:
        dataset: the training set.
        mask: the sampling mask of the training transform, see ``recon_monai.physics``.
        num_coils: numbers of coils that augmentation makes, besides those of the files.
        min_size: smallest image size that augmentation makes.

    Returns:
        ``anatomies``, ``acquisitions`` and ``sources`` (slices of each), ``coils`` (numbers of coils),
        ``image_sizes`` (shortest and longest side of an image, in pixels),
        ``accelerations``, ``center_fractions`` and ``mask`` (its kind); what files with a mask of their own state is
        included.
    """
    entries = dataset.data
    own = {entry["acceleration"] for entry in entries if entry.get("acceleration") is not None}
    infos = {entry["path"]: dataset.infos[entry["path"]] for entry in entries}
    shapes = {path: info.kspace_shape for path, info in infos.items()}
    sides = [side for info in infos.values() for side in info.output_size]
    return {
        **{
            plural: dict(Counter(entry[field] for entry in entries).most_common())
            for plural, field in (("anatomies", "anatomy"), ("acquisitions", "acquisition"), ("sources", "source"))
        },
        "coils": sorted({*(shape[0] for shape in shapes.values()), *(num_coils or ())}),
        "image_sizes": [min([*sides, *([min_size] if min_size else [])]), max(sides)],
        "accelerations": sorted({*(factor for _, factor in mask.pairs), *own}),
        "center_fractions": sorted({fraction for fraction, _ in mask.pairs}),
        "mask": mask_kind(mask),
    }
