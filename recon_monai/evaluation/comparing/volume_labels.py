"""What volumes show, by their names, headers and the files beside them, or by the user."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from recon_monai.data import VolumeError, contrast_of, volume_facts
from recon_monai.data.prepare.volumes import volume_stem

__all__ = ["VolumeLabels", "volume_labels"]

_DESCRIPTIONS = ("SeriesDescription", "ProtocolName")


class VolumeLabels(NamedTuple):
    """By what volumes are grouped.

    Attributes:
        anatomy: None if nothing says it.
        contrast: likewise.
    """

    anatomy: str | None
    contrast: str | None


def volume_labels(path: Path, anatomy: str | None = None) -> VolumeLabels:
    """What a volume shows.

    Both are those of `recon_monai.data.volume_facts`, with which the domain of super-resolution weights is compared:
    the contrast of the name of a NIfTI file or the description of a DICOM series, the anatomy of ``BodyPartExamined``
    of its header. Where they say nothing, the JSON file beside a NIfTI file is read, as BIDS has it:
    ``SeriesDescription``, ``ProtocolName``, ``BodyPartExamined``.

    Args:
        path: a NIfTI file, or the folder of a DICOM series.
        anatomy: of all volumes; None reads it.

    Returns:
        Anatomy and contrast.

    Raises:
        VolumeError: if the header cannot be used, or the file beside it is no JSON object; names the file.
    """
    facts = volume_facts(path)
    contrast = facts.contrast
    beside = {} if path.is_dir() else _beside(path)
    for name in _DESCRIPTIONS:
        contrast = contrast or contrast_of(str(beside.get(name, "")))
    part = str(beside.get("BodyPartExamined") or "").strip().lower()
    return VolumeLabels(anatomy or facts.anatomy or part or None, contrast)


def _beside(path: Path) -> dict[str, Any]:
    sidecar = path.with_name(f"{volume_stem(path)}.json")
    if not sidecar.is_file():
        return {}
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except ValueError as error:
        raise VolumeError(f"{sidecar}: is no JSON ({error}); correct or remove it") from error
    if not isinstance(content, dict):
        raise VolumeError(f"{sidecar}: holds a {type(content).__name__}, expected a JSON object as BIDS has it")
    return content
