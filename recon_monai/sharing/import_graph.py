"""Which modules of this package a bundle's configurations reach, found by reading imports and running nothing.

The ``__init__`` of a package here only passes names on. So what counts is not what an ``__init__`` imports, but which
of its names are asked for: ``recon_monai.networks.VarNet`` reaches the module that defines `VarNet`, and what that one
imports, and not the other networks.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["PACKAGE", "Reached", "configured_names", "is_passed_on", "package_folder", "reached"]

PACKAGE = __name__.partition(".")[0]

# a module, and a name in it or nothing
_Name = tuple[str, str]
_DOTTED = re.compile(rf"\b{PACKAGE}(?:\.\w+)+")


@dataclass
class Reached:
    """What a set of names needs.

    Attributes:
        modules: dotted names of modules and packages.
        passed_on: the names that each package's ``__init__`` has to pass on.
        third_party: first parts of the names of other packages that these modules import, wherever in them.
        optional: the same of those that they import by `require` alone, with a message where they are missing.
    """

    modules: set[str] = field(default_factory=set)
    passed_on: dict[str, set[str]] = field(default_factory=dict)
    third_party: set[str] = field(default_factory=set)
    optional: set[str] = field(default_factory=set)


def package_folder() -> Path:
    """The folder of this package, as it was imported."""
    return Path(__file__).parents[1]


def configured_names(files: Iterable[Path]) -> set[str]:
    """Names of this package that configurations use: targets, import statements and other expressions.

    Args:
        files: JSON files.

    Returns:
        Dotted names, such as ``"recon_monai.networks.VarNet"``.
    """
    return {name for file in files for text in _strings(json.loads(file.read_text())) for name in _names(text)}


def _strings(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping):
        for key, part in content.items():
            if key != "_desc_":
                yield from _strings(part)
    elif isinstance(content, list):
        for part in content:
            yield from _strings(part)


def _names(text: str) -> set[str]:
    statement = _statement(text[1:]) if text.startswith("$") else None
    if isinstance(statement, ast.ImportFrom):
        return {f"{statement.module}.{one.name}" for one in statement.names} if _is_own(statement.module) else set()
    return set(_DOTTED.findall(text))


def _statement(text: str) -> ast.stmt | None:
    try:
        return next(iter(ast.parse(text).body), None)
    except SyntaxError:  # an expression with references of MONAI
        return None


def reached(names: Iterable[str]) -> Reached:
    """Follow names to the modules that define them, and these to all they import.

    Imports inside of functions count, those for type checkers do not.

    Args:
        names: dotted names of this package.

    Returns:
        Modules, the names their packages pass on, and the other packages that they import.

    Raises:
        ValueError: if a name leads nowhere.
    """
    found = Reached()
    waiting = [one for name in sorted(names) for one in _places(name)]
    while waiting:
        waiting += _follow(*waiting.pop(), found)
    found.optional -= found.third_party
    return found


def _places(name: str) -> list[_Name]:
    """What a configuration may mean by a dotted name: a module, or what the package above it passes on."""
    above, _, last = name.rpartition(".")
    hidden = [(above, last)] if above and _is_package(above) and last in _passed_on(above) else []
    return [_split(name), *hidden]


def _follow(module: str, name: str, found: Reached) -> list[_Name]:
    """Add what a name of a module leads to; returns what to follow next."""
    ahead = [one for part in _with_parents(module) for one in _enter(part, found)]
    if not name or not _is_package(module):
        return ahead
    # a name that is passed on hides the module of the same name
    if name in _passed_on(module):
        known = found.passed_on.setdefault(module, set())
        if name not in known:
            known.add(name)
            ahead.append(_passed_on(module)[name])
    elif _file(f"{module}.{name}"):
        ahead.append((f"{module}.{name}", ""))
    elif name not in _defined(module):
        raise ValueError(f"{module} has no {name}; a configuration or an import names it wrongly")
    return ahead


def _enter(module: str, found: Reached) -> list[_Name]:
    """Add a module; returns the names of this package that it imports."""
    if module in found.modules:
        return []
    found.modules.add(module)
    own, third_party, optional = _needs(module)
    found.third_party |= third_party
    found.optional |= optional
    return [*own]


@cache
def _needs(module: str) -> tuple[tuple[_Name, ...], frozenset[str], frozenset[str]]:
    """Names of this package that a module imports, other packages, and those it imports by `require`."""
    own = [(module, name) for name in sorted(_used_here(module))]
    third_party: set[str] = set()
    optional: set[str] = set()
    for statement in _running(_tree(module), module):
        if isinstance(statement, ast.Call):
            optional |= _required(statement)
            continue
        for imported in _imported(statement):
            top = imported[0].partition(".")[0]
            if top == PACKAGE:
                own.append(imported)
            elif top not in sys.stdlib_module_names:
                third_party.add(top)
    return tuple(own), frozenset(third_party), frozenset(optional)


def _running(node: ast.AST, module: str) -> Iterator[ast.Import | ast.ImportFrom | ast.Call]:
    """Imports and calls that may run; of an ``__init__`` not those that pass names on."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and _for_type_checkers(child):
            continue
        if isinstance(node, ast.Module) and _is_package(module) and (is_passed_on(child) or _is_lazy(child)):
            continue
        if isinstance(child, ast.Import | ast.ImportFrom | ast.Call):
            yield child
        yield from _running(child, module)


