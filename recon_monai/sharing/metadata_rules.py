"""The rules of MONAI's metadata schema 20240725, and those that the Model Zoo adds, without the schema's file.

The schema itself is only to be had from the network; where it is at hand, `scripts/verify_zoo.py` uses it as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recon_monai.sharing.bundle_version import version_faults

__all__ = ["SCHEMA", "metadata_faults"]

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"

_TEXTS = ("schema", "version", "monai_version", "pytorch_version", "numpy_version", "task", "description", "authors")
_REQUIRED = (*_TEXTS, "required_packages_version", "copyright", "network_data_format", "changelog")
_TENSOR = ("type", "format", "num_channels", "spatial_shape", "dtype", "value_range")


def metadata_faults(metadata: Mapping[str, Any]) -> list[str]:
    """What of a metadata.json breaks the rules.

    Args:
        metadata: its content.

    Returns:
        A sentence for each fault; none if it would pass.
    """
    missing = [key for key in _REQUIRED if key not in metadata]
    if missing:
        return [f"{', '.join(missing)} missing"]
    faults = [f"{key} is {metadata[key]!r}, expected text" for key in _TEXTS if not _is_text(metadata[key])]
    if metadata["schema"] != SCHEMA:
        faults.append(f"schema is {metadata['schema']}, expected {SCHEMA}")
    if "optional_packages_version" in metadata:
        faults.append("optional_packages_version is deprecated, name it required_packages_version")
    packages = metadata["required_packages_version"]
    if not isinstance(packages, Mapping) or not all(map(_is_text, packages.values())):
        faults.append("required_packages_version is no table of names and versions")
    if not isinstance(metadata.get("supported_apps", {}), Mapping):
        faults.append("supported_apps is no table")
    faults += version_faults(metadata)
    for name, content in metadata.items():
        if name.endswith("_data_format"):
            faults += _format_faults(name, content)
    return faults


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _format_faults(name: str, content: Any) -> list[str]:
    """Faults of the inputs and outputs of one network."""
    faults = []
    for side in ("inputs", "outputs"):
        tensors = content.get(side) if isinstance(content, Mapping) else None
        if not isinstance(tensors, Mapping) or not tensors:
            faults.append(f"{name} has no {side}")
            continue
        for tensor, entry in tensors.items():
            place = f"{name}::{side}::{tensor}"
            absent = [key for key in _TENSOR if key not in entry]
            faults += [f"{place}: {', '.join(absent)} missing"] if absent else _tensor_faults(place, entry)
    return faults


def _tensor_faults(place: str, entry: Mapping[str, Any]) -> list[str]:
    faults = []
    count = entry["num_channels"]
    if not isinstance(count, int) or isinstance(count, bool):
        faults.append(f"{place}: num_channels is {count!r}, expected a whole number")
    for key in ("spatial_shape", "value_range"):
        if not isinstance(entry[key], list):
            faults.append(f"{place}: {key} is {entry[key]!r}, expected a list")
    channels = entry.get("channel_def")
    if channels is not None and len(channels) != count:
        faults.append(f"{place}: channel_def names {len(channels)} channels of {count}")
    return faults
