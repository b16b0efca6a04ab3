"""What decides the weights of a training stage, so that a finished one can be told to be the same."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["STAGE_FILES", "first_difference", "stage_settings", "weight_identity"]

STAGE_FILES = {"classifier": "train_classifier.json", "teacher": "train_teacher.json"}
"""The configuration of each kind of stage before the student's, beside that of the whole training."""

# Where things are written and how fast they run; none of it changes what is learned.
_BOOKKEEPING = frozenset(
    {
        "bundle_root",
        "checkpoint_minutes",
        "curves",
        "dataset_dir",
        "device",
        "dry_run",
        "num_workers",
        "output_dir",
        "overwrite",
        "pipeline",
        "resume",
        "run_name",
        "stage_weights",
        "stages",
    }
)
_SEPARATOR = "::"
# `begin` stands for `initialize` in exported bundles that bring their code
_ROOTS = ("initialize", "begin", "train", "validate")
# handlers that write or show, and change nothing that is trained
_ONLOOKERS = frozenset(
    {
        "AdversarialCurves",
        "AugmentationRecord",
        "ConfusionReport",
        "CurveWriter",
        "HyperParameters",
        "ImagePanels",
        "RunRecord",
        "StatsHandler",
        "TensorBoardImageHandler",
        "TensorBoardStatsHandler",
        "TrainingCheckpoint",
        "TrainingCurves",
        "TrainingProgress",
        "VolumePanels",
    }
)


def stage_settings(configuration: Mapping[str, Any], roots: Iterable[str] = _ROOTS) -> dict[str, Any]:
    """Those parts of a configuration that a training depends on, without where it writes and what looks on.

    A file of weights counts by its name and content, wherever its folder lies.

    Args:
        configuration: merged content of the configuration files, with the overrides applied.
        roots: ids that the training uses; what they refer to is found from them.

    Returns:
        Value by id, as plain JSON.
    """
    begun = [root for root in roots if root in configuration]
    found: dict[str, Any] = {}
    waiting = list(begun)
    while waiting:
        name, value = _resolve(configuration, waiting.pop())
        top = name.partition(_SEPARATOR)[0]
        if name in found or top in _BOOKKEEPING or top not in configuration or (top in begun and name != top):
            continue
        found[name] = _identified(value)
        waiting += _referred(value)
    settings: dict[str, Any] = json.loads(json.dumps({name: found[name] for name in sorted(found)}, default=str))
    for root in begun:
        if isinstance(settings[root], dict) and isinstance(settings[root].get("handlers"), list):
            settings[root]["handlers"] = [entry for entry in settings[root]["handlers"] if not _looks_on(entry)]
    return settings


def first_difference(expected: Any, found: Any, path: str = "") -> str | None:
    """Name the first place where two settings differ.

    Args:
        expected: settings, plain JSON.
        found: other settings.
        path: id of the place both are from.

    Returns:
        Like ``learning_rate was 0.001 and is 0.003`` (`found`, then `expected`); None if they are equal.
    """
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in [*expected, *(key for key in found if key not in expected)]:
            below = f"{path}{_SEPARATOR}{key}" if path else key
            difference = first_difference(expected.get(key), found.get(key), below)
            if difference:
                return difference
        return None
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        parts = (first_difference(ours, theirs, f"{path}{_SEPARATOR}{number}") for number, (ours, theirs) in pairs)
        return next((part for part in parts if part), None)
    return None if expected == found else f"{path} was {_short(found)} and is {_short(expected)}"


def weight_identity(path: str | Path) -> str:
    """Name and first part of the SHA-256 of a file of weights, which tell it apart wherever it lies."""
    return f"{Path(path).name} {hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]}"


def _looks_on(handler: Any) -> bool:
    """Whether a handler is known to change nothing; what it refers to counts nevertheless."""
    return isinstance(handler, dict) and str(handler.get("_target_")).rpartition(".")[2] in _ONLOOKERS


def _referred(content: Any) -> set[str]:
    """Ids that a piece of configuration refers to by ``@`` or ``%``."""
    if isinstance(content, dict):
        return {name for part in content.values() for name in _referred(part)}
    if isinstance(content, list):
        return {name for part in content for name in _referred(part)}
    return set(re.findall(r"[@%]([A-Za-z_]\w*(?:::\w+)*)", content)) if isinstance(content, str) else set()


def _resolve(configuration: Mapping[str, Any], name: str) -> tuple[str, Any]:
    """The content of an id; where its last parts lie behind another reference, that of the part that leads there."""
    value: Any = configuration
    reached: list[str] = []
    for key in name.split(_SEPARATOR):
        place: Any = int(key) if isinstance(value, list) and key.isdigit() else key
        within = (
            place in value if isinstance(value, Mapping) else isinstance(value, list) and place in range(len(value))
        )
        if not within:
            break
        value = value[place]
        reached.append(key)
    return _SEPARATOR.join(reached), value


def _identified(value: Any) -> Any:
    """A file of weights as what it is, anything else as it is."""
    if not isinstance(value, str) or Path(value).suffix not in (".pt", ".pth") or not Path(value).is_file():
        return value
    return weight_identity(value)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
