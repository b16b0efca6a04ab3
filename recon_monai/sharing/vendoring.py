"""A copy of those modules of this package that a bundle reaches, to lie beside its configurations."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from recon_monai import __version__
from recon_monai.optional import require
from recon_monai.sharing.code_identity import MANIFEST, code_digest
from recon_monai.sharing.import_graph import PACKAGE, Reached, is_passed_on, package_folder

__all__ = ["vendor"]

_HEADER = """\
# Copyright (c) the recon_monai authors
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""
_LENGTH = 120
# The Model Zoo formats with black --skip-magic-trailing-comma, and sorts as if a bundle's own package were another's.
_STYLE = ("--isolated", "--quiet", "--no-cache", "--line-length", str(_LENGTH))
_SORTED = ("--select", "I", "--fix", "--config", f'lint.isort.known-third-party=["{PACKAGE}"]')
_FORMATTED = ("--config", "format.skip-magic-trailing-comma=true")
_SPLIT = ("--config", "lint.isort.split-on-trailing-comma=false")


def vendor(found: Reached, bundle: Path) -> dict[str, str]:
    """Copy modules into a bundle's folder, as the package that they are part of.

    The ``__init__`` of each package passes on only what is there. Files get a license header and the format that the
    Model Zoo checks. Data files come with the modules that name their folder.

    Args:
        found: what the bundle's configurations reach.
        bundle: folder of the exported bundle; it must not have a copy yet.

    Returns:
        Version of the package, digest of the copy and of what it was made of, as `check_code` takes them.

    Raises:
        ImportError: if ruff, which formats, is not installed.
    """
    require("ruff", extra="export")
    source, target = package_folder(), bundle / PACKAGE
    for module in sorted(found.modules):
        _copy_module(module, found, source, target)
    shutil.copyfile(bundle / "LICENSE", target / "LICENSE")
    for arguments in (("check", *_STYLE, *_SORTED, *_SPLIT), ("format", *_STYLE, *_FORMATTED)):
        _ruff(*arguments, str(target))
    identity = {"version": __version__, "content": code_digest(target), "source": code_digest(source)}
    (target / MANIFEST).write_text(json.dumps(identity, indent=4) + "\n", encoding="utf-8")
    return identity


def _ruff(*arguments: str) -> None:
    from ruff import find_ruff_bin

    done = subprocess.run([find_ruff_bin(), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ruff {arguments[0]} failed on the vendored code: {(done.stdout + done.stderr).strip()}")


def _copy_module(module: str, found: Reached, source: Path, target: Path) -> None:
    place = Path(*module.split(".")[1:])
    original = source / place / "__init__.py"
    if original.is_file():
        text = original.read_text(encoding="utf-8")
        copied = target / place / "__init__.py"
        text = _trimmed(text, found.passed_on.get(module, set()))
    else:
        original = (source / place).with_suffix(".py")
        copied = (target / place).with_suffix(".py")
        text = original.read_text(encoding="utf-8")
        _copy_data(text, original.parent, copied.parent)
    copied.parent.mkdir(parents=True, exist_ok=True)
    copied.write_text(text if text.startswith("#") else _HEADER + text, encoding="utf-8")


def _copy_data(text: str, source: Path, target: Path) -> None:
    """Copy folders without code that a module names."""
    named = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant) and node.value}
    for folder in source.iterdir():
        if folder.is_dir() and folder.name in named and not list(folder.glob("*.py")) and folder.name != "__pycache__":
            shutil.copytree(folder, target / folder.name, dirs_exist_ok=True)


def _trimmed(text: str, names: set[str]) -> str:
    """An ``__init__`` that passes on only these names."""
    tree = ast.parse(text)
    lines = text.splitlines(keepends=True)
    body = [*tree.body]
    guarded = False
    for statement in reversed(body):
        if is_passed_on(statement):
            _replace(lines, statement, _import_of(statement, names))
        elif isinstance(statement, ast.If):
            kept = [_import_of(inner, names) for inner in statement.body if is_passed_on(inner)]
            inside = "".join(f"    {line}" for line in kept if line)
            _replace(lines, statement, f"if TYPE_CHECKING:\n{inside}" if inside else "")
            guarded = guarded or bool(inside)
        elif isinstance(statement, ast.ImportFrom) and statement.module == "typing" and not guarded:
            used = [one.name for one in statement.names if one.name != "TYPE_CHECKING"]
            _replace(lines, statement, f"from typing import {', '.join(used)}\n" if used else "")
        elif _is_all(statement):
            _replace(lines, statement, _all_of(statement, _gone(tree, names)))
    return "".join(lines)


def _replace(lines: list[str], statement: ast.stmt, text: str) -> None:
    lines[statement.lineno - 1 : statement.end_lineno] = [text] if text else []


def _import_of(statement: ast.stmt, names: set[str]) -> str:
    assert isinstance(statement, ast.ImportFrom)
    kept = [one for one in statement.names if (one.asname or one.name) in names]
    parts = [f"{one.name} as {one.asname}" if one.asname else one.name for one in kept]
    return f"from {statement.module} import ({', '.join(parts)})\n" if parts else ""


def _is_all(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == "__all__" for target in statement.targets
    )


def _gone(tree: ast.Module, names: set[str]) -> Callable[[str], bool]:
    """Whether a name was passed on before, and is not any more."""
    inner = [one for part in tree.body if isinstance(part, ast.If) for one in part.body]
    before = {
        one.asname or one.name
        for statement in [*tree.body, *inner]
        if isinstance(statement, ast.ImportFrom) and is_passed_on(statement)
        for one in statement.names
    }
    return lambda name: name in before - names


def _all_of(statement: ast.stmt, gone: Callable[[str], bool]) -> str:
    assert isinstance(statement, ast.Assign)
    kept = [name for name in ast.literal_eval(statement.value) if not gone(name)]
    quoted = ", ".join(f'"{name}"' for name in kept)
    return f"__all__ = [{quoted}]\n"
