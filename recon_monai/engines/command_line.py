"""What the command that runs a bundle says of itself.

MONAI hands a configuration's objects neither its path nor its text, so both are read from the command line here.
"""

from __future__ import annotations

import ast
import logging
import sys
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

__all__ = ["configuration_files", "locate_bundle", "merged_configuration", "overrides"]

logger = logging.getLogger(__name__)


# arguments of `monai.bundle run` itself; everything else overrides the configuration
_OWN_ARGUMENTS = frozenset(
    {"run_id", "init_id", "final_id", "meta_file", "config_file", "logging_file", "tracking", "args_file"}
)


def _options(arguments: list[str]) -> dict[str, str]:
    """``--name value``, ``--name=value`` and ``--name`` (which is True) of a command line, as fire reads them."""
    options: dict[str, str] = {}
    for position, argument in enumerate(arguments):
        if not _is_option(argument):
            continue
        name, has_value, value = argument.lstrip("-").partition("=")
        if not has_value:
            following = arguments[position + 1 : position + 2]
            value = following[0] if following and not _is_option(following[0]) else "True"
        options[name.replace("#", "::").replace("-", "_")] = value
    return options


def _is_option(argument: str) -> bool:
    """``--name``, and ``-name``, which fire takes too; not a negative number."""
    return argument.startswith("-") and argument.lstrip("-")[:1].isalpha()


def overrides(arguments: list[str] | None = None) -> dict[str, Any]:
    """What a command line changes in its configuration files: ids and their new values.

    Args:
        arguments: a command line, ``sys.argv`` by default.

    Returns:
        Value by id (with ``::``), those of ``--args_file`` first; empty where the bundle is not run from a command
        line.
    """
    options = _options(sys.argv if arguments is None else arguments)
    found: dict[str, Any] = {}
    if "args_file" in options:
        found |= ConfigParser.load_config_file(options["args_file"])
    found |= {name: _literal(value) for name, value in options.items()}
    return {name.replace("#", "::"): value for name, value in found.items() if name not in _OWN_ARGUMENTS}


def _literal(word: str) -> Any:
    try:
        return ast.literal_eval(word)
    except (SyntaxError, ValueError):
        return word


def configuration_files(arguments: list[str] | None = None) -> list[Path]:
    """The files given as ``--config_file``, one or a Python list of them.

    Args:
        arguments: a command line, ``sys.argv`` by default.

    Returns:
        Their paths; none where the bundle is not run from a command line.
    """
    options = _options(sys.argv if arguments is None else arguments)
    value = options.get("config_file", "")
    if not value and "args_file" in options:
        value = ConfigParser.load_config_file(options["args_file"]).get("config_file", "")
    files = _literal(value) if isinstance(value, str) else value
    names = [files] if isinstance(files, str) else list(files)
    return [Path(name) for name in names if name]


def merged_configuration(arguments: list[str] | None = None) -> dict[str, Any]:
    """The configuration a command line describes: its files merged, its overrides applied.

    Args:
        arguments: a command line, ``sys.argv`` by default.

    Returns:
        Plain JSON content; empty where the bundle is not run from a command line.
    """
    files = configuration_files(arguments)
    if not files:
        return {}
    parser = ConfigParser()
    parser.read_config([str(file) for file in files])
    for name, value in overrides(arguments).items():
        parser[name] = value
    content: dict[str, Any] = parser.get()
    content.pop("_meta_", None)
    return content


def _folder_above_configs(file: Path) -> Path:
    """The bundle's folder of a configuration; ``..`` from inside ``configs``."""
    if file.absolute().parent.name != "configs":
        return file.parent
    return file.parent.parent if file.parent.name == "configs" else file.parent / ".."


def locate_bundle(name: str) -> str:
    """Find a bundle's folder, so that a run writes there and not beside it.

    MONAI sets ``bundle_root`` to the current folder whatever the configuration's path. This looks at the folder of the
    configuration on the command line, then at the current folder and at ``bundles/<name>`` below it.

    Args:
        name: the bundle's folder name.

    Returns:
        The folder, relative to the current one unless the configuration was given by an absolute path; the current
        folder if none is found.
    """
    named = [_folder_above_configs(file) for file in configuration_files()]
    for folder in (*named, Path(), Path("bundles") / name):
        if (folder / "configs" / "metadata.json").is_file():
            return str(folder)
    logger.warning("no bundle folder found near %s; results go to ./eval", Path.cwd())
    return "."
