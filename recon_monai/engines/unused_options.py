"""Options that are ids of a configuration which nothing in it uses: an overlay took away what referred to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.utils import DEFAULT_MLFLOW_SETTINGS

from recon_monai.engines.stage_settings import STAGE_FILES

__all__ = ["unused_options"]

# found by their names, not by references
_USED_BY_MONAI = frozenset({"imports", "initialize", "run", "finalize", *DEFAULT_MLFLOW_SETTINGS["configs"]})


def unused_options(files: Sequence[Path], options: Mapping[str, Any]) -> list[str]:
    """Find options that change nothing in what the configuration files describe.

    These are plain values (no component, expression or reference) at the top of the configuration, or entries of a
    table of such values there, that nothing refers to by ``@`` or ``%``. The configuration of a stage before the
    student's, or of one that the id ``sequence`` lists, does not hide what the whole training refers to, so that a
    stage takes the options of the whole; what overlays of the sequence refer to counts as used, and what only stages
    before the student's use does where the command trains them.

    Args:
        files: the configuration files of a command.
        options: what the command changes in them, by id.

    Returns:
        A sentence for each such option.
    """
    of_stages = {*STAGE_FILES.values(), *_listed(_merged(files).get("sequence"))}
    whole = [file for file in files if file.name not in of_stages]
    merged = _merged(whole)
    in_sequence = _overlays(whole, _listed(merged.get("sequence")))
    referred = _referred([merged, _merged(files), list(options.values()), in_sequence])
    in_single_files = {name for file in whole for name in _referred(ConfigParser.load_config_file(str(file)))}
    stages = _stage_files(whole, {**merged, **options})
    found = []
    for option in options:
        name = option.lstrip("+").partition("::")[0]
        if (
            name not in merged
            or name.startswith("_")
            or name in referred | _USED_BY_MONAI
            or not _is_plain(merged[name])
        ):
            continue
        users = [file.name for file in stages or () if name in _referred(ConfigParser.load_config_file(str(file)))]
        if name in in_single_files or (stages is not None and not users):
            hint = f" (only the stages before the student do, by {', '.join(users)})" if users else ""
            found.append(
                f"--{option} would be without effect: nothing in {', '.join(file.name for file in whole)} uses {name}"
                f"{hint}; leave it away"
            )
    return found


def _merged(files: Iterable[Path]) -> dict[str, Any]:
    names = [str(file) for file in files]
    parser = ConfigParser()
    if names:
        parser.read_config(names)
    content: dict[str, Any] = parser.get() or {}
    content.pop("_meta_", None)
    return content


def _listed(sequence: Any) -> set[str]:
    """Names of the overlays of the stages of a sequence."""
    if not isinstance(sequence, list):
        return set()
    return {Path(file).name for stage in sequence if isinstance(stage, Mapping) for file in stage.get("files") or ()}


def _overlays(files: Iterable[Path], names: Iterable[str]) -> list[Any]:
    """Content of the overlays of a sequence, which lie beside the configuration."""
    folders = list(dict.fromkeys(file.parent for file in files))
    found = (next((folder / name for folder in folders if (folder / name).is_file()), None) for name in names)
    return [ConfigParser.load_config_file(str(file)) for file in found if file is not None]


def _stage_files(files: Iterable[Path], content: Mapping[str, Any]) -> list[Path] | None:
    """The configurations of the stages that a command trains besides; None if it cannot be told which these are."""
    if not content.get("stages") or content.get("sequence"):
        return []  # all stages of a sequence take the options of the whole
    names = [STAGE_FILES["classifier"], *([STAGE_FILES["teacher"]] if content.get("distillation") else [])]
    folders = list(dict.fromkeys(file.parent for file in files))
    found = [next((folder / name for folder in folders if (folder / name).is_file()), None) for name in names]
    return None if None in found else [file for file in found if file is not None]


def _referred(content: Any) -> set[str]:
    """First parts of the ids that a piece of configuration refers to; of relative ones, their first name."""
    if isinstance(content, Mapping):
        return {name for key, part in content.items() if key != "_desc_" for name in _referred(part)}
    if isinstance(content, list | tuple):
        return {name for part in content for name in _referred(part)}
    return set(re.findall(r"[@%][:#]*([A-Za-z_]\w*)", content)) if isinstance(content, str) else set()


def _is_plain(content: Any) -> bool:
    """Whether this is nothing but values: no component, no expression, no reference."""
    if isinstance(content, Mapping):
        return "_target_" not in content and all(_is_plain(part) for part in content.values())
    if isinstance(content, list | tuple):
        return all(_is_plain(part) for part in content)
    return not (isinstance(content, str) and content[:1] in ("$", "@", "%"))
