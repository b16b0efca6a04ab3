"""Refusing options that would change nothing.

MONAI adds an unknown ``--max_epoch 3`` to the configuration without a word, and the run goes on with what it had.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Sequence
from typing import Any

from monai.bundle import ConfigParser
from monai.utils import optional_import

from recon_monai.engines.command_line import configuration_files, overrides
from recon_monai.engines.unused_options import unused_options

__all__ = ["UnknownOptionError", "check_overrides", "unknown_id"]

_SEPARATOR = "::"


class UnknownOptionError(ValueError):
    """An option on the command line is no id of the configuration, or one that nothing there uses."""


def check_overrides(arguments: list[str] | None = None) -> None:
    """Refuse options of the command line that are no ids of the configuration files, or that nothing there uses.

    An id that is not spelled out in the configuration is accepted if it is an argument of the component above it, as
    ``train::dataset::max_files`` is one of ``FastMRISliceDataset``, and so are new entries of a plain table of values,
    as ``filters::acquisition`` or ``foreground_fractions::knee``.

    Args:
        arguments: a command line, ``sys.argv`` by default.

    Raises:
        UnknownOptionError: if there are such; the message names the nearest known id, or the files that do not use it.
    """
    files = configuration_files(arguments)
    given = overrides(arguments)
    if not files or not given:
        return
    parser = ConfigParser()
    parser.read_config([str(file) for file in files])
    content = parser.get()
    content.pop("_meta_", None)
    problems = []
    for name, value in given.items():
        if isinstance(value, str) and value.lower() in ("true", "false", "yes", "no") and _is_switch(content, name):
            problems.append(f"--{name} {value} would be taken as text; write --{name} True or --{name} False")
        problem = unknown_id(content, name, [file.name for file in files], prefix="--")
        if problem:
            problems.append(problem)
    problems += unused_options(files, given)
    if problems:
        raise UnknownOptionError("; ".join(problems))


def unknown_id(content: Any, name: str, files: Sequence[str], prefix: str = "") -> str | None:
    """What is wrong with the name of an option.

    Args:
        content: of the configuration.
        name: an id, with ``::``.
        files: names of the configuration's files, for the message.
        prefix: of options in the message, such as ``--``.

    Returns:
        A sentence that names the nearest known id, or None if the configuration, or the component above, has the id.
    """
    if _is_known(content, name.lstrip("+").split(_SEPARATOR)):
        return None
    nearest = difflib.get_close_matches(name, _known_ids(content), n=1, cutoff=0.5)
    hint = f"did you mean {prefix}{nearest[0]}?" if nearest else "it is like none of them"
    return f"{prefix}{name} is no id of {', '.join(files)}; {hint}"


def _is_known(content: Any, path: list[str]) -> bool:
    for position, part in enumerate(path):
        if isinstance(content, dict) and part in content:
            content = content[part]
        elif isinstance(content, list) and part.lstrip("-").isdigit() and -len(content) <= int(part) < len(content):
            content = content[int(part)]
        else:
            return _is_data(content) or (part in _arguments_of(content) and position == len(path) - 1)
    return True


def _is_switch(content: Any, name: str) -> bool:
    for part in name.split(_SEPARATOR):
        if not isinstance(content, dict) or part not in content:
            return False
        content = content[part]
    return isinstance(content, bool)


def _is_data(content: Any) -> bool:
    """Whether this is a table of values, to which entries may be added, and no section of the configuration."""
    return (
        isinstance(content, dict)
        and not any(isinstance(value, dict | list) for value in content.values())
        and ("_target_" not in content)
    )


def _arguments_of(component: Any) -> list[str]:
    """What a component of the configuration takes: the parameters of its target, and MONAI's own keys."""
    if not isinstance(component, dict) or "_target_" not in component:
        return []
    target, found = _locate(str(component["_target_"]))
    own = ["_requires_", "_disabled_", "_desc_", "_mode_"]
    if not found:
        return own
    return [*own, *_parameters(target)]


def _parameters(target: Any) -> list[str]:
    """Parameters by name, for classes with ``**kwargs`` also those of the classes they build on."""
    names: list[str] = []
    for part in target.__mro__ if inspect.isclass(target) else (target,):
        function = part.__dict__.get("__init__") if inspect.isclass(part) else part
        if not inspect.isfunction(function) and not inspect.ismethod(function):
            continue
        parameters = inspect.signature(function).parameters.values()
        names += [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return [name for name in names if name != "self"]


def _locate(target: str) -> tuple[Any, bool]:
    """The object behind a ``_target_``: a dotted name, or a name that MONAI finds in its own modules."""
    module, _, name = target.rpartition(".")
    if not module:
        from monai.bundle.config_item import ComponentLocator

        modules = ComponentLocator().get_component_module_name(target)
        module = modules if isinstance(modules, str) else (modules or [""])[0]
        name = target
    if not module:
        return None, False
    return optional_import(module, name=name)


def _known_ids(content: Any, prefix: str = "") -> list[str]:
    """Every id of the configuration, and the arguments of its components, shortest first."""
    ids: list[str] = []
    items: list[tuple[str, Any]] = []
    if isinstance(content, dict):
        items = [(key, value) for key, value in content.items() if not key.startswith("_")]
        ids += [f"{prefix}{name}" for name in _arguments_of(content) if not name.startswith("_")]
    elif isinstance(content, list):
        items = [(str(position), value) for position, value in enumerate(content)]
    for key, value in items:
        ids.append(f"{prefix}{key}")
        ids += _known_ids(value, f"{prefix}{key}{_SEPARATOR}")
    return sorted(set(ids), key=lambda name: (name.count(_SEPARATOR), name))