def _is_lazy(statement: ast.AST) -> bool:
    """Whether it is the function by which a module imports names when they are asked for (PEP 562)."""
    return isinstance(statement, ast.FunctionDef) and statement.name == "__getattr__"


def is_passed_on(statement: ast.AST) -> bool:
    """Whether a statement of an ``__init__`` passes on names of this package."""
    return isinstance(statement, ast.ImportFrom) and _is_own(statement.module)


def _imported(statement: ast.Import | ast.ImportFrom) -> list[_Name]:
    if isinstance(statement, ast.Import):
        return [(one.name, "") for one in statement.names]
    if statement.level or statement.module is None:
        raise ValueError(f"line {statement.lineno}: a relative import cannot be followed; import by the full name")
    return [(statement.module, one.name) for one in statement.names]


def _required(call: ast.Call) -> set[str]:
    """The package that a call of `require` imports."""
    named = isinstance(call.func, ast.Name) and call.func.id == "require" and bool(call.args)
    first = call.args[0] if named else None
    return {str(first.value).partition(".")[0]} if isinstance(first, ast.Constant) else set()


def _for_type_checkers(statement: ast.If) -> bool:
    return isinstance(statement.test, ast.Name) and statement.test.id == "TYPE_CHECKING"


def _is_own(module: str | None) -> bool:
    return module is not None and module.partition(".")[0] == PACKAGE


def _with_parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


def _split(name: str) -> _Name:
    """The longest part of a dotted name that is a module, and the name in it, as MONAI looks targets up."""
    parts = name.split(".")
    count = next((count for count in range(len(parts), 0, -1) if _file(".".join(parts[:count]))), 0)
    return ".".join(parts[:count]), ".".join(parts[count : count + 1])


@cache
def _file(module: str) -> Path | None:
    """The file of a module of this package; None if there is none."""
    place = package_folder().parent.joinpath(*module.split("."))
    return next((file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()), None)


def _is_package(module: str) -> bool:
    file = _file(module)
    return file is not None and file.name == "__init__.py"


@cache
def _tree(module: str) -> ast.Module:
    file = _file(module)
    if file is None:
        raise ValueError(f"{module} is no module of {PACKAGE}; a configuration or an import names it wrongly")
    return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))


@cache
def _passed_on(module: str) -> dict[str, _Name]:
    """Names that an ``__init__`` passes on, and where it has them from; also those it imports only when asked."""
    body = list(_tree(module).body)
    body += [inner for one in body if isinstance(one, ast.If) and _for_type_checkers(one) for inner in one.body]
    imports = [one for one in body if isinstance(one, ast.ImportFrom) and is_passed_on(one)]
    return {name.asname or name.name: (str(one.module), name.name) for one in imports for name in one.names}


@cache
def _defined(module: str) -> frozenset[str]:
    """Names that an ``__init__`` itself defines."""
    names: set[str] = set()
    for one in _tree(module).body:
        if isinstance(one, ast.FunctionDef | ast.ClassDef):
            names.add(one.name)
        elif isinstance(one, ast.Assign):
            names |= {target.id for target in one.targets if isinstance(target, ast.Name)}
    return frozenset(names | {"__file__", "__name__", "__doc__"})


@cache
def _used_here(module: str) -> frozenset[str]:
    """Names that an ``__init__`` passes on and uses in code of its own, too."""
    if not _is_package(module):
        return frozenset()
    own = [one for one in _tree(module).body if not (is_passed_on(one) or isinstance(one, ast.If))]
    used = {node.id for one in own for node in ast.walk(one) if isinstance(node, ast.Name)}
    # what is imported only when asked for counts only when asked for
    lazy = {name for one in own if _is_lazy(one) for name in _imported_within(one)}
    return frozenset((used - lazy) & _passed_on(module).keys())


def _imported_within(function: ast.AST) -> set[str]:
    statements = [node for node in ast.walk(function) if isinstance(node, ast.ImportFrom)]
    return {name.asname or name.name for statement in statements for name in statement.names}
