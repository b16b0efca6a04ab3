"""Which copy of this package a process uses: a bundle that brings its own must not run with another's.

Python imports a package once. Where two bundles with vendored code run in one process, the second would silently get
the code of the first.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from recon_monai import __version__

__all__ = ["MANIFEST", "check_code", "code_digest"]

MANIFEST = "vendored.json"
"""In a vendored copy of the package, what it is a copy of."""


def code_digest(folder: Path) -> str:
    """Content of all Python files below a folder.

    Args:
        folder: of a package.

    Returns:
        First part of a SHA-256 over names and contents.
    """
    found = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        content = file.read_bytes()
        found.update(f"{file.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return found.hexdigest()[:16]


def check_code(bundle: str, version: str, content: str, source: str) -> str:
    """Check that the code in this process is the one that a vendored bundle brings.

    Its configurations ask for it wherever `bundle_root` or `network_def` is made. The package that the copy was made
    of is as good as the copy.

    Args:
        bundle: name of the bundle.
        version: of the package that the copy was made of.
        content: digest of the copy.
        source: digest of the package that it was made of.

    Returns:
        The version.

    Raises:
        RuntimeError: if another copy, or another version of the package, was imported before.
    """
    folder = Path(__file__).parents[1]
    manifest = folder / MANIFEST
    if manifest.is_file():
        found: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
        same, of = found["content"] == content, f"the copy that {folder.parent.name} brings, {found['version']}"
    else:
        same, of = code_digest(folder) == source, f"the installed package, {__version__}"
    if not same:
        raise RuntimeError(
            f"{bundle} brings its own recon_monai {version}, but this process has imported another from {folder} "
            f"({of}): run each vendored bundle in a process of its own, without another recon_monai ahead of it on "
            "PYTHONPATH"
        )
    return version
