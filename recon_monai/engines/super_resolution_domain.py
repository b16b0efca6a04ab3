"""What super-resolution weights were trained on, and how a volume differs from it."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "differences_from_training",
    "differences_of_preparation",
    "read_domain",
    "super_resolution_domain",
    "uncompared_contrast",
    "uncompared_resolution",
]

_TOLERANCE = 1.1  # ratio of sizes that no network notices
_SHOWN = 6  # triples in a sentence


def super_resolution_domain(
    *,
    spacings: Iterable[Sequence[float]],
    factors: Iterable[Sequence[float]],
    contrasts: Iterable[str],
    recipes: Iterable[str] = (),
    interpolation: str = "fourier",
    scale: str | float = "percentile",
    percentile: float = 99.9,
) -> dict[str, Any]:
    """Describe a training set for super-resolution; written beside the weights as ``model.json``.

    Args:
        spacings: voxel sizes of the high-resolution volumes in mm, three each.
        factors: how many times coarser the low resolution was along each axis, three each; what items hold as
            ``factor``, NaN where unknown.
        contrasts: one per volume, see ``recon_monai.data.contrast_of``; ``"unknown"`` where nothing says it.
        recipes: names of the recipes of low resolution.
        interpolation: the method of ``recon_monai.physics.resample_to_grid`` that brings a coarse volume to the grid
            of the network.
        scale: by what intensities were divided, see ``recon_monai.transforms.ScaleToReferenced``.
        percentile: likewise.

    Returns:
        ``spacings`` (smallest and largest voxel side in mm), ``voxels`` and ``factors`` (the triples, sorted within and
        once each: which axis is coarse depends on how a volume is stored), ``contrasts`` and ``recipes`` (numbers of
        each), ``interpolation``, ``scale`` and ``percentile`` (None where it is not used). Without a known factor
        ``factors`` is empty, and resolutions are not compared later.

    Raises:
        ValueError: without a spacing.
    """
    voxels = [sorted(float(side) for side in spacing) for spacing in spacings]
    sides = [side for voxel in voxels for side in voxel]
    triples = {tuple(sorted((round(float(one), 3) for one in factor), reverse=True)) for factor in factors}
    known = sorted(triple for triple in triples if all(one == one for one in triple))
    if not sides:
        raise ValueError("a domain needs the voxel sizes of volumes, and there are none")
    return {
        "spacings": [round(min(sides), 4), round(max(sides), 4)],
        "voxels": [list(voxel) for voxel in sorted({tuple(round(side, 3) for side in voxel) for voxel in voxels})],
        "factors": [list(triple) for triple in known],
        "contrasts": dict(Counter(contrasts).most_common()),
        "recipes": dict(Counter(recipes).most_common()),
        "interpolation": interpolation,
        "scale": scale,
        "percentile": percentile if scale == "percentile" else None,
    }


def read_domain(weights: str | Path) -> dict[str, Any] | None:
    """The record beside weights: ``<name of the weights>.json``, else ``model.json``.

    Args:
        weights: the file of the weights.

    Returns:
        The record; None if there is none, or none of super-resolution.

    Raises:
        ValueError: if it is no JSON.
    """
    path = Path(weights)
    for file in dict.fromkeys((path.with_suffix(".json"), path.with_name("model.json"))):
        if file.is_file():
            try:
                record = json.loads(file.read_text(encoding="utf-8"))
            except ValueError as error:
                raise ValueError(f"{file}: is no JSON ({error}); restore the record of the weights") from error
            if isinstance(record, dict) and {"spacings", "factors", "contrasts"} <= record.keys():
                return record
    return None


def differences_from_training(
    record: Mapping[str, Any], *, spacing: Sequence[float], factor: Sequence[float], contrast: str | None
) -> list[str]:
    """How a volume differs from all that weights were trained on.

    Voxel sizes and factors are compared as sorted triples: each has to be, within 10 %, one that was trained or lie
    between two of them. Factors are compared where the input is coarser by more than 10 %, and with triples that are
    coarser along as many axes.

    Args:
        record: of `super_resolution_domain`; of records without ``voxels`` the range of sides is compared.
        spacing: of the output in mm.
        factor: by how much the resolution of the input is coarser than that, along each axis; NaN if unknown, which is
            no difference.
        contrast: of the volume; None if unknown, which is no difference.

    Returns:
        One sentence per difference; empty if there is none.
    """
    return list(_differences(record, [float(one) for one in spacing], [float(one) for one in factor], contrast))


def differences_of_preparation(
    record: Mapping[str, Any],
    *,
    interpolation: str | None = None,
    scale: str | float | None = None,
    percentile: float = 99.9,
) -> list[str]:
    """How volumes are prepared otherwise than in the training.

    Args:
        record: of `super_resolution_domain`; what it does not hold is not compared.
        interpolation: to the fine grid; None is not compared.
        scale: of intensities; None is not compared.
        percentile: of that scale.

    Returns:
        One sentence per difference, with the option that takes it away; empty if there is none.
    """
    found = []
    trained = record.get("interpolation")
    if None not in (interpolation, trained) and interpolation != trained:
        found.append(
            f"low resolution is interpolated by {interpolation}, and the weights were trained with {trained}; give "
            f"--interpolation {trained}, or judge the results with care"
        )
    known = record.get("scale")
    if scale is not None and known is not None:
        ours, theirs = _scale_in_words(scale, percentile), _scale_in_words(known, record.get("percentile"))
        if ours != theirs:
            options = f"--scale {known}" + (f" --percentile {record['percentile']}" if known == "percentile" else "")
            found.append(
                f"intensities are divided by {ours}, and the weights were trained with {theirs}; give {options}, or "
                "judge the results with care"
            )
    return found


def uncompared_contrast(record: Mapping[str, Any], contrast: str | None) -> str | None:
    """Why the contrast of a volume cannot be compared with those that weights were trained on.

    Args:
        record: of `super_resolution_domain`.
        contrast: of the volume; None if unknown.

    Returns:
        A sentence without a full stop; None if it can be compared.
    """
    known = _known_contrasts(record)
    if not known:
        return "nothing says which contrasts the weights were trained on, so contrasts cannot be compared"
    if contrast is None:
        return (
            f"neither names nor headers say the contrast (trained: {', '.join(known)}), so that it cannot be compared"
        )
    return None


def uncompared_resolution(record: Mapping[str, Any]) -> str | None:
    """Why the resolution of a volume cannot be compared with those that weights were trained on.

    Args:
        record: of `super_resolution_domain`.

    Returns:
        A sentence without a full stop; None if it can be compared.
    """
    if record["factors"]:
        return None
    return "nothing says how coarse the volumes of the training were, so resolutions cannot be compared"


def _differences(
    record: Mapping[str, Any], spacing: Sequence[float], factor: Sequence[float], contrast: str | None
) -> Iterator[str]:
    smallest, largest = record["spacings"]
    if min(spacing) * _TOLERANCE < smallest or max(spacing) > largest * _TOLERANCE:
        yield (f"voxels of {_by(spacing)} mm were never trained (trained: sides of {smallest:g} to {largest:g} mm)")
    elif record.get("voxels") and not _lies_among(sorted(spacing), record["voxels"]):
        yield f"voxels of {_by(spacing)} mm were never trained (trained: {_listed(record['voxels'])} mm)"
    if record["factors"] and not any(math.isnan(one) for one in factor):
        yield from _differences_of_resolution(record["factors"], factor)
    known = _known_contrasts(record)
    if contrast is not None and known and contrast.casefold() not in [name.casefold() for name in known]:
        yield f"the contrast {contrast} was never trained (trained: {', '.join(known)})"


def _differences_of_resolution(factors: Sequence[Sequence[float]], factor: Sequence[float]) -> Iterator[str]:
    ordered = sorted(factor, reverse=True)
    if any(_lies_between(ordered, triple, triple) for triple in factors):
        return  # also where one counts a residual axis that the other does not
    most = max(max(triple) for triple in factors)
    coarse = _count(factor)
    alike = [triple[:coarse] for triple in factors if _count(triple) == coarse]
    if max(factor) > most * _TOLERANCE:
        yield f"an input {max(factor):.3g} times coarser than the output was never trained (trained: up to {most:g})"
    elif alike and not _lies_among(ordered[:coarse], alike):
        trained = [triple for triple in factors if _count(triple) == coarse]
        yield (
            f"an input {_by(factor)} times coarser than the output was never trained (trained along {coarse} axes: "
            f"{_listed(trained)})"
        )
    numbers = sorted({_count(triple) for triple in factors})
    if coarse not in numbers:
        yield (
            f"an input that is coarser along {coarse} axes ({_by(factor)}) was never trained (trained: "
            f"{' or '.join(map(str, numbers))})"
        )


def _count(factor: Sequence[float]) -> int:
    return sum(one > _TOLERANCE + 1e-9 for one in factor)


def _lies_among(found: Sequence[float], trained: Sequence[Sequence[float]]) -> bool:
    """Whether numbers, in their order, are near some of those trained or between two of them."""
    pairs = itertools.combinations_with_replacement(trained, 2)
    return any(_lies_between(found, one, other) for one, other in pairs)


def _lies_between(found: Sequence[float], one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether the line from one point to another, by logarithms, comes near."""
    first, last = 0.0, 1.0
    for value, start, end in zip(found, one, other, strict=True):
        away, slope, near = math.log(value / start), math.log(end / start), math.log(_TOLERANCE) + 1e-9
        if abs(slope) < 1e-9:
            if abs(away) > near:
                return False
            continue
        reached = sorted(((away - near) / slope, (away + near) / slope))
        first, last = max(first, reached[0]), min(last, reached[1])
    return first <= last


def _scale_in_words(scale: str | float, percentile: float | None) -> str:
    if isinstance(scale, int | float):
        return f"{scale:g}"
    return "the maximum" if scale == "maximum" else f"the percentile {percentile or 99.9:g}"


def _known_contrasts(record: Mapping[str, Any]) -> list[str]:
    return [name for name in record["contrasts"] if name != "unknown"]


def _listed(triples: Sequence[Sequence[float]]) -> str:
    shown = ", ".join(_by(triple) for triple in triples[:_SHOWN])
    return shown if len(triples) <= _SHOWN else f"{shown} and {len(triples) - _SHOWN} more"


def _by(numbers: Sequence[float]) -> str:
    return " x ".join(f"{number:.3g}" for number in numbers)
