"""Version and changelog of a bundle's metadata, which belong together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["raised", "version_faults"]


def _numbers(version: str) -> tuple[int, ...] | None:
    return tuple(map(int, version.split("."))) if re.fullmatch(r"\d+\.\d+\.\d+", version) else None


def version_faults(metadata: Mapping[str, Any]) -> list[str]:
    """What is wrong with version and changelog, in words.

    Args:
        metadata: content of metadata.json.

    Returns:
        A sentence each; none if the version is the highest of the changelog.
    """
    version, changelog = str(metadata.get("version")), metadata.get("changelog")
    if not isinstance(changelog, Mapping) or not changelog:
        return [f"changelog is {changelog!r}, expected a table of versions and what changed in them"]
    faults = [f"{name!r} is no version such as 0.2.0" for name in (version, *changelog) if _numbers(str(name)) is None]
    if faults:
        return list(dict.fromkeys(faults))
    highest = max(changelog, key=lambda name: _numbers(str(name)) or ())
    if version not in changelog:
        faults.append(f"version {version} has no entry in the changelog, which ends with {highest}")
    elif version != highest:
        faults.append(f"version is {version}, and the changelog has {highest} already")
    return faults + [f"changelog: {name} says nothing" for name, text in changelog.items() if not str(text).strip()]


def raised(metadata: Mapping[str, Any], version: str | None, changes: str | None) -> dict[str, Any]:
    """Raise version and changelog together.

    Args:
        metadata: content of metadata.json.
        version: the new version; None leaves it.
        changes: what changed in it.

    Returns:
        The new metadata, the newest entry of the changelog first.

    Raises:
        ValueError: if one is given without the other, the version is not higher, or version and changelog of the
            metadata do not fit each other.
    """
    faults = version_faults(metadata)
    if faults:
        raise ValueError(f"metadata.json: {'; '.join(faults)}")
    if version is None and changes is None:
        return dict(metadata)
    if version is None or changes is None or not str(changes).strip():
        raise ValueError('a new version needs both, for example --version 0.3.0 --changes "what is new in it"')
    old, new = _numbers(str(metadata["version"])), _numbers(str(version))
    if new is None:
        raise ValueError(f"--version {version} is no version such as 0.3.0")
    if old is None or new <= old:
        raise ValueError(f"--version {version} is not above {metadata['version']}, which the bundle has")
    return {**metadata, "version": str(version), "changelog": {str(version): str(changes), **metadata["changelog"]}}
