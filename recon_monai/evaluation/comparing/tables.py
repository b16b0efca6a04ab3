"""What a comparison writes: all of it as JSON, the rows as CSV."""

from __future__ import annotations

import csv
import io
import json
import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from recon_monai import RESEARCH_NOTICE, __version__
from recon_monai.data import atomic_path
from recon_monai.evaluation.comparing.described import MethodRecord
from recon_monai.evaluation.comparing.differences import paired_differences
from recon_monai.evaluation.comparing.measures import CONVENTIONS, convention_of
from recon_monai.evaluation.comparing.settings import ComparisonSettings
from recon_monai.evaluation.comparing.store import plain
from recon_monai.evaluation.uncertainty import CALIBRATION_CONVENTION
from recon_monai.handlers.record import git_revision

__all__ = ["FIELDS", "empty_row", "write_tables"]

FIELDS = (
    "file",
    "subject",
    "anatomy",
    "contrast",
    "data",
    "acceleration",
    "effective_acceleration",
    "coils",
    "method",
    "ssim",
    "psnr",
    "nmse",
    "foreground_ssim",
    "sharpness",
    "seconds",
    "peak_memory_mb",
    "convention",
    "kspace_residual",
    "kspace_residual_target",
    "null_space_error",
    "downstream",
    "calibration",
    "failure",
    "images",
)
"""Of a row, in order."""


def empty_row(**known: Any) -> dict[str, Any]:
    """A row whose other fields are None."""
    return {name: known.get(name) for name in FIELDS}


def write_tables(
    folder: Path,
    methods: Sequence[MethodRecord],
    rows: Sequence[Mapping[str, Any]],
    *,
    command: str | None = None,
    settings: ComparisonSettings | None = None,
) -> None:
    """Write ``comparison.json`` and ``comparison.csv``.

    Args:
        folder: of the comparison.
        methods: in the order to show.
        rows: of all files and methods that were done.
        command: that made it.
        settings: of the comparison: seed of the bootstrap of differences, measured part of volumes.
    """
    settings = settings or ComparisonSettings()
    of_volumes = {"metrics of volumes": convention_of("volume", settings.block)}
    content = {
        "notice": RESEARCH_NOTICE,
        "convention": {**CONVENTIONS, **of_volumes, "calibration": CALIBRATION_CONVENTION},
        "created": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "versions": _versions(),
        "command": command,
        "methods": [record.to_json() for record in methods],
        "rows": rows,
        "differences": paired_differences(rows, [record.name for record in methods], seed=settings.seed),
    }
    with atomic_path(folder / "comparison.json") as temporary:
        temporary.write_text(json.dumps(plain(content), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with atomic_path(folder / "comparison.csv") as temporary:
        temporary.write_text(_csv(rows), encoding="utf-8")


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows, flat; the bins of calibration curves are in the JSON alone."""
    flat = [_flat(row) for row in rows]
    columns = dict.fromkeys(name for row in flat for name in row)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*columns, "notice"], lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows({**row, "notice": RESEARCH_NOTICE} for row in flat)
    return stream.getvalue()


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name in ("downstream", "calibration"):
            for key, one in (value or {}).items():
                if not isinstance(one, list):
                    found[f"{name}: {key}"] = "" if one is None else one
        else:
            found[name] = "" if value is None else value
    return found


def _versions() -> dict[str, str]:
    versions = {"recon_monai": __version__, "python": platform.python_version()}
    for name in ("torch", "monai", "numpy", "sigpy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    revision = git_revision()
    return {**versions, "revision": revision} if revision else versions
