"""Agreement of two segmentations, for the question whether a reconstruction serves what comes after it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import monai.metrics
import numpy as np
import torch
from monai.metrics.f_beta_score import compute_f_beta_score
from torch import Tensor

from recon_monai.optional import require

__all__ = ["SEGMENTATION_CONVENTION", "HoleTreatment", "segmentation_measures", "segmentation_pitfalls"]

HoleTreatment = Literal["keep", "fill"]

SEGMENTATION_CONVENTION = (
    "one structure; surfaces are voxels of a mask with a face on the outside (the border of the image counts as "
    "outside, holes have surfaces too); Hausdorff 95 = the larger of both directions' 95th percentiles; average "
    "surface distance over the voxels of both surfaces together; both masks empty = full agreement, one empty = no "
    "agreement, at the distance of the diagonal of the field of view; NaN for other ratios 0/0"
)

_SMALL = 0.8  # Dice below which one layer of voxels decides
_ONE_SIDED = 0.5  # share of the error that is more on one side
_NOTABLE = 0.1  # error of the union below which sides do not matter
_ANISOTROPIC = 2.0


def segmentation_measures(
    *,
    prediction: np.ndarray | Tensor,
    target: np.ndarray | Tensor,
    spacing: Sequence[float],
    beta: float = 2.0,
    holes: HoleTreatment = "keep",
    missing_distance: float | None = None,
) -> dict[str, float]:
    """Overlap, volume and distance of a segmentation and its target, by ``SEGMENTATION_CONVENTION``.

    Ratios and distances are MONAI's. What is done here is what its metrics leave to the caller: empty masks (MONAI's
    Dice of an empty target is NaN by default, whatever was predicted; its distances are inf or NaN with a warning), the
    spacing, which has no default, and both directions of the average distance. See Maier-Hein et al. 2024 ("Metrics
    reloaded", Nature Methods) on the choice among them, and `segmentation_pitfalls` for what to beware of.

    Args:
        prediction: mask, ``(H, W)`` or ``(D, H, W)``, bool or numbers 0 and 1.
        target: same shape.
        spacing: size of a voxel along each axis in mm.
        beta: of the F-measure; above 1, what is missed counts more than what is too much (1 is Dice).
        holes: ``"fill"`` measures outer shapes: voxels that a mask encloses become part of it.
        missing_distance: what counts as distance if one mask is empty, in mm; None for the diagonal of the field of
            view.

    Returns:
        * ``dice``, ``iou``, ``f_beta``, ``precision``, ``recall``, ``specificity`` (which counts the background, and
          is near 1 for anything small);
        * ``over_segmentation`` and ``under_segmentation``: shares of the union that only the prediction, only the
          target has; with ``iou`` they sum to 1;
        * ``volume_similarity``: ``1 - |P - T| / (P + T)``, 1 also for masks that do not touch, and
          ``volume_difference``, ``(P - T) / T``;
        * ``hausdorff``, ``hausdorff_95``, ``average_surface_distance`` in mm;
        * ``prediction_volume``, ``target_volume``, ``prediction_holes``, ``target_holes`` in mm^2 or mm^3, holes before
          any are filled;
        * ``one_voxel_dice``: Dice of the target with itself less its outermost layer of voxels: what an error of one
          voxel costs at this size and resolution; NaN for an empty target;
        * ``target_components``, ``missed_components`` (without any overlap), ``extra_components`` (of the prediction,
          without any overlap); voxels that share a corner belong together.

    Raises:
        ValueError: if masks differ in shape, are no images or hold other values, or an option is out of range.
        ImportError: if SciPy is not installed.
    """
    found, wanted = _mask(prediction, "prediction"), _mask(target, "target")
    if found.shape != wanted.shape:
        raise ValueError(
            f"prediction {found.shape} and target {wanted.shape} differ in shape; resample the masks to one grid first"
        )
    steps = [float(step) for step in spacing]
    if len(steps) != found.ndim or not all(math.isfinite(step) and step > 0 for step in steps):
        raise ValueError(f"spacing is {list(spacing)}, expected {found.ndim} sizes of a voxel in mm")
    if not beta > 0 or (missing_distance is not None and not missing_distance >= 0):
        raise ValueError(f"beta is {beta} and missing_distance {missing_distance}, expected above 0 and from 0 on")
    if holes not in get_args(HoleTreatment):
        raise ValueError(f"holes is {holes!r}, expected one of {get_args(HoleTreatment)}")
    voxel = math.prod(steps)
    whole = [_filled(mask) for mask in (found, wanted)]
    empty_space = {
        name: float((full & ~mask).sum()) * voxel
        for name, full, mask in zip(("prediction_holes", "target_holes"), whole, (found, wanted), strict=True)
    }
    if holes == "fill":
        found, wanted = whole
    diagonal = math.hypot(*(size * step for size, step in zip(found.shape, steps, strict=True)))
    return {
        **_overlap(found, wanted, beta),
        **_volumes(found, wanted, voxel),
        **_distances(found, wanted, steps, diagonal if missing_distance is None else missing_distance),
        **empty_space,
        "one_voxel_dice": _one_voxel_dice(wanted),
        **_components(found, wanted),
    }


def segmentation_pitfalls(measures: Mapping[str, float], *, spacing: Sequence[float]) -> dict[str, str]:
    """What makes measures of a segmentation say less than they seem to.

    Args:
        measures: what `segmentation_measures` returned.
        spacing: size of a voxel along each axis in mm.

    Returns:
        A sentence for each that applies, by name: ``both_empty``, ``empty_prediction``, ``empty_target``,
        ``small_structure``, ``missed_components``, ``extra_components``, ``holes``, ``resolution``, ``anisotropy``,
        ``over_segmentation`` or ``under_segmentation``.
    """
    notes: dict[str, str] = {}
    has = {name: measures[f"{name}_volume"] > 0 for name in ("prediction", "target")}
    if not any(has.values()):
        notes["both_empty"] = "both masks are empty: full agreement by convention; report such cases by themselves"
        return notes
    for name in ("prediction", "target"):
        if not has[name]:
            notes[f"empty_{name}"] = (
                f"the {name} is empty: overlap 0 by convention, and distances are a penalty, not measured"
            )
    notes.update(_notes_on_size(measures))
    if measures["prediction_holes"] or measures["target_holes"]:
        notes["holes"] = (
            f"holes of {measures['prediction_holes']:.4g} (prediction) and {measures['target_holes']:.4g} (target): "
            "Dice hardly sees them, distances count their surfaces; compare with holes='fill'"
        )
    if all(has.values()):
        notes.update(_notes_on_resolution(measures, [float(step) for step in spacing]))
        notes.update(_notes_on_sides(measures))
    return notes


def _notes_on_size(measures: Mapping[str, float]) -> dict[str, str]:
    notes = {}
    if measures["one_voxel_dice"] < _SMALL:
        notes["small_structure"] = (
            f"an error of one voxel all around costs {1 - measures['one_voxel_dice']:.2f} of Dice: look at distances, "
            "and do not compare Dice with that of larger structures"
        )
    for name, word in (("missed", "of the target are not touched"), ("extra", "of the prediction touch no target")):
        if measures[f"{name}_components"]:
            notes[f"{name}_components"] = (
                f"{measures[f'{name}_components']:.0f} components {word}: overlap of the whole hides small ones"
            )
    return notes


def _notes_on_resolution(measures: Mapping[str, float], steps: list[float]) -> dict[str, str]:
    notes = {}
    if 0 < measures["average_surface_distance"] < max(steps) / 2:
        notes["resolution"] = (
            f"the average surface distance of {measures['average_surface_distance']:.3g} mm is below half a voxel "
            f"({max(steps):.3g} mm): differences of this order are those of the grid"
        )
    if max(steps) / min(steps) >= _ANISOTROPIC:
        notes["anisotropy"] = (
            f"voxels of {' x '.join(f'{step:.3g}' for step in steps)} mm: a voxel too much costs the same overlap, and "
            "another distance, along each axis"
        )
    return notes


def _notes_on_sides(measures: Mapping[str, float]) -> dict[str, str]:
    over, under = measures["over_segmentation"], measures["under_segmentation"]
    if over + under <= _NOTABLE or abs(over - under) < _ONE_SIDED * (over + under):
        return {}
    name, other = ("over", "under") if over > under else ("under", "over")
    return {
        f"{name}_segmentation": f"{max(over, under):.2f} of the union is {name}-segmented, {min(over, under):.2f} "
        f"{other}-segmented: the same number of voxels costs more Dice where they are missing than where they are too "
        "many"
    }


def _mask(mask: np.ndarray | Tensor, name: str) -> np.ndarray:
    values = mask.detach().cpu().numpy() if isinstance(mask, Tensor) else np.asarray(mask)
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise ValueError(f"the {name} has shape {values.shape}, expected a mask (H, W) or (D, H, W)")
    if values.dtype != bool and not bool(np.isin(values, (0, 1)).all()):
        raise ValueError(
            f"the {name} holds other values than 0 and 1; give one structure, such as labels == 3 or probability > 0.5"
        )
    return values.astype(bool)


def _filled(mask: np.ndarray) -> np.ndarray:
    return require("scipy.ndimage", extra="demo").binary_fill_holes(mask)


def _batch(mask: np.ndarray) -> Tensor:
    """One sample of one class, as MONAI's metrics want it; of bool masks some of them add up wrong."""
    return torch.from_numpy(mask.astype(np.float64))[None, None]


def _overlap(found: np.ndarray, wanted: np.ndarray, beta: float) -> dict[str, float]:
    one, other = _batch(found), _batch(wanted)
    counts = monai.metrics.confusion_matrix.get_confusion_matrix(one, other)
    ratios = {
        name: float(monai.metrics.compute_confusion_matrix_metric(name, counts))
        for name in ("precision", "recall", "specificity")
    }
    union = float((found | wanted).sum())
    nothing = union == 0
    return {
        "dice": float(monai.metrics.compute_dice(one, other, ignore_empty=False)),
        "iou": float(monai.metrics.compute_iou(one, other, ignore_empty=False)),
        "f_beta": 1.0 if nothing else float(compute_f_beta_score(counts, beta)),
        **ratios,
        "over_segmentation": 0.0 if nothing else float((found & ~wanted).sum()) / union,
        "under_segmentation": 0.0 if nothing else float((wanted & ~found).sum()) / union,
    }


def _volumes(found: np.ndarray, wanted: np.ndarray, voxel: float) -> dict[str, float]:
    made, expected = float(found.sum()), float(wanted.sum())
    both = made + expected
    return {
        "volume_similarity": 1 - abs(made - expected) / both if both else 1.0,
        "volume_difference": (made - expected) / expected if expected else math.nan,
        "prediction_volume": made * voxel,
        "target_volume": expected * voxel,
    }


def _distances(found: np.ndarray, wanted: np.ndarray, steps: list[float], missing: float) -> dict[str, float]:
    names = ("hausdorff", "hausdorff_95", "average_surface_distance")
    if not (found.any() and wanted.any()):
        return dict.fromkeys(names, missing if found.any() or wanted.any() else 0.0)
    require("scipy.ndimage", extra="demo")  # MONAI's message would not say how to get it
    pair = (_batch(found), _batch(wanted))
    options: dict[str, Any] = {"include_background": True, "spacing": steps}
    with warnings.catch_warnings():
        # MONAI 1.6 warns of an argument that it passes itself
        warnings.filterwarnings("ignore", message=".*always_return_as_numpy", category=FutureWarning)
        values = (
            monai.metrics.compute_hausdorff_distance(*pair, **options),
            monai.metrics.compute_hausdorff_distance(*pair, percentile=95, **options),
            monai.metrics.compute_average_surface_distance(*pair, symmetric=True, **options),
        )
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def _one_voxel_dice(wanted: np.ndarray) -> float:
    if not wanted.any():
        return math.nan
    left = float(require("scipy.ndimage", extra="demo").binary_erosion(wanted).sum())
    return 2 * left / (left + float(wanted.sum()))


def _components(found: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
    total, missed = _untouched(wanted, found)
    return {
        "target_components": total,
        "missed_components": missed,
        "extra_components": _untouched(found, wanted)[1],
    }


def _untouched(mask: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Components of a mask, and how many of them another one does not touch."""
    labels, count = require("scipy.ndimage", extra="demo").label(mask, structure=np.ones((3,) * mask.ndim))
    touched = np.unique(labels[mask & other])
    return float(count), float(count - len(touched))
