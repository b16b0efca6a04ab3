"""Configurations of a bundle that brings its code: they must not need it before MONAI puts the bundle on the path.

`monai.bundle run` adds the bundle's folder to Python's path between ``initialize`` and ``run``. What the bundle does in
``initialize`` therefore becomes the first step of ``run``, under the id ``begin``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

__all__ = ["BEGIN", "vendored_configurations"]

BEGIN = "begin"
"""Id of what stood in ``initialize``."""

_CODE = "code"
_ASKS_FOR_CODE = ("bundle_root", "network_def")


def vendored_configurations(folder: Path, bundle: str, identity: Mapping[str, str]) -> None:
    """Rewrite the configurations of a bundle for code of its own.

    Args:
        folder: the ``configs`` of the exported bundle.
        bundle: its name.
        identity: of the code, as `vendor` returned it.
    """
    check = {"_target_": "recon_monai.sharing.check_code", "bundle": bundle, **identity}
    files = [file for file in sorted(folder.glob("*.json")) if file.name != "metadata.json"]
    contents = {file: json.loads(file.read_text(encoding="utf-8")) for file in files}
    begun = {_steps(content["run"]) for content in contents.values() if "run" in content}
    for file, content in contents.items():
        taken = {BEGIN, _CODE} & content.keys()
        if taken:
            raise ValueError(f"configs/{file.name} has an id {taken.pop()}, which the vendored form needs; rename it")
        changed = dict(_entry(key, value, begun) for key, value in content.items())
        if "bundle_root" in changed:
            changed = _before(changed, "bundle_root", _CODE, check)
        file.write_text(json.dumps(changed, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")


def _steps(run: Any) -> str:
    """The id of the list of steps that a run has: its own, or the one that it is a copy of."""
    return run[1:] if isinstance(run, str) and run.startswith("%") else "run"


def _entry(key: str, value: Any, begun: Set[str]) -> tuple[str, Any]:
    """One entry of a configuration, as it is in the vendored form."""
    plain = key.removeprefix("+")
    if plain == "initialize":
        # after the first step, which lets errors end a command with one line
        steps = [*value[:1], f"$@{_CODE}", *value[1:]] if key == plain else value
        return key.replace("initialize", BEGIN), steps
    if key in begun and isinstance(value, list):
        return key, [f"$@{BEGIN}", *value]
    if plain in _ASKS_FOR_CODE and isinstance(value, Mapping) and "_target_" in value:
        # before all else: MONAI makes parts in their order, and another copy of the code may not have them
        required = {"_target_": value["_target_"], "_requires_": [f"@{_CODE}", *value.get("_requires_", [])]}
        return key, {**required, **{name: part for name, part in value.items() if name not in required}}
    return key, value


def _before(content: Mapping[str, Any], place: str, key: str, value: Any) -> dict[str, Any]:
    """Add an entry before another, for readers; the order means nothing to MONAI."""
    found: dict[str, Any] = {}
    for name, part in content.items():
        if name == place:
            found[key] = value
        found[name] = part
    return found
