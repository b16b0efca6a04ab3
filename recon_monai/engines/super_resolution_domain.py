"""What super-resolution weights were trained on, and how a volume differs from it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["differences_from_training", "read_domain", "super_resolution_domain"]

_TOLERANCE = 1.1  # ratio of sizes that no network notices
_COARSE = 1.25  # factor from which an axis counts as coarser than the output


def super_resolution_domain(
    *,
    spacings: Iterable[Sequence[float]],
    factors: Iterable[Sequence[float]],
    contrasts: Iterable[str],
    recipes: Iterable[str] = (),
    interpolation: str = "fourier",
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

    Returns:
        ``spacings`` (smallest and largest voxel side in mm), ``factors`` (the triples, sorted within and once each:
        which axis is coarse depends on how a volume is stored), ``contrasts`` and ``recipes`` (numbers of each), and
        ``interpolation``. Without a known factor ``factors`` is empty, and resolutions are not compared later.

    Raises:
        ValueError: without a spacing.
    """
    sides = [float(side) for spacing in spacings for side in spacing]
    triples = {tuple(sorted((round(float(one), 3) for one in factor), reverse=True)) for factor in factors}
    known = sorted(triple for triple in triples if all(one == one for one in triple))
    if not sides:
        raise ValueError("a domain needs the voxel sizes of volumes, and there are none")
    return {
        "spacings": [round(min(sides), 4), round(max(sides), 4)],
        "factors": [list(triple) for triple in known],
        "contrasts": dict(Counter(contrasts).most_common()),
        "recipes": dict(Counter(recipes).most_common()),
        "interpolation": interpolation,
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

    Args:
        record: of `super_resolution_domain`.
        spacing: of the output in mm.
        factor: by how much the resolution of the input is coarser than that, along each axis; NaN if unknown, which is
            no difference.
        contrast: of the volume; None if unknown, which is no difference.

    Returns:
        One sentence per difference; empty if there is none.
    """
    return list(_differences(record, [float(one) for one in spacing], [float(one) for one in factor], contrast))


def _differences(
    record: Mapping[str, Any], spacing: Sequence[float], factor: Sequence[float], contrast: str | None
) -> Iterator[str]:
    smallest, largest = record["spacings"]
    if min(spacing) * _TOLERANCE < smallest or max(spacing) > largest * _TOLERANCE:
        yield (f"voxels of {_by(spacing)} mm were never trained (trained: sides of {smallest:g} to {largest:g} mm)")
    if record["factors"] and not any(math.isnan(one) for one in factor):
        yield from _differences_of_resolution(record["factors"], factor)
    known = [name for name in record["contrasts"] if name != "unknown"]
    if contrast is not None and known and contrast not in known:
        yield f"the contrast {contrast} was never trained (trained: {', '.join(known)})"


def _differences_of_resolution(factors: Sequence[Sequence[float]], factor: Sequence[float]) -> Iterator[str]:
    most = max(max(triple) for triple in factors)
    if max(factor) > most * _TOLERANCE:
        yield f"an input {max(factor):.3g} times coarser than the output was never trained (trained: up to {most:g})"
    coarse = _count(factor)
    numbers = sorted({_count(triple) for triple in factors})
    if coarse not in numbers:
        yield (
            f"an input that is coarser along {coarse} axes ({_by(factor)}) was never trained (trained: "
            f"{' or '.join(map(str, numbers))})"
        )


def _count(factor: Sequence[float]) -> int:
    return sum(one >= _COARSE for one in factor)


def _by(numbers: Sequence[float]) -> str:
    return " x ".join(f"{number:.3g}" for number in numbers)
